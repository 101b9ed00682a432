"""``goldenPolicy: Preferred``: where no golden pool can serve, parents lie beside their children on ordinary pools.

The fallback is a plan of its own, asked for only when the golden one places nothing. It is the plan of templates that
are not golden, so the filters, the charges and the walk are the same; a golden plan never looks at its copies.
"""

from collections.abc import Callable
from dataclasses import replace

from goldpool.planning.rejections import Unplaceable
from goldpool.planning.views import DiskWish, MachineWish, Placement


def beside(wish: MachineWish) -> MachineWish | None:
    """The wish with every golden parent beside its child, and a golden medium on an ordinary pool; None where that may not
    be, or would change nothing."""
    if not wish.may_fall_back or not any(map(is_golden, wish.disks)):
        return None
    return replace(wish, disks=tuple(map(_beside, wish.disks)), may_fall_back=False)


def planned(
    wish: MachineWish, plan: Callable[[MachineWish], Placement | Unplaceable]
) -> Placement | Unplaceable:
    """What ``plan`` answers, asked for the fallback only when it places nothing. It is never asked to fall back."""
    answer = plan(replace(wish, may_fall_back=False))
    if isinstance(answer, Placement) or (second := beside(wish)) is None:
        return answer
    found = plan(second)
    return _marked(found, wish) if isinstance(found, Placement) else replace(found, fallback=True)


def is_golden(disk: DiskWish) -> bool:
    return disk.template is not None and disk.template.golden


def _marked(found: Placement, wish: MachineWish) -> Placement:
    """With the disks marked whose parents would be on golden pools."""
    disks = zip(found.disks, wish.disks, strict=True)
    return replace(found, disks=tuple(replace(d, fallback=is_golden(asked)) for d, asked in disks))


def _beside(disk: DiskWish) -> DiskWish:
    template = disk.template
    return disk if template is None else replace(disk, template=replace(template, golden=False))
