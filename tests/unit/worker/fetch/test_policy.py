"""Which URLs are opened at all: none that two parsers read differently."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3.util import parse_url

from goldpool.worker.fetch.policy import forbidden, next_hop

HOSTS = st.one_of(
    st.sampled_from(
        ["good.example", "evil.example", "127.1", "[::1]", "good.example:8443", "user@good.example"]
    ),
    st.text(alphabet="ab.:@\\/?#%[]\t\n\r é-_~0", max_size=12),
)


@pytest.mark.parametrize(
    "url",
    [
        "http://good.example\\@evil.example/",
        "http://good.example\\.evil.example/",
        "http://evil.example%2f.good.example/",
        "http://evil%2eexample/",
        "http://good\t.example/",
        "http://good.example/a\r\nHost: evil.example",
        "http://[::1%25eth0]/",
        "http://é.example/",
        "http://good.example:99999/",
        "http://good.example:8o/",
        "http://:80/",
    ],
)
def test_what_could_mean_two_hosts_is_refused(url: str) -> None:
    assert forbidden(url) is not None


@pytest.mark.parametrize(
    "url",
    [
        "http://good.example",
        "HTTP://Good.Example:80/a?b#c",
        "https://a_b.example/%zz/ü",
        "http://[2001:db8::1]:8080/",
        "http://2130706433/",
    ],
)
def test_what_means_one_host_is_opened(url: str) -> None:
    assert forbidden(url) is None


@given(
    st.sampled_from(["http://", "https://", "HTTP://", "//", "http:"]),
    HOSTS,
    st.sampled_from(["", "/", "/a?b#c"]),
)
def test_ours_and_the_librarys_parser_agree_on_every_url_that_is_opened(
    scheme: str, host: str, path: str
) -> None:
    url = scheme + host + path
    if forbidden(url) is not None:
        return
    ours, theirs = urlsplit(url), parse_url(url)
    assert (ours.scheme, ours.hostname) == (theirs.scheme, (theirs.host or "").strip("[]"))
    assert ours.port == theirs.port


def test_a_location_with_blanks_is_the_name_of_a_file() -> None:
    assert next_hop("http://h/a", "/debian 12.qcow2", 0, 10) == "http://h/debian%2012.qcow2"
