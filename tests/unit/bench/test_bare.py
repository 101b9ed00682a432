"""The baseline's QEMU is the machine's own, on a disk that needs nothing else."""

import json

from tests.bench.bare import a_pod, on_a_blank_disk


def node(name: str, driver: str, **options: object) -> list[str]:
    return ["-blockdev", json.dumps({"driver": driver, "node-name": name, **options})]


def test_the_blank_disk_takes_the_place_of_the_child_and_the_parent_goes() -> None:
    command = [
        "qemu", "-S", "-m", "32",
        *node("disk0.parent.file", "file", filename="/parents/p/image"),
        *node("disk0.parent", "qcow2", file="disk0.parent.file"),
        *node("disk0.file", "file", filename="/disks/v-1/disk", aio="threads"),
        *node("disk0.image", "qcow2", file="disk0.file", backing="disk0.parent", discard="unmap"),
        *node("disk0.throttle", "throttle", file="disk0.image"),
    ]  # fmt: skip
    assert on_a_blank_disk(command) == [
        "qemu", "-m", "32",
        *node("disk0.file", "file", filename="/run/goldpool/blank.raw", aio="threads"),
        *node("disk0.image", "raw", file="disk0.file"),
        *node("disk0.throttle", "throttle", file="disk0.image"),
    ]  # fmt: skip


def test_files_that_the_command_expects_open_are_the_pods_log() -> None:
    container = {"image": "i", "imagePullPolicy": "Never", "resources": {}, "securityContext": {}}
    like = {"spec": {"containers": [container], "securityContext": {}}}
    pod = a_pod("bare", "ns", like, ["qemu", "-add-fd", "fd=7,set=1", "-m", "32"])
    script = pod["spec"]["containers"][0]["command"][2]
    assert script.endswith('exec "$@" 7>&1')
