"""Bodies read from real connections: fast where that is possible, right everywhere, and never for ever."""

import http.client
import io
import socket
import time
from dataclasses import replace

import pytest
import urllib3
from urllib3.response import BaseHTTPResponse

from goldpool.contracts.report import FailureReason
from goldpool.contracts.source import Source
from goldpool.worker.fetch.connection import Connections
from goldpool.worker.fetch.policy import MirrorFailed
from goldpool.worker.fetch.reading import reader
from tests.servers.misbehaving import Body, Server
from tests.unit.worker.builders import MIB, Pool, a_fetch, a_policy, a_raw_disk

R = FailureReason
DISK = a_raw_disk()
BODY = Body(DISK)


def read_all(response: BaseHTTPResponse, size: int) -> bytes:
    read = reader(response)
    memory, found = memoryview(bytearray(size)), b""
    while count := read(memory):
        found += memory[:count]
    return found


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("size", [1, 777, MIB])
def test_any_framing_is_read_into_any_memory(server: Server, framing: str, size: int) -> None:
    content = DISK if size > 1 else DISK[4096:6000]
    url = server.answer("/d", Body(content, framing=framing))
    with Connections(a_policy(), Source(urls=(url,))) as connections:
        response = connections.open(url, deadline=time.monotonic() + 60)
        assert read_all(response, size) == content
        response.close()


@pytest.mark.parametrize(("framing", "fast"), [("length", True), ("close", True), ("chunked", False)])
def test_the_fast_way_is_there_with_the_libraries_we_have(server: Server, framing: str, fast: bool) -> None:
    """A new urllib3 or Python that takes it away makes imports slow, and nothing else would say so."""
    url = server.answer("/d", Body(DISK, framing=framing))
    with Connections(a_policy(), Source(urls=(url,))) as connections:
        response = connections.open(url, deadline=time.monotonic() + 60)
        inner = getattr(response, "_fp", None)
        assert isinstance(inner, http.client.HTTPResponse)
        assert isinstance(inner.fp, io.BufferedReader)
        assert (not inner.chunked) == fast
        response.close()


def test_bytes_before_a_silence_count() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + bytes(1000))
        ours.settimeout(0.05)  # all that ever comes is there already
        inner = http.client.HTTPResponse(ours)
        inner.begin()
        response = urllib3.HTTPResponse(inner, preload_content=False, decode_content=False)
        read = reader(response)
        memory, counts = memoryview(bytearray(MIB)), list[int]()

        def until_it_fails() -> None:
            while True:
                counts.append(read(memory))

        with pytest.raises(MirrorFailed, match="no byte arrived in time"):
            until_it_fails()
        assert sum(counts) == 1000
        response.close()


def test_a_mirror_that_is_too_slow_gives_way(pool: Pool, server: Server) -> None:
    slow = server.answer("/slow", replace(BODY, bytes_per_second=1000.0))
    good = server.answer("/good", BODY)
    policy = a_policy(min_bytes_per_second=1 << 20, min_speed_seconds=0.5, attempts=1)
    report = pool.run(a_fetch(slow, good, policy=policy))
    assert report.fetched is not None
    assert report.fetched.mirror == good
    [failed] = [result for result in report.mirrors if result.reason]
    assert failed.reason == R.TRANSFER_INCOMPLETE
    assert "bytes a second over" in failed.message


def test_a_bandwidth_is_kept(pool: Pool, server: Server) -> None:
    """At 100 KiB a second three mebibytes are not there after one."""
    url = server.answer("/d", BODY)
    failure = pool.one(a_fetch(url, policy=a_policy(max_bytes_per_second=100 << 10, total_seconds=1)))
    assert failure is not None
    assert "not done within 1 s" in failure.message
    assert pool.one(a_fetch(url, policy=a_policy(max_bytes_per_second=1 << 30))) is None
