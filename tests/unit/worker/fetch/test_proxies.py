"""Which URL goes through which proxy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldpool.contracts.model import Misread
from goldpool.contracts.network import Proxies
from goldpool.worker.fetch.proxies import proxy_for

HTTP, HTTPS = "http://proxy.example:3128", "http://secure.example:3128"


@pytest.mark.parametrize(
    ("url", "no_proxy", "proxy"),
    [
        ("http://mirror.example/x", [], HTTP),
        ("https://mirror.example/x", [], HTTPS),
        ("http://mirror.example/x", ["*"], None),
        ("http://mirror.example/x", ["mirror.example"], None),
        ("http://MIRROR.example/x", ["Mirror.Example "], None),
        ("http://a.mirror.example/x", ["mirror.example"], None),
        ("http://a.mirror.example/x", [".mirror.example"], None),
        ("http://a.mirror.example/x", ["*.mirror.example"], None),
        ("http://notmirror.example/x", ["mirror.example"], HTTP),
        ("http://mirror.example:8080/x", ["mirror.example:8080"], None),
        ("http://mirror.example/x", ["mirror.example:80"], None),
        ("https://mirror.example/x", ["mirror.example:443"], None),
        ("http://mirror.example/x", ["mirror.example:8080"], HTTP),
        ("http://10.1.2.3/x", ["10.0.0.0/8"], None),
        ("http://10.1.2.3/x", ["10.1.2.3"], None),
        ("http://11.1.2.3/x", ["10.0.0.0/8"], HTTP),
        ("http://[2001:db8::1]/x", ["2001:db8::/32"], None),
        ("http://[2001:db8::1]:81/x", ["[2001:db8::1]:81"], None),
        ("http://[2001:db8::1]:82/x", ["[2001:db8::1]:81"], HTTP),
        ("http://mirror.example/x", ["10.0.0.0/8", ""], HTTP),
    ],
)
def test_the_proxy_of_a_url(url: str, no_proxy: list[str], proxy: str | None) -> None:
    assert proxy_for(url, Proxies(http=HTTP, https=HTTPS, no_proxy=tuple(no_proxy))) == proxy


def test_without_proxies_every_connection_is_direct() -> None:
    assert proxy_for("https://mirror.example/", Proxies()) is None


@given(st.lists(st.text(max_size=20), max_size=5))
def test_any_list_of_hosts_is_read(no_proxy: list[str]) -> None:
    assert proxy_for("http://h/", Proxies(http=HTTP, no_proxy=tuple(no_proxy))) in {HTTP, None}


@pytest.mark.parametrize(
    "url", ["http://user:secret@proxy/", "https://proxy", "socks5://proxy", "proxy:3128"]
)
def test_a_proxy_is_an_http_url_without_credentials(url: str) -> None:
    with pytest.raises(Misread):
        Proxies.from_fields({"http": url})
