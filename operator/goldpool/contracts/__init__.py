"""What the operator and its pods say to each other.

Everything here crosses a process boundary, so it is versioned, checked where it is read (msgspec),
and imports neither Kubernetes nor any other room.
"""
