"""A host that does not answer may still write: its machine is started nowhere else."""

import subprocess
import time

import pytest

from tests.e2e.api import DATA_NAMESPACE
from tests.e2e.guests import WritersSeen, processes_of
from tests.e2e.server import Image
from tests.e2e.site import Site


@pytest.mark.alone
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
            subprocess.run([*command, "--wait=false"], check=True, capture_output=True, timeout=60)
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
