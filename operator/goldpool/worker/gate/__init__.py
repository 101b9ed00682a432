"""The gate between fetched bytes and a parent: what is admitted is of the declared format, and safe to hand to QEMU.

``admit`` asks everything, from cheap to dear; whoever objects says why, and what to do.
"""

from goldpool.worker.gate.admission import admit

__all__ = ["admit"]
