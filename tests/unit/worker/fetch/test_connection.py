"""Connections over real sockets: where they go, what they show, whom they trust."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from goldpool.contracts.network import AddressRules, Proxies
from goldpool.contracts.operations import FailureReason, FetchPolicy
from goldpool.contracts.source import Source
from goldpool.worker.failures import OperationFailed
from goldpool.worker.fetch.connection import Connections
from goldpool.worker.fetch.dialing import endpoints
from goldpool.worker.fetch.policy import MirrorFailed
from tests.servers import misbehaving as web
from tests.servers.certificates import Authority
from tests.servers.forward_proxy import forward_proxy
from tests.servers.misbehaving import Exchange, Server, serving
from tests.servers.nginx import Site, needs_nginx, nginx
from tests.unit.worker.builders import Pool, a_fetch, a_policy

R = FailureReason
IMAGE = b"image" * 1000
DEFAULT_RULES = {"addresses": AddressRules()}


@pytest.fixture
def second() -> Iterator[Server]:
    """Another origin."""
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority") / "ca")


class Mounts:
    """What the kubelet would have mounted below ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def secret(self, **keys: str) -> None:
        directory = self.root / "source/credentials"
        directory.mkdir(parents=True, exist_ok=True)
        for old in directory.iterdir():
            old.unlink()
        for key, value in keys.items():
            (directory / key.replace("__", ".")).write_text(value)

    def ca(self, pem: str) -> None:
        directory = self.root / "source/ca"
        directory.mkdir(parents=True)
        (directory / "ca.crt").write_text(pem)


@pytest.fixture
def mounts(tmp_path: Path) -> Mounts:
    return Mounts(tmp_path)


def get(
    url: str, *, source: dict[str, Any] | None = None, root: Path = Path("/nowhere"), **policy: Any
) -> bytes:
    with Connections(a_policy(**policy), Source(urls=(url,), **(source or {})), root) as connections:
        response = connections.open(url, deadline=time.monotonic() + 60)
        try:
            assert response.status == 200, response.status
            return bytes(response.read())
        finally:
            response.close()


def refusal(url: str, **options: Any) -> MirrorFailed:
    with pytest.raises(MirrorFailed) as refused:
        get(url, **options)
    return refused.value


def port_of(server: Server) -> int:
    return int(server.server_address[1])


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Names ending in .test are answered like this, one answer after the other; the names that were asked for."""
    left, asked, real = list(answers), list[str](), socket.getaddrinfo

    def resolve(host: str, port: Any, *rest: Any, **more: Any) -> Any:
        if not str(host).endswith(".test"):
            return real(host, port, *rest, **more)
        if more.get("flags") == socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        asked.append(host)
        answer = left.pop(0) if len(left) > 1 else left[0]
        return [real(ip, port, type=socket.SOCK_STREAM)[0] for ip in answer]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


# --- addresses


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "localhost", "[::ffff:127.0.0.1]"]
)
def test_however_an_address_is_spelled_the_resolved_one_is_judged(server: Server, host: str) -> None:
    server.answer("/x", web.body(IMAGE))
    url = f"http://{host}:{port_of(server)}/x"
    refused = refusal(url, **DEFAULT_RULES)
    assert refused.reason is R.ADDRESS_REFUSED
    assert "fetch.addresses.deny" in refused.message
    assert server.requests == []
    if not host.startswith("["):  # the server is not on that family
        assert get(url) == IMAGE


def test_a_name_is_asked_for_once_and_the_address_that_was_judged_is_the_one_connected_to(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer("/x", web.body(IMAGE))
    asked = resolving(monkeypatch, ["127.0.0.1"], ["127.0.0.66"])
    rules = AddressRules.model_validate({"deny": ["127.0.0.66"]})
    assert get(f"http://rebinding.test:{port_of(server)}/x", addresses=rules) == IMAGE
    assert asked == ["rebinding.test"]
    assert refusal(f"http://rebinding.test:{port_of(server)}/x", addresses=rules).reason is R.ADDRESS_REFUSED


def test_each_hop_to_the_same_name_is_judged_anew(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolving(monkeypatch, ["127.0.0.1"], ["127.0.0.66"])
    server.answer("/x", web.redirect("/y"))
    server.answer("/y", web.body(IMAGE))
    rules = AddressRules.model_validate({"deny": ["127.0.0.66"]})
    refused = refusal(f"http://rebinding.test:{port_of(server)}/x", addresses=rules)
    assert (refused.reason, len(asked)) == (R.ADDRESS_REFUSED, 2)
    assert server.hits == {"/x": 1}


def test_of_several_addresses_only_permitted_ones_are_connected_to(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer("/x", web.body(IMAGE))
    resolving(monkeypatch, ["127.0.0.66", "127.0.0.1"])
    with serving("127.0.0.66") as refused:  # it would answer, on a port of its own
        rules = AddressRules.model_validate({"deny": ["127.0.0.66"]})
        assert get(f"http://several.test:{port_of(server)}/x", addresses=rules) == IMAGE
        assert (
            refusal(f"http://several.test:{port_of(refused)}/x", addresses=rules).reason
            is R.SOURCE_UNREACHABLE
        )
        assert refused.requests == []


def test_the_next_address_is_tried_when_one_does_not_answer(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer("/x", web.body(IMAGE))
    resolving(monkeypatch, ["127.0.0.66", "127.0.0.1"])
    assert get(f"http://several.test:{port_of(server)}/x") == IMAGE


def test_families_are_tried_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, ["::1", "::2", "::3", "127.0.0.1", "127.0.0.2"])
    found = endpoints("both.test", 80, AddressRules(deny=()), 60)
    assert [endpoint.ip for endpoint in found] == ["::1", "127.0.0.1", "::2", "127.0.0.2", "::3"]


def test_a_resolver_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait())
    try:
        refused = refusal("http://mirror.test/x", connect_seconds=0.05)
    finally:
        released.set()
    assert (refused.reason, refused.message) == (R.SOURCE_UNREACHABLE, "no connection in time")


def test_a_name_that_does_not_exist_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    refused = refusal("http://nowhere.test/x")
    assert refused.reason is R.SOURCE_UNREACHABLE
    assert refused.message == "the host's name is not known: Name or service not known"


def test_a_refused_connection_is_told_from_a_slow_one() -> None:
    refused = refusal("http://127.0.0.1:1/x")
    assert (refused.reason, refused.message) == (R.SOURCE_UNREACHABLE, "no connection: Connection refused")


# --- redirects


def test_a_redirect_to_a_refused_address_is_not_followed(server: Server, second: Server) -> None:
    target = second.answer("/meta", web.body(b"secret")).replace("127.0.0.1", "127.0.0.66")
    rules = AddressRules.model_validate({"deny": ["127.0.0.66"]})
    refused = refusal(server.answer("/x", web.redirect(target)), addresses=rules)
    assert refused.reason is R.ADDRESS_REFUSED
    assert second.requests == []


def test_what_is_sent_is_decided_at_each_hop(server: Server, second: Server, mounts: Mounts) -> None:
    """Out to an origin that is not the Secret's, and back."""
    mounts.secret(origins=server.url(""), token="t", headers="X-Tenant: blue")
    server.answer("/last", web.body(IMAGE))
    away = second.answer("/away", web.redirect(server.url("/last")))
    server.answer("/same", web.redirect(away))
    first = server.answer("/first", web.redirect("/same"))
    assert get(first, source={"secret": "s"}, root=mounts.root) == IMAGE
    assert [(h.get("Authorization"), h.get("X-Tenant")) for h in server.headers] == [("Bearer t", "blue")] * 3
    assert len(second.requests) == 1
    assert not {"Authorization", "X-Tenant", "Cookie", "Referer"} & set(second.headers[0])


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_every_kind_of_redirect_keeps_the_method_and_its_headers(server: Server, code: int) -> None:
    server.answer("/y", web.status(204))
    url = server.answer("/x", web.redirect("/y", code))
    with Connections(a_policy(), Source(urls=(url,))) as connections:
        response = connections.open(
            url, method="HEAD", headers={"Range": "bytes=1-"}, deadline=time.monotonic() + 60
        )
        response.close()
    assert response.status == 204
    assert [(r.method, r.headers["Range"]) for r in server.requests] == [("HEAD", "bytes=1-")] * 2


@pytest.mark.parametrize("name", ["d\u00e9bian.qcow2", "debian 12.qcow2"])
def test_a_location_may_be_written_as_servers_write_it(server: Server, name: str) -> None:
    server.answer(f"/{quote(name)}", web.body(IMAGE))
    raw = f"/{name}".encode().decode("latin-1")  # what http.server writes is these bytes
    assert get(server.answer("/x", web.redirect(raw))) == IMAGE


def test_nothing_leads_from_https_to_http(server: Server, authority: Authority, mounts: Mounts) -> None:
    mounts.ca(authority.pem)
    server.answer("/x", web.body(IMAGE))
    with serving(tls=authority.issue("127.0.0.1").server_context()) as secure:
        url = secure.answer("/x", web.redirect(server.url("/x")))
        refused = refusal(url, source={"ca_bundle": "ca"}, root=mounts.root)
    assert refused.reason is R.SOURCE_REFUSED
    assert server.requests == []


@pytest.mark.parametrize("status", [206, 304, 401, 404, 416, 500])
def test_any_other_status_is_the_callers_to_judge(server: Server, status: int) -> None:
    url = server.answer("/x", web.status(status))
    with Connections(a_policy(), Source(urls=(url,))) as connections:
        response = connections.open(url, deadline=time.monotonic() + 60)
        response.close()
    assert response.status == status


# --- credentials


def test_a_renewed_secret_counts_at_the_next_connection(server: Server, mounts: Mounts) -> None:
    url = server.answer("/x", web.body(IMAGE))
    with Connections(a_policy(), Source(urls=(url,), secret="s"), mounts.root) as connections:
        for token in ("old", "new"):
            mounts.secret(origins=server.url(""), token=token)
            connections.open(url, deadline=time.monotonic() + 60).close()
    assert [h["Authorization"] for h in server.headers] == ["Bearer old", "Bearer new"]


def test_basic_authentication(server: Server, mounts: Mounts) -> None:
    mounts.secret(origins=server.url("/"), username="ada", password="lovelace\n")
    url = server.answer("/x", web.for_those_with("Authorization", "Basic YWRhOmxvdmVsYWNl", web.body(IMAGE)))
    assert get(url, source={"secret": "s"}, root=mounts.root) == IMAGE


def test_no_secret_no_authorization_whatever_is_mounted(server: Server, mounts: Mounts) -> None:
    mounts.secret(origins=server.url(""), token="t")
    get(server.answer("/x", web.body(IMAGE)), root=mounts.root)
    assert "Authorization" not in server.headers[0]


@pytest.mark.parametrize(
    ("keys", "reason"),
    [(None, R.SECRET_MISSING), ({}, R.SECRET_MISSING), ({"token": "SECRET"}, R.SECRET_INVALID)],
)
def test_a_wrong_secret_ends_the_operation_before_anybody_is_asked(
    server: Server, mounts: Mounts, keys: dict[str, str] | None, reason: R
) -> None:
    if keys is not None:
        mounts.secret(**keys)
    with pytest.raises(OperationFailed) as failed:
        get(server.answer("/x", web.body(IMAGE)), source={"secret": "login"}, root=mounts.root)
    assert failed.value.reason is reason
    assert "SECRET" not in failed.value.message
    assert server.requests == []


def test_a_fetch_says_that_its_secret_is_missing_at_once(pool: Pool, server: Server) -> None:
    url = server.answer("/x", web.body(IMAGE))
    failure = pool.one(a_fetch(url, source=Source(urls=(url,), secret="login")))
    assert failure is not None
    assert failure.reason is R.SECRET_MISSING
    assert pool.unpublished() == []


# --- TLS


def an_https_server(context: ssl.SSLContext) -> Any:
    return serving(tls=context)


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
    rules = AddressRules.model_validate({"deny": ["127.0.0.66"]})
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


# --- time


def dripping(exchange: Exchange) -> None:
    """A head of a minute, each byte in time."""
    exchange.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    for _ in range(3000):
        exchange.server.released.wait(0.02)
        exchange.wfile.write(b"x")
        exchange.wfile.flush()


def silent_handshake(listening: socket.socket) -> None:
    connection, _ = listening.accept()
    with connection:
        while connection.recv(65536):
            pass


def test_a_head_that_drips_is_not_waited_for(server: Server) -> None:
    refused = refusal(server.answer("/x", dripping), connect_seconds=0.5, idle_seconds=0.5)
    assert refused.reason is R.SOURCE_UNREACHABLE


def test_a_handshake_that_nobody_answers_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=silent_handshake, args=(listening,), daemon=True)
        thread.start()
        refused = refusal(f"https://127.0.0.1:{listening.getsockname()[1]}/x", connect_seconds=0.1)
        thread.join()
    assert refused.reason is R.SOURCE_UNREACHABLE


def test_a_body_may_take_longer_than_a_head(server: Server) -> None:
    """The alarm is over with the head."""
    gate = web.Gate()
    url = server.answer("/x", web.Body(IMAGE, gate=gate, gate_at=10))
    policy: FetchPolicy = a_policy(connect_seconds=0.1, idle_seconds=20)
    with Connections(policy, Source(urls=(url,))) as connections:
        response = connections.open(url, deadline=time.monotonic() + 60)
        gate.reached.wait()
        assert not [t for t in threading.enumerate() if isinstance(t, threading.Timer)]
        gate.opened.set()
        assert response.read() == IMAGE
        response.close()


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
