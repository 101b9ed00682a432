"""Names that follow from UIDs: the same again for the same thing."""

import base64
import hashlib


def digest(*parts: str, length: int = 10) -> str:
    """Lower-case base32 of a hash: fit for a DNS label, short enough to read."""
    value = hashlib.sha256("\0".join(parts).encode()).digest()
    return base64.b32encode(value).decode().lower()[:length]


def location_name(pool: str, pool_uid: str, host: str) -> str:
    """The same pool object on the same host is the same location; a re-created pool is another one."""
    return f"{pool}-{digest(pool_uid, host)}"
