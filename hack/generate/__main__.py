"""`python -m hack.generate [--check]`: writes every derived file, or says which ones are stale and exits with 1."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "operator"))  # a checkout works without being installed

from hack.generate import argocd, crds, dashboard, manual, metrics, rbac, values  # noqa: E402

GENERATED_ONLY = ("crds", "charts/goldpool/templates/crds")
"""Folders that hold nothing else: a file that is no longer generated there belongs to a kind that is gone."""


def wanted() -> dict[str, str]:
    """Path below the repository's root to content."""
    makers = (argocd, crds, dashboard, manual, metrics, rbac, values)
    return {path: text for maker in makers for path, text in maker.files().items()}


def stale(root: Path, files: Mapping[str, str]) -> list[str]:
    """Paths that are missing, differ or are left over."""
    changed = [path for path, text in files.items() if _read(root / path) != text]
    left_over = [
        path.relative_to(root).as_posix() for folder in GENERATED_ONLY for path in (root / folder).glob("*")
    ]
    return sorted({*changed, *(path for path in left_over if path not in files)})


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def write(root: Path, files: Mapping[str, str]) -> list[str]:
    """Makes the files so; returns what changed."""
    changed = stale(root, files)
    for path in changed:
        if path in files:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(files[path], encoding="utf-8")
        else:
            (root / path).unlink()
    return changed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hack.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is stale")
    arguments = parser.parse_args()
    files = wanted()
    changed = stale(ROOT, files) if arguments.check else write(ROOT, files)
    for path in changed:
        print(f"{'stale' if arguments.check else 'written'}: {path}")
    return 1 if arguments.check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
