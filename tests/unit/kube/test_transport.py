"""Requests against a loopback server, for what a healthy API server never does."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from goldpool.kube.client import KubeClient
from goldpool.kube.config import follow_token
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


async def test_lease_writes_overtake_all_others(serve: Serve) -> None:
    """Thirty-two hung writes and an empty bucket must not cost the leadership."""
    release = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        if "leases" not in request.path:
            await release.wait()
        return web.json_response(A_TOY)

    async with KubeClient(configuration(await serve(answer)), rate=0.001, burst=2, concurrency=2) as client:
        hung = [asyncio.create_task(client.merge_patch(TOY, "a", {}, "ns")) for _ in range(2)]
        await asyncio.sleep(0.1)
        await asyncio.wait_for(client.merge_patch(LEASE, "a", {}, "ns"), 1.0)
        assert not any(task.done() for task in hung)
        release.set()
        await asyncio.gather(*hung)


async def test_a_fenced_client_writes_nothing_but_leases(serve: Serve) -> None:
    written: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        if request.method != "GET":
            written.append(request.path.split("/")[-2])
        return web.json_response(A_TOY)

    async with KubeClient(configuration(await serve(answer)), rate=5, burst=1) as client:
        leads = [True]
        client.fence(lambda: leads[0])
        await client.merge_patch(TOY, "a", {}, "ns")
        waiting = asyncio.create_task(client.merge_patch(TOY, "a", {}, "ns"))  # for its token
        await asyncio.sleep(0.05)
        leads[0] = False
        with pytest.raises(Unavailable):
            await waiting
        await client.merge_patch(LEASE, "a", {}, "ns")
        await client.get(TOY, "a", "ns")
    assert written == ["toys", "leases"]


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
