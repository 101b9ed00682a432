"""When programs are built anew, with what, and that a broken build leaves nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hack.cluster import binaries, packages, toolchain
from hack.cluster.binaries import BinarySet
from hack.cluster.commands import CommandFailedError
from hack.cluster.progress import Progress
from hack.cluster.toolchain import Go


@pytest.fixture
def source(tmp_path: Path) -> BinarySet:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "go.mod").write_text("module x\n")
    (folder / "go.sum").write_text("")
    return BinarySet("x", folder, "tool", ("x",), stamps={"v": "1"})


def test_what_a_program_is_made_of_changes_its_place(source: BinarySet) -> None:
    prints = [binaries.fingerprint(source, (1, 26))]
    (source.source / "go.sum").write_text("changed")
    prints.append(binaries.fingerprint(source, (1, 26)))
    prints.append(binaries.fingerprint(source, (1, 27)))
    prints.append(binaries.fingerprint(replace(source, stamps={"v": "2"}), (1, 26)))
    assert len(set(prints)) == 4


def test_what_does_not_matter_leaves_its_place(source: BinarySet) -> None:
    moved = source.source.rename(source.source.with_name("moved"))
    elsewhere = replace(source, source=moved)
    before = binaries.fingerprint(elsewhere, (1, 26))
    (moved / "go.mod").touch()
    assert binaries.fingerprint(elsewhere, (1, 26)) == before


def test_the_environment_cannot_loosen_what_go_sum_says() -> None:
    for each in (binaries.KUBERNETES, binaries.HELM, binaries.PAUSE):
        assert "-mod=readonly" in each.build_arguments()


def test_kubernetes_reports_its_version() -> None:
    [flags] = [a for a in binaries.KUBERNETES.build_arguments() if a.startswith("-ldflags=")]
    assert "-X k8s.io/component-base/version.gitVersion=v1.34.4" in flags


@pytest.mark.parametrize("each", [binaries.KUBERNETES, binaries.HELM])
def test_the_pinned_versions_are_the_stated_ones(each: BinarySet) -> None:
    pinned = (each.source / "go.mod").read_text()
    stated = {
        "kubernetes": ["k8s.io/kubernetes v1.34.4", "go.etcd.io/etcd/server/v3 v3.6.4"],
        "helm": ["helm.sh/helm/v3 v3.19.4"],
    }
    assert all(version in pinned for version in stated[each.name])


def fake_go(path: Path, script: str) -> Go:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return Go(path, (1, 26))


def test_a_set_is_built_once(source: BinarySet, tmp_path: Path) -> None:
    go = fake_go(tmp_path / "go", f'echo run >> {tmp_path}/runs; echo made > "$3/x"')
    cache, progress = tmp_path / "cache", Progress()
    first = binaries.provide(source, go, cache, progress)
    assert binaries.provide(source, go, cache, progress) == first
    assert (first / "x").read_text() == "made\n"
    assert (tmp_path / "runs").read_text() == "run\n"


@pytest.mark.parametrize(
    ("script", "error"),
    [('echo half > "$3/x"; exit 1', CommandFailedError), ("true", RuntimeError)],
)
def test_a_failed_build_leaves_no_set(
    source: BinarySet, tmp_path: Path, script: str, error: type[Exception]
) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(error):
        binaries.provide(source, fake_go(tmp_path / "go", script), cache, Progress())
    assert not [path for path in (cache / "bin").iterdir() if path.is_dir() and path.suffix != ".unfinished"]


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26)),
        ("go version go1.24rc1 linux/arm64", (1, 24)),
        ("go version devel +abc", None),
    ],
)
def test_gos_version_is_read(said: str, version: tuple[int, int] | None) -> None:
    assert toolchain.parse_version(said) == version


def test_only_packages_that_are_not_installed_are_missing() -> None:
    said = "runc installed\nconntrack config-files\nmount installed\n"
    assert packages.missing(said, ("runc", "conntrack", "mount", "kmod")) == ["conntrack", "kmod"]
