"""Compressed sources: what comes out is what went in, or a clear refusal, in bounded memory."""

import contextlib
import itertools
import resource
import struct
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from goldpool.contracts.report import FailureReason
from goldpool.worker.fetch.codecs import PIECE, Inflate, Members, gzip, zstd_window
from goldpool.worker.fetch.decompress import Compression, Decoder, Limits, recognised
from goldpool.worker.fetch.policy import MirrorFailed
from tests.unit.worker.fetch.archives import (
    CODECS,
    JOINABLE,
    bz,
    gz,
    skippable,
    xz,
    zip_by_hand,
    zip_stream,
    zipped,
    zst,
)

WIDE = Limits(max_bytes=1 << 40, amplification=1 << 30, window_bytes=64 << 20)
SAMPLE = bytes(range(256)) * 5 + bytes(100_000) + b"the end"


def decoded(body: bytes, limits: Limits = WIDE, cuts: Iterable[int] = (), total: int | None = None) -> bytes:
    decoder = Decoder(limits, total)
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    out = bytearray()
    for begin, end in itertools.pairwise(edges):
        for piece in decoder.feed(body[begin:end]):
            assert 0 < len(piece) <= max(PIECE, end - begin)
            out += piece
    for piece in decoder.finish():
        out += piece
    return bytes(out)


def refusal(body: bytes, limits: Limits = WIDE, cuts: Iterable[int] = ()) -> tuple[FailureReason, str]:
    with pytest.raises(MirrorFailed) as caught:
        decoded(body, limits, cuts)
    return caught.value.reason, caught.value.message


# --- what comes out


@given(
    data=st.one_of(st.binary(max_size=3000), st.integers(0, 300_000).map(bytes)),
    codec=st.sampled_from(sorted(CODECS)),
    cuts=st.lists(st.integers(0, 1 << 20), max_size=12),
)
@example(data=b"", codec="zip64 as a stream", cuts=[])
@settings(deadline=None)
def test_what_went_in_comes_out_however_it_is_cut(data: bytes, codec: str, cuts: list[int]) -> None:
    assert decoded(CODECS[codec](data), cuts=cuts) == data


@given(data=st.binary(max_size=200), cuts=st.lists(st.integers(0, 300), max_size=8))
@settings(deadline=None)
def test_plain_bytes_pass_as_they_are(data: bytes, cuts: list[int]) -> None:
    plain = b"QFI\xfb" + data
    assert decoded(plain, cuts=cuts) == plain


@pytest.mark.parametrize("body", [b"", b"x", b"QFI\xfb", b"PK", b"\x1f\x8b"])
def test_a_body_shorter_than_any_header_is_plain(body: bytes) -> None:
    assert decoded(body) == body
    assert decoded(body, cuts=range(len(body))) == body


@pytest.mark.parametrize("codec", sorted(CODECS))
def test_each_byte_may_come_alone(codec: str) -> None:
    body = CODECS[codec](SAMPLE)
    assert decoded(body, cuts=range(len(body))) == SAMPLE


def test_plain_data_are_not_copied() -> None:
    decoder, data = Decoder(WIDE), bytes(4096)
    assert [piece is data for piece in decoder.feed(data)] == [True]


def test_what_continues_a_plain_body_is_plain_whatever_it_looks_like() -> None:
    decoder = Decoder(WIDE, continues_plain=True)
    assert list(decoder.feed(gz(b"inside a disk"))) == [gz(b"inside a disk")]


# --- what it is taken for


@pytest.mark.parametrize(
    ("head", "compression"),
    [
        (gz(b"")[:10], Compression.GZIP),
        (b"\x1f\x8b\x08\xe0" + bytes(6), None),  # flags that gzip has reserved
        (b"\x1f\x8b\x07" + bytes(7), None),  # only deflate was ever defined
        (bz(b"data")[:10], Compression.BZIP2),
        (bz(b"")[:10], Compression.BZIP2),
        (b"BZh9 a text", None),
        (xz(b"")[:10], Compression.XZ),
        (zst(b"")[:10], Compression.ZSTD),
        (skippable()[:10], Compression.ZSTD),
        (b"\x60\x2a\x4d\x18" + bytes(6), None),
        (zipped(b"")[:10], Compression.ZIP),
        (zipped()[:10], Compression.ZIP),  # recognised, to be refused by name
        (b"PK\x07\x08PK\x03\x04ab", Compression.ZIP),
        (b"QFI\xfb\0\0\0\3ab", None),
        (bytes(10), None),
    ],
)
def test_compression_is_recognised_by_first_bytes(head: bytes, compression: Compression | None) -> None:
    assert recognised(head) == compression


# --- several members, and what follows the last


@pytest.mark.parametrize("codec", JOINABLE)
@given(parts=st.lists(st.binary(max_size=50), min_size=1, max_size=40), cuts=st.lists(st.integers(0, 9999)))
@settings(max_examples=25, deadline=None)
def test_joined_members_are_one_image(codec: str, parts: list[bytes], cuts: list[int]) -> None:
    assert decoded(b"".join(map(CODECS[codec], parts)), cuts=cuts) == b"".join(parts)


def test_a_frame_of_zstd_may_be_anybodys_own() -> None:
    assert decoded(skippable() + zst(b"a") + skippable(b"") + zst(b"b") + skippable()) == b"ab"


@pytest.mark.parametrize(
    ("codec", "zeros", "accepted"),
    [
        ("gzip", 1, True),
        ("gzip", 100_000, True),
        ("bzip2", 512, True),
        ("xz", 4, True),
        ("xz", 100_000, True),
        ("xz", 3, False),  # xz itself refuses it, too
        ("zstd", 4, False),
        ("zip", 1, False),
    ],
)
def test_zeros_at_the_end(codec: str, zeros: int, *, accepted: bool) -> None:
    body = CODECS[codec](SAMPLE) + bytes(zeros)
    if accepted:
        assert decoded(body) == SAMPLE
        assert decoded(body, cuts=range(len(body) - zeros, len(body), max(1, zeros // 50))) == SAMPLE
    else:
        assert refusal(body)[0] is FailureReason.SOURCE_CORRUPT


def test_a_member_may_follow_padding_but_not_any() -> None:
    assert decoded(xz(b"a") + bytes(8) + xz(b"b")) == b"ab"
    assert refusal(xz(b"a") + bytes(6) + xz(b"b"))[0] is FailureReason.SOURCE_CORRUPT


@pytest.mark.parametrize("codec", sorted(CODECS))
def test_a_damaged_second_member_is_not_left_out(codec: str) -> None:
    """gzip -d warns and bzip2 -d is silent: half an image would be taken for the whole."""
    second = bytearray(CODECS[codec](SAMPLE))
    second[0] ^= 0xFF
    assert refusal(CODECS[codec](SAMPLE) + second)[0] is FailureReason.SOURCE_CORRUPT


# --- what is not whole, or not right


@pytest.mark.parametrize("codec", sorted(CODECS))
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_what_ends_early_is_incomplete(codec: str, data: st.DataObject) -> None:
    body = CODECS[codec](SAMPLE)
    length = data.draw(st.integers(10, len(body) - 1))
    assert refusal(body[:length])[0] is FailureReason.TRANSFER_INCOMPLETE


@pytest.mark.parametrize("codec", sorted(CODECS))
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_damage_is_found_or_harmless(codec: str, data: st.DataObject) -> None:
    """No byte of the image differs, whatever bit was turned; and nothing but ``MirrorFailed`` is ever raised."""
    body = bytearray(CODECS[codec](SAMPLE))
    bit = data.draw(st.integers(80, len(body) * 8 - 1))
    body[bit // 8] ^= 1 << bit % 8
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=4))
    try:
        out = decoded(bytes(body), cuts=cuts)
    except MirrorFailed:
        return
    assert out == SAMPLE


@given(
    head=st.sampled_from([codec(b"x")[:length] for codec in CODECS.values() for length in (4, 10, 20)]),
    tail=st.binary(max_size=400),
)
@settings(deadline=None)
def test_any_bytes_end_in_an_answer(head: bytes, tail: bytes) -> None:
    with contextlib.suppress(MirrorFailed):
        decoded(head + tail, Limits(1 << 20, 1000, 64 << 20))


# --- limits


@pytest.mark.parametrize("codec", sorted(CODECS))
def test_no_more_is_given_than_allowed(codec: str) -> None:
    body = CODECS[codec](bytes(8 << 20))
    limits = Limits(max_bytes=5 << 20, amplification=1 << 30, window_bytes=64 << 20)
    sizes: list[int] = []
    with pytest.raises(MirrorFailed) as caught:
        sizes.extend(len(piece) for piece in Decoder(limits).feed(body))
    assert caught.value.reason is FailureReason.TOO_LARGE
    assert 3 << 20 <= sum(sizes) <= 5 << 20


@pytest.mark.parametrize(
    ("expanded", "amplification", "total", "fails"),
    [
        (4 << 20, 4, None, False),  # a short body counts as a megabyte
        (4 << 20, 3, None, True),
        (4 << 20, 3, 2 << 20, False),  # two megabytes are announced
    ],
)
def test_amplification_is_of_the_whole_body(
    expanded: int, amplification: int, total: int | None, *, fails: bool
) -> None:
    body, limits = zst(bytes(expanded)), Limits(1 << 40, amplification, 64 << 20)
    if fails:
        with pytest.raises(MirrorFailed) as caught:
            decoded(body, limits, total=total)
        assert caught.value.reason is FailureReason.UNSAFE_IMAGE
    else:
        assert len(decoded(body, limits, total=total)) == expanded


@pytest.mark.parametrize(
    ("body", "accepted"),
    [
        (xz(SAMPLE, 64 << 20), True),
        (xz(SAMPLE, 96 << 20), False),  # the next size that xz knows
        (xz(b"first") + xz(SAMPLE, 128 << 20), False),
        (zst(SAMPLE, 26), True),
        (zst(SAMPLE, 27), False),
        (zst(b"first") + zst(SAMPLE, 27), False),
    ],
)
def test_a_window_of_64_mib_and_no_more(body: bytes, *, accepted: bool) -> None:
    if accepted:
        assert decoded(body) == SAMPLE
        return
    reason, message = refusal(body)
    assert reason is FailureReason.UNSUPPORTED
    assert "above the 65536 KiB" in message or "131072 KiB, at most 65536 KiB" in message


@pytest.mark.parametrize(
    ("header", "window"),
    [
        ("28b52ffd", None),
        ("28b52ffd00", None),
        ("28b52ffd00 00", 1 << 10),
        ("28b52ffd00 80", 1 << 26),
        ("28b52ffd00 81", (1 << 26) + (1 << 23)),  # an eighth more: no power of two
        ("28b52ffd00 88", 1 << 27),
        ("28b52ffd20 05", 5),  # one segment: its size is the window
        ("28b52ffd60 0001", 256 + 256),
        ("28b52ffda0 000000", None),
        ("28b52ffda0 00000010", 1 << 28),
        ("28b52ffde0 0000000001000000", 1 << 32),
        ("28b52ffd01 80 00", 1 << 26),  # dictionary 0 is none
    ],
)
def test_the_window_that_a_frame_asks_for(header: str, window: int | None) -> None:
    assert zstd_window(bytes.fromhex(header)) == window


def test_a_frame_that_needs_a_dictionary_is_refused_by_name() -> None:
    reason, message = refusal(bytes.fromhex("28b52ffd01 80 07") + bytes(20))
    assert (reason, "dictionary" in message) == (FailureReason.UNSUPPORTED, True)


@pytest.mark.parametrize("codec", ["gzip", "bzip2", "xz", "zstd", "zip"])
def test_a_bomb_stops_at_the_limit_in_bounded_memory(codec: str) -> None:
    """In a process of its own, whose memory grows by a tenth of what comes out."""
    program = textwrap.dedent(
        f"""
        import resource
        from tests.unit.worker.fetch.archives import bomb
        from goldpool.worker.fetch.decompress import Decoder, Limits
        from goldpool.worker.fetch.policy import MirrorFailed
        body = bomb({codec!r})
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        given = 0
        try:
            for piece in Decoder(Limits(1 << 28, 1 << 30, 64 << 20)).feed(body):
                given += len(piece)
        except MirrorFailed as failed:
            print(failed.reason, given, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        """
    )
    limit = 1 << 30
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": "operator:."},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    reason, given_bytes, grown_kib = done.stdout.split()
    assert reason == "TooLarge"
    assert (1 << 28) - 2 * PIECE <= int(given_bytes) <= 1 << 28
    assert int(grown_kib) < 24 << 10


class Counting(Inflate):
    """Adds up what it is given."""

    given_bytes = 0

    def decompress(self, data: bytes, max_length: int) -> bytes:
        Counting.given_bytes += len(data)
        return super().decompress(data, max_length)


def test_thousands_of_empty_members_take_no_square_of_time() -> None:
    """50,000 in one buffer: giving all of the rest to each would be 25 GB."""
    body = gz(b"") * 50_000
    members = Members(replace(gzip(), open=lambda: Counting(31)))
    assert list(members.feed(body)) == []
    members.finish()
    assert Counting.given_bytes < 50 * len(body)


# --- zip


@pytest.mark.parametrize(
    ("body", "reason", "words"),
    [
        (zipped(), FailureReason.WRONG_FORMAT, "it is empty"),
        (zipped(b"one", b"two"), FailureReason.WRONG_FORMAT, "more than one"),
        (b"PK\x07\x08" + zipped(b"one"), FailureReason.WRONG_FORMAT, "one part of several"),
        (zip_by_hand(b"", name=b"images/"), FailureReason.WRONG_FORMAT, "a directory"),
        (zip_by_hand(b"secret", flags=1), FailureReason.UNSUPPORTED, "encrypted"),
        (zip_by_hand(b"secret", flags=1 << 6), FailureReason.UNSUPPORTED, "encrypted"),
        (zip_by_hand(b"secret", flags=1 << 13), FailureReason.UNSUPPORTED, "encrypted"),
        (zipped(b"data", method=zipfile.ZIP_BZIP2), FailureReason.UNSUPPORTED, "method 12"),
        (zipped(b"data", method=zipfile.ZIP_LZMA), FailureReason.UNSUPPORTED, "method 14"),
        (zip_by_hand(b"data", method=9), FailureReason.UNSUPPORTED, "method 9"),
        (zip_stream(b"data", zipfile.ZIP_STORED), FailureReason.UNSUPPORTED, "without its size"),
        (zip_by_hand(b"data", crc=7), FailureReason.SOURCE_CORRUPT, "not what its header says"),
        (zip_by_hand(b"data", directory_name=b"other"), FailureReason.SOURCE_CORRUPT, "not about its file"),
        (zipped(b"data") + b"more", FailureReason.SOURCE_CORRUPT, "something else follows"),
        (zipped(b"data") + zipped(b"data"), FailureReason.SOURCE_CORRUPT, "something else follows"),
    ],
)
def test_a_zip_is_one_file_or_refused(body: bytes, reason: FailureReason, words: str) -> None:
    for cuts in ((), range(len(body))):
        assert refusal(body, cuts=cuts)[0] is reason
        assert words in refusal(body, cuts=cuts)[1]


def test_a_second_file_is_refused_before_it_was_read() -> None:
    decoder = Decoder(WIDE)
    body = zipped(b"one", bytes(range(256)) * 4096)
    with pytest.raises(MirrorFailed, match="more than one file"):
        list(decoder.feed(body[:200]))


def test_a_zip_may_have_a_comment() -> None:
    assert decoded(zipped(SAMPLE, comment=b"c" * 65535)) == SAMPLE


def test_a_zip_with_a_directory_of_two_entries_is_refused() -> None:
    """Two names for the same bytes: readers would disagree about what is in it."""
    body = zip_by_hand(b"data")
    begin, end = body.index(b"PK\1\2"), body.index(b"PK\5\6")
    entry = body[begin:end]
    doubled = body[:end] + entry + body[end : end + 8] + struct.pack("<HH", 2, 2) + body[end + 12 :]
    assert refusal(doubled)[0] is FailureReason.WRONG_FORMAT


@given(st.binary(min_size=1, max_size=40).filter(lambda data: b"\0" not in data))
@settings(deadline=None)
def test_stored_files_may_hold_signatures(data: bytes) -> None:
    """What looks like a header inside a stored file is the file's."""
    content = b"PK\3\4" + data + b"PK\1\2PK\5\6"
    assert decoded(zipped(content, method=zipfile.ZIP_STORED)) == content
