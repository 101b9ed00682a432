"""What a test asks of a plan."""

from typing import Any, TypeVar

from goldpool.dispatch.request import Ask, Settle
from goldpool.engine.plan import Plan

EffectT = TypeVar("EffectT")


def effects_of(plan: Plan, kind: type[EffectT]) -> list[EffectT]:
    return [e for e in plan.effects if isinstance(e, kind)]


def only(plan: Plan, kind: type[EffectT]) -> EffectT:
    """The plan's one effect of this kind."""
    found = effects_of(plan, kind)
    assert len(found) == 1, plan.effects
    return found[0]


def asked(plan: Plan) -> Any:
    """The one operation that is asked for."""
    return only(plan, Ask).request.operation


def settled(plan: Plan) -> list[str]:
    return [e.operation_id for e in plan.afterwards if isinstance(e, Settle)]


def names(plan: Plan) -> list[str]:
    """The effects by their kinds, in order."""
    return [type(e).__name__ for e in plan.effects]


def condition(plan: Plan, kind: str = "Ready") -> dict[str, Any] | None:
    assert plan.status is not None, "the plan leaves the status alone"
    found: list[dict[str, Any]] = [c for c in plan.status["conditions"] if c["type"] == kind]
    return found[0] if found else None


def reason(plan: Plan) -> str:
    """Of Ready."""
    ready = condition(plan)
    assert ready is not None
    return str(ready["reason"])


def message(plan: Plan) -> str:
    ready = condition(plan)
    assert ready is not None
    return str(ready["message"])


def is_ready(plan: Plan) -> bool:
    ready = condition(plan)
    return ready is not None and ready["status"] == "True"


def is_stalled(plan: Plan) -> bool:
    return condition(plan, "Stalled") is not None


def is_reconciling(plan: Plan) -> bool:
    return condition(plan, "Reconciling") is not None


def field(plan: Plan, name: str) -> Any:
    assert plan.status is not None
    return plan.status.get(name)
