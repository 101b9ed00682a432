"""What is known of a template's source: what was served when a copy was made, what is served now, and the fetching anew."""

from typing import Annotated, Final

from pydantic import Field

from goldpool.api.model import ApiModel, Bytes, ListAtomic, Time

MIRRORS_SHOWN: Final = 10


class SourceFacts(ApiModel):
    """What a server says of the bytes it serves."""

    mirror: str = Field(
        default="", description="Who said so: scheme, host and path, without query or credentials."
    )
    size: Bytes | None = Field(default=None, description="Size of what is transferred.")
    etag: str = Field(default="", description="The ETag, as the server gave it.")
    last_modified: str = Field(default="", description="The Last-Modified, as the server gave it.")
    digest: str = Field(default="", description="sha256:HEX of what is transferred, where it is known.")


class FetchedSource(SourceFacts):
    """The source as it was when the newest copy of the revision was published."""

    time: Time = Field(default="", description="When that copy was published.")
    verified: str = Field(
        default="", description="The strongest declared digest that its bytes have, like sha512."
    )


class SourceMirror(ApiModel):
    """What one mirror answered."""

    mirror: str = Field(description="Scheme, host and path, without query or credentials.")
    reason: str = Field(default="", description="Why it cannot serve, as a stable reason; empty when it can.")
    message: str = Field(default="", description="What it answered.")


class SourceProbe(SourceFacts):
    """What came of the last time the source was asked, without fetching it."""

    time: Time = Field(description="When it was asked.")
    answered: Time | None = Field(
        default=None, description="When it last answered: size, validators and format are of then."
    )
    source_hash: str = Field(description="Hash of the source, format and checksum that were asked about.")
    generation: int = Field(default=0, description="The metadata.generation that was asked about.")
    host: str = Field(default="", description="The host that asked. Another one may see more, or less.")
    format: str = Field(default="", description="Format by the first bytes, where they tell it.")
    compression: str = Field(
        default="", description="Compression by the first bytes: gz, bz2, xz, zst or zip."
    )
    virtual_size: Bytes | None = Field(
        default=None, description="Size of the disk a guest will see, where the first bytes tell it."
    )
    reason: str = Field(
        default="", description="Why no mirror can serve, as a stable reason; empty when one can."
    )
    message: str = Field(default="", description="The same in words, with each mirror's answer.")
    permanent: bool = Field(
        default=False, description="Whether asking again can help only after a correction."
    )
    mirrors: Annotated[list[SourceMirror], ListAtomic(), Field(max_length=MIRRORS_SHOWN)] = Field(
        default=[], description="The mirrors that were asked, at most ten."
    )
    failures: int = Field(default=0, description="How often in a row no mirror could serve.")
    retry: str = Field(default="", description="The value of goldpool.io/retry that was acted on.")
    next_time: Time | None = Field(default=None, description="When it is asked again after a failure.")


class SourceStatus(ApiModel):
    """The source then and now."""

    fetched: FetchedSource | None = Field(
        default=None, description="As it was when the revision was fetched."
    )
    probe: SourceProbe | None = Field(default=None, description="As it was found when it was last asked.")
    changed: str | None = Field(
        default=None, description="What told that other bytes are served than were fetched, while that is so."
    )


class Refetch(ApiModel):
    """A new revision is being fetched beside the one that new disks take until then."""

    token: str = Field(description="On the copy that brings the new revision, as spec.refetch.")
    since: Time = Field(description="When it began.")
    why: str = Field(description="What told that the source has changed, or who asked.")
    asked: bool = Field(default=False, description="Whether goldpool.io/refetch asked for it.")
    seen: SourceFacts | None = Field(default=None, description="What the source was found to serve then.")


def clipped(text: str) -> str:
    """Validators are a server's to choose, however long; both sides of a comparison are cut alike."""
    return text[:256]
