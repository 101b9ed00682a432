"""Whom a connection trusts, and what it shows of itself."""

import ssl
import time
from pathlib import Path
from typing import Any

import pytest

from goldpool.contracts.report import FailureReason
from goldpool.contracts.source import Source
from goldpool.worker.failures import OperationFailed
from goldpool.worker.fetch.connection import Connections
from tests.servers import misbehaving as web
from tests.servers.certificates import Authority
from tests.servers.misbehaving import Server
from tests.servers.nginx import Site, needs_nginx, nginx
from tests.unit.worker.builders import a_policy
from tests.unit.worker.fetch.opening import IMAGE, Mounts, an_https_server, get, port_of, refusal, resolving

R = FailureReason


# --- TLS


def test_a_private_ca_is_trusted_by_those_who_name_it(authority: Authority, mounts: Mounts) -> None:
    mounts.ca(authority.pem)
    with an_https_server(authority.issue("127.0.0.1").server_context()) as server:
        url = server.answer("/x", web.body(IMAGE))
        assert get(url, source={"ca_bundle": "ca"}, root=mounts.root) == IMAGE
        refused = refusal(url)
        assert refused.reason is R.TLS_FAILED
        assert "spec.source.caBundleRef" in refused.message
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("names", "expired", "says"),
    [
        (("127.0.0.2",), False, "mismatch"),
        (("mirror.example",), False, "mismatch"),
        (("127.0.0.1",), True, "expired"),
    ],
)
def test_a_trusted_ca_is_not_enough(
    authority: Authority, mounts: Mounts, names: tuple[str, ...], expired: bool, says: str
) -> None:
    mounts.ca(authority.pem)
    with an_https_server(authority.issue(*names, expired=expired).server_context()) as server:
        url = server.answer("/x", web.body(IMAGE))
        refused = refusal(url, source={"ca_bundle": "ca"}, root=mounts.root)
    assert refused.reason is R.TLS_FAILED
    assert says in refused.message


def test_the_name_is_verified_though_the_address_is_connected_to(
    authority: Authority, mounts: Mounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts.ca(authority.pem)
    resolving(monkeypatch, ["127.0.0.1"])
    names: list[str | None] = []
    context = authority.issue("mirror.test").server_context()
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    with an_https_server(context) as server:
        server.answer("/x", web.body(IMAGE))
        options: dict[str, Any] = {"source": {"ca_bundle": "ca"}, "root": mounts.root}
        assert get(f"https://mirror.test:{port_of(server)}/x", **options) == IMAGE
        assert refusal(f"https://other.test:{port_of(server)}/x", **options).reason is R.TLS_FAILED
    assert names == ["mirror.test", "other.test"]


def test_nothing_older_than_tls_1_2(authority: Authority, mounts: Mounts) -> None:
    mounts.ca(authority.pem)
    context = authority.issue("127.0.0.1").server_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with an_https_server(context) as server:
        url = server.answer("/x", web.body(IMAGE))
        assert refusal(url, source={"ca_bundle": "ca"}, root=mounts.root).reason is R.TLS_FAILED


def test_plain_http_on_a_tls_port_is_a_tls_failure(server: Server) -> None:
    url = server.answer("/x", web.body(IMAGE)).replace("http:", "https:")
    assert refusal(url).reason is R.TLS_FAILED


@pytest.mark.parametrize(
    ("pem", "reason"),
    [(None, R.CA_BUNDLE_MISSING), ("not PEM", R.CA_BUNDLE_INVALID)],
    ids=["missing", "no PEM"],
)
def test_a_wrong_bundle_ends_the_operation(mounts: Mounts, pem: str | None, reason: R) -> None:
    if pem is not None:
        mounts.ca(pem)
    with pytest.raises(OperationFailed) as failed:
        get("https://127.0.0.1:1/x", source={"ca_bundle": "our-ca"}, root=mounts.root)
    assert failed.value.reason is reason


def test_a_client_certificate_is_shown_to_its_origins_only(authority: Authority, mounts: Mounts) -> None:
    mounts.ca(authority.pem)
    client = authority.issue("importer", client=True)
    keys = {"tls__crt": client.certificate.read_text(), "tls__key": client.key.read_text()}
    options: dict[str, Any] = {"source": {"ca_bundle": "ca", "secret": "s"}, "root": mounts.root}
    context = authority.issue("127.0.0.1").server_context(clients=authority)
    with an_https_server(context) as server, an_https_server(context) as other:
        url = server.answer("/x", web.body(IMAGE))
        mounts.secret(origins=server.url(""), **keys)
        assert get(url, **options) == IMAGE
        server.answer("/y", web.redirect(other.answer("/x", web.body(IMAGE))))
        refusal(server.url("/y"), **options)
        assert other.requests == []
        mounts.secret(origins=other.url(""), **keys)
        refusal(url, **options)
    assert len(server.requests) == 2


@pytest.mark.parametrize("crt", ["other", "none"])
def test_a_certificate_without_its_key_is_said_to_be_so(
    authority: Authority, mounts: Mounts, crt: str
) -> None:
    key = authority.issue("importer", client=True).key.read_text()
    chain = authority.pem if crt == "other" else "no PEM"
    mounts.secret(origins="https://127.0.0.1:1", tls__crt=chain, tls__key=key)
    with pytest.raises(OperationFailed) as failed:
        get("https://127.0.0.1:1/x", source={"secret": "s"}, root=mounts.root)
    assert failed.value.reason is R.SECRET_INVALID
    assert "tls.key" in failed.value.message


# --- as those who serve images run it


@needs_nginx
def test_nginx_with_a_private_ca_a_password_and_client_certificates(
    tmp_path: Path, authority: Authority, mounts: Mounts
) -> None:
    (tmp_path / "www").mkdir()
    (tmp_path / "www/disk").write_bytes(IMAGE)
    client = authority.issue("importer", client=True)
    shown = {"tls__crt": client.certificate.read_text(), "tls__key": client.key.read_text()}
    site = Site(
        tmp_path / "www", tls=authority.issue("127.0.0.1"), clients=authority, users={"ada": "lovelace"}
    )
    options: dict[str, Any] = {"source": {"ca_bundle": "ca", "secret": "s"}, "root": mounts.root}
    mounts.ca(authority.pem)
    with nginx(site, tmp_path / "nginx") as served:
        url = served.url("/disk")
        mounts.secret(origins=served.origin, username="ada", password="lovelace", **shown)
        assert get(url, **options) == IMAGE
        for keys, status in (
            ({"username": "ada", "password": "babbage", **shown}, 401),
            ({"token": "t", **shown}, 401),
            ({"username": "ada", "password": "lovelace"}, 400),  # no certificate
        ):
            mounts.secret(origins=served.origin, **keys)
            with Connections(
                a_policy(), Source(urls=(url,), secret="s", ca_bundle="ca"), mounts.root
            ) as opened:
                response = opened.open(url, deadline=time.monotonic() + 60)
                response.close()
            assert response.status == status
