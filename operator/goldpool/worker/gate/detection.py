"""What bytes look like, by our own table: QEMU is never asked to guess, because guessing is how files leak.

Source: the format drivers of QEMU 7.2 (their ``bdrv_probe``), file(1)'s magic for archives.
"""

import re
from typing import Final

from goldpool.contracts.layout import ImageFormat

_MAGICS: Final[tuple[tuple[str, int, bytes], ...]] = (
    ("qcow2", 0, b"QFI\xfb\0\0\0\2"),
    ("qcow2", 0, b"QFI\xfb\0\0\0\3"),
    ("qcow1", 0, b"QFI\xfb\0\0\0\1"),
    ("QED", 0, b"QED\0"),
    ("VMDK", 0, b"KDMV"),
    ("VMDK", 0, b"COWD"),
    ("VMDK", 0, b"SEsparse"),
    ("VHDX", 0, b"vhdxfile"),
    ("VHD", 0, b"conectix"),
    ("VDI", 0x40, b"\x7f\x10\xda\xbe"),
    ("Parallels", 0, b"WithoutFreeSpace"),
    ("Parallels", 0, b"WithouFreSpacExt"),
    ("Bochs", 0, b"Bochs Virtual HD Image"),
    ("cloop", 0, b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop"),
    ("LUKS", 0, b"LUKS\xba\xbe"),
    ("iso", 32769, b"CD001"),
    ("gzip", 0, b"\x1f\x8b"),
    ("xz", 0, b"\xfd7zXZ\0"),
    ("zstd", 0, b"\x28\xb5\x2f\xfd"),
    ("bzip2", 0, b"BZh"),
    ("lz4", 0, b"\x04\x22\x4d\x18"),
    ("lzip", 0, b"LZIP"),
    ("zip", 0, b"PK\3\4"),
    ("zip", 0, b"PK\5\6"),
    ("7z", 0, b"7z\xbc\xaf\x27\x1c"),
    ("rar", 0, b"Rar!\x1a\7"),
    ("tar", 257, b"ustar"),
    ("cpio", 0, b"070701"),
    ("deb", 0, b"!<arch>\n"),
)
_HTML: Final = re.compile(
    rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_XML: Final = re.compile(rb"\s*<\?xml\b")
# QEMU takes any text for a VMDK descriptor whose first line that is neither comment nor blank says its version.
_VMDK_TEXT: Final = re.compile(
    rb"(?:#\s*Disk\s+DescriptorFile|(?:[ \t]*(?:#[^\n]*)?\r?\n)*version=\d)", re.IGNORECASE
)
_TEXT_BYTES: Final = bytes([*b"\t\n\r\f", *range(0x20, 0x7F), *range(0x80, 0x100)])
_TEXT_WINDOW: Final = 512
_BOM: Final = b"\xef\xbb\xbf"

_DISKS: Final = frozenset(
    {"qcow1", "QED", "VMDK", "VHDX", "VHD", "VDI", "Parallels", "Bochs", "cloop", "DMG", "an unknown qcow"}
)
_COMPRESSED: Final = frozenset({"gzip", "xz", "zstd", "bzip2", "lz4", "lzip"})
_ARCHIVES: Final = frozenset({"zip", "7z", "rar", "tar", "cpio", "deb"})
_PAGES: Final = frozenset({"HTML", "XML", "text"})


def detected(head: bytes, tail: bytes = b"") -> frozenset[str]:
    """Every known container the bytes could be taken for; empty for a raw disk.

    ``head`` is the file's beginning (32 KiB and more), ``tail`` its last sector.
    """
    found = {name for name, offset, magic in _MAGICS if head.startswith(magic, offset)}
    if head.startswith(b"QFI\xfb") and not found & {"qcow1", "qcow2"}:
        found.add("an unknown qcow")
    if tail.startswith(b"conectix"):
        found.add("VHD")
    if tail.startswith(b"koly"):
        found.add("DMG")
    if _VMDK_TEXT.match(head[:4096]):
        found.add("VMDK")
    text = head[:4096].removeprefix(_BOM)
    if _HTML.match(text):
        found.add("HTML")
    elif _XML.match(text):
        found.add("XML")
    elif not found and _is_text(text[:_TEXT_WINDOW]):
        found.add("text")
    return frozenset(found)


def _is_text(start: bytes) -> bool:
    """A page that a server sent instead: no disk, partition table or file system begins with a sector of text.

    A short text may be padded with zeros to a sector's end.
    """
    text = start.rstrip(b"\0")
    if not text or text.translate(None, _TEXT_BYTES):
        return False
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return error.end >= len(text)  # a character that the window cuts in two
    return True


def wrong_format(declared: ImageFormat, found: frozenset[str]) -> str | None:
    """Why bytes taken for ``found`` are not the declared format, and what to do about it.

    A file of two formats at once is none of them.
    """
    expected = frozenset() if declared is ImageFormat.RAW else frozenset({declared.value})
    if found == expected:
        return None
    looks_like = " and ".join(sorted(found)) if found else "a raw disk or something unknown"
    remedy = _remedy(found)
    return f"declared {declared}, but the bytes look like {looks_like}{'; ' if remedy else ''}{remedy}"


def _remedy(found: frozenset[str]) -> str:
    """Nothing for bytes of two formats: somebody made them to be taken for either."""
    if len(found) != 1:
        return ""
    (one,) = found
    if one in {image.value for image in ImageFormat}:
        return f"set spec.format to {one} if that is what it should be"
    if one in _DISKS:
        return "convert it with qemu-img convert -O qcow2"
    if one in _COMPRESSED:
        return "it is compressed twice or in a way that is not supported: unpack it first"
    if one in _ARCHIVES:
        return "it is an archive: unpack it and publish the image itself"
    if one in _PAGES:
        return "the server sent a page and no image: look at the URL with a browser"
    return "decrypt it first" if one == "LUKS" else ""
