"""Bodies that arrive in several answers: what goes on, what begins anew, and that no two versions are ever mixed."""

import hashlib
import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldpool.contracts.operations import DeleteParent, Fetch
from goldpool.contracts.report import FailureReason, Report
from tests.servers import misbehaving as web
from tests.servers.misbehaving import Body, Server
from tests.unit.worker.builders import (
    LOCATION,
    MIB,
    Pool,
    a_checksum,
    a_fetch,
    a_policy,
    a_pool,
    a_raw_disk,
    an_identity,
)

R = FailureReason
DISK = a_raw_disk()
REVISION = hashlib.sha256(DISK).hexdigest()
NEWER = b"\1" * 512 + DISK[512:]
CUT = 2 * MIB + 77
SIZE = len(DISK)
ONCE = a_policy(attempts=1)
GOOD = Body(DISK, etag='"v1"')
BROKEN = replace(GOOD, cut_at=CUT)


def a_broken_fetch(pool: Pool, server: Server, answer: web.Answer = BROKEN, **changes: Any) -> Fetch:
    """The first Job got ``CUT`` bytes."""
    operation = a_fetch(server.answer("/d", answer), policy=ONCE, **changes)
    failure = pool.one(operation)
    assert failure is not None
    assert failure.reason is R.TRANSFER_INCOMPLETE
    return operation


def published(pool: Pool) -> bytes:
    assert pool.unpublished() == []
    assert sorted(path.name for path in (pool.path / "templates/p-1").iterdir()) == [
        "disk.raw",
        "parent.json",
    ]
    return (pool.path / "templates/p-1/disk.raw").read_bytes()


def sent(server: Server) -> list[tuple[int | None, int]]:
    return [(request.status, request.sent) for request in server.requests_of("/d")]


def test_within_a_job_the_next_attempt_goes_on(pool: Pool, server: Server) -> None:
    url = server.answer("/d", web.in_turn(BROKEN, GOOD))
    report = pool.run(a_fetch(url, checksums=(a_checksum(REVISION),)))
    assert published(pool) == DISK
    assert sent(server) == [(200, CUT), (206, len(DISK) - CUT)]
    assert report.fetched is not None
    assert (report.fetched.transferred_bytes, report.fetched.etag) == (len(DISK), '"v1"')
    assert report.fetched.resumed_bytes == 0, "this very Job fetched them"


@pytest.mark.parametrize(
    "identity", [an_identity(), an_identity(node="", node_uid="")], ids=["Host", "Shared"]
)
def test_the_next_job_goes_on(tmp_path: Path, server: Server, identity: Any) -> None:
    pool = a_pool(tmp_path / "pools", identity)
    operation = a_broken_fetch(pool, server)
    entry = pool.unpublished()
    server.answer("/d", GOOD)
    report = pool.run(operation)
    assert report.fetched is not None
    assert (report.fetched.resumed_bytes, report.fetched.transferred_bytes) == (CUT, len(DISK))
    assert len(entry) == 1
    assert published(pool) == DISK
    assert sent(server) == [(200, CUT), (206, len(DISK) - CUT)]


def test_a_late_writer_of_another_host_cannot_reach_what_is_published(tmp_path: Path, server: Server) -> None:
    pool = a_pool(tmp_path / "pools", an_identity(node="", node_uid=""))
    operation = a_broken_fetch(pool, server)
    [entry] = pool.unpublished()
    with (pool.path / "tmp" / entry / "disk.raw").open("r+b") as late:
        server.answer("/d", GOOD)
        assert pool.one(operation) is None
        late.write(b"late" * 1000)
    assert published(pool) == DISK


def test_holes_stay_holes_and_a_hole_at_the_cut_is_counted(pool: Pool, server: Server) -> None:
    disk = b"\1" * (64 << 10) + bytes(16 * MIB) + b"end".ljust(512, b"x")
    body = Body(disk, etag='"v"')
    operation = a_broken_fetch(pool, server, replace(body, cut_at=8 * MIB))
    server.answer("/d", body)
    assert pool.one(operation) is None
    assert published(pool) == disk
    assert (pool.path / "templates/p-1/disk.raw").stat().st_blocks * 512 < MIB
    assert sent(server)[1] == (206, len(disk) - 8 * MIB)


DATED = Body(DISK, last_modified="Mon, 02 Jan 2023 10:00:00 GMT")


@dataclass(frozen=True)
class Change:
    """What the server says to the first Job (cut off) and to the next one."""

    name: str
    after: Body
    expected: bytes = DISK
    statuses: tuple[int, ...] = (200, 200)
    before: Body = GOOD


SENT_AGAIN = (200, 206, 200)
CHANGES = [
    Change("nothing", GOOD, statuses=(200, 206)),
    Change("nothing, by date", DATED, before=DATED, statuses=(200, 206)),
    Change("nothing to compare", Body(DISK), before=Body(DISK)),
    Change("weak ETag", replace(GOOD, etag='W/"v1"'), before=replace(GOOD, etag='W/"v1"')),
    Change("rest in chunks", replace(GOOD, framing="chunked"), statuses=(200, 206)),
    Change("rest without length", replace(GOOD, framing="close"), statuses=(200, 206)),
    Change("ranges ignored", replace(GOOD, ranges=False)),
    Change("other version", Body(NEWER, etag='"v2"'), NEWER),
    Change("other version, If-Range ignored", Body(NEWER, etag='"v2"', if_range=False), NEWER, SENT_AGAIN),
    Change("longer", Body(DISK + NEWER, etag='"v1"'), DISK + NEWER, SENT_AGAIN),
    Change("shorter", Body(DISK[:MIB], etag='"v1"'), DISK[:MIB], (200, 416, 200)),
    Change("other place", replace(GOOD, content_range=f"bytes 0-{SIZE - 1}/{SIZE}"), statuses=SENT_AGAIN),
    Change("beyond", replace(GOOD, content_range=f"bytes {CUT}-{SIZE}/{SIZE}"), statuses=SENT_AGAIN),
    Change("place unsaid", replace(GOOD, content_range=""), statuses=SENT_AGAIN),
    Change("total unsaid", replace(GOOD, content_range=f"bytes {CUT}-{SIZE - 1}/*"), statuses=SENT_AGAIN),
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_what_the_next_job_makes_of_the_servers_answer(pool: Pool, server: Server, change: Change) -> None:
    operation = a_broken_fetch(pool, server, replace(change.before, cut_at=CUT))
    server.answer("/d", change.after)
    assert pool.one(operation) is None
    assert published(pool) == change.expected
    assert tuple(status for status, _ in sent(server)) == change.statuses


@pytest.mark.parametrize(
    "body",
    [Body(DISK), replace(GOOD, etag='W/"v1"'), replace(GOOD, framing="chunked")],
    ids=["no validator", "weak", "no length"],
)
def test_what_could_not_be_continued_is_not_kept(pool: Pool, server: Server, body: Body) -> None:
    a_broken_fetch(
        pool, server, replace(body, cut_at=CUT) if body.framing == "length" else web.truncated_chunks(DISK)
    )
    assert pool.unpublished() == []


@pytest.mark.parametrize("status", [404, 403, 500, 503])
def test_a_source_that_is_away_for_a_while_takes_nothing(pool: Pool, server: Server, status: int) -> None:
    operation = a_broken_fetch(pool, server)
    server.answer("/d", web.status(status))
    assert pool.one(operation) is not None
    server.answer("/d", GOOD)
    assert pool.one(operation) is None
    assert published(pool) == DISK
    assert sent(server) == [(200, CUT), (status, 0), (206, len(DISK) - CUT)]


def test_a_body_that_is_complete_is_not_asked_for_again(pool: Pool, server: Server) -> None:
    """The last Job was killed between the last byte and the publication."""
    operation = a_broken_fetch(pool, server)
    [entry] = (pool.path / "tmp").iterdir()
    (entry / "disk.raw").write_bytes(DISK)
    record = json.loads((entry / "transfer.json").read_bytes())
    (entry / "transfer.json").write_text(json.dumps(record | {"received": len(DISK)}))
    assert pool.one(operation) is None
    assert published(pool) == DISK
    assert server.hits["/d"] == 1


def test_a_wrong_digest_of_a_continued_body_proves_nothing_and_the_next_one_begins_anew(
    pool: Pool, server: Server
) -> None:
    """The server gave the same ETag to two versions."""
    other = Body(NEWER, etag='"v1"')
    url = server.answer("/d", web.in_turn(replace(other, cut_at=CUT), GOOD))
    pinned: dict[str, Any] = {"checksums": (a_checksum(REVISION),), "policy": a_policy(attempts=3)}
    assert pool.one(a_fetch(url, **pinned)) is None
    assert published(pool) == DISK
    assert [status for status, _ in sent(server)] == [200, 206, 200]


def test_only_digests_of_bodies_in_one_piece_count(pool: Pool, server: Server) -> None:
    """Both pieces are wrong: with two attempts nothing is proven, and the next Job proves it."""
    wrong = Body(NEWER, etag='"v1"')
    url = server.answer("/d", web.in_turn(replace(wrong, cut_at=CUT), wrong))
    operation = a_fetch(url, checksums=(a_checksum(REVISION),))
    first = pool.one(operation)
    assert first is not None
    assert first.reason is R.TRANSFER_INCOMPLETE
    assert pool.unpublished() == []
    again = pool.one(operation)
    assert again is not None
    assert again.reason is R.CHECKSUM_MISMATCH


def test_without_a_checksum_a_continued_page_gives_the_mirror_another_turn(
    pool: Pool, server: Server
) -> None:
    page = b"<html>sign in</html>".ljust(len(DISK))
    url = server.answer("/d", web.in_turn(Body(page, etag='"v1"', cut_at=CUT), GOOD))
    assert pool.one(a_fetch(url, policy=a_policy(attempts=3))) is None
    assert published(pool) == DISK


def test_mirrors_do_not_take_each_others_work_away(pool: Pool, server: Server) -> None:
    urls = [server.answer(f"/{name}", Body(DISK, etag=f'"{name}"', cut_at=CUT)) for name in "abcde"]
    assert pool.one(a_fetch(*urls, policy=ONCE)) is not None
    assert len(pool.unpublished()) == 3
    server.answer("/e", Body(DISK, etag='"e"'))
    assert pool.one(a_fetch(urls[4], policy=ONCE)) is None
    assert published(pool) == DISK
    assert server.sent("/e") == len(DISK)


def test_other_mirrors_bytes_give_way_where_there_is_no_room_for_both(
    pool: Pool, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_broken_fetch(pool, server)
    [kept] = pool.unpublished()
    other = server.answer("/other", GOOD)
    # As if the pool had room for one of them: what is free is less than a disk while the first one is there.
    monkeypatch.setattr(
        "goldpool.worker.pool.Location.free_bytes",
        lambda location: len(DISK) - (1 if kept in pool.unpublished() else 0),
    )
    assert pool.one(a_fetch(other, policy=ONCE)) is None
    assert published(pool) == DISK


@pytest.mark.parametrize(
    "spoil",
    [
        lambda entry: (entry / "transfer.json").write_text("{}"),
        lambda entry: (entry / "transfer.json").unlink(),
        lambda entry: (entry / "disk.raw").unlink(),
        lambda entry: (entry / "transfer.json").write_text(
            json.dumps(json.loads((entry / "transfer.json").read_text()) | {"version": 99})
        ),
        lambda entry: (entry / "transfer.json").write_text(
            json.dumps(json.loads((entry / "transfer.json").read_text()) | {"received": 1 << 40})
        ),
    ],
    ids=["no record", "none at all", "no file", "later version", "more than all"],
)
def test_what_cannot_be_understood_is_fetched_anew(pool: Pool, server: Server, spoil: Any) -> None:
    operation = a_broken_fetch(pool, server)
    [entry] = (pool.path / "tmp").iterdir()
    spoil(entry)
    server.answer("/d", GOOD)
    assert pool.one(operation) is None
    assert published(pool) == DISK
    assert [status for status, _ in sent(server)] == [200, 200]


def test_a_link_in_the_place_of_the_file_leads_nowhere(pool: Pool, server: Server, tmp_path: Path) -> None:
    operation = a_broken_fetch(pool, server)
    [entry] = (pool.path / "tmp").iterdir()
    (tmp_path / "victim").write_bytes(b"v" * len(DISK))
    (entry / "disk.raw").unlink()
    (entry / "disk.raw").symlink_to(tmp_path / "victim")
    server.answer("/d", GOOD)
    assert pool.one(operation) is None
    assert published(pool) == DISK
    assert (tmp_path / "victim").read_bytes() == b"v" * len(DISK)


def test_the_record_holds_no_url(pool: Pool, server: Server) -> None:
    url = server.answer("/d", BROKEN)
    assert pool.one(a_fetch(f"{url}?signature=secret", policy=ONCE)) is not None
    assert all(b"secret" not in content for content in pool.tree().values() if isinstance(content, bytes))


@pytest.mark.parametrize(
    ("answer", "changes"),
    [
        (GOOD, {"policy": a_policy(reserve_bytes=1 << 60)}),  # its space is needed at once
        (GOOD, {"policy": a_policy(max_bytes=MIB)}),
        (GOOD, {"checksums": (a_checksum("b" * 64),)}),
    ],
    ids=["full", "too large", "wrong"],
)
def test_what_does_not_pass_leaves_nothing(
    pool: Pool, server: Server, answer: Body, changes: dict[str, Any]
) -> None:
    operation = a_broken_fetch(pool, server)
    server.answer("/d", answer)
    assert pool.one(operation.replace(**changes)) is not None
    assert pool.unpublished() == []


def test_a_deletion_takes_the_partial_body_too(pool: Pool, server: Server) -> None:
    a_broken_fetch(pool, server)
    assert pool.one(DeleteParent(id="d", location=LOCATION, parent="p-1")) is None
    assert pool.unpublished() == []


Step = tuple[int, int | None, str]
"""Version, where the connection is cut (None: nowhere), and how the server treats ranges."""
VERSIONS = [bytes([number]) * 1024 + a_raw_disk(192 << 10) + bytes(200 << 10) for number in range(3)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.none() | st.integers(0, len(VERSIONS[0]) - 1),
            st.sampled_from(["honest", "no ranges", "no If-Range", "no ETag", "by date"]),
        ),
        max_size=6,
    ),
    st.booleans(),
)
def test_whatever_happens_on_the_way_the_end_is_one_version(steps: list[Step], shared: bool) -> None:
    with web.serving() as server, tempfile.TemporaryDirectory() as directory:
        identity = an_identity(node="", node_uid="") if shared else an_identity()
        pool = a_pool(Path(directory) / "pools", identity)
        operation = a_fetch(server.url("/d"), policy=ONCE)
        for version, cut_at, manner in [*steps, (2, None, "honest")]:
            server.answer("/d", _served(version, cut_at, manner))
            report: Report = pool.run(operation)
            if report.succeeded(0):
                break
        assert published(pool) in VERSIONS


def _served(version: int, cut_at: int | None, manner: str) -> Body:
    # One second apart, so that dates tell them apart as servers' dates do.
    modified = f"Mon, 02 Jan 2023 10:00:0{version} GMT"
    return Body(
        VERSIONS[version],
        etag=f'"{version}"' if manner in {"honest", "no ranges", "no If-Range"} else "",
        last_modified=modified if manner != "no ETag" else "",
        ranges=manner != "no ranges",
        if_range=manner != "no If-Range",
        cut_at=cut_at,
    )
