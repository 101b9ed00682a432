"""Which proxy a URL is asked for through. Pure."""

import ipaddress
from urllib.parse import urlsplit

from goldpool.contracts.network import Proxies


def proxy_for(url: str, proxies: Proxies) -> str | None:
    """The proxy's URL; None for a direct connection."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if any(_matches(entry.strip().lower(), host, port) for entry in proxies.no_proxy):
        return None
    return (proxies.https if parts.scheme == "https" else proxies.http) or None


def _matches(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    name, only_port = _split(entry)
    if not name or (only_port is not None and only_port != port):
        return False
    try:
        network = ipaddress.ip_network(name, strict=False)
    except ValueError:
        domain = name.removeprefix("*").removeprefix(".")
        return host == domain or host.endswith("." + domain)
    try:
        return ipaddress.ip_address(host) in network
    except ValueError:
        return False  # a name is not resolved for this


def _split(entry: str) -> tuple[str, int | None]:
    """Name and port; an IPv6 address with a port is in brackets."""
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        port = rest.removeprefix(":")
    elif entry.count(":") == 1:
        name, _, port = entry.partition(":")
    else:
        return entry, None
    return name, int(port) if port.isdecimal() else None
