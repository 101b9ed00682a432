import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldpool.contracts.facts import LocationState
from goldpool.contracts.layout import STORAGE_UID, LocationIdentity
from goldpool.contracts.operations import DeleteParent, DeleteVolume, Operation, Probe, Rebind, Release
from goldpool.contracts.report import FailureReason
from goldpool.worker.identity import judge
from goldpool.worker.pool import initialize
from tests.unit.worker.builders import (
    LOCATION,
    Pool,
    a_blank,
    a_child,
    a_fetch,
    an_identity,
    an_initialize,
    the_facts,
)

OK, NOT_MOUNTED, FOREIGN, REPLACED = LocationState
DIRECTORIES = {".goldpool", "templates", "volumes", "tmp", "trash"}


def a_probe() -> Probe:
    return Probe(id="probe", location=LOCATION)


def a_rebind(**changes: str) -> Rebind:
    return Rebind(id="rebind", location=LOCATION, identity=an_identity(**changes))


def a_release() -> Release:
    return Release(id="release", location=LOCATION)


def writers() -> list[Operation]:
    return [
        a_child(),
        a_blank(),
        a_fetch("http://127.0.0.1:9/never-asked"),
        DeleteVolume(id="d", location=LOCATION, storage_id="v-1"),
        DeleteParent(id="d", location=LOCATION, parent="p-1"),
        a_release(),
    ]


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (None, NOT_MOUNTED),
        (an_identity(), OK),
        (an_identity(cluster="c-2"), FOREIGN),
        (an_identity(pool="other"), FOREIGN),
        (an_identity(location="l-2"), REPLACED),
        (an_identity(node="node-2"), REPLACED),
        (an_identity(node_uid="u-2"), REPLACED),
        (an_identity(cluster="c-2", location="l-2"), FOREIGN),  # whose it is comes before which it is
    ],
)
def test_who_a_location_is(found: LocationIdentity | None, state: LocationState) -> None:
    assert judge(an_identity(), found).state is state


@given(
    st.fixed_dictionaries(
        {f: st.sampled_from("ab") for f in ("location", "cluster", "pool", "node", "node_uid")}
    )
)
def test_only_an_equal_identity_is_ok(fields: dict[str, str]) -> None:
    expected, found = (
        an_identity(location="a", cluster="a", pool="a", node="a", node_uid="a"),
        an_identity(**fields),
    )
    assert (judge(expected, found).state is OK) == (expected == found)


def test_an_initialised_location_has_its_directories_and_identity(pool: Pool) -> None:
    assert {path.name for path in pool.path.iterdir()} == DIRECTORIES
    assert LocationIdentity.from_json((pool.path / ".goldpool/location.json").read_bytes()) == pool.identity
    owner = STORAGE_UID if os.geteuid() == 0 else os.geteuid()
    for name in DIRECTORIES:
        entry = (pool.path / name).stat()
        assert (entry.st_mode & 0o7777, entry.st_uid) == (0o750, owner)
    assert [path.name for path in (pool.path / ".goldpool").iterdir()] == ["location.json"]


def test_a_second_initialisation_repairs_the_directories_and_changes_nothing_else(pool: Pool) -> None:
    before = pool.tree()
    (pool.path / "volumes").chmod(0o777)
    (pool.path / "trash").rmdir()
    assert pool.one(an_initialize()) is None
    assert pool.tree() == before
    assert (pool.path / "volumes").stat().st_mode & 0o7777 == 0o750


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"cluster": "c-2"}, FailureReason.FOREIGN_POOL),
        ({"pool": "other"}, FailureReason.FOREIGN_POOL),
        ({"node": "node-2"}, FailureReason.REPLACED),
        ({"node": "node-2", "node_uid": "u-2"}, FailureReason.REPLACED),
    ],
)
def test_another_identity_is_never_initialised_over(
    pool: Pool, change: dict[str, str], reason: FailureReason
) -> None:
    before = pool.tree()
    failure = pool.one(an_initialize(an_identity(**change)), identities=())
    assert failure is not None
    assert failure.reason is reason
    assert pool.tree() == before


def test_unknown_files_of_a_new_pool_are_left_alone(tmp_path: Path) -> None:
    pool = Pool(tmp_path, an_identity())
    (pool.path / "lost+found").mkdir(parents=True)
    (pool.path / "photos.tar").write_bytes(b"precious")
    assert pool.one(an_initialize()) is None
    assert (pool.path / "photos.tar").read_bytes() == b"precious"


@pytest.mark.parametrize("remains", ["templates", "volumes"])
def test_a_pool_that_lost_its_identity_is_not_taken_over(tmp_path: Path, remains: str) -> None:
    pool = Pool(tmp_path, an_identity())
    (pool.path / remains).mkdir(parents=True)
    failure = pool.one(an_initialize())
    assert failure is not None
    assert failure.reason is FailureReason.FOREIGN_POOL
    assert remains in failure.message
    assert set(pool.tree()) == {remains}


def test_an_initialisation_that_was_cut_off_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = Pool(tmp_path, an_identity())
    pool.path.mkdir()
    with monkeypatch.context() as patch:

        def cut(*_: object, **__: object) -> None:
            raise KeyboardInterrupt  # as good as a power cut: nothing of ours handles it

        patch.setattr("goldpool.worker.pool.os.link", cut)
        with pytest.raises(KeyboardInterrupt):
            pool.run(an_initialize())
    assert (pool.path / "volumes").is_dir()
    other = pool.one(an_initialize(an_identity(cluster="c-2")), identities=())
    assert other is not None
    assert other.reason is FailureReason.FOREIGN_POOL  # begun by somebody else
    assert pool.one(an_initialize()) is None
    assert the_facts(pool.run(a_probe())).state is OK


@pytest.mark.parametrize(("root", "reason"), [("/", None), ("/srv/pool", FailureReason.NOT_MOUNTED)])
def test_a_required_mount_point_is_checked_before_anything_is_written(
    tmp_path: Path, root: str, reason: FailureReason | None
) -> None:
    pool = Pool(tmp_path / "pools", an_identity())
    pool.path.mkdir(parents=True)
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(f"36 21 8:17 {root} {pool.path} rw - ext4 /dev/sdb1 rw\n")
    failure = pool.one(an_initialize(require_mount=True), mountinfo=mountinfo)
    assert (failure.reason if failure else None) is reason
    assert bool(pool.tree()) == (reason is None)


def test_a_plain_directory_is_no_mount_point_for_the_real_kernel(tmp_path: Path) -> None:
    pool = Pool(tmp_path, an_identity())
    pool.path.mkdir()
    failure = pool.one(an_initialize(require_mount=True))
    assert failure is not None
    assert failure.reason is FailureReason.NOT_MOUNTED
    assert pool.tree() == {}


def test_a_link_in_place_of_a_directory_is_not_followed(tmp_path: Path) -> None:
    pool = Pool(tmp_path / "pools", an_identity())
    pool.path.mkdir(parents=True)
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o711)
    (pool.path / "trash").symlink_to(outside)
    failure = pool.one(an_initialize())
    assert failure is not None
    assert failure.reason is FailureReason.IO_ERROR
    assert outside.stat().st_mode & 0o7777 == 0o711


@pytest.mark.parametrize("operation", writers(), ids=lambda operation: operation.kind)
@pytest.mark.parametrize(
    ("break_it", "reason", "state"),
    [
        (
            lambda pool: (pool.path / ".goldpool/location.json").unlink(),
            FailureReason.NOT_MOUNTED,
            NOT_MOUNTED,
        ),
        (lambda pool: pool.path.rename(pool.path.with_name("gone")), FailureReason.NOT_MOUNTED, NOT_MOUNTED),
        (lambda pool: write_identity(pool, cluster="c-2"), FailureReason.FOREIGN_POOL, FOREIGN),
        (lambda pool: write_identity(pool, node_uid="u-2"), FailureReason.REPLACED, REPLACED),
        (
            lambda pool: (pool.path / ".goldpool/location.json").write_text("{"),
            FailureReason.FOREIGN_POOL,
            FOREIGN,
        ),
    ],
    ids=["no identity", "no directory", "other cluster", "other node", "not ours"],
)
def test_nothing_is_written_where_the_identity_is_another(
    pool: Pool, operation: Operation, break_it: Any, reason: FailureReason, state: LocationState
) -> None:
    break_it(pool)
    before = pool.tree()
    report = pool.run(operation)
    assert report.failures[0].reason is reason
    assert pool.tree() == before
    facts = the_facts(report)
    assert (facts.state, facts.total_bytes, bool(facts.message)) == (state, 0, True)


def write_identity(pool: Pool, **changes: str) -> None:
    (pool.path / ".goldpool/location.json").write_text(an_identity(**changes).to_json())


def test_a_location_the_batch_says_nothing_about_is_not_written_to(pool: Pool) -> None:
    failure = pool.one(a_blank(), identities=())
    assert failure is not None
    assert failure.reason is FailureReason.UNSUPPORTED


def test_a_probe_reports_sizes_and_changes_nothing(pool: Pool) -> None:
    before = pool.tree()
    facts = the_facts(pool.run(a_probe(), identities=()))
    space = os.statvfs(pool.path)
    assert (facts.state, facts.node_uid) == (OK, "u-1")
    assert facts.total_bytes == space.f_blocks * space.f_frsize
    assert 0 < facts.free_bytes <= facts.total_bytes
    assert pool.tree() == before


@pytest.mark.parametrize(
    ("on_disk", "reason"),
    [
        ({}, None),
        ({"node_uid": "u-0"}, None),
        ({"node_uid": "u-0", "node": "node-2"}, FailureReason.REPLACED),
        ({"location": "l-2"}, FailureReason.REPLACED),
        ({"cluster": "c-2"}, FailureReason.FOREIGN_POOL),
    ],
)
def test_only_a_new_node_uid_is_rebound(
    pool: Pool, on_disk: dict[str, str], reason: FailureReason | None
) -> None:
    write_identity(pool, **on_disk)
    before = pool.tree()
    failure = pool.one(a_rebind(), identities=())
    assert (failure.reason if failure else None) is reason
    if reason is None:
        assert the_facts(pool.run(a_probe())).state is OK
    else:
        assert pool.tree() == before


def test_a_location_whose_node_was_registered_anew_is_taken_up_again_with_all_it_holds(pool: Pool) -> None:
    """Its object may have been given up with the Node, so that it is initialised and not rebound."""
    assert pool.one(a_blank()) is None
    anew = an_identity(node_uid="u-2")
    assert pool.one(an_initialize(anew), identities=()) is None
    assert the_facts(pool.run(a_probe(), identities=(anew,))).node_uid == "u-2"
    assert (pool.path / "volumes" / "v-1" / "disk.qcow2").exists()


def test_a_root_that_only_its_maker_may_enter_is_refused_with_the_remedy(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root initialises for somebody else")
    pool = Pool(tmp_path, an_identity())
    pool.path.mkdir(mode=0o700)
    failure = pool.one(an_initialize())
    assert failure is not None
    assert "chmod o+x" in failure.message


def test_a_released_location_belongs_to_nobody_and_can_be_taken_by_another_pool(pool: Pool) -> None:
    assert pool.one(a_blank()) is None
    refused = pool.one(a_release())
    assert refused is not None
    assert refused.reason is FailureReason.VOLUME_CONFLICT
    assert the_facts(pool.run(a_probe())).state is OK
    assert pool.one(DeleteVolume(id="d", location=LOCATION, storage_id="v-1")) is None
    assert pool.one(a_release()) is None
    assert pool.one(a_release()) is None  # asked again
    assert list((pool.path / "trash").iterdir()) == []
    assert the_facts(pool.run(a_probe())).state is NOT_MOUNTED
    other = an_identity(pool="other")
    assert pool.one(an_initialize(other), identities=()) is None
    assert the_facts(pool.run(a_probe(), identities=(other,))).state is OK
    late = pool.one(a_release())
    assert late is not None
    assert late.reason is FailureReason.FOREIGN_POOL


def test_the_owner_can_be_chosen_where_the_process_may_not_give_files_away(tmp_path: Path) -> None:
    initialize(tmp_path, an_identity(), require_mount=False, mountinfo=tmp_path, owner=os.geteuid())
    assert (tmp_path / "volumes").stat().st_uid == os.geteuid()
