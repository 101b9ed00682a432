"""What users write and read: one module per kind, and the generator of their CRDs."""
