"""What is promised per location, summed from the objects."""

from typing import Any

import pytest

from goldpool.planning.backoff import delay
from goldpool.planning.ledger import Ledger
from goldpool.planning.promises import Promised
from tests.unit.planning.builders import a_parent, a_registered_template, a_storage_location, a_volume

ROOT, GOLDEN = a_storage_location("std-a"), a_storage_location()


def sums(volumes: list[Any], parents: list[Any], *templates: Any) -> dict[str, Promised]:
    ledger = Ledger.of(volumes, parents, [ROOT, GOLDEN], templates)
    return {x.metadata.name: ledger.at(x.metadata.name) for x in (ROOT, GOLDEN)}


def test_bound_volumes_and_parents_are_promised_and_wishes_are_not() -> None:
    volumes = [
        a_volume("a", bound_to=("std-a", "node-1"), parent_pool="golden-ssd", size=100, iops=7),
        a_volume("b", bound_to=("std-a", "node-1"), parent_pool="golden-ssd", size=50),
        a_volume("wish", size=1000),
    ]
    assert sums(volumes, [a_parent(virtualSize=400)]) == {
        "std-a.node-1": Promised(150, 7, 0),
        "golden-ssd.node-1": Promised(400, 0, 0),
    }


def test_a_volume_without_a_size_is_promised_as_large_as_its_template() -> None:
    volume = a_volume(bound_to=("std-a", "node-1"), parent_pool="golden-ssd", size=None)
    assert sums([volume], [], a_registered_template(virtualSize=400))["std-a.node-1"].allocated_bytes == 400
    made = a_volume(bound_to=("std-a", "node-1"), parent_pool="golden-ssd", size=None, capacity=500)
    assert sums([made], [], a_registered_template(virtualSize=400))["std-a.node-1"].allocated_bytes == 500


def test_a_parent_that_has_no_object_yet_is_reserved_once_by_its_children() -> None:
    volumes = [a_volume(n, bound_to=("std-a", "node-1"), parent_pool="golden-ssd") for n in ("a", "b")]
    template = a_registered_template(size=60, virtualSize=400)
    assert sums(volumes, [], template)["golden-ssd.node-1"] == Promised(400, 0, 60)


@pytest.mark.parametrize(
    ("parent", "template", "expected"),
    [
        ({"state": "Fetching", "expected": 60, "done": 20}, {"virtualSize": 400}, Promised(400, 0, 40)),
        ({"state": "Fetching", "expected": 60}, {}, Promised(60, 0, 60)),
        ({"state": "Failed"}, {"size": 60, "virtualSize": 400}, Promised(400, 0, 60)),
        ({"state": "Ready", "virtualSize": 500}, {"virtualSize": 400}, Promised(500, 0, 0)),
        ({"state": "Pending"}, {}, Promised(0, 0, 0)),
    ],
)
def test_a_parent_is_promised_with_what_is_known(
    parent: dict[str, Any], template: dict[str, Any], expected: Promised
) -> None:
    assert sums([], [a_parent(**parent)], a_registered_template(**template))["golden-ssd.node-1"] == expected


def test_a_parent_of_unknown_size_reserves_the_largest_known() -> None:
    known = (a_registered_template("big", virtualSize=900), a_registered_template())
    assert sums([], [a_parent(state="Pending")], *known)["golden-ssd.node-1"].allocated_bytes == 900
    assert Ledger().unknown == 0


@pytest.mark.parametrize(
    ("failures", "unit", "seconds"),
    [(0, 0.5, 0), (1, 0, 0.5), (1, 0.5, 0.75), (4, 0, 4), (9, 0, 128), (10, 0, 150), (10**9, 0, 150)],
)
def test_the_wait_doubles_up_to_its_cap(failures: int, unit: float, seconds: float) -> None:
    assert delay(failures, unit) == seconds


@pytest.mark.parametrize("unit", [-0.1, 1.0])
def test_the_random_unit_is_checked(unit: float) -> None:
    with pytest.raises(ValueError, match="not within"):
        delay(1, unit)
