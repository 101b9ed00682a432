"""What a tenant may ask of the cluster's scheduler only where an administrator has allowed it."""

from goldpool.api.conditions import Reason
from goldpool.controllers.verdict import stalled
from goldpool.controllers.virtualmachine.observed import Observed
from goldpool.controllers.virtualmachine.status import Draft
from goldpool.engine.plan import Plan

EVERYTHING = "*"


def heed_allowances(o: Observed, draft: Draft) -> Plan | None:
    """Asked before each start: a machine that runs goes on when the lists get shorter."""
    refused = _refused_priority_class(o) or _refused_toleration(o)
    if refused is None:
        return None
    reason, message = refused
    return Plan(status=draft.status(stalled(reason, message), "Failed"))


def _refused_priority_class(o: Observed) -> tuple[Reason, str] | None:
    """Whoever may name any class may evict everybody else's pods."""
    wanted, allowed = o.machine.spec.priority_class_name, o.pods.allowed_priority_classes
    if wanted is None or wanted in allowed:
        return None
    message = f"spec.priorityClassName: {wanted} is not allowed here; {_choice(allowed)}"
    return Reason.PRIORITY_CLASS_NOT_ALLOWED, message


def _refused_toleration(o: Observed) -> tuple[Reason, str] | None:
    """Taints keep nodes for somebody: whoever may tolerate any takes the control plane's nodes, too."""
    allowed = o.pods.allowed_tolerations
    if EVERYTHING in allowed:
        return None
    for toleration in o.machine.spec.tolerations:
        if toleration.key not in allowed:
            key = toleration.key or "every taint"
            message = f"spec.tolerations: to tolerate {key} is not allowed here; {_choice(allowed)}"
            return Reason.TOLERATION_NOT_ALLOWED, message
    return None


def _choice(allowed: tuple[str, ...]) -> str:
    return f"allowed is one of {', '.join(allowed)}" if allowed else "allowed is none: remove it"
