"""Pure decisions: placement, capacity, references, retention, backoff. No I/O, no clock, no randomness of its own.

The entry to placement is ``goldpool.planning.placement``.
"""
