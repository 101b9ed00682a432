"""Which namespace a kubeconfig means."""

from pathlib import Path

import pytest
import yaml

from goldpool.kube.config import default_namespace


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    contexts = {
        "bare": {"cluster": "c", "user": "u"},
        "team": {"cluster": "c", "user": "u", "namespace": "team-a"},
    }
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "team",
        "contexts": [{"name": name, "context": context} for name, context in contexts.items()],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {}}],
    }  # fmt: skip
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "another"))
    return path


@pytest.mark.parametrize(
    ("context", "namespace"), [(None, "team-a"), ("team", "team-a"), ("bare", "default")]
)
def test_a_context_stands_in_a_namespace(kubeconfig: Path, context: str | None, namespace: str) -> None:
    assert default_namespace(context=context, path=str(kubeconfig)) == namespace


def test_the_variable_counts_where_no_file_is_named(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    assert default_namespace() == "team-a"
