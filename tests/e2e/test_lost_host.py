"""A host that does not answer may still write: its machine is started nowhere else, until a person says that it is off."""

import subprocess
import time

import pytest

from tests.e2e.api import DATA_NAMESPACE
from tests.e2e.builders import TEST_STANDARD
from tests.e2e.guests import WritersSeen, kill, processes_of
from tests.e2e.server import Image
from tests.e2e.site import Site


@pytest.mark.alone  # everybody uses the node that is lost here
def test_a_cut_off_host_keeps_its_machine_and_there_are_never_two_writers(
    site: Site, boot: Image, boot_line: str
) -> None:
    site.shared_pools()  # every host could run it
    site.machine("vm", template=site.template(boot))
    site.running("vm")
    machine = site.get("VirtualMachine", "vm")
    uid, node = machine["metadata"]["uid"], machine["status"]["host"]
    pod = site.pod_of("vm")
    assert pod is not None

    with WritersSeen(uid) as seen:
        site.nodes.link(node, "down")
        try:
            sentence = site.reason("VirtualMachine", "vm", "HostLost")
            assert node in sentence
            name = pod["metadata"]["name"]
            command = ["kubectl", "-n", DATA_NAMESPACE, "delete", "pod", name, "--force", "--grace-period=0"]
            subprocess.run([*command, "--wait=false"], check=True, capture_output=True, timeout=300)
            site.operator.kill()  # whoever leads next must not start it either
            site.operator.start()
            for _ in range(20):
                time.sleep(0.5)
                left = site.pod_of("vm")
                assert left is not None, "the pod vanished before its processes had ended"
                assert left["metadata"]["uid"] == pod["metadata"]["uid"]
            assert site.status("VirtualMachine", "vm")["phase"] == "HostLost"
            assert len(processes_of(uid)) == 1, "the cut-off host's process runs on"
        finally:
            site.nodes.link(node, "up")
        site.eventually(
            lambda: (now := site.pod_of("vm")) and now["metadata"]["uid"] != pod["metadata"]["uid"],
            "a new pod, once the old one's end is proven",
        )
        site.running("vm")
        site.says("vm", f"{boot_line} BOOTS 0002")
    assert seen.most == 1
    assert seen.looks > 50
    site.ready("VirtualMachine", "vm")


OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"


@pytest.mark.alone  # everybody uses the node that is lost here
def test_a_host_given_up_lets_go_of_what_it_held_and_what_it_kept_is_reported_when_it_returns(
    site: Site, boot: Image, boot_line: str
) -> None:
    """Two machines on one host: the one whose disk is on the host is given up and deleted, the other goes elsewhere."""
    _, shared = site.shared_pools()
    site.api.patch("StoragePool", shared, {"spec": {"tags": ["shared"]}})
    standard = site.pool("host", tags=["host"])
    site.ready("StoragePool", standard)
    template = site.template(boot)
    site.machine("moves", template=template, tags=["shared"])
    site.says("moves", f"{boot_line} BOOTS 0001")
    machine = site.get("VirtualMachine", "moves")
    uid, node = machine["metadata"]["uid"], machine["status"]["host"]
    site.machine("stays", template=template, tags=["host"], host=node)
    site.running("stays")
    gone = site.get("VirtualMachine", "stays")["metadata"]["uid"]
    storage = site.get("Volume", "stays-root")["spec"]["storageID"]
    location = site.locations(standard)[node]["metadata"]["name"]

    with WritersSeen(uid) as seen:
        site.nodes.link(node, "down")
        try:
            site.reason("VirtualMachine", "stays", "HostLost")
            site.delete("VirtualMachine", "stays")
            give_up(site, "VirtualMachine", "stays", "some-other-host")
            site.eventually(
                lambda: (
                    f"only '{node}' can be given up" in site.condition("VirtualMachine", "stays")["message"]
                ),
                "a host that is not its own gives nothing up",
            )
            give_up(site, "VirtualMachine", "stays", node)
            site.gone("VirtualMachine", "stays")
            site.gone("Volume", "stays-root")
            assert storage in site.nodes.names_in(node, f"{TEST_STANDARD}/volumes"), "no byte was touched"
            assert len(processes_of(gone)) == 1, "and nobody could end its process"
            site.told("stays-root", "Abandoned:")

            site.reason("VirtualMachine", "moves", "HostLost")
            kill(uid)  # the host is switched off, as its administrator now says
            taint(node)
            site.says("moves", f"{boot_line} BOOTS 0002")
            site.running("moves")
            assert site.status("VirtualMachine", "moves")["host"] != node
        finally:
            site.nodes.link(node, "up")
            taint(node, remove=True)
    assert seen.most == 1

    site.eventually(
        lambda: site.status("StorageLocation", location).get("orphans") == [f"volumes/{storage}"],
        "the host that is back tells what nobody knows any more",
    )
    site.ready("StorageLocation", location)
    site.eventually(lambda: not processes_of(gone), "its kubelet ends what was given up")
    assert storage in site.nodes.names_in(node, f"{TEST_STANDARD}/volumes"), "it is only reported"
    site.nodes.run(node, "rm", "-r", f"{TEST_STANDARD}/volumes/{storage}")


def give_up(site: Site, kind: str, name: str, place: str) -> None:
    note = {"metadata": {"annotations": {"goldpool.io/abandon": place}}}
    site.api.patch(kind, name, note, site.namespace if kind in {"VirtualMachine", "Volume"} else "")


def taint(node: str, *, remove: bool = False) -> None:
    key = f"{OUT_OF_SERVICE}:NoExecute-" if remove else f"{OUT_OF_SERVICE}=nodeshutdown:NoExecute"
    subprocess.run(["kubectl", "taint", "node", node, key], check=not remove, capture_output=True)


@pytest.mark.breaks_host
def test_a_node_that_was_deleted_and_registered_anew_goes_on_with_what_it_holds(
    site: Site, boot: Image, boot_line: str
) -> None:
    node = "node-2"
    _, standard = site.pools_on(node)
    template = site.template(boot)
    for name in ("stays", "leaves"):
        site.machine(name, template=template)
    site.running("stays", "leaves")
    site.says("stays", f"{boot_line} BOOTS 0001")
    uid = site.get("VirtualMachine", "stays")["metadata"]["uid"]
    storage = site.get("Volume", "leaves-root")["spec"]["storageID"]
    location = site.locations(standard)[node]["metadata"]["name"]
    before = site.get("Node", node)["metadata"]
    with WritersSeen(uid) as seen:
        site.nodes.kubelet(node, "stop")
        try:
            site.api.delete("Node", node)
            site.eventually(
                lambda: "was deleted" in site.condition("VirtualMachine", "stays")["message"], "that is told"
            )
            site.delete("VirtualMachine", "leaves")
            site.gone("VirtualMachine", "leaves")
            site.gone("Volume", "leaves-root")
            assert storage in site.nodes.names_in(node, f"{TEST_STANDARD}/volumes"), "no byte was touched"
            held = site.get("StorageLocation", location)
            assert "deletionTimestamp" not in held["metadata"], "its host may come back"
            assert "was deleted" in site.reason("StorageLocation", location, "HostNotReady")
        finally:
            site.nodes.kubelet(node, "start")
            site.eventually(lambda: site.api.get("Node", node), "the node is registered anew")
            site.api.patch("Node", node, {"metadata": {"labels": before["labels"]}})
        now = site.get("Node", node)["metadata"]["uid"]
        assert now != before["uid"]
        site.eventually(
            lambda: site.status("StorageLocation", location).get("nodeUID") == now, "the location is rebound"
        )
        site.ready("StorageLocation", location)
        site.running("stays")
    assert seen.most == 1
    site.eventually(
        lambda: site.status("StorageLocation", location).get("orphans") == [f"volumes/{storage}"],
        "what was left behind is reported",
    )
    site.nodes.run(node, "rm", "-r", f"{TEST_STANDARD}/volumes/{storage}")
