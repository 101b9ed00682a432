"""What a connection may be made to, as a table."""

import ipaddress
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldpool.contracts.model import Misread
from goldpool.contracts.network import AddressRules, networks
from goldpool.worker.fetch.addresses import objection, parse, unfolded

DEFAULT = AddressRules()


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.169.254",
        "169.254.170.2",
        "192.0.0.192",
        "100.100.100.200",
        "168.63.129.16",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fe80::a9fe:a9fe",
        "fec0::1",
        "ff02::1",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fd00:42::42",
        # IPv4 inside
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::8.8.8.8",  # where a local translator has the address, it alone knows
        "2002:7f00:1::1",
        "2002:a9fe:a9fe::",
        "2001:0:7f00:1::",  # Teredo's server
        "2001:0:102:304:0:0:80ff:fffe",  # Teredo's client, 127.0.0.1 with every bit turned
        "2600::5efe:127.0.0.1",
        "2600::200:5efe:169.254.169.254",
    ],
)
def test_refused_by_default(address: str) -> None:
    assert objection(parse(address), DEFAULT) is not None


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "198.18.0.1",
        "126.255.255.255",
        "128.0.0.1",
        "223.255.255.255",
        "100.100.100.201",
        "2606:4700::1111",
        "fd00::1",
        "fd12:3456::1",
        "::ffff:10.0.0.1",
        "64:ff9b::1.1.1.1",
        "2002:0101:0101::1",
    ],
)
def test_allowed_by_default(address: str) -> None:
    assert objection(parse(address), DEFAULT) is None


@pytest.mark.parametrize(
    ("allow", "deny", "address", "allowed"),
    [
        ([], [], "127.0.0.1", True),
        (["127.0.0.1"], ["127.0.0.0/8"], "127.0.0.1", True),  # allow holds the exceptions
        (["127.0.0.0/8"], ["127.0.0.0/8"], "127.0.0.1", True),
        (["10.0.0.0/8"], ["10.1.0.0/16"], "10.1.2.3", True),  # also from a narrower refusal
        (["127.0.0.1"], ["127.0.0.0/8"], "127.0.0.2", False),
        (["10.0.0.0/8"], ["0.0.0.0/0", "::/0"], "10.1.2.3", True),  # all that is allowed
        (["10.0.0.0/8"], ["0.0.0.0/0", "::/0"], "::ffff:10.1.2.3", True),
        (["10.0.0.0/8"], ["0.0.0.0/0", "::/0"], "11.0.0.1", False),
        (["10.0.0.0/8"], ["0.0.0.0/0", "::/0"], "2600::1", False),
        (["64:ff9b::/96"], ["127.0.0.0/8"], "64:ff9b::127.0.0.1", False),  # each form for itself
        (["64:ff9b::/96", "127.0.0.0/8"], ["::/0"], "64:ff9b::127.0.0.1", True),
    ],
)
def test_allow_goes_before_deny(allow: list[str], deny: list[str], address: str, allowed: bool) -> None:
    rules = AddressRules.from_fields({"allow": allow, "deny": deny})
    assert (objection(parse(address), rules) is None) == allowed


def test_the_objection_names_the_address_and_the_rule() -> None:
    assert objection(parse("64:ff9b::7f00:1"), DEFAULT) == (
        "64:ff9b::7f00:1, which leads to 127.0.0.1, is refused by 127.0.0.0/8 of fetch.addresses.deny"
    )


@given(st.ip_addresses(v=4))
def test_an_address_is_refused_in_every_form_that_leads_to_it(address: IPv4Address) -> None:
    rules = AddressRules.from_fields({"deny": [f"{address}/32"]})
    value = int(address)
    forms = [
        value | 0xFFFF << 32,
        value,
        value | 0xFFFF << 48,
        value | 0x64FF9B << 96,
        0x2002 << 112 | value << 80,
        0x20010000 << 96 | value << 64,
        0x20010000 << 96 | ~value & 0xFFFFFFFF,
        0x2600 << 112 | 0x5EFE << 32 | value,
    ]
    for form in forms:
        if form > 1:
            assert objection(IPv6Address(form), rules) is not None, IPv6Address(form)
    assert objection(address, rules) is not None


@given(st.ip_addresses())
def test_every_address_is_judged(address: IPv4Address | IPv6Address) -> None:
    assert unfolded(address)
    everything = AddressRules.from_fields({"deny": ["0.0.0.0/0", "::/0"]})
    assert objection(address, everything) is not None
    assert objection(address, AddressRules(deny=())) is None
    assert parse(str(address)) == address
    special = address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    if special:
        assert objection(address, DEFAULT) is not None


@pytest.mark.parametrize("network", ["::ffff:10.0.0.0/104", "10.0.0.1/8", "mirror.example", ""])
def test_a_rule_that_would_say_nothing_is_refused(network: str) -> None:
    with pytest.raises(Misread):
        AddressRules.from_fields({"deny": [network]})


def test_rules_survive_the_way_to_the_job() -> None:
    assert AddressRules.from_json(DEFAULT.to_json()) == DEFAULT
    assert ipaddress.ip_network("169.254.0.0/16") in networks(DEFAULT.deny)
