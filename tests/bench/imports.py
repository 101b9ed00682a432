"""One image imported to a disk over http and https, hashed and durable, beside what others need for it.

Every client is a process of its own, from its start to its end, on the same disk, from the same nginx on loopback; they
take turns, so that all of them meet the same machine.
"""

import contextlib
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from goldpool.contracts.layout import ImageFormat, LocationIdentity
from goldpool.contracts.network import AddressRules
from goldpool.contracts.operations import Batch, Checksum, Fetch, FetchPolicy, Initialize
from goldpool.contracts.report import Report
from goldpool.contracts.source import Source
from goldpool.worker.batch import Host, run
from goldpool.worker.gate import admit
from tests.bench import machine
from tests.bench.figures import Figure
from tests.servers.certificates import Authority
from tests.servers.nginx import Nginx, Site, nginx

MIB: Final = 1 << 20
SIZE: Final = int(os.environ.get("GOLDPOOL_BENCH_IMAGE_MIB", "1024")) * MIB
ROUNDS: Final = int(os.environ.get("GOLDPOOL_BENCH_ROUNDS", "5"))
CURL: Final = 1.05
"""1 / 0.95: at least 0.95 of plain curl's rate."""
MEMORY: Final = 64
IMAGE: Final = "/image.raw"
_IDENTITY: Final = LocationIdentity(location="bench", cluster="bench", pool="bench", node="bench")


@dataclass(frozen=True)
class Run:
    """Seconds of wall clock and of CPU, of the client and all it started, and the client's peak of resident memory."""

    wall: float
    cpu: float
    mib: float


@dataclass(frozen=True)
class Image:
    path: Path
    sha256: str


Client = Callable[[str, Path], Run]
"""Imports a URL into an empty directory."""


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(
        prefix="goldpool-bench-", dir=os.environ.get("GOLDPOOL_BENCH_DIRECTORY")
    ) as name:
        directory = Path(name)
        image = _image(directory / "site")
        authority = Authority(directory / "ca")
        found: list[Figure] = []
        for tls in (None, authority.issue("127.0.0.1")):
            scheme = "https" if tls else "http"
            with nginx(Site(directory / "site", tls=tls), directory / scheme) as server:
                runs = _in_turn(server, _clients(image, authority.certificate), directory / "out")
            found += _compared(scheme, runs)
        return [*found, *_gate(directory / "out", image)]


def _image(site: Path) -> Image:
    """Random: nothing of it is a hole or compresses. It is in the page cache afterwards."""
    site.mkdir()
    digest = hashlib.sha256()
    path = site / IMAGE.removeprefix("/")
    with path.open("wb") as file:
        for _ in range(SIZE // MIB):
            block = os.urandom(MIB)
            digest.update(block)
            file.write(block)
    return Image(path, digest.hexdigest())


def _clients(image: Image, ca: Path) -> dict[str, Client]:
    def shell(command: str) -> Client:
        def client(url: str, out: Path) -> Run:
            names = {"URL": url, "OUT": str(out / "image"), "CA": str(ca), "SHA256": image.sha256}
            return _run(["sh", "-ec", command], names)

        return client

    # openssl's digest and not sha256sum's: it uses the processor's instructions for it, as hashlib does.
    hashed = (
        'test "$(curl -fsS --cacert "$CA" "$URL" | tee "$OUT" | openssl dgst -sha256 -r)" = "$SHA256 *stdin"'
    )
    aria2 = (
        'aria2c --no-conf -q -x1 --file-allocation=none --ca-certificate="$CA" --checksum="sha-256=$SHA256" '
        '-d / -o "$OUT" "$URL"'
    )
    return {
        "import": lambda url, out: _worker(url, out, image, ca),
        "curl": shell('curl -fsS --cacert "$CA" -o "$OUT" "$URL"; sync "$OUT"'),
        "curl | tee | openssl": shell(f'{hashed}; sync "$OUT"'),
        "aria2 with its checksum": shell(f'{aria2}; sync "$OUT"'),
    }


def _worker(url: str, out: Path, image: Image, ca: Path) -> Run:
    """A storage Job's container: the interpreter's start, the gate and the publication included."""
    (out / _IDENTITY.location).mkdir()
    begun = run(
        Batch(
            operations=(
                Initialize(id="i", location=_IDENTITY.location, identity=_IDENTITY, require_mount=False),
            )
        ),
        Host(pools=out),
    )
    assert begun.succeeded(0), begun
    fetch = Fetch(
        id="f",
        location=_IDENTITY.location,
        parent="p-bench",
        template="bench",
        template_uid="bench",
        format=ImageFormat.RAW,
        source=Source(urls=(url,)),
        checksums=(Checksum(algorithm="sha256", hex=image.sha256),),
        policy=FetchPolicy(addresses=AddressRules(deny=())),
    )
    told = out / "termination-log"
    found = _run(
        [sys.executable, "-m", "goldpool.worker"],
        {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "GOLDPOOL_BATCH": Batch(operations=(fetch,), identities=(_IDENTITY,)).to_json(),
            "GOLDPOOL_POOLS": str(out),
            "GOLDPOOL_TERMINATION_LOG": str(told),
            "SSL_CERT_FILE": str(ca),
        },
    )
    report = Report.from_json(told.read_bytes())
    assert report.succeeded(0), report
    return found


def _run(command: Sequence[str], names: Mapping[str, str]) -> Run:
    with tempfile.TemporaryFile() as said:
        began = time.monotonic()
        process = subprocess.Popen(
            list(command),
            env={"PATH": os.environ["PATH"]} | dict(names),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        mib, ended = 0.0, 0
        while not ended:
            with contextlib.suppress(OSError, KeyError):  # it has just ended
                # Not what wait4(2) says: a child begins with the peak of whoever started it. This one only ever rises.
                mib = machine.resident_mib(process.pid)[1]
            time.sleep(0.01)
            ended, status, used = os.wait4(process.pid, os.WNOHANG)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        assert process.returncode == 0, f"{shlex.join(command)}: {process.returncode}: {said.read().decode()}"
    return Run(wall, used.ru_utime + used.ru_stime, mib)


def _in_turn(server: Nginx, clients: Mapping[str, Client], out: Path) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {name: [] for name in clients}
    for _ in range(ROUNDS):
        for name, client in clients.items():
            out.mkdir()
            runs[name].append(client(server.url(IMAGE), out))
            shutil.rmtree(out)
    return runs


def _compared(scheme: str, runs: Mapping[str, Sequence[Run]]) -> list[Figure]:
    def middle(name: str) -> float:
        return median(each.wall for each in runs[name])

    def told(name: str) -> str:
        walls, cpu = [each.wall for each in runs[name]], median(each.cpu for each in runs[name])
        return f"{median(walls):.2f} s (best {min(walls):.2f}, CPU {cpu:.2f})"

    ours = runs["import"]
    return [
        *(
            Figure(
                "fetch",
                f"{scheme}: import / {name} + fsync",
                middle("import") / middle(name),
                goal=CURL if name == "curl" else None,
                detail=f"{told('import')} / {told(name)}",
            )
            for name in runs
            if name != "import"
        ),
        Figure(
            "fetch",
            f"{scheme}: peak memory of the import",
            max(each.mib for each in ours),
            "MiB",
            goal=MEMORY,
        ),
    ]


def _gate(out: Path, image: Image) -> list[Figure]:
    """What is looked at before a qcow2 image of the same bytes is published."""
    out.mkdir()
    qcow2 = out / "image.qcow2"
    _run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(image.path), str(qcow2)], {})
    walls = []
    with qcow2.open("rb") as file:
        for _ in range(ROUNDS):
            began = time.monotonic()
            admit(file.fileno(), ImageFormat.QCOW2, FetchPolicy())
            walls.append(time.monotonic() - began)
    detail = f"best {min(walls):.2f} s; a file of {qcow2.stat().st_size // MIB} MiB in the page cache"
    return [Figure("fetch", "gate of a qcow2 image", median(walls), "s", detail=detail)]
