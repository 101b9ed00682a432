"""Condition types and reasons, all in one place, each with the sentence that explains it to a user.

kstatus: ``Ready`` from the first status write on; ``Reconciling`` and ``Stalled`` only while true, never both.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from goldpool.api.model import ApiModel, Time


class ConditionType(StrEnum):
    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    DELETION_BLOCKED = "DeletionBlocked"
    SOURCE_REACHABLE = "SourceReachable"
    """Whether a host that asked found the template's source able to serve."""
    SOURCE_CHANGED = "SourceChanged"
    """The source serves other bytes than the template's revision. Only while true."""
    DEGRADED = "Degraded"
    """It works, but not all of what it relies on. Only while true."""
    VERIFIED = "Verified"
    """Whether the bytes were compared with a checksum that the template or its metalink declares."""


class ConditionStatus(StrEnum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Reason(StrEnum):
    """Reasons of conditions and of events. Stable: people write alerts on them."""

    READY = "Ready"
    RUNNING = "Running"
    HALTED = "Halted"
    SUCCEEDED = "Succeeded"
    BOUND = "Bound"
    IN_USE = "InUse"
    PENDING = "Pending"
    INITIALIZING = "Initializing"
    PLANNING = "Planning"
    PLACED = "Placed"
    NOT_PLACEABLE = "NotPlaceable"
    TOO_MANY_PLANS = "TooManyPlans"
    WAITING_FOR_CONSUMER = "WaitingForFirstConsumer"
    WAITING_FOR_PARENT = "WaitingForParent"
    WAITING_FOR_VOLUMES = "WaitingForVolumes"
    WAITING_FOR_HOST = "WaitingForHost"
    HOST_CORDONED = "HostCordoned"
    FETCHING = "Fetching"
    NO_COPY_WANTED = "NoCopyWanted"
    CREATING = "Creating"
    STARTING = "Starting"
    STOPPING = "Stopping"
    RESTARTING = "Restarting"
    TERMINATING = "Terminating"
    DELETION_BLOCKED = "DeletionBlocked"
    DISABLED = "Disabled"
    MAINTENANCE = "Maintenance"
    NO_HOSTS = "NoHosts"
    HOSTS_NOT_READY = "HostsNotReady"
    PATH_NOT_ALLOWED = "PathNotAllowed"
    NOT_MOUNTED = "NotMounted"
    FOREIGN_POOL = "ForeignPool"
    REPLACED = "Replaced"
    HOST_NOT_READY = "HostNotReady"
    OPERATION_FAILED = "OperationFailed"
    TEMPLATE_NOT_FOUND = "TemplateNotFound"
    TEMPLATE_FAILED = "TemplateFailed"
    TEMPLATE_DELETING = "TemplateDeleting"
    TEMPLATE_IS_ISO = "TemplateIsISO"
    TEMPLATE_IS_NO_ISO = "TemplateIsNoISO"
    IMAGE_STORE_REQUIRED = "ImageStoreRequired"
    PARENT_FAILED = "ParentFailed"
    FETCH_FAILED = "FetchFailed"
    SOURCE_INVALID = "SourceInvalid"
    PROBING = "Probing"
    REACHABLE = "Reachable"
    NO_HOST_TO_ASK = "NoHostToAsk"
    MIRRORS_FAILED = "MirrorsFailed"
    COPIES_FAILED = "CopiesFailed"
    CHECKSUM_MATCHED = "ChecksumMatched"
    NO_CHECKSUM = "NoChecksum"
    SOURCE_CHANGED = "SourceChanged"
    REFETCHED = "Refetched"
    REVISION_MISMATCH = "RevisionMismatch"
    RETIRING = "Retiring"
    VOLUME_NOT_FOUND = "VolumeNotFound"
    VOLUME_NAME_TAKEN = "VolumeNameTaken"
    VOLUME_IN_USE = "VolumeInUse"
    VOLUME_LOST = "VolumeLost"
    VOLUME_RESTORED = "VolumeRestored"
    VOLUME_FAILED = "VolumeFailed"
    SIZE_TOO_SMALL = "SizeTooSmall"
    PRIORITY_CLASS_NOT_ALLOWED = "PriorityClassNotAllowed"
    TOLERATION_NOT_ALLOWED = "TolerationNotAllowed"
    START_FAILED = "StartFailed"
    GUEST_PAUSED = "GuestPaused"
    STORAGE_PAUSED = "StoragePaused"
    GUEST_STOPPED = "GuestStopped"
    HOST_LOST = "HostLost"
    ABANDONED = "Abandoned"
    PARENT_LOST = "ParentLost"
    ORPHANS_FOUND = "OrphansFound"
    WRONG_DISK = "WrongDisk"
    FAILED = "Failed"
    # Why an operation failed, in the words of contracts.report.FailureReason.
    POOL_FULL = "PoolFull"
    SOURCE_UNREACHABLE = "SourceUnreachable"
    SOURCE_REFUSED = "SourceRefused"
    ADDRESS_REFUSED = "AddressRefused"
    TLS_FAILED = "TLSFailed"
    SECRET_MISSING = "SecretMissing"  # noqa: S105 - a reason
    SECRET_INVALID = "SecretInvalid"  # noqa: S105 - a reason
    CA_BUNDLE_MISSING = "CABundleMissing"
    CA_BUNDLE_INVALID = "CABundleInvalid"
    TRANSFER_INCOMPLETE = "TransferIncomplete"
    TOO_LARGE = "TooLarge"
    SOURCE_CORRUPT = "SourceCorrupt"
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    SIZE_MISMATCH = "SizeMismatch"
    METALINK_INVALID = "MetalinkInvalid"
    WRONG_FORMAT = "WrongFormat"
    UNSAFE_IMAGE = "UnsafeImage"
    VOLUME_CONFLICT = "VolumeConflict"
    VOLUME_MISSING = "VolumeMissing"
    IO_ERROR = "IOError"
    UNSUPPORTED = "Unsupported"
    LOST = "Lost"


EXPLANATIONS: Final[dict[Reason, str]] = {
    Reason.READY: "Everything asked for is there.",
    Reason.RUNNING: "QEMU says that the guest runs.",
    Reason.HALTED: "The machine is stopped because runStrategy says so.",
    Reason.SUCCEEDED: "The guest powered itself off and runStrategy does not start it again.",
    Reason.BOUND: "The volume has a place and its disk is there.",
    Reason.IN_USE: "A virtual machine holds the volume.",
    Reason.PENDING: "Nothing was done yet.",
    Reason.INITIALIZING: "Hosts are preparing their locations.",
    Reason.PLANNING: "A place is being chosen.",
    Reason.PLACED: "Its disks have a place; the event says where, and by which figures.",
    Reason.NOT_PLACEABLE: "No host and pool fit; the message counts why. It is tried again as soon as something changes.",
    Reason.TOO_MANY_PLANS: "Ten plans failed. Change the spec or set a new value of goldpool.io/retry.",
    Reason.WAITING_FOR_CONSUMER: "The volume gets its place when a virtual machine first needs it.",
    Reason.WAITING_FOR_PARENT: "The template's copy is being fetched to the chosen location.",
    Reason.WAITING_FOR_VOLUMES: "The machine starts when its volumes are ready.",
    Reason.WAITING_FOR_HOST: "The host that holds the bytes is not ready.",
    Reason.HOST_CORDONED: "The host that holds the bytes is cordoned; the machine starts when it is uncordoned.",
    Reason.FETCHING: "Copies are being downloaded.",
    Reason.NO_COPY_WANTED: "The template is registered; it is fetched when something needs it.",
    Reason.CREATING: "The disk is being made.",
    Reason.STARTING: "The pod is there, the guest does not run yet.",
    Reason.STOPPING: "The guest was asked to shut down.",
    Reason.RESTARTING: "The guest ended and is started again after a pause.",
    Reason.TERMINATING: "The object is being deleted.",
    Reason.DELETION_BLOCKED: "Somebody still uses the object; status.blockers says who.",
    Reason.DISABLED: "spec.state is Disabled: nothing new is placed here.",
    Reason.MAINTENANCE: "spec.state is Maintenance: nothing new is placed here and machines are stopped.",
    Reason.NO_HOSTS: "No node matches hostSelector.",
    Reason.HOSTS_NOT_READY: "No location of the pool can be used now.",
    Reason.PATH_NOT_ALLOWED: "The path is not below one of the operator's allowed prefixes, or nests with another pool's.",
    Reason.NOT_MOUNTED: "The path is no mount point, or the location's identity is missing: nothing is written there.",
    Reason.FOREIGN_POOL: "Another cluster or pool owns the bytes at this path: nothing is written there.",
    Reason.REPLACED: "The disk found here belongs to another location or host of the pool: nothing is written there.",
    Reason.HOST_NOT_READY: "The node is not ready.",
    Reason.OPERATION_FAILED: "A storage operation failed; it is tried again.",
    Reason.TEMPLATE_NOT_FOUND: "There is no template of that name.",
    Reason.TEMPLATE_FAILED: "The template's source is wrong; see the template.",
    Reason.TEMPLATE_DELETING: "The template is being deleted.",
    Reason.TEMPLATE_IS_ISO: "An ISO cannot be made a disk of: name it in a machine's spec.iso, beside an empty root disk.",
    Reason.TEMPLATE_IS_NO_ISO: "spec.iso names a template of another format; only format iso goes into the CD drive.",
    Reason.IMAGE_STORE_REQUIRED: "directDownload is false, and image stores are not there yet: set it to true.",
    Reason.PARENT_FAILED: "The template could not be fetched to that location.",
    Reason.FETCH_FAILED: "Every attempt over every mirror failed.",
    Reason.SOURCE_INVALID: "The source itself is wrong. Correct the spec or set a new value of goldpool.io/retry.",
    Reason.PROBING: "The source is being asked what it serves.",
    Reason.REACHABLE: "The source answered, and serves what the template declares.",
    Reason.NO_HOST_TO_ASK: "No pool that could hold the template has a ready host yet from which its source is asked.",
    Reason.COPIES_FAILED: "Some copies failed, others serve; the message names the pools and the first failure.",
    Reason.CHECKSUM_MATCHED: "The bytes have the digest that the template or its metalink declares.",
    Reason.NO_CHECKSUM: "Nobody declared a checksum: the first published copy binds all others.",
    Reason.MIRRORS_FAILED: "Some mirrors cannot serve the template, others can.",
    Reason.SOURCE_CHANGED: "The source serves other bytes than were fetched; spec.source.refreshPolicy says what follows.",
    Reason.REFETCHED: "The source was fetched anew; new disks take what it brought.",
    Reason.REVISION_MISMATCH: "The source serves other bytes than the template's revision.",
    Reason.RETIRING: "The copy is being removed; its users are checked once more.",
    Reason.VOLUME_NOT_FOUND: "There is no volume of that name.",
    Reason.VOLUME_NAME_TAKEN: "A volume of that name exists and was not made for this machine; use volumeRef to mean it.",
    Reason.VOLUME_IN_USE: "Another virtual machine holds the volume.",
    Reason.VOLUME_LOST: "The volume was used and its disk is not where it was; it is never made anew.",
    Reason.VOLUME_RESTORED: "The object was restored from a backup: its disk belongs to the object it was made for.",
    Reason.VOLUME_FAILED: "The disk could not be made.",
    Reason.SIZE_TOO_SMALL: "The disk must not be smaller than its template's virtual size.",
    Reason.TOLERATION_NOT_ALLOWED: "An administrator has not allowed machines to tolerate that taint.",
    Reason.PRIORITY_CLASS_NOT_ALLOWED: "An administrator has not allowed machines to name that priority class.",
    Reason.START_FAILED: "The pod could not start the guest; another place is tried.",
    Reason.GUEST_PAUSED: "QEMU does not say that the guest runs, and not why.",
    Reason.STORAGE_PAUSED: "A pool is full or failing: QEMU paused the guest, and it goes on by itself when writes succeed.",
    Reason.GUEST_STOPPED: "The guest ended.",
    Reason.HOST_LOST: "The node does not answer. The machine stays there: two writers would destroy its disk.",
    Reason.ABANDONED: "A person gave up the place; what lies there was not touched and is not used again.",
    Reason.PARENT_LOST: "The copy that disks depend on is not at its location any more; the same bytes are fetched again.",
    Reason.ORPHANS_FOUND: "Files lie at the location that no object knows; they are reported and never removed.",
    Reason.WRONG_DISK: "What lies in the volume's directory is not the volume.",
    Reason.FAILED: "It failed and is not tried again.",
    Reason.POOL_FULL: "The pool has no room for it; it is tried again. Free space there, or add capacity.",
    Reason.SOURCE_UNREACHABLE: "Nobody answered, or the server is busy; it is tried again. Check name and port.",
    Reason.SOURCE_REFUSED: "The server refused, like 404 or 403; it is tried again. Correct spec.source.",
    Reason.ADDRESS_REFUSED: "The chart's fetch.addresses refuses where the name leads: name another host.",
    Reason.TLS_FAILED: "The server's certificate is not trusted: name its CA in spec.source.caBundleRef.",
    Reason.SECRET_MISSING: "The Secret of spec.source.secretRef is not in the data namespace: create it.",
    Reason.SECRET_INVALID: "The Secret of spec.source.secretRef is not as it must be; the message names the key.",
    Reason.CA_BUNDLE_MISSING: "The ConfigMap of spec.source.caBundleRef is not in the data namespace: create it.",
    Reason.CA_BUNDLE_INVALID: "The ConfigMap of spec.source.caBundleRef holds no PEM certificates there: correct it.",
    Reason.TRANSFER_INCOMPLETE: "Not all of it arrived, or not the same twice; it is tried again.",
    Reason.TOO_LARGE: "It is larger than the chart's limits allow: raise fetch.maxBytes, or register a smaller image.",
    Reason.SOURCE_CORRUPT: "All of the compressed file arrived and cannot be expanded: make it anew.",
    Reason.CHECKSUM_MISMATCH: "Every mirror repeated bytes of another digest: correct spec.checksum or the file.",
    Reason.SIZE_MISMATCH: "Every mirror has another size than the metalink says: correct the metalink.",
    Reason.METALINK_INVALID: "The URL serves no metalink of a usable mirror; the message says why. Correct it.",
    Reason.WRONG_FORMAT: "The bytes are not in spec.format: correct it, or the URL.",
    Reason.UNSAFE_IMAGE: "The image names other files or breaks its format's rules: qemu-img convert it anew.",
    Reason.VOLUME_CONFLICT: "Something else lies under that name at the location; nothing was touched. Look there.",
    Reason.VOLUME_MISSING: "There is no disk of that name to adopt.",
    Reason.IO_ERROR: "The host could not read or write the pool; it is tried again. Look at the host's disk and log.",
    Reason.UNSUPPORTED: "The URL cannot be fetched from; the message says why. Correct spec.source.",
    Reason.LOST: "The Job ended without saying how; it is tried again. The node may have gone, or evicted it.",
}


class Condition(ApiModel):
    """A standard Kubernetes condition."""

    type: Annotated[str, StringConstraints(max_length=316)] = Field(description="Type of the condition.")
    status: ConditionStatus = Field(description="True, False or Unknown.")
    reason: Annotated[str, StringConstraints(max_length=128)] = Field(
        description="The machine-readable reason of the last transition, in CamelCase."
    )
    message: Annotated[str, StringConstraints(max_length=1024)] = Field(
        default="", description="What a person should know, with the numbers and the remedy."
    )
    last_transition_time: Time = Field(description="When status last changed.")
    observed_generation: int | None = Field(
        default=None, description="The metadata.generation the condition was set for."
    )


def is_true(conditions: Iterable[Condition], kind: ConditionType) -> bool:
    """Whether the condition is there and True."""
    return any(c.type == kind and c.status is ConditionStatus.TRUE for c in conditions)


def message_of(conditions: Iterable[Condition], kind: ConditionType = ConditionType.READY) -> str:
    """The condition's message; empty when it is not there."""
    return next((c.message for c in conditions if c.type == kind), "")


def why_stalled(conditions: Iterable[Condition]) -> str | None:
    """The message of a Stalled condition that is True; None while work goes on."""
    return next(
        (
            c.message
            for c in conditions
            if c.type == ConditionType.STALLED and c.status is ConditionStatus.TRUE
        ),
        None,
    )
