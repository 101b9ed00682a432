"""Where a Job may connect to: address rules and proxies, as the chart has them."""

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Final

from msgspec import Meta

from goldpool.contracts.model import Contract

Network = IPv4Network | IPv6Network

_MAPPED: Final = IPv6Network("::ffff:0:0/96")

DENIED: Final[tuple[str, ...]] = (
    "0.0.0.0/8",  # "this network" (RFC 791); Linux connects 0.0.0.0 to itself
    "127.0.0.0/8",  # loopback (RFC 1122)
    # Link-local (RFC 3927). 169.254.169.254 is the metadata service of AWS, Azure, Google, Oracle, OpenStack, DigitalOcean
    # and others; 169.254.170.2 and .23 give AWS containers their credentials, 169.254.0.23 is Tencent's.
    "169.254.0.0/16",
    "192.0.0.0/24",  # IETF protocol assignments (RFC 6890); 192.0.0.192 is Oracle Cloud's older metadata
    "100.100.100.200/32",  # Alibaba Cloud's metadata
    "168.63.129.16/32",  # Azure's host agent, which hands out a machine's certificates
    "224.0.0.0/4",  # multicast (RFC 5771)
    "240.0.0.0/4",  # reserved (RFC 1112), with the broadcast address
    "::/128",  # unspecified (RFC 4291)
    "::1/128",  # loopback (RFC 4291)
    "fe80::/10",  # link-local (RFC 4291); fe80::a9fe:a9fe is OpenStack's metadata
    "fec0::/10",  # site-local, given up (RFC 3879)
    "ff00::/8",  # multicast (RFC 4291)
    # A translator to IPv4 of the local network (RFC 8215): where in the address the IPv4 one stands, only it knows.
    "64:ff9b:1::/48",
    "fd00:ec2::/32",  # AWS: ::254 metadata, ::23 credentials of pods
    "fd20:ce::254/128",  # Google Cloud's metadata
    "fd00:42::42/128",  # Scaleway's metadata
)
"""Nobody's mirror, and where clouds keep credentials. Private ranges are not in it: mirrors stand there."""


@lru_cache
def networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Raises ValueError for what is no network, or one of mapped addresses: these are judged as the IPv4 addresses they are,
    so such a rule would say nothing."""
    found = tuple(map(ip_network, texts))
    for network in found:
        if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
            raise ValueError(f"{network}: write it as a network of IPv4")
    return found


class AddressRules(Contract):
    """An address in ``allow`` is allowed; else one in ``deny`` is refused; every other one is allowed.

    So ``allow`` holds the exceptions, and ``deny: [0.0.0.0/0, ::/0]`` makes it the list of all that is allowed.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = DENIED

    def __post_init__(self) -> None:
        for field, texts in (("allow", self.allow), ("deny", self.deny)):
            try:
                networks(texts)
            except ValueError as error:
                raise ValueError(f"fetch.addresses.{field}: {error}") from error


class Proxies(Contract):
    """Proxies by the scheme of what is fetched; empty for none. The environment's are never looked at.

    ``no_proxy`` names hosts that are reached without: a domain with all below it, an address, a network of addresses,
    each optionally with ``:port``; ``*`` is every host.
    """

    http: Annotated[str, Meta(pattern=r"\A(http://[^\s/?#@]+/?)?\Z")] = ""
    https: Annotated[str, Meta(pattern=r"\A(http://[^\s/?#@]+/?)?\Z")] = ""
    no_proxy: tuple[str, ...] = ()
