"""What a Job says about itself in labels and annotations, so that a restarted operator finds its operations.

Readable by every version of the operator: a Job of another contract version still occupies its slot and its names.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from goldpool.contracts.model import CONTRACT_VERSION
from goldpool.contracts.operations import DeleteParent, DeleteVolume, Release
from goldpool.dispatch.claims import Claims, claims_of
from goldpool.dispatch.request import Request
from goldpool.kube.port import Key, Obj

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "goldpool"
JOB_LABEL: Final = "goldpool.io/job"
LOCATION_LABEL: Final = "goldpool.io/location"
CONTRACT: Final = "goldpool.io/contract-version"
PLACE: Final = "goldpool.io/place"
OPERATIONS: Final = "goldpool.io/operations"
SELECTOR: Final = f"{MANAGED_BY}={MANAGER},{JOB_LABEL}"
SLOTS: Final = 2

_LABEL_LIMIT: Final = 63
_REMOVALS: Final = frozenset(kind.__name__ for kind in (DeleteVolume, DeleteParent, Release))


class JobKind(StrEnum):
    SLOT = "slot"
    FETCH = "fetch"
    PROBE = "probe"


@dataclass(frozen=True, slots=True, order=True)
class Lane:
    """Where Jobs share two slots: one location, seen from one executing host. ``pool`` is the location's; what touches
    no pool has neither."""

    location: str
    host: str
    pool: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """One operation as its Job's annotation has it."""

    id: str
    kind: str
    owner: Key
    claims: Claims

    def uses(self, name: str) -> bool:
        """The deletion of a name is no user of it: a deleter must not find itself."""
        own_deletion = self.kind in _REMOVALS and name in self.claims.holds
        return not own_deletion and (name in self.claims.holds or name in self.claims.reads)


@dataclass(frozen=True, slots=True)
class JobRecord:
    """The Job's name is the mutex, whoever leads."""

    name: str
    kind: JobKind
    lane: Lane
    operations: tuple[Recorded, ...]

    @property
    def claims(self) -> Claims:
        every = [operation.claims for operation in self.operations]
        return Claims(
            frozenset[str]().union(*(claims.holds for claims in every)),
            frozenset[str]().union(*(claims.reads for claims in every)),
        )


def lane_of(request: Request) -> Lane:
    if request.mount is None:
        return Lane("", request.host, "")
    return Lane(request.mount.location, request.host, request.mount.identity.pool)


def recorded(request: Request) -> Recorded:
    operation = request.operation
    return Recorded(operation.id, operation.kind, request.owner, claims_of(operation))


def slot_names(lane: Lane) -> tuple[str, ...]:
    """The fixed names of a lane's slots; the pool's name is no part of them."""
    digest = _digest(f"{lane.location}\0{lane.host}")
    return tuple(f"slot-{digest}-{index}" for index in range(SLOTS))


def label_value(location: str) -> str:
    """The location itself where it fits into a label, else a digest of it."""
    return location if len(location) <= _LABEL_LIMIT else _digest(location)


def annotations(record: JobRecord) -> dict[str, str]:
    lane = record.lane
    return {
        CONTRACT: str(CONTRACT_VERSION),
        PLACE: _json({"location": lane.location, "host": lane.host, "pool": lane.pool}),
        OPERATIONS: _json([_as_json(operation) for operation in record.operations]),
    }


def read_record(job: Obj) -> JobRecord:
    """Raises ValueError for a Job that is none of ours."""
    metadata = job["metadata"]
    labels, notes = metadata.get("labels") or {}, metadata.get("annotations") or {}
    try:
        place = json.loads(notes[PLACE])
        return JobRecord(
            name=metadata["name"],
            kind=JobKind(labels[JOB_LABEL]),
            lane=Lane(place["location"], place["host"], place["pool"]),
            operations=tuple(_from_json(entry) for entry in json.loads(notes[OPERATIONS])),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"Job {metadata['name']} lacks what Goldpool writes: {error}") from error


def _as_json(operation: Recorded) -> dict[str, Any]:
    owner, claims = operation.owner, operation.claims
    return {
        "id": operation.id,
        "kind": operation.kind,
        "owner": [owner.kind, owner.namespace, owner.name],
        "holds": sorted(claims.holds),
        "reads": sorted(claims.reads),
    }


def _from_json(entry: Mapping[str, Any]) -> Recorded:
    kind, namespace, name = entry["owner"]
    claims = Claims(frozenset(entry["holds"]), frozenset(entry["reads"]))
    return Recorded(entry["id"], entry["kind"], Key(kind, namespace, name), claims)


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
