"""Where a Job may connect to: address rules and proxies, as the chart has them."""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from goldpool.contracts.model import Contract

_MAPPED: Final = IPv6Network("::ffff:0:0/96")


def _not_mapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """Mapped addresses are judged as the IPv4 addresses they are, so such a rule would say nothing."""
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        raise ValueError(f"{network}: write it as a network of IPv4")
    return network


Network = Annotated[IPv4Network | IPv6Network, AfterValidator(_not_mapped)]

DENIED: Final[tuple[IPv4Network | IPv6Network, ...]] = (
    IPv4Network("0.0.0.0/8"),  # "this network" (RFC 791); Linux connects 0.0.0.0 to itself
    IPv4Network("127.0.0.0/8"),  # loopback (RFC 1122)
    # Link-local (RFC 3927). 169.254.169.254 is the metadata service of AWS, Azure, Google, Oracle, OpenStack, DigitalOcean
    # and others; 169.254.170.2 and .23 give AWS containers their credentials, 169.254.0.23 is Tencent's.
    IPv4Network("169.254.0.0/16"),
    IPv4Network(
        "192.0.0.0/24"
    ),  # IETF protocol assignments (RFC 6890); 192.0.0.192 is Oracle Cloud's older metadata
    IPv4Network("100.100.100.200/32"),  # Alibaba Cloud's metadata
    IPv4Network("168.63.129.16/32"),  # Azure's host agent, which hands out a machine's certificates
    IPv4Network("224.0.0.0/4"),  # multicast (RFC 5771)
    IPv4Network("240.0.0.0/4"),  # reserved (RFC 1112), with the broadcast address
    IPv6Network("::/128"),  # unspecified (RFC 4291)
    IPv6Network("::1/128"),  # loopback (RFC 4291)
    IPv6Network("fe80::/10"),  # link-local (RFC 4291); fe80::a9fe:a9fe is OpenStack's metadata
    IPv6Network("fec0::/10"),  # site-local, given up (RFC 3879)
    IPv6Network("ff00::/8"),  # multicast (RFC 4291)
    # A translator to IPv4 of the local network (RFC 8215): where in the address the IPv4 one stands, only it knows.
    IPv6Network("64:ff9b:1::/48"),
    IPv6Network("fd00:ec2::/32"),  # AWS: ::254 metadata, ::23 credentials of pods
    IPv6Network("fd20:ce::254/128"),  # Google Cloud's metadata
    IPv6Network("fd00:42::42/128"),  # Scaleway's metadata
)
"""Nobody's mirror, and where clouds keep credentials. Private ranges are not in it: mirrors stand there."""


class AddressRules(Contract):
    """An address in ``allow`` is allowed; else one in ``deny`` is refused; every other one is allowed.

    So ``allow`` holds the exceptions, and ``deny: [0.0.0.0/0, ::/0]`` makes it the list of all that is allowed.
    """

    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = DENIED


class Proxies(Contract):
    """Proxies by the scheme of what is fetched; empty for none. The environment's are never looked at.

    ``no_proxy`` names hosts that are reached without: a domain with all below it, an address, a network of addresses,
    each optionally with ``:port``; ``*`` is every host.
    """

    http: Annotated[str, Field(pattern=r"^(http://[^\s/?#@]+/?)?$")] = ""
    https: Annotated[str, Field(pattern=r"^(http://[^\s/?#@]+/?)?$")] = ""
    no_proxy: tuple[str, ...] = ()
