"""Who a location says it is, and whether that is who it must be."""

import os
from dataclasses import dataclass
from pathlib import Path

from goldpool.contracts.facts import LocationFacts, LocationState
from goldpool.contracts.layout import IDENTITY_FILE, LocationIdentity
from goldpool.contracts.model import Misread
from goldpool.contracts.report import FailureReason
from goldpool.worker import publish
from goldpool.worker.failures import OperationFailed

_REASONS = {
    LocationState.NOT_MOUNTED: FailureReason.NOT_MOUNTED,
    LocationState.FOREIGN: FailureReason.FOREIGN_POOL,
    LocationState.REPLACED: FailureReason.REPLACED,
}


@dataclass(frozen=True)
class Finding:
    """How a location was found. ``identity`` is None when there is none, or none that can be understood."""

    state: LocationState
    message: str = ""
    identity: LocationIdentity | None = None

    def failure(self) -> OperationFailed:
        return OperationFailed(_REASONS[self.state], self.message)


def find(root: int, expected: LocationIdentity) -> Finding:
    """The verdict on an open location. Nothing is written."""
    try:
        return judge(expected, read_identity(root))
    except Misread as error:
        return Finding(LocationState.FOREIGN, f"{IDENTITY_FILE} cannot be understood: {error}")


def read_identity(root: int) -> LocationIdentity | None:
    """None when there is no identity file; ``Misread`` when it is not one of ours."""
    try:
        with publish.directory(IDENTITY_FILE.parent, at=root) as goldpool:
            content = publish.read_file(IDENTITY_FILE.name, at=goldpool)
    except FileNotFoundError:
        return None
    return LocationIdentity.from_json(content)


def judge(expected: LocationIdentity, found: LocationIdentity | None) -> Finding:
    """Another cluster or pool is foreign; this pool's disk of another location or Node was replaced."""
    if found is None:
        return Finding(
            LocationState.NOT_MOUNTED,
            f"no {IDENTITY_FILE}: not mounted, or not yet initialised: nothing was written",
        )
    for field in ("cluster", "pool"):
        if getattr(found, field) != getattr(expected, field):
            return Finding(LocationState.FOREIGN, _differs(field, expected, found), found)
    for field in ("location", "node", "node_uid"):
        if getattr(found, field) != getattr(expected, field):
            return Finding(LocationState.REPLACED, _differs(field, expected, found), found)
    return Finding(LocationState.OK, identity=found)


def _differs(field: str, expected: LocationIdentity, found: LocationIdentity) -> str:
    return f"{field} is {getattr(found, field)!r} here, {getattr(expected, field)!r} was expected: nothing was written"


def facts(path: Path, location: str, expected: LocationIdentity | None) -> LocationFacts:
    """How the location is now; never raises, because a broken pool is a fact too.

    Without an expected identity (a Probe of an unknown disk) the location's own ID is all that is compared.
    """
    try:
        with publish.directory(path) as root:
            finding = find(root, expected) if expected is not None else _introduction(root, location)
            node_uid = finding.identity.node_uid if finding.identity is not None else ""
            if finding.state is not LocationState.OK:
                return LocationFacts(
                    location=location, state=finding.state, node_uid=node_uid, message=finding.message
                )
            space = os.fstatvfs(root)
    except OSError as error:
        message = f"{error.strerror or error} ({path})"
        return LocationFacts(location=location, state=LocationState.NOT_MOUNTED, message=message)
    return LocationFacts(
        location=location,
        state=LocationState.OK,
        total_bytes=space.f_blocks * space.f_frsize,
        free_bytes=space.f_bavail * space.f_frsize,
        node_uid=node_uid,
    )


def _introduction(root: int, location: str) -> Finding:
    try:
        found = read_identity(root)
    except Misread as error:
        return Finding(LocationState.FOREIGN, f"{IDENTITY_FILE} cannot be understood: {error}")
    if found is None:
        return Finding(LocationState.NOT_MOUNTED, f"no {IDENTITY_FILE}: not mounted, or not yet initialised")
    if found.location != location:
        return Finding(LocationState.REPLACED, f"this is location {found.location!r}", found)
    return Finding(LocationState.OK, identity=found)
