"""Which addresses a connection may be made to. Pure.

An IPv6 address can carry an IPv4 one that a translator or tunnel on the way connects to in the end, so both are judged.
"""

import ipaddress
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Final

from goldpool.contracts.network import AddressRules, networks

Address = IPv4Address | IPv6Address

_COMPATIBLE: Final = IPv6Network("::/96")  # RFC 4291 2.5.5.1, deprecated
_TRANSLATED: Final = IPv6Network("::ffff:0:0:0/96")  # RFC 2765
_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052
_LOCAL_NAT64: Final = IPv6Network("64:ff9b:1::/48")  # RFC 8215; mostly used as a /96, too
_SIX_TO_FOUR: Final = IPv6Network("2002::/16")  # RFC 3056
_TEREDO: Final = IPv6Network("2001::/32")  # RFC 4380
_ISATAP: Final = (0x00005EFE, 0x02005EFE)  # RFC 5214: the interface identifier's upper half


def parse(text: str) -> Address:
    """``text`` as the resolver gives it; a scope (``fe80::1%eth0``) says nothing about where it leads."""
    return ipaddress.ip_address(text.partition("%")[0])


def objection(address: Address, rules: AddressRules) -> str | None:
    """Why there is no connection to it, or None."""
    for one in unfolded(address):
        if (network := _denied_by(one, rules)) is not None:
            inside = "" if one == address else f", which leads to {one},"
            return f"{address}{inside} is refused by {network} of fetch.addresses.deny"
    return None


def unfolded(address: Address) -> tuple[Address, ...]:
    """The addresses that a connection to this one may end at. A mapped one is nothing but its IPv4 address."""
    if isinstance(address, IPv4Address) or int(address) <= 1:  # :: and ::1 carry nothing
        return (address,)
    if (mapped := address.ipv4_mapped) is not None:
        return (mapped,)
    return (address, *_embedded(address))


def _embedded(address: IPv6Address) -> Iterator[IPv4Address]:
    value = int(address)
    in_last = (_COMPATIBLE, _TRANSLATED, _NAT64, _LOCAL_NAT64)
    if any(address in network for network in in_last) or (value >> 32) & 0xFFFFFFFF in _ISATAP:
        yield IPv4Address(value & 0xFFFFFFFF)
    if address in _SIX_TO_FOUR:
        yield IPv4Address(value >> 80 & 0xFFFFFFFF)
    if address in _TEREDO:
        yield IPv4Address(value >> 64 & 0xFFFFFFFF)
        yield IPv4Address(~value & 0xFFFFFFFF)


def _denied_by(address: Address, rules: AddressRules) -> object | None:
    """A network contains no address of the other family."""
    if any(address in network for network in networks(rules.allow)):
        return None
    return next((network for network in networks(rules.deny) if address in network), None)
