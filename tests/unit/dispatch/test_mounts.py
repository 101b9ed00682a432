"""How pods see locations."""

from pathlib import PurePosixPath

import pytest

from goldpool.dispatch.mounts import Claim, HostPath, directory_volume, pool_volume
from tests.unit.dispatch.builders import a_mount


def test_a_storage_job_sees_the_whole_location() -> None:
    volume, mount = pool_volume(a_mount("loc-1", backing=HostPath("/srv/a")), "pool")
    assert volume == {"name": "pool", "hostPath": {"path": "/srv/a", "type": "Directory"}}
    assert mount == {"name": "pool", "mountPath": "/pools/loc-1"}


def test_a_claim_is_mounted_by_its_name() -> None:
    volume, mount = pool_volume(a_mount("loc-1", backing=Claim("nfs-1")), "pool", read_only=True)
    assert volume == {"name": "pool", "persistentVolumeClaim": {"claimName": "nfs-1"}}
    assert mount == {"name": "pool", "mountPath": "/pools/loc-1", "readOnly": True}


def test_a_vm_sees_one_directory_of_a_host_path() -> None:
    """Never subPath there: the kubelet would make a missing one, as root, even read-only (jobs.md §4)."""
    mount = a_mount(backing=HostPath("/srv/a/"))
    assert directory_volume(mount, PurePosixPath("volumes/v-1"), "/disks/v-1", "d0", False) == (
        {"name": "d0", "hostPath": {"path": "/srv/a/volumes/v-1", "type": "Directory"}},
        {"name": "d0", "mountPath": "/disks/v-1"},
    )


def test_a_vm_sees_one_directory_of_a_claim() -> None:
    mount = a_mount(backing=Claim("nfs-1"))
    assert directory_volume(mount, PurePosixPath("templates/p-1"), "/parents/p-1", "p0", True) == (
        {"name": "p0", "persistentVolumeClaim": {"claimName": "nfs-1"}},
        {"name": "p0", "mountPath": "/parents/p-1", "readOnly": True, "subPath": "templates/p-1"},
    )


@pytest.mark.parametrize("relative", ["/etc", "../etc", "volumes/../..", "."])
def test_a_directory_outside_the_location_is_refused(relative: str) -> None:
    with pytest.raises(ValueError):
        directory_volume(a_mount(), PurePosixPath(relative), "/disks/x", "d0", False)
