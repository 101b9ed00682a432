"""A location on a real node, and operators that share nothing but the API server."""

import asyncio
import os
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from goldpool.contracts.layout import ImageFormat, LocationIdentity, Owner
from goldpool.contracts.operations import Checksum, CreateBlank, Fetch, Initialize, Operation
from goldpool.contracts.source import Source
from goldpool.dispatch.dispatcher import Dispatcher
from goldpool.dispatch.mounts import HostPath, LocationMount
from goldpool.dispatch.outcome import Ended, Failed, Succeeded
from goldpool.dispatch.record import SELECTOR
from goldpool.dispatch.request import Ask, Request, Settle
from goldpool.dispatch.settings import DispatchSettings
from goldpool.kube.cache import Cache
from goldpool.kube.client import KubeClient
from goldpool.kube.informer import Informer
from goldpool.kube.port import Change, Key, NotFound, Obj
from goldpool.kube.resources import JOB, POD

IMAGE = os.environ.get("GOLDPOOL_WORKER_IMAGE", "goldpool.local/goldpool-worker:dev")
PATIENCE = float(os.environ.get("GOLDPOOL_TEST_PATIENCE", "90"))


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = PATIENCE) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - what is waited for happens elsewhere
            await asyncio.sleep(0.05)


@dataclass(frozen=True)
class Place:
    """One location of one node, in a namespace of its own."""

    namespace: str
    node: str
    path: str
    location: str

    @property
    def mount(self) -> LocationMount:
        identity = LocationIdentity(location=self.location, cluster="c-test", pool="p-test", node=self.node)
        return LocationMount(self.location, HostPath(self.path), identity)

    @property
    def settings(self) -> DispatchSettings:
        return DispatchSettings(
            image=IMAGE, namespace=self.namespace, service_account="default", image_pull_policy="Never"
        )

    def request(self, operation: Operation) -> Request:
        return Request(operation, self.mount, self.node, Key("Volume", "team-a", operation.id))

    def initialization(self) -> Initialize:
        identity = self.mount.identity
        return Initialize(id="initialize", location=self.location, identity=identity, require_mount=False)

    def blank(self, name: str) -> CreateBlank:
        owner = Owner(namespace="team-a", name=name, uid=f"uid-{name}")
        return CreateBlank(
            id=f"create-{name}", location=self.location, storage_id=name, owner=owner, virtual_bytes=1 << 30
        )

    def fetch(self, url: str, sha256: str = "") -> Fetch:
        return Fetch(
            id="fetch-p-1",
            location=self.location,
            parent="p-1",
            template="t",
            template_uid="t-1",
            format=ImageFormat.RAW,
            source=Source(urls=(url,)),
            checksums=(Checksum(algorithm="sha256", hex=sha256),) if sha256 else (),
        )


@dataclass
class Operator:
    """``jobs`` are the UIDs of all Jobs it ever saw, by name."""

    dispatcher: Dispatcher
    place: Place
    woken: Counter[str] = field(default_factory=Counter)
    jobs: dict[str, set[str]] = field(default_factory=dict)

    async def ask(self, *operations: Operation) -> None:
        for operation in operations:
            await self.dispatcher.ask(Ask(self.place.request(operation)))

    async def settle(self, operations: Iterable[Operation]) -> None:
        for operation in operations:
            await self.dispatcher.settle(Settle(operation.id))

    async def ends(self, *operations: Operation, seconds: float = PATIENCE) -> dict[str, Ended]:
        ended: dict[str, Ended] = {}

        async def all_ended() -> bool:
            for operation in operations:
                outcome = self.dispatcher.outcome(operation.id)
                if isinstance(outcome, Succeeded | Failed):
                    ended[operation.id] = outcome
            return len(ended) == len(operations)

        await eventually(all_ended, seconds)
        return ended

    @property
    def jobs_seen(self) -> int:
        return sum(len(uids) for uids in self.jobs.values())

    def saw(self, change: Change) -> None:
        if change.resource == JOB and change.new is not None:
            self.jobs.setdefault(change.key.name, set()).add(change.new["metadata"]["uid"])


@asynccontextmanager
async def operator(client: KubeClient, place: Place, **settings: object) -> AsyncIterator[Operator]:
    """A new operator process as far as dispatch can tell: its own cache, informers and book."""
    cache = Cache()
    woken: Counter[str] = Counter()

    def wake(key: Key) -> None:
        woken[key.name] += 1

    dispatcher = Dispatcher(
        client,
        cache,
        settings=replace(place.settings, **settings),  # type: ignore[arg-type]
        wake=wake,
        clock=lambda: datetime.now(UTC),
    )
    running = Operator(dispatcher, place, woken)
    cache.add_listener(dispatcher.observe)
    cache.add_listener(running.saw)
    informers = [Informer(client, cache, kind, place.namespace, labels=SELECTOR) for kind in (JOB, POD)]
    tasks = [asyncio.create_task(informer.run()) for informer in informers]
    for informer in informers:
        await informer.synced.wait()
    await dispatcher.rebuild()
    tasks.append(asyncio.create_task(dispatcher.run()))
    try:
        yield running
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def jobs_of(client: KubeClient, place: Place) -> list[Obj]:
    return [*await client.list(JOB, place.namespace, labels=SELECTOR)]


async def pods_of(client: KubeClient, place: Place) -> list[Obj]:
    return [*await client.list(POD, place.namespace, labels=SELECTOR)]


@asynccontextmanager
async def served(body: bytes) -> AsyncIterator[str]:
    """A URL that pods reach."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name is http.server's
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    address = os.environ["GOLDPOOL_HOST_IP"]
    with ThreadingHTTPServer((address, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://{address}:{server.server_port}/image.raw"
        finally:
            server.shutdown()


async def prepare_directory(client: KubeClient, place: Place) -> None:
    await _run_as_root(client, place, "prepare", place.path, "pass")


async def remove_directory(client: KubeClient, place: Place) -> None:
    name = place.path.rsplit("/", 1)[1]
    await _run_as_root(client, place, "remove", "/srv", f"import shutil; shutil.rmtree('/at/{name}')")


async def _run_as_root(client: KubeClient, place: Place, name: str, path: str, program: str) -> None:
    container = {
        "name": "c",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "command": ["python3", "-c", program],
        "securityContext": {"runAsUser": 0},
        "volumeMounts": [{"name": "at", "mountPath": "/at"}],
    }
    spec = {
        "restartPolicy": "Never",
        "nodeName": place.node,
        "automountServiceAccountToken": False,
        "containers": [container],
        "volumes": [{"name": "at", "hostPath": {"path": path, "type": "DirectoryOrCreate"}}],
    }
    metadata = {"name": name, "namespace": place.namespace}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    async def created() -> bool:
        try:
            await client.create(POD, pod)
        except NotFound:
            return False
        except Exception as error:  # the namespace's service account comes a moment after it
            if "serviceaccount" not in str(error):
                raise
            return False
        return True

    async def ended() -> bool:
        now = await client.get(POD, name, place.namespace)
        assert now["status"].get("phase") != "Failed", now["status"]
        return bool(now["status"].get("phase") == "Succeeded")

    await eventually(created)
    await eventually(ended)
