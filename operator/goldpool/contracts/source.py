"""Where a template's bytes come from, as the host that fetches or asks for them needs to know it."""

from pathlib import PurePosixPath
from typing import Annotated, Final

from msgspec import Meta

from goldpool.contracts.model import Contract

CREDENTIALS_DIRECTORY: Final = PurePosixPath("/source/credentials")
"""Where a Job sees the Secret of ``spec.source.secretRef``, one file per key; empty or absent when there is none."""
CA_DIRECTORY: Final = PurePosixPath("/source/ca")
"""Where a Job sees the ConfigMap of ``spec.source.caBundleRef``: the key it names, as ``CA_FILE``."""
CA_FILE: Final = "ca.crt"


class Source(Contract):
    """``urls`` are mirrors of the same bytes in the order they are tried; a metalink's document names its own.

    No secrets: they reach the pod as files.
    """

    urls: tuple[str, ...]
    """http, https or nfs; a template has one."""
    metalink: bool = False
    """The URLs are those of a metalink document (RFC 5854)."""
    file: str = ""
    """Name of the metalink's file; empty where the document has only one."""
    location: str = ""
    """The fetching host's goldpool.io/location: mirrors that stand there come first."""
    secret: str = ""
    """Name of the Secret whose keys are mounted; empty for none."""
    ca_bundle: str = ""
    """Name of the ConfigMap that is mounted; empty for none."""
    ca_key: str = CA_FILE
    """Which of its keys."""


MIRROR_LIMIT: Final = 10
"""Results that are told of one fetch; the others are only counted."""


class MirrorResult(Contract):
    """What one mirror, or a metalink that names mirrors, answered last. ``reason`` is empty for the one that delivered;
    ``attempts`` is 0 for what was not asked at all (a torrent, an unknown digest)."""

    mirror: str
    """Scheme, host and path only: never a query or credentials."""
    reason: str = ""
    message: Annotated[str, Meta(max_length=256)] = ""
    attempts: int = 1
    """How often it was asked."""
