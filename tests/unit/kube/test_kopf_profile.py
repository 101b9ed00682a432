"""kopf stays a listener: its settings, and that nobody uses more of it."""

import ast
from pathlib import Path

import kopf
import pytest

from goldpool.kube.kopf_profile import EVENT_HANDLERS_ONLY, NoDiffBase, NoProgress, event_only_settings

OPERATOR = Path(__file__).parents[3] / "operator"
STATEFUL = {"index", "daemon", "timer", "adopt", "event", "info", "warn", "exception", "create", "update"}


def test_the_settings_profile() -> None:
    settings = event_only_settings()
    assert (settings.posting.enabled, settings.posting.loggers) == (False, False)
    assert settings.scanning.disabled
    assert settings.peering.standalone
    assert (settings.queueing.worker_limit, settings.queueing.idle_timeout) == (64, 0.01)
    assert settings.watching.server_timeout == 300
    assert settings.watching.chunk_size == 500
    assert settings.watching.inactivity_timeout == 70.0
    assert not settings.watching.initial_streaming
    assert settings.networking.request_timeout == 30
    assert settings.networking.error_backoffs == (0.2, 0.5, 1, 2, 5)
    assert not settings.networking.trust_env
    assert settings.process.ultimate_exiting_timeout == 25.0
    assert isinstance(settings.persistence.diffbase_storage, NoDiffBase)
    assert isinstance(settings.persistence.progress_storage, NoProgress)


def test_no_object_is_copied_or_marked() -> None:
    storage = NoDiffBase()
    body = kopf.Body({"metadata": {"name": "a"}, "spec": {}})
    assert storage.fetch(body=body) is None
    assert storage.build(body=body) is storage.build(body=body)


def decorators_used(source: str) -> set[str]:
    """Names reached through ``kopf.on`` or kopf's other handler decorators, and ``from kopf import`` of anything."""
    used: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            path = ast.unparse(node)
            if path.startswith("kopf.on."):
                used.add(path.removeprefix("kopf.on."))
            elif path.removeprefix("kopf.") in STATEFUL and path.startswith("kopf."):
                used.add(path)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "kopf":
            used.add(f"from {node.module} import {node.names[0].name}")
    return used


def test_only_on_event_and_login_are_used_in_the_operator() -> None:
    used: dict[str, str] = {}
    for path in sorted(OPERATOR.rglob("*.py")):
        used |= dict.fromkeys(decorators_used(path.read_text()), str(path.relative_to(OPERATOR)))
    # Not a handler: the type of kopf.operator()'s argument that tells which kinds it found.
    used.pop("from kopf._cogs.structs.references import Insights")
    assert set(used) == set(EVENT_HANDLERS_ONLY), used


@pytest.mark.parametrize(
    "source",
    [
        "@kopf.on.create('a')\ndef f(**_): ...",
        "kopf.index('a')",
        "@kopf.timer('a')\ndef f(): ...",
        "from kopf import on",
    ],
)
def test_the_look_finds_what_is_forbidden(source: str) -> None:
    assert decorators_used(source) - set(EVENT_HANDLERS_ONLY)
