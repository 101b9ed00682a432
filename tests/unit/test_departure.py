"""What keeps the chart, and what it says then."""

import pytest

from goldpool.departure import Release, Remaining, blocking, refusal
from goldpool.kube import resources as r

KEPT = {r.STORAGE_POOL: 2, r.TEMPLATE: 1}


@pytest.mark.parametrize(
    ("found", "crds_kept", "lines"),
    [
        (Remaining({}, {}), True, []),
        (Remaining({}, KEPT), True, []),  # they wait for the next installation
        (Remaining({}, KEPT), False, ["2 StoragePools", "1 Template"]),  # their CRDs would hang
        (Remaining({r.VOLUME: {"b": 1}}, {}), True, ["1 Volume (1 in b)"]),
        (
            Remaining({r.VOLUME: {"a": 1, "b": 3, "c": 3}, r.VIRTUAL_MACHINE: {"a": 2}}, KEPT),
            True,
            ["7 Volumes (3 in b, 3 in c, 1 in a)", "2 VirtualMachines (2 in a)"],
        ),
        (
            Remaining({r.VOLUME: {f"team-{n:02}": 1 for n in range(13)}}, {}),
            True,
            [f"13 Volumes ({', '.join(f'1 in team-{n:02}' for n in range(10))} and 3 more namespaces)"],
        ),
    ],
)
def test_what_is_still_needed_keeps_the_chart(found: Remaining, crds_kept: bool, lines: list[str]) -> None:
    assert blocking(found, crds_kept=crds_kept) == lines


def test_the_refusal_names_what_is_left_and_both_ways_on() -> None:
    said = refusal(["7 Volumes (7 in a)"], Release("gp", "system", "4"))
    assert "nothing was removed" in said
    assert "  7 Volumes (7 in a)\n" in said
    assert "  helm uninstall gp --namespace system --no-hooks\n" in said
    assert said.endswith("  helm rollback gp 4 --namespace system")
