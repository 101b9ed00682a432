"""qcow2 images as qemu-img makes them, and ways to spoil them that know what stands where."""

import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hypothesis import strategies as st

from tests.images.hostile import qemu_img

_KIB: Final = 1 << 10
DISK: Final = 256 * _KIB
OPTIONS: Final = (
    "compat=0.10,cluster_size=512",
    "cluster_size=512",
    "cluster_size=4k",
    "cluster_size=64k",
    "cluster_size=2M",
    "cluster_size=512,lazy_refcounts=on",
    "cluster_size=512,refcount_bits=1",
    "cluster_size=512,refcount_bits=64",
    "cluster_size=16k,extended_l2=on",
    "cluster_size=4k,compression_type=zstd",
    "cluster_size=512,preallocation=metadata",
)


def seeds(directory: Path) -> "Seeds":
    """One image for each set of options, with data in it, and those that qemu-img makes in other ways."""
    made = []
    for number, options in enumerate(OPTIONS):
        path = directory / f"seed-{number}"
        qemu_img("create", "-q", "-f", "qcow2", "-o", options, path, str(DISK))
        writes = ["-c", "write -q -P 1 0 20k", "-c", "write -q -P 2 200k 10k", "-c", "write -q -z 64k 32k"]
        subprocess.run(["qemu-io", "-f", "qcow2", *writes, str(path)], check=True, timeout=60)
        made.append(path)
    raw, compressed, kept, marked = (directory / name for name in ("raw", "compressed", "kept", "marked"))
    raw.write_bytes(bytes(range(256)) * (DISK // 256))
    qemu_img("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", "cluster_size=4k", raw, compressed)
    for path in (kept, marked):
        qemu_img("create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", path, str(DISK))
    qemu_img("snapshot", "-c", "one", kept)
    qemu_img("bitmap", "--add", marked, "changes")
    return Seeds(tuple(path.read_bytes() for path in (*made, compressed, kept, marked)))


@dataclass(frozen=True)
class Spoil:
    """Bytes over an image's own, at a place; ``cut`` is its length afterwards, -1 for as it was."""

    offset: int
    data: bytes
    cut: int = -1

    def over(self, image: bytes) -> bytes:
        offset = min(self.offset, len(image) + _KIB)
        spoiled = bytearray(image.ljust(offset + len(self.data), b"\0"))
        spoiled[offset : offset + len(self.data)] = self.data
        return bytes(spoiled if self.cut < 0 else spoiled[: self.cut])


_FIELDS: Final = (
    (0, "I"), (4, "I"), (8, "Q"), (16, "I"), (20, "I"), (24, "Q"), (32, "I"), (36, "I"), (40, "Q"), (48, "Q"),
    (56, "I"), (60, "I"), (64, "Q"), (72, "Q"), (80, "Q"), (88, "Q"), (96, "I"), (100, "I"), (104, "Q"),
)  # fmt: skip
_EXTENSIONS: Final = (0, 0xE2792ACA, 0x44415441, 0x0537BE77, 0x23852875, 0x6803F857, 0x12345678)


def _numbers(image: bytes, code: str) -> st.SearchStrategy[int]:
    """What a parser may trip over: ends of ranges, neighbours, and places in this very image."""
    top = (1 << (64 if code == "Q" else 32)) - 1
    cluster = 1 << min(struct.unpack_from(">I", image, 20)[0], 21)
    near = [
        0,
        1,
        2,
        3,
        4,
        7,
        8,
        9,
        16,
        21,
        22,
        63,
        64,
        104,
        112,
        512,
        len(image),
        len(image) + 1,
        top,
        top // 2,
    ]
    bits = st.integers(0, top.bit_length() - 1).map(lambda bit: 1 << bit)
    places = st.integers(0, len(image) // cluster + 1).map(lambda n: n * cluster)
    return st.one_of(st.sampled_from(near), bits, places, st.integers(0, top)).map(lambda n: n & top)


def _field(image: bytes) -> st.SearchStrategy[Spoil]:
    return st.sampled_from(_FIELDS).flatmap(
        lambda field: _numbers(image, field[1]).map(lambda n: Spoil(field[0], struct.pack(">" + field[1], n)))
    )


def _entry(image: bytes) -> st.SearchStrategy[Spoil]:
    """An entry of the L1 table, of the refcount table, or of the first table that either of them names."""
    tables = []
    for at in (40, 48):
        (table,) = struct.unpack_from(">Q", image, at)
        (below,) = struct.unpack_from(">Q", image, table)
        tables += [table, below & 0x00FFFFFFFFFFFE00]
    flags = st.sampled_from([0, 1 << 63, 1 << 62, 3 << 62, 1, 1 << 63 | 1])
    entry = st.builds(lambda n, flag: struct.pack(">Q", n | flag), _numbers(image, "Q"), flags)
    return st.builds(
        lambda table, place, data: Spoil(table + 8 * place, data),
        st.sampled_from(tables), st.integers(0, 70), entry,
    )  # fmt: skip


def _extension(names: Sequence[bytes]) -> st.SearchStrategy[Spoil]:
    """A header extension where they begin, or where a longer header ends; what it holds may be a path."""

    def made(at: int, kind: int, content: bytes, length: int) -> Spoil:
        size = length if length >= 0 else len(content)
        padded = content + bytes(-len(content) % 8)
        return Spoil(at, struct.pack(">II", kind, size & 0xFFFFFFFF) + padded + bytes(8))

    content = st.one_of(st.sampled_from([b"", b"raw", b"qcow2", bytes(48), *names]), st.binary(max_size=64))
    lengths = st.sampled_from([-1, -1, -1, 0, 1, 48, 1 << 16, 0x7FFFFFFF, 0xFFFFFFF0])
    return st.builds(
        made, st.sampled_from([72, 104, 112, 120]), st.sampled_from(_EXTENSIONS), content, lengths
    )


def _backing(names: Sequence[bytes]) -> st.SearchStrategy[list[Spoil]]:
    """A path in the first cluster, and the two fields that say that it is a backing file."""

    def made(name: bytes, at: int, *, fields: bool) -> list[Spoil]:
        spoils = [Spoil(at, name)]
        return [*spoils, Spoil(8, struct.pack(">QI", at, len(name)))] if fields else spoils

    return st.builds(made, st.sampled_from(names), st.sampled_from([112, 256, 400]), fields=st.booleans())


@dataclass(frozen=True)
class Spoiled:
    """One of the seeds, and what is wrong with it: what a failing test prints."""

    seed: int
    spoils: tuple[Spoil, ...]

    def of(self, seeds: "Seeds") -> bytes:
        image = seeds.images[self.seed]
        for spoil in self.spoils:
            image = spoil.over(image)
        return image


@dataclass(frozen=True, repr=False)
class Seeds:
    images: tuple[bytes, ...]

    def spoiled(self, paths: Sequence[Path], *, largest: int = 1 << 30) -> st.SearchStrategy[Spoiled]:
        """An image of up to ``largest`` bytes with some things wrong with it, or none; names in it lead to ``paths``."""
        names = [str(path).encode() for path in paths]
        names += [
            f'json:{{"driver":"raw","file":{{"driver":"file","filename":"{path}"}}}}'.encode()
            for path in paths
        ]

        def of(seed: int) -> st.SearchStrategy[Spoiled]:
            image = self.images[seed]
            cut = st.builds(lambda n: Spoil(0, image[:1], n), st.integers(0, len(image)))
            anywhere = st.builds(Spoil, st.integers(0, len(image)), st.binary(min_size=1, max_size=8))
            each = st.one_of(_field(image), _entry(image), _extension(names), anywhere, cut)
            first: st.SearchStrategy[list[Spoil]] = st.one_of(st.just([]), _backing(names))
            return st.builds(lambda a, b: Spoiled(seed, (*a, *b)), first, st.lists(each, max_size=4))

        fitting = [n for n, image in enumerate(self.images) if len(image) <= largest]
        return st.sampled_from(fitting).flatmap(of)
