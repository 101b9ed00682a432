"""The operator's Lease, from outside."""

from typing import Final

from tests.e2e.api import SYSTEM_NAMESPACE, Api

LEASE: Final = "goldpool-operator"


def holder(api: Api) -> str:
    """The identity, which begins with the replica's name; empty when nobody holds it."""
    lease = api.get("Lease", LEASE, SYSTEM_NAMESPACE) or {}
    return str(lease.get("spec", {}).get("holderIdentity") or "")


def free(api: Api) -> None:
    """For a holder that is known to be dead: the next one need not wait until the Lease runs out."""
    if holder(api):
        api.patch("Lease", LEASE, {"spec": {"holderIdentity": ""}}, SYSTEM_NAMESPACE)
