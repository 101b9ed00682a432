import pytest

from goldpool.worker.mounts import Mount, no_mount_point, parse_mountinfo

MOUNTINFO = r"""
21 1 254:0 / / rw,relatime - overlay overlay rw,lowerdir=/a
36 21 8:17 / /pools/disk rw,noatime shared:1 master:2 - ext4 /dev/sdb1 rw
37 21 254:1 /srv/plain /pools/plain rw - ext4 /dev/vda1 rw
38 21 0:41 /@pool /pools/subvolume rw - btrfs /dev/sdc rw
39 21 0:50 / /pools/export rw - nfs4 server:/export rw,vers=4.1
40 21 8:18 / /pools/with\040space rw - xfs /dev/sdd\134 rw
41 21 8:19 / /pools/covered rw - ext4 /dev/sde rw
42 41 254:1 /srv/over /pools/covered rw - ext4 /dev/vda1 rw
not a mount
"""


def test_mountinfo_is_parsed_with_any_number_of_optional_fields_and_escapes() -> None:
    mounts = {mount.mount_point: mount for mount in parse_mountinfo(MOUNTINFO)}
    assert len(mounts) == 7
    assert mounts["/pools/disk"] == Mount("/", "/pools/disk", "ext4", "/dev/sdb1")
    assert mounts["/pools/with space"].source == "/dev/sdd\\"


@pytest.mark.parametrize(
    ("path", "objection"),
    [
        ("/pools/disk", None),
        ("/pools/export", None),
        ("/pools/subvolume", None),
        ("/pools/with space", None),
        ("/pools/plain", "directory /srv/plain of /dev/vda1 (ext4)"),
        ("/pools/covered", "directory /srv/over"),  # the mount on top counts
        ("/pools/absent", "nothing is mounted at /pools/absent"),
        ("/pools", "nothing is mounted"),  # a mount below is no mount
    ],
)
def test_a_pool_is_the_root_of_a_mounted_file_system(path: str, objection: str | None) -> None:
    found = no_mount_point(parse_mountinfo(MOUNTINFO), path)
    assert found is None if objection is None else found is not None and objection in found
