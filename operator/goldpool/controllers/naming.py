"""Names: those derived from UIDs (the same again for the same thing) and those minted once (never again)."""

from typing import Any, Final

from goldpool.planning.identity import digest

FINALIZER: Final = "goldpool.io/protected"
"""On every object whose deletion must first undo something."""
STOPPED_FINALIZER: Final = "goldpool.io/stopped"
"""On VM pods: the object stays until its processes are proven to have ended."""

RETRY_ANNOTATION: Final = "goldpool.io/retry"
REFETCH_ANNOTATION: Final = "goldpool.io/refetch"
"""On a Template: each new value has the source fetched anew, as a revision beside the one there is."""
ABANDON_ANNOTATION: Final = "goldpool.io/abandon"
"""Names the place whose bytes and processes a person has given up, so that deletions need not wait for it."""
ABANDONED_ANNOTATION: Final = "goldpool.io/abandoned"
"""On a volume's Lease: the host on which the holder was given up. It may still write, so nobody else gets the claim."""
MADE_FOR_ANNOTATION: Final = "goldpool.io/made-for"
"""UID of the VirtualMachine a root Volume was made for."""

PARENTS_ANNOTATION: Final = "goldpool.io/parents"
"""On VM pods: names of the parents they read, a witness against those parents' removal."""

VOLUME_ANNOTATION: Final = "goldpool.io/volume"
"""On a volume's Lease: namespace/name of the Volume."""
HOLDER_ANNOTATION: Final = "goldpool.io/holder"
"""On a volume's Lease: namespace/name of the machine that holds it."""
FIRST_USE_ANNOTATION: Final = "goldpool.io/first-use"
"""On a volume's Lease: nobody had used the disk before this holder, so only its own failed start can undo that."""
REMOVING_ANNOTATION: Final = "goldpool.io/removing"
"""On a Parent: the removal of its bytes was asked for, and nobody may use it again."""

LABEL_MANAGED: Final = "app.kubernetes.io/managed-by"
LABEL_TEMPLATE_UID: Final = "goldpool.io/template-uid"
LABEL_TEMPLATE: Final = "goldpool.io/template"
LABEL_POOL: Final = "goldpool.io/pool"
LABEL_VM_UID: Final = "goldpool.io/virtualmachine-uid"
LABEL_VM_NAME: Final = "goldpool.io/virtualmachine"
LABEL_VM_NAMESPACE: Final = "goldpool.io/virtualmachine-namespace"
LABEL_VOLUME_UID: Final = "goldpool.io/volume-uid"
MANAGED_BY: Final = "goldpool"
LABEL_LOCATION: Final = "goldpool.io/location"
"""On Nodes: where the host stands, in the words that metalinks use for their mirrors."""
RESERVED_PREFIXES: Final = ("goldpool.io/", "app.kubernetes.io/managed-by")


def parent_name(template: str, token: str) -> str:
    return f"{template}-{token}"


def storage_id(token: str) -> str:
    return f"v-{token}"


def pod_name(machine: str, machine_uid: str) -> str:
    """One name per machine, so that the API server refuses a second pod while a first one exists."""
    return f"{machine[:50]}-{digest(machine_uid)}"


def lease_name(volume_uid: str) -> str:
    return f"volume-{volume_uid}"


def source_hash(spec: dict[str, Any]) -> str:
    """Of what decides a parent's bytes: source, format and checksum. Fields that came later count where they are given,
    so that no copy is fetched anew because the operator learned something."""
    source = spec["source"]
    given = [f"{name}={source[name]}" for name in ("metalink", "file") if name in source]
    return digest(str(source["url"]), str(spec["format"]), str(spec.get("checksum", "")), *given, length=16)


class OperationIds:
    """Ids of operations. They name the object on disk and the attempt, so that asking twice is asking once and
    the outcome of an earlier attempt is never taken for a later one's."""

    @staticmethod
    def initialize(location: str, attempt: int) -> str:
        return f"initialize/{location}/{attempt}"

    @staticmethod
    def initialize_again(location: str, since: str, attempt: int) -> str:
        """On an empty disk in place of the one that was initialised at ``since``."""
        return f"initialize/{location}/{since}/{attempt}"

    @staticmethod
    def probe(location: str, since: str) -> str:
        return f"probe/{location}/{since}"

    @staticmethod
    def rebind(location: str, node_uid: str) -> str:
        return f"rebind/{location}/{node_uid}"

    @staticmethod
    def release(location: str) -> str:
        return f"release/{location}"

    @staticmethod
    def probe_source(template_uid: str, generation: int, since: str) -> str:
        return f"probe-source/{template_uid}/{generation}/{since}"

    @staticmethod
    def fetch(parent: str, attempt: int) -> str:
        return f"fetch/{parent}/{attempt}"

    @staticmethod
    def delete_parent(parent: str) -> str:
        return f"delete-parent/{parent}"

    @staticmethod
    def create(storage: str, attempt: int) -> str:
        return f"create/{storage}/{attempt}"

    @staticmethod
    def adopt(storage: str, volume_uid: str) -> str:
        return f"adopt/{storage}/{volume_uid}"

    @staticmethod
    def delete_volume(storage: str) -> str:
        return f"delete-volume/{storage}"
