"""The server takes every example as it stands in examples/."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.api.builders import NAMESPACE
from tests.cluster.api.server import Server, a_suffix, kubectl

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_accepted(server: Server, path: Path) -> None:
    """Under names of this test's own: the demo's objects may be there. Nothing is stored."""
    objects: list[dict[str, Any]] = [obj for obj in yaml.safe_load_all(path.read_text()) if obj]
    assert objects
    for obj in objects:
        metadata = obj["metadata"]
        metadata["name"] = f"{metadata['name'][:30]}-{a_suffix()}"
        if "namespace" in metadata:
            metadata["namespace"] = NAMESPACE
        answer = kubectl("create", "--dry-run=server", "-o", "name", "-f", "-", stdin=yaml.safe_dump(obj))
        assert metadata["name"] in answer


def test_an_example_with_a_typo_is_not(server: Server) -> None:
    (template,) = yaml.safe_load_all(next(p for p in EXAMPLES if "nfs" in p.name).read_text())
    template["spec"]["source"]["url"] = "nfs://filer.example/../etc/passwd"
    with pytest.raises(AssertionError, match=r"without \.\."):
        kubectl("create", "--dry-run=server", "-o", "name", "-f", "-", stdin=yaml.safe_dump(template))
