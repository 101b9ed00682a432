"""What pods and security settings rely on in the images."""

import re
import tarfile
from pathlib import Path

import pytest

from hack.images import context, debian, engines, steps
from hack.images.build import inputs

DOCKERFILE = engines.DOCKERFILE.read_text(encoding="utf-8")


def stage(name: str) -> str:
    """The instructions of one stage of the Dockerfile."""
    found = re.search(rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    assert found is not None, name
    return found[1]


@pytest.mark.parametrize(
    ("target", "user", "module"),
    [
        ("goldpool-operator", "65532:65532", "goldpool.app"),
        ("goldpool-worker", "107:107", "goldpool.worker"),
        ("goldpool-vm", "107:107", "goldpool.runtime"),
    ],
)
def test_every_image_starts_its_module_as_a_numeric_user(target: str, user: str, module: str) -> None:
    # Numeric, because the kubelet cannot tell for a name that runAsNonRoot holds.
    assert f"USER {user}\n" in stage(target)
    assert f'ENTRYPOINT ["python3", "-m", "{module}"]' in stage(target)
    assert target in engines.TARGETS


@pytest.mark.parametrize("target", engines.TARGETS)
def test_the_package_is_the_last_layer(target: str) -> None:
    layers = [line for line in stage(target).splitlines() if line.startswith(("COPY", "RUN", "ADD"))]
    assert layers[-1].startswith("COPY --from=package")


def test_references_are_full_names_with_a_tag() -> None:
    assert engines.reference("goldpool-vm") == "goldpool.local/goldpool-vm:dev"


def test_copied_source_does_not_depend_on_modes_or_times(tmp_path: Path) -> None:
    source, target = tmp_path / "from", tmp_path / "to"
    (source / "room").mkdir(parents=True)
    (source / "room" / "a.py").write_text("x = 1\n", encoding="utf-8")
    (source / "room" / "a.py").chmod(0o600)
    context.copy_source(source, target)
    copied = target / "room" / "a.py"
    assert copied.stat().st_mode & 0o777 == 0o644
    assert (target / "room").stat().st_mode & 0o777 == 0o755
    assert copied.stat().st_mtime == target.stat().st_mtime == 315532800


TARGETS = "bookworm http://own.example/debian/\nbookworm-security http://own.example/security/\n"


def test_a_mirror_can_be_named_and_makes_another_base() -> None:
    mirrored = {"GOLDPOOL_DEBIAN_MIRROR": "http://mirror.example/debian"}
    assert debian.sources(mirrored, TARGETS)[0] == "deb http://mirror.example/debian bookworm main"
    assert debian.base_name(mirrored) != debian.base_name({})


def test_else_it_is_what_this_machine_is_set_up_with() -> None:
    assert debian.sources({}, TARGETS) == (
        "deb http://own.example/debian bookworm main",
        "deb http://own.example/debian bookworm-updates main",
        "deb http://own.example/security bookworm-security main",
    )


def test_a_machine_set_up_for_another_release_is_told_what_to_set() -> None:
    with pytest.raises(steps.BuildError, match="set GOLDPOOL_DEBIAN_MIRROR"):
        debian.sources({}, "trixie http://own.example/debian\n")


def test_inputs_are_the_same_twice() -> None:
    assert inputs() == inputs()


def test_a_failing_tool_says_what_it_printed() -> None:
    with pytest.raises(steps.BuildError, match=r"ended with 3:\nwhy"):
        steps.run(["sh", "-c", "echo why; exit 3"])


def test_a_missing_tool_is_named() -> None:
    with pytest.raises(steps.BuildError, match="no-such-tool is not installed"):
        steps.run(["no-such-tool"])


def test_a_packed_tree_belongs_to_root_and_is_the_same_twice(tmp_path: Path) -> None:
    (tmp_path / "tree" / "room").mkdir(parents=True)
    (tmp_path / "tree" / "room" / "a.py").write_text("x = 1\n", encoding="utf-8")
    context.pack(tmp_path / "tree", tmp_path / "one.tar")
    (tmp_path / "tree" / "room" / "a.py").touch()
    context.pack(tmp_path / "tree", tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as tar:
        assert {(member.name, member.uid, member.mode) for member in tar} == {
            ("room", 0, 0o755),
            ("room/a.py", 0, 0o644),
        }
