"""What the operator and its pods say to each other.

Everything here crosses a process boundary, so it is versioned, validated by pydantic on both sides,
and imports neither Kubernetes nor any other room.
"""
