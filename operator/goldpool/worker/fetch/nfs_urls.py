"""What an nfs URL may look like. Pure.

Its parts end in a tool's argument, which that tool takes apart again; libnfs 4 knows no escapes and ends the path at the
first question mark. So only what nobody can read in two ways is taken, also where a file could be called otherwise.
"""

import re
from dataclasses import dataclass
from typing import Final

DEFAULT_PORT: Final = 2049
_NAME: Final = r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
_URL: Final = re.compile(
    rf"nfs://(?P<host>{_NAME}|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{{1,5}}))?(?P<path>/[^?#]*)", re.ASCII
)
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~+,=@:-]+)+", re.ASCII)


@dataclass(frozen=True)
class NfsFile:
    """``host`` is a name or an address, without brackets; ``path`` begins at the server's root."""

    host: str
    port: int
    path: str


def is_nfs(url: str) -> bool:
    """Whether it wants to be one, in any case."""
    return url[:6].lower() == "nfs://"


def objection(url: str) -> str | None:
    """Why this is no URL of a file on an NFS server, or None."""
    found = parsed(url)
    return found if isinstance(found, str) else None


def parsed(url: str) -> NfsFile | str:
    """The file, or what is wrong with its URL."""
    if "@" in url.removeprefix("nfs://").partition("/")[0]:
        return "credentials in a URL are refused"
    if "?" in url or "#" in url:
        return "an nfs URL has no query and no fragment"
    if (match := _URL.fullmatch(url)) is None:
        return "an nfs URL is nfs://host[:port]/export/path/file"
    host, port, path = match["host"].strip("[]"), int(match["port"] or DEFAULT_PORT), match["path"]
    if not 0 < port < 1 << 16:
        return f"there is no port {port}"
    if _PATH.fullmatch(path) is None:
        return "the path of an nfs URL may have letters, digits and ._~+,=@:- between single slashes"
    if any(segment in {".", ".."} for segment in path.split("/")):
        return "the path of an nfs URL may not have . or .. in it"
    return NfsFile(host, port, path)
