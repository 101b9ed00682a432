"""Settings come as text, and what cannot be meant ends the operator at its start, by name."""

import pytest

from goldpool.contracts.model import Misread
from goldpool.contracts.network import DENIED
from goldpool.controllers.fetch_policy import fetch_policy
from goldpool.settings import Settings


@pytest.mark.parametrize(
    ("text", "denied"),
    [
        ("", DENIED),
        ("none", ()),
        ("10.0.0.0/8, ::1", ("10.0.0.0/8", "::1/128")),
    ],
)
def test_a_list_of_networks_replaces_the_default(text: str, denied: object) -> None:
    settings = Settings.from_environment({"GOLDPOOL_FETCH_DENIED_ADDRESSES": text})
    assert fetch_policy(settings).addresses.deny == denied


@pytest.mark.parametrize(
    "text", ["localhost", "10.0.0.1/8", "300.0.0.1", "10.0.0.0/8;::1", "::ffff:10.0.0.0/104"]
)
def test_a_network_that_says_nothing_is_not_taken_for_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"fetch_denied_addresses|addresses\.deny"):
        fetch_policy(Settings.from_environment({"GOLDPOOL_FETCH_DENIED_ADDRESSES": text}))


@pytest.mark.parametrize("url", ["http://user:secret@proxy.example", "socks5://proxy.example"])
def test_a_proxy_with_a_password_is_refused(url: str) -> None:
    with pytest.raises(Misread, match=r"proxies\.http"):
        fetch_policy(Settings.from_environment({"GOLDPOOL_FETCH_HTTP_PROXY": url}))
