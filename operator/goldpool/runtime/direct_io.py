"""Can this disk be opened past the page cache?"""

import os
from pathlib import Path


def why_not_direct(path: Path) -> str:
    """Empty when the file system takes O_DIRECT, else why not (older tmpfs and some FUSE answer EINVAL).

    Only an open can tell: no statfs flag does.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC))
    except OSError as error:
        return f"{path}: {error.strerror}"
    return ""
