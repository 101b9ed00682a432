"""Connections over real sockets: where they go, what they show, and how long they wait."""

import socket
import threading
import time
from urllib.parse import quote

import pytest

from goldpool.contracts.network import AddressRules
from goldpool.contracts.operations import FetchPolicy
from goldpool.contracts.report import FailureReason
from goldpool.contracts.source import Source
from goldpool.worker.failures import OperationFailed
from goldpool.worker.fetch.connection import Connections
from goldpool.worker.fetch.dialing import endpoints
from tests.servers import misbehaving as web
from tests.servers.certificates import Authority
from tests.servers.misbehaving import Exchange, Server, serving
from tests.unit.worker.builders import Pool, a_fetch, a_policy
from tests.unit.worker.fetch.opening import IMAGE, Mounts, get, port_of, refusal, resolving

R = FailureReason
DEFAULT_RULES = {"addresses": AddressRules()}


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
    rules = AddressRules.from_fields({"deny": ["127.0.0.66"]})
    assert get(f"http://rebinding.test:{port_of(server)}/x", addresses=rules) == IMAGE
    assert asked == ["rebinding.test"]
    assert refusal(f"http://rebinding.test:{port_of(server)}/x", addresses=rules).reason is R.ADDRESS_REFUSED


def test_each_hop_to_the_same_name_is_judged_anew(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolving(monkeypatch, ["127.0.0.1"], ["127.0.0.66"])
    server.answer("/x", web.redirect("/y"))
    server.answer("/y", web.body(IMAGE))
    rules = AddressRules.from_fields({"deny": ["127.0.0.66"]})
    refused = refusal(f"http://rebinding.test:{port_of(server)}/x", addresses=rules)
    assert (refused.reason, len(asked)) == (R.ADDRESS_REFUSED, 2)
    assert server.hits == {"/x": 1}


def test_of_several_addresses_only_permitted_ones_are_connected_to(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer("/x", web.body(IMAGE))
    resolving(monkeypatch, ["127.0.0.66", "127.0.0.1"])
    with serving("127.0.0.66") as refused:  # it would answer, on a port of its own
        rules = AddressRules.from_fields({"deny": ["127.0.0.66"]})
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
    rules = AddressRules.from_fields({"deny": ["127.0.0.66"]})
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
