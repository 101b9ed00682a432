"""Between an operator and the API server: ends its TLS, counts what it writes, and does what networks do."""

import asyncio
import base64
import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml
from aiohttp import web

_DROPPED: Final = {"host", "accept-encoding", "connection", "transfer-encoding", "content-length"}
_READS: Final = {"GET", "HEAD", "OPTIONS"}


@dataclass(frozen=True)
class Request:
    """``part`` is the collection and the subresource, ``volumes/status`` for one; ``body`` as it was sent."""

    method: str
    path: str
    query: str
    body: bytes

    @property
    def writes(self) -> bool:
        return self.method not in _READS

    @property
    def lists(self) -> bool:
        """Reads a collection; a watch does not."""
        single = "/" in self.part or self.path.rstrip("/").rpartition("/")[2] != self.part
        return not self.writes and not single and "watch=" not in self.query

    @property
    def part(self) -> str:
        names = self.path.strip("/").split("/")[2 if self.path.startswith("/api/") else 3 :]
        if names[:1] == ["namespaces"] and len(names) > 2:
            names = names[2:]
        return "/".join(name for position, name in enumerate(names) if position != 1)

    def __str__(self) -> str:
        return f"{self.method} {self.part}"


@dataclass
class Answered:
    request: Request
    status: int


Permit = Callable[[Request], bool]
Event = dict[str, Any]


@dataclass
class Faults:
    """What goes wrong from now on. Each is asked for every request or event; the default is: nothing."""

    refuses: Permit = lambda _: False
    """The connection is reset; the API server never hears of it."""
    holds: Permit = lambda _: False
    """Kept back until ``let_go``, and delivered then, whether or not the sender still lives."""
    loses_answer: Permit = lambda _: False
    """Carried out, but the connection is reset instead of an answer."""
    drops: Callable[[Event], bool] = lambda _: False
    """This watch event never arrives."""
    delays: Callable[[Event], float] = lambda _: 0.0
    """Seconds by which this watch event comes late, and with it those behind it."""
    expires: Permit = lambda _: False
    """The watch is answered 410 Gone."""
    committed: Callable[[Request], None] = lambda _: None
    """Called when the API server has accepted a write, but for the leadership's own, before the sender hears of it."""


class ApiProxy:
    """``kubeconfig`` is the given one with the proxy for a server. Runs in a thread of its own; safe to set from any."""

    def __init__(self, kubeconfig: Path, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        config = yaml.safe_load(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        self._server: str = cluster["server"]
        self._upstream = _trust(cluster)
        self._certificate = _self_signed(directory)
        self.faults = Faults()
        self.answered: list[Answered] = []
        """Every write, in the order of its answer."""
        self.reads: list[Request] = []
        self.held: list[Request] = []
        self._gate = threading.Event()
        self._transports: set[asyncio.Transport] = set()
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(
            target=self._loop.run_until_complete, args=(self._main(),), daemon=True
        )
        self._thread.start()
        assert self._ready.wait(300)
        config["clusters"][0]["cluster"] = {
            "server": f"https://127.0.0.1:{self.port}",
            "certificate-authority": str(self._certificate),
        }
        self.kubeconfig = directory / "kubeconfig"
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(yaml.safe_dump(config))

    # --- for tests

    @property
    def writes(self) -> list[Request]:
        """Those that the API server accepted, but for the leadership's own."""
        return [a.request for a in list(self.answered) if a.status < 400 and not is_leadership(a.request)]

    def cut(self) -> None:
        """Resets every connection there is."""

        def abort() -> None:
            for transport in [*self._transports]:
                transport.abort()

        self._loop.call_soon_threadsafe(abort)

    def let_go(self) -> list[Answered]:
        """Delivers what was held, and what the API server said to it."""
        held, before = len(self.held), len(self.answered)
        self.faults.holds = lambda _: False
        self._gate.set()
        for _ in range(600):
            if len(self.answered) - before >= sum(r.writes for r in self.held[:held]):
                break
            threading.Event().wait(0.1)
        return self.answered[before:]

    @contextmanager
    def outage(self) -> Iterator[None]:
        """No connection meanwhile: as when the API server is restarted."""
        self.faults.refuses = lambda _: True
        self.cut()
        try:
            yield
        finally:
            self.faults.refuses = lambda _: False

    def close(self) -> None:
        self._gate.set()
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(30)

    # --- in its own loop

    async def _main(self) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._certificate, self._certificate.with_suffix(".key"))
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/{path:.*}", self._serve)
        connector = aiohttp.TCPConnector(ssl=self._upstream, limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, read_bufsize=2**22) as session:
            self._session = session
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
            self.port = int(runner.addresses[0][1])
            self._ready.set()
            await self._stopped.wait()
            await runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        transport = request.transport
        if not isinstance(transport, asyncio.Transport):
            raise ConnectionResetError
        self._transports.add(transport)
        asked = Request(request.method, request.path, request.query_string, await request.read())
        faults = self.faults
        if not asked.writes:
            self.reads.append(asked)
        if faults.refuses(asked):
            return _reset(transport)
        if faults.holds(asked):
            self.held.append(asked)
            while not self._gate.is_set():  # noqa: ASYNC110 (another thread opens it)
                await asyncio.sleep(0.02)
        watches = request.query.get("watch") in {"1", "true"}
        if watches and faults.expires(asked):
            return web.json_response(_GONE, status=410)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _DROPPED}
        url = self._server + request.raw_path
        try:
            async with self._session.request(
                request.method, url, data=asked.body or None, headers=headers
            ) as answer:
                kept = {"Content-Type": answer.headers.get("Content-Type", "application/json")}
                if "Retry-After" in answer.headers:
                    kept["Retry-After"] = answer.headers["Retry-After"]
                if watches or "follow" in request.query:
                    return await self._stream(request, answer, kept, watches)
                body = await answer.read()
        except aiohttp.ClientError:
            return _reset(transport)
        if asked.writes:
            self.answered.append(Answered(asked, answer.status))
            if answer.status < 400 and not is_leadership(asked):
                await _in_thread(lambda: faults.committed(asked))
        if faults.loses_answer(asked):
            return _reset(transport)
        return web.Response(status=answer.status, body=body, headers=kept)

    async def _stream(
        self, request: web.Request, answer: aiohttp.ClientResponse, headers: dict[str, str], watches: bool
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        try:
            async for line in _lines(answer):
                if watches and answer.status == 200 and not await self._passes(json.loads(line)):
                    continue
                await response.write(line)
        except (aiohttp.ClientError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()
        return response

    async def _passes(self, event: Event) -> bool:
        if self.faults.drops(event):
            return False
        await asyncio.sleep(self.faults.delays(event))
        return True


def is_leadership(request: Request) -> bool:
    return request.path.endswith("/leases/goldpool-operator") or (
        request.path.endswith("/leases") and b'"goldpool-operator"' in request.body
    )


_GONE: Final = {
    "kind": "Status",
    "apiVersion": "v1",
    "status": "Failure",
    "message": "too old resource version",
    "reason": "Expired",
    "code": 410,
}


async def _lines(answer: aiohttp.ClientResponse) -> Any:
    rest = b""
    async for chunk in answer.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line + b"\n"
    if rest:
        yield rest


async def _in_thread(call: Callable[[], None]) -> None:
    await asyncio.get_running_loop().run_in_executor(None, call)


def _reset(transport: asyncio.Transport) -> web.Response:
    transport.abort()
    return web.Response(status=503)


def _trust(cluster: dict[str, Any]) -> ssl.SSLContext:
    if data := cluster.get("certificate-authority-data"):
        return ssl.create_default_context(cadata=base64.b64decode(data).decode())
    return ssl.create_default_context(cafile=cluster["certificate-authority"])


def _self_signed(directory: Path) -> Path:
    certificate = directory / "proxy.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=api-server-proxy", "-addext", "subjectAltName=IP:127.0.0.1",
         "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,digitalSignature",
         "-keyout", str(certificate.with_suffix(".key")), "-out", str(certificate)],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    return certificate
