"""The version before this one, built so that it can be installed beside the present images: what an upgrade comes from."""
