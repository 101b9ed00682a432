"""kopf's settings for an operator that only listens. The reasons: operator.md §1.9, corrected by api-server.md §4."""

# ruff: noqa: ARG002 (the signatures are kopf's)

from collections.abc import Collection
from typing import Any, Final

import kopf

FROM_POD_TO_SIGKILL: Final = 25.0
"""Seconds; below the pod's grace period, or SIGKILL decides."""


class NoDiffBase(kopf.DiffBaseStorage):
    """Nothing is diffed: kopf would copy every object deeply, for each event, to compare it with an annotation."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:
        return _NOTHING

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        return None


class NoProgress(kopf.ProgressStorage):
    """Nothing is retried by kopf, so it writes nothing into objects."""

    def fetch(self, *, key: Any, body: kopf.Body) -> Any:
        return None

    def store(self, *, key: Any, record: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        return None

    def purge(self, *, key: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        return None

    def touch(self, *, body: kopf.Body, patch: kopf.Patch, value: str | None) -> None:
        return None

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence


_NOTHING: Final = kopf.BodyEssence()


def event_only_settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False  # our own recorder aggregates
    settings.posting.loggers = False
    settings.scanning.disabled = True  # no list/watch of CRDs and namespaces in the whole cluster
    settings.peering.standalone = True  # a Lease elects
    settings.queueing.worker_limit = 64
    settings.queueing.idle_timeout = 0.01  # a worker keeps its place through the idle time
    settings.watching.server_timeout = 300
    settings.watching.chunk_size = 500  # 81 MB instead of 211 for 10,000 objects
    settings.watching.initial_streaming = False
    settings.networking.request_timeout = 30
    settings.networking.error_backoffs = (0.2, 0.5, 1, 2, 5)
    settings.networking.enforce_retry_after = True
    settings.networking.trust_env = False
    settings.process.ultimate_exiting_timeout = FROM_POD_TO_SIGKILL
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.persistence.progress_storage = NoProgress()
    return settings


EVENT_HANDLERS_ONLY: Final[Collection[str]] = ("event", "login")
"""The only members of ``kopf.on`` that this code base may use; a test looks."""
