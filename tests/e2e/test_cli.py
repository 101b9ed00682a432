"""The command line tool against real machines."""

import signal
from collections.abc import Callable, Iterator

import pytest

from tests.e2e import guests
from tests.e2e.builders import TEST_STANDARD
from tests.e2e.cli import DEADLINE_SECONDS, Terminal, begun, goldpool
from tests.e2e.server import Image
from tests.e2e.site import Site

NODE = "node-2"
CTRL_RIGHT_BRACKET = "\x1d"

Open = Callable[..., Terminal]


@pytest.fixture
def terminal(site: Site) -> Iterator[Open]:
    opened: list[Terminal] = []

    def open_one(*words: str) -> Terminal:
        opened.append(Terminal(*words, "-n", site.namespace))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


def pod_uid(site: Site, machine: str) -> str:
    pod = site.pod_of(machine)
    return str(pod["metadata"]["uid"]) if pod else ""


def test_machines_are_stopped_started_and_restarted(site: Site, boot: Image) -> None:
    site.pools_on(NODE)
    template = site.template(boot)
    for name in ("one", "two"):
        site.machine(name, template=template)
    site.running("one", "two")
    where = ("-n", site.namespace)

    said = goldpool("stop", "--wait", *where, "one", "two").stdout
    assert sorted(said.splitlines()) == [f"{site.namespace}/{name} is stopped" for name in ("one", "two")]
    assert site.pod_of("one") is None
    assert site.condition("VirtualMachine", "one")["reason"] == "Halted"
    assert "is stopped already" in goldpool("stop", *where, "one").stdout

    said = goldpool("start", "--wait", *where, "one", "two").stdout
    assert f"{site.namespace}/one runs on {NODE}" in said
    site.running("two")

    before = pod_uid(site, "one")
    goldpool("restart", "--wait", *where, "one")
    assert pod_uid(site, "one") not in {"", before}
    spec, metadata = site.get("VirtualMachine", "one")["spec"], site.get("VirtualMachine", "one")["metadata"]
    assert spec["runStrategy"] == "Always"
    assert "goldpool.io/run-strategy" not in metadata.get("annotations", {})
    # Counted on disk: both the stop and the restart kept it.
    assert "BOOTS 0003" in site.says("one", "BS-MARKER")

    goldpool("stop", *where, "one", "nobody", status=1)
    assert site.get("VirtualMachine", "one")["spec"]["runStrategy"] == "Always", "all or none"


def test_what_ran_once_runs_once_more(site: Site, boot: Image) -> None:
    site.pools_on(NODE)
    site.machine("batch", template=site.template(boot), run="Once")
    site.running("batch")
    first = pod_uid(site, "batch")
    goldpool("restart", "--wait", "-n", site.namespace, "batch")
    assert pod_uid(site, "batch") not in {"", first}
    assert site.get("VirtualMachine", "batch")["spec"]["runStrategy"] == "Once"


def test_an_interrupted_restart_gives_the_run_strategy_back(site: Site, boot: Image) -> None:
    site.pools_on(NODE)
    # The boot-sector guest follows no shutdown, so it is stopping for as long as the test lets it.
    site.machine("vm", template=site.template(boot), run="RerunOnFailure", stop_seconds=3600)
    site.running("vm")
    machine = site.get("VirtualMachine", "vm")["metadata"]
    before = pod_uid(site, "vm")
    with begun("restart", "-n", site.namespace, "vm") as command:
        site.phase("vm", "Stopping")
        assert site.get("VirtualMachine", "vm")["spec"]["runStrategy"] == "Halted"
        command.send_signal(signal.SIGINT)
        said = command.communicate(timeout=DEADLINE_SECONDS)
    assert command.returncode == 1, said
    assert "Traceback" not in said[1]
    assert site.get("VirtualMachine", "vm")["spec"]["runStrategy"] == "RerunOnFailure"
    guests.kill(machine["uid"])
    site.eventually(lambda: pod_uid(site, "vm") not in {"", before}, "it is started again once it is off")
    site.running("vm")
    guests.kill(machine["uid"])  # else the test's end waits for its shutdown
    site.api.patch("VirtualMachine", "vm", {"spec": {"stopTimeoutSeconds": 1}}, site.namespace)


def test_a_wait_that_is_over_says_what_it_waits_for(site: Site, boot: Image) -> None:
    site.pools_on(NODE)
    site.machine("vm", template=site.template(boot), run="Halted", host="nowhere")
    site.phase("vm", "Stopped")
    said = goldpool("start", "--wait", "--timeout", "2s", "-n", site.namespace, "vm", status=3).stderr
    assert said.startswith(f"Error: {site.namespace}/vm is not there yet after 2 s: ")


def test_a_guest_is_typed_to_by_one_person_at_a_time(site: Site, linux_image: bytes, terminal: Open) -> None:
    site.pools_on(NODE)
    site.machine("vm", template=site.template(Image(linux_image)), memory="192Mi", stop_seconds=40)
    site.says("vm", "GUEST-MARKER boot-ok")
    console = terminal("console", "vm")
    console.shows("At the console of")
    console.press("s")
    console.shows("DISK vda ")

    second = goldpool("console", "-n", site.namespace, "vm", status=1)
    assert "somebody else is at the console; --take ends their session" in second.stderr
    console.press("s")
    console.shows("DISK vda ")

    taker = terminal("console", "vm", "--take")
    console.shows("the console was taken by somebody else")
    assert console.ended() == 1
    taker.press("s")
    taker.shows("DISK vda ")
    taker.press(CTRL_RIGHT_BRACKET)
    assert taker.ended() == 0

    said = goldpool("console", "-n", site.namespace, "vm", "--log").stdout
    assert "GUEST-MARKER boot-ok" in said
    assert said.count("DISK vda ") == 4, "once at boot, and three answers"
    assert "QEMU started" not in said
    assert "QEMU started" in site.console("vm"), "the pod's log has more"

    # What is piped in is typed, and what follows is shown until the guest is off.
    last = goldpool("console", "-n", site.namespace, "vm", stdin="p")
    assert "GUEST-OFF key" in last.stdout
    assert f"{site.namespace}/vm is off." in last.stderr


@pytest.mark.alone  # it takes the operator away
def test_release_takes_finalizers_off_and_leaves_bytes_alone(site: Site, boot: Image) -> None:
    """The operator is away for the release; the test's end, with the operator back, has to clear up without them."""
    site.pools_on(NODE)
    site.machine("vm", template=site.template(boot))
    site.machine("kept", template=site.templates[0])
    site.running("vm", "kept")
    goldpool("stop", "--wait", "-n", site.namespace, "vm")
    volume = site.get("Volume", "vm-root")
    storage_id = volume["spec"]["storageID"]
    disk = f"{TEST_STANDARD}/volumes/{storage_id}/disk.qcow2"
    before = site.nodes.run(NODE, "sha256sum", disk)
    where = ("-n", site.namespace)

    said = goldpool("release", *where, "volume/vm-root")
    assert said.stdout == f"Volume/{site.namespace}/vm-root would be released\n"
    assert "Nothing was changed" in said.stderr
    assert "The operator runs" in said.stderr
    assert "the operator runs" in goldpool("release", *where, "volume/vm-root", "--yes", status=1).stderr
    assert site.get("Volume", "vm-root")["metadata"]["finalizers"]

    site.operator.stop()
    kept = goldpool("release", *where, "virtualmachine/kept", "--yes", status=1).stdout
    assert f"VirtualMachine/{site.namespace}/kept is kept: its pod" in kept
    names = ("virtualmachine/vm", "volume/vm-root")
    goldpool("release", *where, *names, "--yes")
    for kind, name in (("VirtualMachine", "vm"), ("Volume", "vm-root")):
        site.delete(kind, name)
        site.gone(kind, name)
    assert site.nodes.run(NODE, "sha256sum", disk) == before
    site.operator.start()
    site.running("kept")
    site.nodes.run(NODE, "rm", "-r", f"{TEST_STANDARD}/volumes/{storage_id}")
