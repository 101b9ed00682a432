"""A source's Secret: what it may hold, and what a person is told of one that is wrong."""

import base64
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldpool.contracts.report import PERMANENT, FailureReason
from goldpool.worker.failures import OperationFailed
from goldpool.worker.fetch.credentials import NOTHING, Credentials, parse, read

R = FailureReason
MIRROR = b"https://mirror.example\n"


def a_secret(**keys: bytes) -> Credentials:
    return parse({"origins": MIRROR, **{name.replace("__", "."): value for name, value in keys.items()}})


def refusal(keys: Mapping[str, bytes]) -> str:
    with pytest.raises(OperationFailed) as refused:
        parse(keys)
    assert refused.value.reason is R.SECRET_INVALID
    return refused.value.message


@pytest.mark.parametrize(
    ("keys", "headers"),
    [
        ({"token": b"abc.def\n"}, {"Authorization": "Bearer abc.def"}),
        (
            {"username": b"ada\n", "password": "pä:ss wörd\n".encode()},
            {"Authorization": "Basic " + base64.b64encode("ada:pä:ss wörd".encode()).decode()},
        ),
        ({"username": b"ada", "password": b""}, {"Authorization": "Basic YWRhOg=="}),
        (
            {"headers": b"X-Auth-Token: abc \r\n\nPRIVATE-TOKEN:x:y\n"},
            {"X-Auth-Token": "abc", "PRIVATE-TOKEN": "x:y"},
        ),
        ({"headers": b"X-One: 1", "token": b"t"}, {"X-One": "1", "Authorization": "Bearer t"}),
        ({"headers": b"Authorization: ApiKey t"}, {"Authorization": "ApiKey t"}),
        ({"tls__crt": b"chain", "tls__key": b"key"}, {}),
    ],
)
def test_what_is_sent(keys: dict[str, bytes], headers: dict[str, str]) -> None:
    found = a_secret(**keys)
    assert dict(found.headers) == headers
    assert (found.certificate is not None) == ("tls__crt" in keys)


@pytest.mark.parametrize(
    ("origins", "url", "sent"),
    [
        (b"https://mirror.example", "https://mirror.example/a/b?c", True),
        (b"https://mirror.example/\n", "https://MIRROR.example:443/a", True),
        (b"HTTPS://Mirror.Example:443", "https://mirror.example/a", True),
        (
            b"\n https://other.example \r\nhttp://mirror.example:8080\n\n",
            "http://mirror.example:8080/a",
            True,
        ),
        (b"https://mirror.example", "http://mirror.example/a", False),
        (b"http://mirror.example", "https://mirror.example/a", False),
        (b"https://mirror.example:8443", "http://mirror.example:8443/a", False),
        (b"https://mirror.example", "https://mirror.example:8443/a", False),
        (b"https://mirror.example", "https://a.mirror.example/a", False),
        (b"https://mirror.example", "https://mirror.example.evil.example/a", False),
        (b"https://mirror.example", "https://mirror.example./a", False),
        (b"https://[2001:db8::1]:8443", "https://[2001:DB8::1]:8443/a", True),
    ],
)
def test_only_its_origins_see_it(origins: bytes, url: str, sent: bool) -> None:
    found = parse({"origins": origins, "token": b"t"}).at(url)
    assert found == (NOTHING if not sent else found)
    assert bool(found.headers) == sent


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({}, "there is nothing to send"),
        ({"token": b"SECRET"}, "key origins is missing"),
        ({"origins": b" \n", "token": b"SECRET"}, "key origins is missing"),
        ({"origins": MIRROR}, "there is nothing to send"),
        ({"origins": b"mirror.example", "token": b"SECRET"}, "line 1 of key origins"),
        ({"origins": MIRROR + b"https://mirror.example/path", "token": b"SECRET"}, "line 2 of key origins"),
        ({"origins": b"https://*.example", "token": b"SECRET"}, "line 1 of key origins"),
        ({"origins": b"https://user:SECRET@mirror.example", "token": b"SECRET"}, "line 1 of key origins"),
        ({"origins": b"ftp://mirror.example", "token": b"SECRET"}, "line 1 of key origins"),
        ({"origins": MIRROR, "tokn": b"SECRET"}, "key tokn is unknown"),
        ({"origins": MIRROR, "token": b"Bearer SECRET"}, "without Bearer"),
        ({"origins": MIRROR, "token": b""}, "key token is empty"),
        ({"origins": MIRROR, "token": b"\xffSECRET"}, "key token is not UTF-8"),
        ({"origins": MIRROR, "username": b"ada"}, "key password is missing"),
        ({"origins": MIRROR, "password": b"SECRET"}, "key username is missing"),
        ({"origins": MIRROR, "username": b"a:SECRET", "password": b"SECRET"}, "username"),
        ({"origins": MIRROR, "username": b"a", "password": b"SECRET\r\nX-Evil: 1"}, "line break"),
        ({"origins": MIRROR, "username": b"a", "password": b"SECRET", "token": b"SECRET"}, "keep one"),
        ({"origins": MIRROR, "headers": b"SECRET"}, "line 1 of key headers"),
        ({"origins": MIRROR, "headers": b"X-A: SECRET\nBearer SECRET: x"}, "line 2 of key headers"),
        ({"origins": MIRROR, "headers": b"X-A: SECRET\x00"}, "line 1 of key headers"),
        ({"origins": MIRROR, "headers": b"X-A: SECRET\nx-a: SECRET"}, "line 2 of key headers"),
        ({"origins": MIRROR, "headers": b"Host: SECRET"}, "sets Host"),
        ({"origins": MIRROR, "headers": b"range: SECRET"}, "sets range"),
        ({"origins": MIRROR, "headers": b"Transfer-Encoding: SECRET"}, "sets Transfer-Encoding"),
        ({"origins": MIRROR, "headers": b"proxy-authorization: SECRET"}, "sets proxy-authorization"),
        ({"origins": MIRROR, "headers": b"authorization: SECRET", "token": b"SECRET"}, "keep one"),
        ({"origins": MIRROR, "tls.crt": b"SECRET"}, "key tls.key is missing"),
    ],
)
def test_a_wrong_secret_is_told_by_key_and_remedy_never_by_value(keys: dict[str, bytes], says: str) -> None:
    message = refusal(keys)
    assert says in message
    assert "SECRET" not in message


@given(st.dictionaries(st.sampled_from(["origins", "username", "password", "token", "headers"]), st.binary()))
def test_any_secret_is_read_or_refused_and_sends_no_line_break(keys: dict[str, bytes]) -> None:
    try:
        found = parse({"origins": MIRROR, **keys})
    except OperationFailed:
        return
    for name, value in found.headers.items():
        assert not set("\r\n\0") & set(name + value)


def test_a_secret_shows_no_value_when_it_is_printed() -> None:
    found = a_secret(token=b"SECRET", tls__crt=b"chain", tls__key=b"SECRET")
    assert "SECRET" not in repr(found)


@pytest.mark.parametrize("made", [True, False], ids=["empty", "no mount"])
def test_a_missing_secret_is_named_and_may_appear_later(tmp_path: Path, made: bool) -> None:
    directory = tmp_path / "credentials"
    if made:
        directory.mkdir()
    with pytest.raises(OperationFailed) as refused:
        read(directory, "mirror-login")
    assert refused.value.reason is R.SECRET_MISSING
    assert refused.value.reason not in PERMANENT
    assert "mirror-login" in refused.value.message


def test_a_renewed_secret_is_read_as_the_kubelet_brings_it(tmp_path: Path) -> None:
    """A directory for each version, ``..data`` that points at one of them, and a link for each key."""
    for version, token in (("..1", b"old"), ("..2", b"new")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "origins").write_bytes(MIRROR)
        (tmp_path / version / "token").write_bytes(token)
    (tmp_path / "..data").symlink_to("..1")
    for key in ("origins", "token"):
        (tmp_path / key).symlink_to(f"..data/{key}")
    assert read(tmp_path, "s").headers["Authorization"] == "Bearer old"
    (tmp_path / "..tmp").symlink_to("..2")
    (tmp_path / "..tmp").rename(tmp_path / "..data")
    assert read(tmp_path, "s").headers["Authorization"] == "Bearer new"
