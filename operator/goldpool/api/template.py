"""Template: a registered image that hosts download themselves."""

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import Field, StringConstraints

from goldpool.api.model import (
    LABEL_NAME,
    ApiModel,
    Bytes,
    Column,
    Crd,
    Duration,
    Kind,
    ListMap,
    ListSet,
    Name,
    Rule,
)
from goldpool.api.references import Blockers, CABundleRef, Conditions, CopyExceptions, SecretRef
from goldpool.api.source import Refetch, SourceStatus


class TemplateFormat(StrEnum):
    QCOW2 = "qcow2"
    RAW = "raw"
    ISO = "iso"


METALINK_URL_PATTERN = r"^[^?#]*\.([mM][eE][tT][aA]4|[mM][eE][tT][aA][lL][iI][nN][kK])([?#].*)?$"
"""By the end of the path, never by the query: those differ from one signature to the next."""


class RefreshPolicy(StrEnum):
    PIN = "Pin"
    REFETCH = "Refetch"


_HTTP_URL: Final = r"https?://[^\s/?#@]+(/[^\s]*)?"
_NFS_URL: Final = r"nfs://([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~+,=@:-]+)+"
"""The worker hands its parts to a tool: characters that a shell or that tool reads in a way of its own are not in it."""


class Source(ApiModel):
    """Where the bytes come from."""

    # The pattern says no as well, but not what to do.
    rules: ClassVar = (
        Rule(
            "self.url.startsWith('http://') || self.url.startsWith('https://') || self.url.startsWith('nfs://')",
            "spec.source.url: write a URL that begins with http://, https:// or nfs://",
            ".url",
        ),
        Rule(
            f"!self.url.startsWith('nfs://') || (self.url.matches(r'^{_NFS_URL}$')"
            r" && !self.url.matches(r'/\.\.?(/|$)'))",
            "spec.source.url: write nfs://host[:port]/export/path/file with letters, digits and ._~+,=@:- in the path, "
            "without .. and without a query",
            ".url",
        ),
        Rule(
            "!self.url.startsWith('nfs://') || !(has(self.metalink) ? self.metalink"
            f" : self.url.matches(r'{METALINK_URL_PATTERN}'))",
            "spec.source.url: a metalink comes by http or https; the mirrors it names may be nfs",
            ".url",
        ),
        Rule(
            "!self.url.matches('^[^/]*//[^/?#]*@')",
            "spec.source.url: remove the user and password; everybody who may read templates would see them",
            ".url",
        ),
        Rule(
            "!has(self.file) || (has(self.metalink) ? self.metalink"
            f" : self.url.matches(r'{METALINK_URL_PATTERN}'))",
            "spec.source.file: it names a file of a metalink; set spec.source.metalink to true, or remove it",
            ".file",
        ),
        Rule(
            "!has(self.checkInterval) || duration(self.checkInterval) >= duration('1m')",
            "spec.source.checkInterval: at least 1m; leave it out for no checks",
            ".checkInterval",
        ),
    )

    url: Annotated[str, StringConstraints(max_length=2048, pattern=rf"^({_HTTP_URL}|{_NFS_URL})$")] = Field(
        description="An http or https URL without user information, or nfs://host[:port]/export/path/file. "
        "What is compressed (gz, bz2, xz, zst, a zip of one file) is expanded while it arrives."
    )
    metalink: bool | None = Field(
        default=None,
        description="Whether the URL is that of a metalink (RFC 5854, or version 3) that names mirrors. Without a value a "
        "path that ends in .meta4 or .metalink says so.",
    )
    file: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = Field(
        default=None, description="Name of the file in a metalink that describes more than one."
    )
    check_interval: Duration | None = Field(
        default=None,
        description="How often the source is asked whether it still serves what was fetched, at least 1m. Never if absent.",
    )
    refresh_policy: RefreshPolicy = Field(
        default=RefreshPolicy.PIN,
        description="What happens when the source serves other bytes. Pin: nothing but the condition SourceChanged. "
        "Refetch: they are fetched as a new revision, which new disks take; the old one stays while it has children. With "
        "spec.checksum other bytes are only reported.",
    )
    secret_ref: SecretRef | None = Field(
        default=None,
        description="A Secret of type goldpool.io/source-credentials in the data namespace. Its key origins lists whom it "
        "may be sent to (https://mirror.example, one per line); the others are username and password, token, headers "
        "(Name: value, one per line), tls.crt and tls.key. It may be changed at any time.",
    )
    ca_bundle_ref: CABundleRef | None = Field(
        default=None,
        description="A ConfigMap in the data namespace with CA certificates that are trusted beside the system's. It may be "
        "changed at any time.",
    )


class Prepare(ApiModel):
    """Copies wanted before any machine needs them."""

    pools: Annotated[list[Name], ListSet(), Field(max_length=16)] = Field(
        default=[],
        description="Golden pools to every ready location of which the template is fetched ahead, and kept.",
    )


CHECKSUM_PATTERN = (
    r"^((md5:)?[0-9a-fA-F]{32}|(sha1:)?[0-9a-fA-F]{40}|(sha224:)?[0-9a-fA-F]{56}|(sha256:)?[0-9a-fA-F]{64}"
    r"|(sha384:)?[0-9a-fA-F]{96}|(sha512:)?[0-9a-fA-F]{128}"
    r"|\{MD5\}[0-9a-fA-F]{32}|\{SHA-1\}[0-9a-fA-F]{40}|\{SHA-224\}[0-9a-fA-F]{56}|\{SHA-256\}[0-9a-fA-F]{64}"
    r"|\{SHA-384\}[0-9a-fA-F]{96}|\{SHA-512\}[0-9a-fA-F]{128})$"
)


class TemplateSpec(ApiModel):
    """What the administrator registers."""

    rules: ClassVar = (
        Rule("self.golden == oldSelf.golden", "spec.golden is immutable: register a new Template"),
        Rule(
            f"!has(self.checksum) || self.checksum.matches(r'{CHECKSUM_PATTERN}')",
            "spec.checksum: write sha256: and 64 hex digits, or another algorithm with as many as it has",
            ".checksum",
        ),
    )

    golden: bool = Field(default=False, description="Whether parents live on golden pools. Immutable.")
    direct_download: bool = Field(
        default=True,
        description="Whether hosts download the image themselves. False needs an image store, which is not there yet.",
    )
    format: TemplateFormat = Field(
        description="Format of the image: qcow2 or raw for disks, iso for a CD that machines name in spec.iso. It is "
        "declared, never guessed. Frozen once fetched."
    )
    source: Source = Field(description="Where the bytes come from. Frozen once fetched.")
    checksum: Annotated[str, StringConstraints(max_length=160, pattern=CHECKSUM_PATTERN)] | None = Field(
        default=None,
        description="Checksum of the file: sha256:HEX (also md5, sha1, sha224, sha384, sha512), {SHA-256}HEX as in "
        "CloudStack, or bare hex whose length tells the algorithm. Without one, the first published copy binds all others.",
    )
    prepare: Prepare = Field(default=Prepare(), description="Copies wanted before any machine needs them.")
    retention: Duration = Field(default=86400.0, description="How long a copy that nobody uses is kept.")


class PoolRef(ApiModel):
    """The template on one pool: CloudStack's template_spool_ref, summed over the pool's locations."""

    pool: str = Field(description="Name of the StoragePool.")
    wanted: int = Field(default=0, description="Locations that should have a copy.")
    ready: int = Field(default=0, description="Locations with a verified copy of the template's revision.")
    superseded: int = Field(default=0, description="Copies of an earlier revision, kept for their children.")
    fetching: int = Field(default=0, description="Locations where a copy is being fetched.")
    failed: int = Field(default=0, description="Locations where fetching failed.")
    children: int = Field(
        default=0, description="Volumes whose parent is on this pool, and machines whose ISO is."
    )
    digest: str = Field(
        default="", description="sha256 of the copies; of an earlier revision while there is no other."
    )


class TemplateStatus(ApiModel):
    """What the operator found."""

    observed_generation: int = Field(default=-1, description="The generation this status is about.")
    phase: str | None = Field(
        default=None, description="Registered, Fetching, Ready, Degraded, Failed or Terminating; for people."
    )
    conditions: Conditions = Field(
        default=[],
        description="Ready, Reconciling, Stalled, DeletionBlocked, SourceReachable, SourceChanged, Verified, Degraded.",
    )
    revision: Annotated[str, StringConstraints(max_length=64)] | None = Field(
        default=None,
        description="sha256 of the published bytes; new disks take a copy that is identical to it.",
    )
    refetches: int | None = Field(
        default=None, description="How often a new revision took the place of another."
    )
    refetch: Refetch | None = Field(
        default=None, description="The fetching of a new revision, while it is under way."
    )
    refetch_asked: Annotated[str, StringConstraints(max_length=256)] | None = Field(
        default=None, description="The value of goldpool.io/refetch that was acted on."
    )
    source: SourceStatus | None = Field(
        default=None, description="What the source served when it was fetched, and what it serves now."
    )
    size: Bytes | None = Field(default=None, description="Size of the image's file.")
    virtual_size: Bytes | None = Field(default=None, description="Size of the disk a guest sees.")
    copies: str | None = Field(default=None, description="Ready copies of those wanted, like 2/3.")
    children: int | None = Field(
        default=None, description="Volumes, and machines that have the ISO inserted, that depend on a copy."
    )
    pool_refs: Annotated[list[PoolRef], ListMap(("pool",)), Field(max_length=64)] = Field(
        default=[], description="The template's copies, per pool."
    )
    exceptions: CopyExceptions = Field(default=[], description="Up to 20 locations where fetching failed.")
    retry: Annotated[str, StringConstraints(max_length=256)] | None = Field(
        default=None, description="The value of goldpool.io/retry that was acted on."
    )
    blockers: Blockers = Field(default=[], description="Up to 10 users that hold up the deletion.")
    blockers_total: int | None = Field(default=None, description="How many users hold up the deletion.")


class Template(Kind):
    """A registered image: where it comes from, its format and checksum. Hosts fetch it when something needs it, or
    ahead to the pools named in prepare."""

    crd: ClassVar = Crd(
        kind="Template",
        plural="templates",
        short="gtpl",
        namespaced=False,
        columns=(
            Column("Format", ".spec.format"),
            Column("Golden", ".spec.golden", "boolean"),
            Column("Size", ".status.virtualSize"),
            Column("Copies", ".status.copies"),
            Column("Children", ".status.children", "integer"),
            Column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
            Column("Reason", '.status.conditions[?(@.type=="Ready")].reason', priority=1),
            Column("Age", ".metadata.creationTimestamp", "date"),
        ),
    )
    rules: ClassVar = (
        Rule(
            "size(self.metadata.name) <= 40",
            "metadata.name: at most 40 characters, because parents are named after it",
        ),
        LABEL_NAME,
        Rule(
            "!has(oldSelf.status.revision) || (self.spec.source.url == oldSelf.spec.source.url"
            " && has(self.spec.source.metalink) == has(oldSelf.spec.source.metalink)"
            " && (!has(self.spec.source.metalink) || self.spec.source.metalink == oldSelf.spec.source.metalink)"
            " && has(self.spec.source.file) == has(oldSelf.spec.source.file)"
            " && (!has(self.spec.source.file) || self.spec.source.file == oldSelf.spec.source.file))",
            "spec.source names other bytes, but copies were published: register a new Template",
        ),
        Rule(
            "!has(oldSelf.status.revision) || self.spec.format == oldSelf.spec.format",
            "spec.format is frozen: copies of it were published; register a new Template",
        ),
        Rule(
            "!has(oldSelf.status.revision) || (has(self.spec.checksum) == has(oldSelf.spec.checksum)"
            " && (!has(self.spec.checksum) || self.spec.checksum == oldSelf.spec.checksum))",
            "spec.checksum is frozen: copies were verified against it; register a new Template",
        ),
    )

    spec: TemplateSpec = Field(description="What the administrator registers.")
    status: TemplateStatus = Field(default=TemplateStatus(), description="What the operator found.")
