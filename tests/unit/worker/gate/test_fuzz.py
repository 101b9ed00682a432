"""Whatever bytes arrive: they are admitted or refused, in time, and nothing but them is opened.

``GOLDPOOL_FUZZ=20`` looks at twenty times as many.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goldpool.contracts.layout import ImageFormat
from goldpool.contracts.operations import FetchPolicy
from goldpool.contracts.report import PERMANENT, FailureReason
from goldpool.worker.failures import OperationFailed
from goldpool.worker.gate import admit
from goldpool.worker.gate.image import Image
from goldpool.worker.gate.qcow2_header import read_header
from goldpool.worker.gate.qcow2_tables import check_tables
from tests.images.medium import a_medium
from tests.unit.worker.builders import needs_qemu_img
from tests.unit.worker.gate.canary import Canaries, watched
from tests.unit.worker.gate.mutation import Seeds, seeds

TIMES = int(os.environ.get("GOLDPOOL_FUZZ", "1"))
POLICY = FetchPolicy(max_bytes=1 << 30, max_virtual_bytes=1 << 40, check_seconds=300)
CORPUS = sorted((Path(__file__).parents[3] / "images/corpus").iterdir())
ABOUT_THE_BYTES = {FailureReason.WRONG_FORMAT, FailureReason.UNSAFE_IMAGE, FailureReason.TOO_LARGE}


def looking_at(examples: int) -> settings:
    return settings(
        max_examples=examples * TIMES,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
        ],
    )


@pytest.fixture(scope="module")
def canaries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canaries]:
    with watched(tmp_path_factory.mktemp("canaries")) as canaries:
        yield canaries


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Seeds:
    return seeds(tmp_path_factory.mktemp("seeds"))


def verdict(path: Path, declared: ImageFormat = ImageFormat.QCOW2) -> int | None:
    """The virtual size; None for an image that is refused for what it is."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return admit(fd, declared, POLICY)
    except OperationFailed as failed:
        refusal = failed
    finally:
        os.close(fd)
    assert refusal.reason in ABOUT_THE_BYTES & PERMANENT, refusal.message
    assert refusal.message.isprintable()
    return None


def qemu_agrees(path: Path, virtual_bytes: int) -> None:
    """Asked without any of our walls, and told to follow whatever it finds."""
    command = ["qemu-img", "info", "--backing-chain", "--output=json", "-f", "qcow2", str(path)]
    said = subprocess.run(command, check=True, capture_output=True, timeout=300)
    (only,) = json.loads(said.stdout)
    assert only["virtual-size"] == virtual_bytes
    assert not {"backing-filename", "full-backing-filename", "snapshots", "encrypted"} & only.keys()
    assert "data-file" not in only["format-specific"]["data"]
    subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", str(path)], check=True, timeout=300)


@needs_qemu_img
def test_the_canaries_are_seen_when_somebody_opens_them(canaries: Canaries, tmp_path: Path) -> None:
    """Otherwise the tests below would prove nothing: qemu-img follows this header."""
    path = tmp_path / "i"
    subprocess.run(
        ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", str(canaries.file), "-F", "raw", path, "1M"],
        check=True,
    )
    assert not canaries.disturbed()
    assert verdict(path) is None
    assert not canaries.disturbed()
    subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", path], check=True)
    assert canaries.disturbed()


@needs_qemu_img
@looking_at(60)
@given(data=st.data())
def test_what_is_admitted_stands_alone(
    images: Seeds, canaries: Canaries, tmp_path: Path, data: st.DataObject
) -> None:
    path = tmp_path / "i"
    path.write_bytes(data.draw(images.spoiled(canaries.paths)).of(images))
    virtual_bytes = verdict(path)
    if virtual_bytes is not None:
        qemu_agrees(path, virtual_bytes)
    assert not canaries.disturbed()


@needs_qemu_img
@looking_at(400)
@given(data=st.data())
def test_our_own_reading_never_fails_in_another_way(
    images: Seeds, tmp_path: Path, data: st.DataObject
) -> None:
    path = tmp_path / "i"
    spoiled = data.draw(images.spoiled([Path("/etc/passwd")], largest=1 << 20))
    path.write_bytes(spoiled.of(images))
    with path.open("rb") as file, suppress(OperationFailed):
        image = Image.of(file.fileno())
        header = read_header(image.head, image.length)
        check_tables(image, header)
        assert header.l1_offset + 8 * header.l1_entries <= image.length
        assert not header.backing_length


@looking_at(150)
@given(
    spoils=st.lists(
        st.tuples(st.integers(32768, 34816 + 2048), st.binary(min_size=1, max_size=8)), max_size=5
    ),
    length=st.one_of(st.just(49152), st.integers(0, 60000)),
    declared=st.sampled_from([ImageFormat.ISO, ImageFormat.RAW]),
)
def test_any_medium_is_admitted_or_refused(
    tmp_path: Path, spoils: list[tuple[int, bytes]], length: int, declared: ImageFormat
) -> None:
    medium = a_medium()
    for offset, data in spoils:
        medium[offset : offset + len(data)] = data
    path = tmp_path / "i"
    path.write_bytes(medium[:length].ljust(length, b"\0"))
    virtual_bytes = verdict(path, declared)
    assert virtual_bytes is None or length <= virtual_bytes < length + 512


@needs_qemu_img
@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_what_was_found_before(path: Path, canaries: Canaries) -> None:
    """Small images kept because of what they are, or because something once went wrong with them; the first word of
    the name is what becomes of them."""
    virtual_bytes = verdict(path)
    assert ("refused" if virtual_bytes is None else "admitted") == path.name.partition("-")[0]
    if virtual_bytes is not None:
        qemu_agrees(path, virtual_bytes)
    assert not canaries.disturbed()
