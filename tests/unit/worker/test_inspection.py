"""What a Probe says of a location's content; it changes nothing."""

import os
from pathlib import Path

import pytest

from goldpool.contracts.facts import Inspection, LocationState
from goldpool.contracts.operations import Known, Probe
from goldpool.contracts.report import Report
from goldpool.worker.report import encoded
from tests.unit.worker.builders import LOCATION, Pool, a_blank, a_pool


def probed(pool: Pool, known: Known | None) -> Inspection | None:
    before = pool.tree()
    report = pool.run(Probe(id="probe", location=LOCATION, known=known))
    assert report.succeeded(0)
    assert pool.tree() == before
    (facts,) = report.locations
    return facts.inspection


def known(*present: str, transient: tuple[str, ...] = ()) -> Known:
    return Known(present=present, transient=transient)


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    """With one volume and one parent."""
    pool = a_pool(tmp_path)
    assert pool.one(a_blank("v-11111111")) is None
    (pool.path / "templates" / "debian-12-aaaaaaaa").mkdir()
    return pool


BOTH = ("debian-12-aaaaaaaa", "v-11111111")


@pytest.mark.parametrize(
    ("asked", "missing", "unknown"),
    [
        (known(*BOTH), (), ()),
        (known("v-11111111", transient=("debian-12-aaaaaaaa",)), (), ()),
        (known(*BOTH, "v-22222222"), ("v-22222222",), ()),
        (known(*BOTH, transient=("v-22222222",)), (), ()),
        (known("v-11111111"), (), ("templates/debian-12-aaaaaaaa",)),
        (known(), (), ("templates/debian-12-aaaaaaaa", "volumes/v-11111111")),
    ],
)
def test_what_is_missing_and_what_nobody_knows(
    pool: Pool, asked: Known, missing: tuple[str, ...], unknown: tuple[str, ...]
) -> None:
    found = probed(pool, asked)
    assert found is not None
    assert (found.missing, found.unknown) == (missing, unknown)
    assert (found.missing_total, found.unknown_total) == (len(missing), len(unknown))


def test_a_probe_that_names_nothing_compares_nothing(pool: Pool) -> None:
    assert probed(pool, None) is None


def test_many_names_are_counted_and_ten_are_told(pool: Pool) -> None:
    for number in range(30):
        (pool.path / "volumes" / f"stranger-{number:02}-{'x' * 200}").mkdir()
    found = probed(pool, known(*BOTH, *(f"v-{n:08}" for n in range(40, 80))))
    assert found is not None
    assert (len(found.missing), found.missing_total) == (10, 40)
    assert (len(found.unknown), found.unknown_total) == (10, 30)
    assert len(found.to_json()) < 1200


def test_a_name_that_is_not_utf_8_is_told_all_the_same(pool: Pool) -> None:
    """A report that cannot be written loses what its Job did: one stray name would keep a location from being well."""
    (pool.path / "volumes" / os.fsdecode(b"v-\xff")).mkdir()
    report = pool.run(Probe(id="probe", location=LOCATION, known=known(*BOTH)))
    (facts,) = Report.from_json(encoded(report)).locations
    assert facts.inspection is not None
    assert facts.inspection.unknown == ("volumes/v-?",)


def test_a_location_that_is_not_ours_is_not_looked_into(pool: Pool) -> None:
    (pool.path / ".goldpool" / "location.json").unlink()
    report = pool.run(Probe(id="probe", location=LOCATION, known=known(*BOTH)))
    (facts,) = report.locations
    assert (facts.state, facts.inspection) == (LocationState.NOT_MOUNTED, None)
