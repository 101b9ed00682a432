"""Requests against a loopback server, for what a healthy API server never does."""

import asyncio
import itertools
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.connector import Connection
from kubernetes.aio.client import Configuration

from goldpool.kube.client import KubeClient
from goldpool.kube.config import follow_token
from goldpool.kube.connector import GuardedConnector
from goldpool.kube.port import NotFound, Resource, Unavailable

TOY = Resource("example.io", "v1", "Toy", "toys", namespaced=True)
LEASE = Resource("coordination.k8s.io", "v1", "Lease", "leases", namespaced=True)
A_TOY = {"metadata": {"name": "a", "namespace": "ns", "resourceVersion": "1", "managedFields": [{}]}}

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Answer], Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    runners: list[web.AppRunner] = []

    async def start(answer: Answer) -> str:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield start
    for runner in runners:
        await runner.cleanup()


def configuration(host: str) -> Configuration:
    made = Configuration()
    made.host = host
    return made


async def test_reads_are_repeated_after_the_time_the_server_asked_for(serve: Serve) -> None:
    calls: list[float] = []

    async def answer(_: web.Request) -> web.Response:
        calls.append(asyncio.get_running_loop().time())
        if len(calls) < 3:
            return web.Response(status=429, text="Too many requests", headers={"Retry-After": "0.3"})
        return web.json_response(A_TOY)

    async with KubeClient(configuration(await serve(answer))) as client:
        toy = await client.get(TOY, "a", "ns")
    assert "managedFields" not in toy["metadata"]
    assert toy["kind"] == "Toy"
    assert all(later - earlier >= 0.3 for earlier, later in itertools.pairwise(calls))


async def test_writes_are_never_repeated(serve: Serve) -> None:
    calls = 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        return web.Response(status=503, text="try later")

    async with KubeClient(configuration(await serve(answer))) as client:
        with pytest.raises(Unavailable):
            await client.create(TOY, {"metadata": {"name": "a", "namespace": "ns"}})
    assert calls == 1


@pytest.mark.parametrize("body", ["", "<html>", '{"kind": "Toy", "meta', "[]"])
async def test_half_an_answer_is_none(serve: Serve, body: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=body)

    async with KubeClient(configuration(await serve(answer))) as client:
        with pytest.raises(Unavailable):
            await client.create(TOY, {"metadata": {"name": "a", "namespace": "ns"}})


async def test_a_request_ends_at_its_timeout(serve: Serve) -> None:
    async def answer(_: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.json_response(A_TOY)

    async with KubeClient(configuration(await serve(answer)), timeout=0.2) as client:
        with pytest.raises(Unavailable):
            await client.merge_patch(TOY, "a", {}, "ns")


async def test_a_write_that_waited_while_the_leadership_went_is_not_sent(serve: Serve) -> None:
    written: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        if request.method != "GET":
            written.append(request.path.split("/")[-2])
        return web.json_response(A_TOY)

    async with KubeClient(configuration(await serve(answer)), rate=0.2, burst=1) as client:
        leads = [True]
        client.fence(lambda: leads[0])
        await client.merge_patch(TOY, "a", {}, "ns")
        waiting = asyncio.create_task(client.merge_patch(TOY, "a", {}, "ns"))  # for its token
        await asyncio.sleep(0.05)
        leads[0] = False
        with pytest.raises(Unavailable):
            await waiting
        with pytest.raises(Unavailable):
            await client.merge_patch(LEASE, "a", {}, "ns")  # a claim on a disk is a write like others
        await client.get(TOY, "a", "ns")
    assert written == ["toys"]


async def test_the_librarys_own_second_try_asks_the_fence_again(serve: Serve) -> None:
    """aiohttp repeats a DELETE by itself when a kept connection broke, however long that took to notice."""
    leads, deletes = [True], 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal deletes
        if request.method == "DELETE":
            deletes += 1
            leads[0] = False
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(A_TOY)

    async with KubeClient(configuration(await serve(answer))) as client:
        client.fence(lambda: leads[0])
        await client.get(TOY, "a", "ns")  # leaves its connection
        with pytest.raises(Unavailable, match="does not lead"):
            await client.delete(TOY, "a", "ns", uid="u")
    assert deletes == 1


async def test_a_sealed_client_waits_for_what_was_begun_and_begins_nothing(serve: Serve) -> None:
    begun, answered = asyncio.Event(), asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        begun.set()
        await answered.wait()
        return web.json_response(A_TOY)

    async with KubeClient(configuration(await serve(answer))) as client:
        assert await client.seal(0.01)  # nothing had begun
        client.fence(lambda: True)
        writing = asyncio.create_task(client.merge_patch(TOY, "a", {}, "ns"))
        await begun.wait()
        assert not await client.seal(0.05)
        with pytest.raises(Unavailable):
            await client.merge_patch(TOY, "b", {}, "ns")
        sealing = asyncio.create_task(client.seal(60))
        answered.set()
        assert await sealing
        assert (await writing)["kind"] == "Toy"


async def test_the_kernel_gives_up_what_nobody_acknowledges(serve: Serve) -> None:
    """Also when this process is stopped or gone: it must not arrive when another leads."""
    timeouts: list[int] = []

    class Looks(GuardedConnector):
        async def connect(self, *arguments: Any, **named: Any) -> Connection:
            connection = await super().connect(*arguments, **named)
            assert connection.transport is not None
            connected = connection.transport.get_extra_info("socket")
            timeouts.append(connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
            return connection

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(A_TOY)

    url = await serve(answer)
    context = ssl.create_default_context()
    async with aiohttp.ClientSession(connector=Looks(context, limit=0, unacknowledged=0.8)) as session:
        await session.get(url)
    assert timeouts == [800]


async def test_writes_keep_to_their_rate_and_say_who_they_are(serve: Serve) -> None:
    seen: list[tuple[str, str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(
            (request.headers["User-Agent"], request.headers["Content-Type"], request.query["fieldManager"])
        )
        return web.json_response(A_TOY)

    async with KubeClient(configuration(await serve(answer)), rate=20, burst=1) as client:
        started = asyncio.get_running_loop().time()
        await asyncio.gather(*(client.merge_patch(TOY, "a", {}, "ns") for _ in range(5)))
        assert asyncio.get_running_loop().time() - started >= 0.2
    assert set(seen) == {("goldpool", "application/merge-patch+json", "goldpool")}


async def test_a_list_whose_token_expired_begins_anew(serve: Serve) -> None:
    queries: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        token = request.query.get("continue", "")
        queries.append(token)
        assert "resourceVersion" not in request.query
        if token == "old":
            return web.json_response({"kind": "Status", "code": 410, "reason": "Expired"}, status=410)
        more = {"": "old" if queries.count("") == 1 else "new", "new": ""}[token]
        metadata = {"resourceVersion": "7"} | ({"continue": more} if more else {})
        name = {"": "a", "new": "b"}[token]
        return web.json_response({"metadata": metadata, "items": [{"metadata": {"name": name, "uid": name}}]})

    async with KubeClient(configuration(await serve(answer))) as client:
        objects, version = await client.list_with_version(TOY)
    assert [obj["metadata"]["name"] for obj in objects] == ["a", "b"]
    assert version == "7"
    assert queries == ["", "old", "", "new"]


async def test_long_lines_split_anywhere(serve: Serve) -> None:
    """An object may be larger than aiohttp's longest line, and a character may be cut in two."""
    events = [
        {"type": "ADDED", "object": {"metadata": {"name": f"ü{n}", "note": "ö" * n}}} for n in (1, 300_000, 3)
    ]
    body = "\n".join(json.dumps(event, ensure_ascii=False) for event in events).encode()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for start in range(0, len(body), 65_537):
            await response.write(body[start : start + 65_537])
        return response

    async with KubeClient(configuration(await serve(answer))) as client:
        seen = [event.object["metadata"]["name"] async for event in client.watch(TOY, resource_version="1")]
    assert seen == ["ü1", "ü300000", "ü3"]


async def test_a_log_is_followed_line_by_line(serve: Serve) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.path == "/api/v1/namespaces/ns/pods/p/log"
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in (b"one\ntw", b"o\n", b"three"):
            await response.write(piece)
            await asyncio.sleep(0.01)
        return response

    async with KubeClient(configuration(await serve(answer))) as client:
        assert [line async for line in client.follow_pod_log("p", "ns")] == ["one", "two", "three"]
        assert await client.pod_log("p", "ns", tail_lines=3) == "one\ntwo\nthree"


async def test_requests_are_counted(serve: Serve) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=404, text="404 page not found")

    counted: list[tuple[str, str]] = []
    host = await serve(answer)
    client = KubeClient(configuration(host), observe=lambda method, code, _: counted.append((method, code)))
    async with client:
        with pytest.raises(NotFound):
            await client.get(TOY, "a", "ns")
    async with KubeClient(
        configuration("http://127.0.0.1:1"), observe=lambda method, code, _: counted.append((method, code))
    ) as client:
        with pytest.raises(Unavailable):
            await client.merge_patch(TOY, "a", {}, "ns")
    assert counted == [("GET", "404"), ("PATCH", "<error>")]


async def test_a_rotated_token_is_used(serve: Serve, tmp_path: Path) -> None:
    """The kubelet writes a new token into the file; the one read at the start expires within the hour."""
    tokens: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        tokens.append(request.headers["Authorization"])
        return web.json_response(A_TOY)

    now, token = [0.0], tmp_path / "token"
    token.write_text("first\n")
    made = configuration(await serve(answer))
    follow_token(made, token, clock=lambda: now[0])
    async with KubeClient(made) as client:
        await client.get(TOY, "a", "ns")
        token.write_text("second\n")
        now[0] = 61.0
        await client.get(TOY, "a", "ns")
        token.unlink()
        now[0] = 122.0
        await client.get(TOY, "a", "ns")
    assert tokens == ["Bearer first", "Bearer second", "Bearer second"]
