"""What lies at a location against what objects know of it. Nothing is changed, whatever is found."""

from goldpool.contracts.facts import INSPECTION_NAMES, Inspection
from goldpool.contracts.layout import TEMPLATES, VOLUMES
from goldpool.contracts.operations import Known
from goldpool.worker.failures import shortened
from goldpool.worker.release import entries

_NAME_LIMIT = 60
"""Characters; ours are shorter, and what somebody else put there must not crowd out the report."""


def inspect(root: int, known: Known) -> Inspection:
    """Names on disk are never reused, so parents and volumes need not be told apart."""
    found = {name: directory for directory in (TEMPLATES, VOLUMES) for name in entries(root, directory)}
    missing = sorted(set(known.present) - found.keys())
    unknown = sorted(
        f"{directory}/{name}"
        for name, directory in found.items()
        if name not in known.present and name not in known.transient
    )
    return Inspection(
        missing=tuple(missing[:INSPECTION_NAMES]),
        missing_total=len(missing),
        unknown=tuple(shortened(name, _NAME_LIMIT) for name in unknown[:INSPECTION_NAMES]),
        unknown_total=len(unknown),
    )
