"""Connections through a proxy."""

from typing import Any

import pytest

from goldpool.contracts.network import AddressRules, Proxies
from goldpool.contracts.report import FailureReason
from tests.servers import misbehaving as web
from tests.servers.certificates import Authority
from tests.servers.forward_proxy import forward_proxy
from tests.servers.misbehaving import Server
from tests.unit.worker.fetch.opening import IMAGE, Mounts, an_https_server, get, port_of, refusal

R = FailureReason


# --- proxies


def test_a_proxy_is_used_for_what_the_chart_says_and_only_that(
    server: Server, authority: Authority, mounts: Mounts
) -> None:
    mounts.ca(authority.pem)
    plain = server.answer("/x", web.body(IMAGE))
    options: dict[str, Any] = {"source": {"ca_bundle": "ca"}, "root": mounts.root}
    with forward_proxy() as proxy, an_https_server(authority.issue("127.0.0.1").server_context()) as secure:
        url = secure.answer("/x", web.body(IMAGE))
        both = Proxies(http=proxy.url, https=proxy.url)
        assert get(plain, proxies=both) == IMAGE
        assert get(url, proxies=both, **options) == IMAGE
        expected = [f"GET {plain}", f"CONNECT 127.0.0.1:{port_of(secure)}"]
        assert proxy.asked == expected
        assert get(plain, proxies=Proxies(https=proxy.url)) == IMAGE
        assert get(plain, proxies=Proxies(http=proxy.url, no_proxy=("127.0.0.0/8",))) == IMAGE
        assert proxy.asked == expected


def test_through_a_proxy_the_name_in_the_certificate_still_counts(
    authority: Authority, mounts: Mounts
) -> None:
    mounts.ca(authority.pem)
    with (
        forward_proxy() as proxy,
        an_https_server(authority.issue("mirror.example").server_context()) as secure,
    ):
        url = secure.answer("/x", web.body(IMAGE))
        refused = refusal(url, source={"ca_bundle": "ca"}, root=mounts.root, proxies=Proxies(https=proxy.url))
    assert refused.reason is R.TLS_FAILED


@pytest.mark.parametrize("host", ["127.0.0.66", "127.0.66", "0x7f000042", "[::ffff:127.0.0.66]"])
def test_an_address_in_the_url_is_judged_before_a_proxy_is_asked_for_it(host: str) -> None:
    rules = AddressRules.from_fields({"deny": ["127.0.0.66"]})
    with forward_proxy() as proxy:
        refused = refusal(f"http://{host}/x", addresses=rules, proxies=Proxies(http=proxy.url))
        assert refused.reason is R.ADDRESS_REFUSED
        assert proxy.asked == []


def test_the_proxys_own_address_is_judged() -> None:
    with forward_proxy() as proxy:
        refused = refusal("http://mirror.test/x", addresses=AddressRules(), proxies=Proxies(http=proxy.url))
        assert refused.reason is R.ADDRESS_REFUSED
        assert proxy.asked == []


def test_a_proxy_that_is_not_there_is_named() -> None:
    refused = refusal("https://mirror.test/x", proxies=Proxies(https="http://127.0.0.1:1"))
    assert (refused.reason, refused.message) == (
        R.SOURCE_UNREACHABLE,
        "the proxy: no connection: Connection refused",
    )


def test_a_proxy_that_refuses_is_quoted() -> None:
    with forward_proxy() as proxy:
        proxy.refuses = True
        refused = refusal("https://mirror.test/x", proxies=Proxies(https=proxy.url))
    assert (refused.reason, refused.message) == (R.SOURCE_UNREACHABLE, "the proxy: answered 403")


def test_the_environments_proxies_are_not_looked_at(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert get(server.answer("/x", web.body(IMAGE))) == IMAGE
