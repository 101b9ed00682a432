"""Parent: the verified, immutable copy of one template revision at one location. Written by the operator."""

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import Field, StringConstraints

from goldpool.api.model import ApiModel, Bytes, Column, Crd, Kind, ListAtomic, Rule, Time
from goldpool.api.references import Blockers, Conditions
from goldpool.api.source import SourceFacts
from goldpool.api.template import TemplateFormat


class ParentState(StrEnum):
    PENDING = "Pending"
    FETCHING = "Fetching"
    PUBLISHED = "Published"
    READY = "Ready"
    FAILED = "Failed"
    RETIRING = "Retiring"


class ParentSpec(ApiModel):
    """Which template at which location. The object's name is the directory's name on disk and never reused."""

    rules: ClassVar = (Rule("self == oldSelf", "spec: a parent is always the same copy"),)

    template: str = Field(description="Name of the Template.")
    template_uid: str = Field(alias="templateUID", description="UID of the Template.")
    pool: str = Field(description="Name of the StoragePool.")
    location: str = Field(description="Name of the StorageLocation.")
    host: str = Field(default="", description="Host of the location; empty for a Shared pool.")
    format: TemplateFormat = Field(description="Format of the image.")
    source_hash: str = Field(
        description="Hash of the template's source, format and checksum this copy is made from."
    )
    revision: str = Field(default="", description="The template's revision when it was already known.")
    refetch: str = Field(
        default="",
        description="Token of the fetching anew it was made for: what it brings becomes the template's revision.",
    )
    fallback: bool = Field(
        default=False,
        description="Whether this is a golden template's copy on an ordinary pool, where no golden pool could serve a "
        "machine with goldenPolicy Preferred. It goes with its last user.",
    )


class MirrorStatus(ApiModel):
    """What one mirror, or a metalink that names mirrors, answered in the last fetch."""

    mirror: Annotated[str, StringConstraints(max_length=256)] = Field(
        description="Scheme, host and path, without query or credentials."
    )
    reason: Annotated[str, StringConstraints(max_length=64)] = Field(
        default="", description="Why it failed or was not asked; empty for the one that delivered."
    )
    message: Annotated[str, StringConstraints(max_length=256)] = Field(
        default="", description="What it answered, with the numbers."
    )
    attempts: int = Field(default=0, description="How often it was asked; 0 when it cannot be used at all.")


MIRRORS_SHOWN: Final = 10
TRIED_HOSTS: Final = 3
"""CloudStack's budget too: DirectDownloadManagerImpl sends a download to at most three hosts."""


class ParentStatus(ApiModel):
    """How far it is, and who needs it."""

    observed_generation: int = Field(default=-1, description="The generation this status is about.")
    state: ParentState | None = Field(
        default=None,
        description="Pending, Fetching, Published (verified, not yet the template's revision), Ready, Failed or Retiring.",
    )
    conditions: Conditions = Field(default=[], description="Ready, Reconciling, Stalled.")
    progress: str | None = Field(
        default=None,
        description="How much of the transfer is done, and how fast: 42% 212Mi/s, or 1.2Gi 212Mi/s where the server did not "
        "say how much there is.",
    )
    done: Bytes | None = Field(
        default=None, description="Bytes that are there, with those that an earlier Job had fetched."
    )
    expected: Bytes | None = Field(default=None, description="Bytes to fetch, when the server said.")
    rate: Bytes | None = Field(default=None, description="Bytes per second over the last seconds.")
    eta: str | None = Field(default=None, description="How long the rest takes at this rate, like 1m20s.")
    mirror: str | None = Field(
        default=None, description="Where the bytes came from, without query or credentials."
    )
    mirrors: Annotated[list[MirrorStatus], ListAtomic(), Field(max_length=MIRRORS_SHOWN)] = Field(
        default=[],
        description="What up to 10 mirrors answered in the last fetch, in the order they were asked.",
    )
    mirrors_total: int | None = Field(default=None, description="How many mirrors there were.")
    verified: Annotated[str, StringConstraints(max_length=16)] | None = Field(
        default=None,
        description="The strongest declared digest that the bytes have, like sha512; none when none was declared.",
    )
    attempt: int | None = Field(default=None, description="Number of the current fetch Job, from 1.")
    failures: int | None = Field(default=None, description="Failed fetch Jobs in a row.")
    failure: str | None = Field(default=None, description="Why the last fetch failed, as a stable reason.")
    permanent: bool | None = Field(default=None, description="Whether trying again cannot help.")
    next_retry_time: Time | None = Field(default=None, description="When the next fetch starts.")
    retry: str | None = Field(
        default=None, description="The template's value of goldpool.io/retry that was acted on."
    )
    failed_generation: int | None = Field(
        default=None,
        description="The template's generation when the last fetch failed: once it is edited, the fetch is tried again.",
    )
    fetched_on: str | None = Field(default=None, description="The host that fetches or fetched it.")
    tried_hosts: Annotated[list[str], ListAtomic(), Field(max_length=TRIED_HOSTS)] = Field(
        default=[],
        description="Hosts of a Shared pool that could not fetch it, in a row; another one comes next, up to 3.",
    )
    revision: str | None = Field(default=None, description="sha256 of the published bytes.")
    size: Bytes | None = Field(default=None, description="Size of the file.")
    virtual_size: Bytes | None = Field(default=None, description="Size of the disk a guest sees.")
    source: SourceFacts | None = Field(default=None, description="What the server said of what it served.")
    published_time: Time | None = Field(default=None, description="When the copy was published.")
    children: int | None = Field(default=None, description="Volumes and machines that depend on this copy.")
    unused_since: Time | None = Field(default=None, description="Since when nobody needs the copy.")
    blockers: Blockers = Field(default=[], description="Who holds up the removal.")
    blockers_total: int | None = Field(default=None, description="How many users hold up the removal.")


class Parent(Kind):
    """The verified, immutable copy of one template revision at one location, shared by all its children."""

    crd: ClassVar = Crd(
        kind="Parent",
        plural="parents",
        short="gpar",
        namespaced=False,
        columns=(
            Column("Template", ".spec.template"),
            Column("Pool", ".spec.pool"),
            Column("Host", ".spec.host"),
            Column("State", ".status.state"),
            Column("Progress", ".status.progress"),
            Column("ETA", ".status.eta"),
            Column("Children", ".status.children", "integer"),
            Column("Mirror", ".status.mirror", priority=1),
            Column("Failure", ".status.failure", priority=1),
            Column("Message", '.status.conditions[?(@.type=="Ready")].message', priority=1),
            Column("Age", ".metadata.creationTimestamp", "date"),
        ),
        selectable=(".spec.template", ".spec.pool", ".spec.location", ".status.state"),
    )

    spec: ParentSpec = Field(description="Which template at which location.")
    status: ParentStatus = Field(default=ParentStatus(), description="How far it is, and who needs it.")
