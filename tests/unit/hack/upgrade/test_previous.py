"""Which version an upgrade comes from, in real git repositories, and how its images are named."""

import subprocess
from pathlib import Path

import pytest

from hack.upgrade.previous import NoHistoryError, commit, retagged


class Repository:
    """Each change is a commit; the author is nobody in particular."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "-q")

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
        command = ["git", "-C", str(self.root), *identity, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def change(self, path: str, text: str) -> str:
        self.write(path, text)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", path)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    root = tmp_path / "repository"
    root.mkdir()
    return Repository(root)


def test_it_is_what_was_before_the_last_change_of_what_is_shipped(repository: Repository) -> None:
    repository.change("operator/a.py", "1")
    before = repository.change("README.md", "1")
    repository.change("charts/a.yaml", "1")
    repository.change("README.md", "2")
    assert commit(repository.root) == before


def test_with_changes_that_are_not_committed_it_is_the_last_commit(repository: Repository) -> None:
    repository.change("operator/a.py", "1")
    latest = repository.change("operator/a.py", "2")
    repository.write("charts/new.yaml", "3")
    assert commit(repository.root) == latest


def test_what_is_not_shipped_does_not_count(repository: Repository) -> None:
    first = repository.change("operator/a.py", "1")
    repository.change("operator/a.py", "2")
    repository.write("docs/a.md", "3")
    assert commit(repository.root) == first


def test_a_wished_one_is_taken_by_any_name(repository: Repository) -> None:
    first = repository.change("operator/a.py", "1")
    repository.change("operator/a.py", "2")
    repository.change("operator/a.py", "3")
    assert commit(repository.root, first[:10]) == commit(repository.root, "HEAD~2") == first


def test_the_first_version_has_none_before_it(repository: Repository) -> None:
    repository.change("operator/a.py", "1")
    with pytest.raises(NoHistoryError):
        commit(repository.root)


def test_a_shallow_clone_says_what_it_lacks(repository: Repository, tmp_path: Path) -> None:
    repository.change("operator/a.py", "1")
    repository.change("operator/a.py", "2")
    shallow = tmp_path / "shallow"
    repository.git("clone", "-q", "--depth=1", f"file://{repository.root}", str(shallow))
    with pytest.raises(NoHistoryError, match="unshallow"):
        commit(shallow)


def test_images_get_a_tag_of_their_own() -> None:
    index = {
        "schemaVersion": 2,
        "manifests": [
            {"digest": "sha256:a", "annotations": {"io.containerd.image.name": "goldpool.local:5000/vm:dev",
                                                   "org.opencontainers.image.ref.name": "dev"}},
            {"digest": "sha256:b", "annotations": {"org.opencontainers.image.ref.name": "goldpool.local/worker:dev"}},
        ],
    }  # fmt: skip
    assert retagged(index)["manifests"] == [
        {"digest": "sha256:a", "annotations": {"io.containerd.image.name": "goldpool.local:5000/vm:previous",
                                               "org.opencontainers.image.ref.name": "dev"}},
        {"digest": "sha256:b", "annotations": {"org.opencontainers.image.ref.name": "goldpool.local/worker:previous"}},
    ]  # fmt: skip
