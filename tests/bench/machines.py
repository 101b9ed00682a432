"""From a VirtualMachine's creation to a guest that runs, against what the kubelet alone takes for a Job and a pod."""

import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from hack.guests import bootsector
from hack.guests.__main__ import write_bootsector
from tests.bench import bare, baseline
from tests.bench.figures import Figure
from tests.bench.quiet import await_quiet
from tests.bench.sight import Sight, runs
from tests.bench.stage import Stage
from tests.e2e.api import Obj
from tests.e2e.server import Image
from tests.e2e.site import Site

TIMES: Final = 5
CROWDS: Final = (20, 60)
_IMAGE: Final = bootsector.Recipe(size=4 << 20, nchunk=0)
"""512 bytes of guest, which boots in a tenth of a second and then halts."""


def measure(stage: Stage) -> list[Figure]:
    """One after another ``TIMES`` times, its own baseline beside each; then crowds. Parents are there before."""
    with stage.site() as site:
        golden, _ = site.pools_on()
        template = site.template(_boot_image(), prepare=[golden])
        site.ready("Template", template)
        like, command = _example(site, template)
        alone = _one_by_one(site, template, like, command)
        return alone + [figure for count in CROWDS for figure in _crowd(site, template, count, like, command)]


def _boot_image() -> Image:
    with TemporaryDirectory(prefix="goldpool-bench-") as directory:
        path = Path(directory) / "boot.qcow2"
        write_bootsector(_IMAGE, path)
        return Image(path.read_bytes())


def _example(site: Site, template: str) -> tuple[Obj, list[str]]:
    """The pod and the QEMU command that the baseline copies, of a machine that also warms every cache up."""
    _machines(site, template, ["example"])
    pod = site.pod_of("example")
    assert pod is not None
    command = bare.qemu_command(site.get("VirtualMachine", "example")["metadata"]["uid"])
    _remove(site, ["example"])
    return pod, command


def _one_by_one(site: Site, template: str, like: Obj, command: list[str]) -> list[Figure]:
    jobs, pods, machines = [], [], []
    for n in range(TIMES):
        jobs.append(baseline.one_bare_job(site, f"job-{n}"))
        pods.append(baseline.bare_pods(site, [f"pod-{n}"], like, command))
        machines.append(_machines(site, template, [f"one-{n}"]))
        _remove(site, [f"one-{n}"])
    job, pod, machine = median(jobs), median(pods), median(machines)
    return [
        Figure(
            "machines",
            "one / (a bare Job + a bare pod)",
            machine / (job + pod),
            goal=1.3,
            detail=f"{machine:.2f} s / ({job:.2f} s + {pod:.2f} s), medians of {TIMES}",
        )
    ]


def _crowd(site: Site, template: str, count: int, like: Obj, command: list[str]) -> list[Figure]:
    pods = baseline.bare_pods(site, [f"pod-{count}-{n}" for n in range(count)], like, command)
    names = [f"crowd-{count}-{n}" for n in range(count)]
    machines = _machines(site, template, names)
    _remove(site, names)
    return [
        Figure(
            "machines",
            f"{count} at once / {count} bare pods at once",
            machines / pods,
            goal=1.5,
            detail=f"{machines:.2f} s / {pods:.2f} s",
        )
    ]


def _machines(site: Site, template: str, names: list[str]) -> float:
    """Seconds from the first creation until the last says Running: QEMU itself said so."""
    await_quiet()
    with Sight(site.api, "VirtualMachine", site.namespace, runs) as sight:
        began = time.monotonic()
        for name in names:
            site.machine(name, template=template)
        return sight.last_of(names, timeout=240) - began


def _remove(site: Site, names: list[str]) -> None:
    site.delete("VirtualMachine", *names)
    site.gone("VirtualMachine", *names)
    site.gone("Volume", *(f"{name}-root" for name in names))
