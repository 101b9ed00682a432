"""Reads metalinks: version 4 (RFC 5854) and version 3 (metalinker.org). Pure; knows XML and URLs, not sockets.

Own code on expat rather than a client's: aria2 follows a wrong whole-file digest with a failure instead of the next
mirror, and ignores a version 3 document's sha224, sha384 and sha512 without a word (data plane measurements).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit
from xml.parsers import expat

from goldpool.contracts.model import Misread
from goldpool.contracts.operations import Checksum
from goldpool.worker.failures import shortened
from goldpool.worker.fetch.checksums import HEX_DIGITS
from goldpool.worker.fetch.policy import origin, unfetchable

DOCUMENT_LIMIT: Final = 1 << 20
"""Bytes of a document; more is refused."""
MIRRORS_LIMIT: Final = 100
"""Mirrors that are used; those that would come later are left out."""
_DEPTH_LIMIT: Final = 32
_LAST: Final = 1_000_000
"""Behind every priority (RFC 5854: 1 to 999999) and every preference (100 to 0)."""

_V4: Final = "urn:ietf:params:xml:ns:metalink"
_V3: Final = "http://www.metalinker.org/"
_FIELDS: Final[Mapping[str, Mapping[tuple[str, ...], str]]] = {
    # Digests of pieces stand deeper (file/pieces/hash, verification/pieces/hash), so no path here meets them.
    _V4: {
        ("metalink", "file"): "file",
        ("metalink", "file", "size"): "size",
        ("metalink", "file", "hash"): "hash",
        ("metalink", "file", "url"): "url",
        ("metalink", "file", "metaurl"): "metaurl",
    },
    _V3: {
        ("metalink", "files", "file"): "file",
        ("metalink", "files", "file", "size"): "size",
        ("metalink", "files", "file", "verification", "hash"): "hash",
        ("metalink", "files", "file", "resources", "url"): "url",
    },
}
_FOREIGN: Final = "?"


class MetalinkInvalid(Exception):
    """The document says nothing that can be fetched. ``message`` says what is wrong, for people."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class Link:
    """One mirror. ``rank`` is lower for the better one, ``location`` as the document writes it."""

    url: str
    location: str = ""
    rank: int = _LAST


@dataclass(frozen=True, slots=True)
class Skipped:
    """What the document offers and is not used: as messages show it, and why."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Metalink:
    """What is said of one file. ``links`` in document order, none twice; every checksum is of the whole file."""

    name: str
    links: tuple[Link, ...]
    checksums: tuple[Checksum, ...] = ()
    size: int | None = None
    skipped: tuple[Skipped, ...] = ()


def parse(document: bytes, file: str = "") -> Metalink:
    """The document's only file, or the one named ``file``; names are text to compare, never paths.

    Raises ``MetalinkInvalid`` for everything else: no XML, a DTD (whose entities could read files or grow without end),
    another root element, a bad number or digest, no usable mirror.
    """
    if len(document) > DOCUMENT_LIMIT:
        raise MetalinkInvalid(f"the document is larger than {DOCUMENT_LIMIT} bytes")
    reader = _Reader()
    try:
        reader.read(document)
    except expat.ExpatError as error:
        where = f"{expat.ErrorString(error.code)} in line {error.lineno}"
        raise MetalinkInvalid(f"it is no well-formed XML: {where}") from None
    except (LookupError, ValueError) as error:
        # An encoding that expat leaves to Python, and Python does not know or cannot map to single bytes.
        raise MetalinkInvalid("its encoding is not supported: write it in UTF-8") from error
    return _meant(reader.files, file).metalink()


def in_order(links: Iterable[Link], location: str) -> tuple[Link, ...]:
    """Those at ``location`` (where the host stands) first, then the best rank, then as the document has them."""
    here = location.casefold()
    return tuple(sorted(links, key=lambda link: (not here or link.location.casefold() != here, link.rank)))


@dataclass
class _File:
    name: str
    version: str
    fields: list[tuple[str, Mapping[str, str], str]] = field(default_factory=list)
    """(field, attributes, text)"""

    def metalink(self) -> Metalink:
        links, skipped = self._links()
        checksums, unknown = self._checksums()
        skipped += unknown
        if not links:
            offered = "; ".join(f"{one.what}: {one.why}" for one in skipped[:3])
            raise MetalinkInvalid(f"it names no usable mirror{f' ({offered})' if offered else ''}")
        return Metalink(self.name, tuple(links), tuple(checksums), self._size(), tuple(skipped))

    def _texts(self, name: str) -> Iterable[tuple[Mapping[str, str], str]]:
        return ((attributes, text) for found, attributes, text in self.fields if found == name)

    def _size(self) -> int | None:
        sizes = {_number("size", text, 0, 1 << 60) for _, text in self._texts("size")}
        if len(sizes) > 1:
            raise MetalinkInvalid("it gives two sizes of one file")
        return next(iter(sizes), None)

    def _checksums(self) -> tuple[list[Checksum], list[Skipped]]:
        found: dict[str, Checksum] = {}
        skipped = []
        for attributes, text in self._texts("hash"):
            named = attributes.get("type", "").strip()
            algorithm, digits = named.lower().replace("-", ""), "".join(text.split()).lower()
            if algorithm not in HEX_DIGITS:
                skipped.append(Skipped(f"hash {shortened(named, 40) or 'without a type'}", "not supported"))
                continue
            checksum = _checksum(algorithm, digits)
            if found.setdefault(algorithm, checksum) != checksum:
                raise MetalinkInvalid(f"it gives two {algorithm} digests of one file")
        return list(found.values()), skipped

    def _links(self) -> tuple[list[Link], list[Skipped]]:
        links: dict[str, Link] = {}
        skipped = []
        for attributes, url in self._texts("url"):
            link = Link(url, attributes.get("location", "").strip(), self._rank(attributes))
            if (why := _unusable(url, attributes.get("type", ""))) is not None:
                skipped.append(Skipped(shortened(origin(url), 200), why))
            elif url not in links or link.rank < links[url].rank:
                links[url] = link
        for attributes, url in self._texts("metaurl"):
            kind = attributes.get("mediatype", "").strip().lower()
            why = (
                "torrents are not supported"
                if "torrent" in kind
                else "a metalink within a metalink is not followed"
            )
            skipped.append(Skipped(shortened(origin(url), 200), why))
        return list(links.values()), skipped

    def _rank(self, attributes: Mapping[str, str]) -> int:
        if self.version == _V4:
            priority = attributes.get("priority")
            return _LAST if priority is None else _number("priority", priority, 1, 999_999)
        preference = attributes.get("preference")
        return _LAST if preference is None else 100 - _number("preference", preference, 0, 100)


class _Reader:
    """Follows the document as expat reads it: only paths of the version's own elements count."""

    def __init__(self) -> None:
        self.files: list[_File] = []
        self._namespace = ""
        self._path: list[str] = []
        self._open: tuple[str, Mapping[str, str], list[str]] | None = None
        self._depth = 0
        """Of the element whose text is collected; that of elements within it is not its own."""

    def read(self, document: bytes) -> None:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = _refuse_doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.Parse(document, True)

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        namespace, _, local = name.rpartition(" ")
        if not self._path:
            self._root(namespace, local)
        if len(self._path) >= _DEPTH_LIMIT:
            raise MetalinkInvalid(f"its elements are nested more than {_DEPTH_LIMIT} deep")
        self._path.append(local if namespace == self._namespace else _FOREIGN)
        match _FIELDS[self._namespace].get(tuple(self._path)):
            case None:
                return
            case "file":
                self.files.append(_File(attributes.get("name", ""), self._namespace))
            case found:
                self._open, self._depth = (found, dict(attributes), []), len(self._path)

    def _root(self, namespace: str, local: str) -> None:
        if local != "metalink":
            raise MetalinkInvalid(f"it is no metalink: its root element is <{shortened(local, 40)}>")
        if namespace not in _FIELDS:
            said = f"namespace {shortened(namespace, 60)!r}" if namespace else "no namespace"
            raise MetalinkInvalid(f"its root element has {said}; version 4 has {_V4!r}, version 3 {_V3!r}")
        self._namespace = namespace

    def _text(self, text: str) -> None:
        if self._open is not None and len(self._path) == self._depth:
            self._open[2].append(text)

    def _end(self, _name: str) -> None:
        if self._open is not None and len(self._path) == self._depth:
            found, attributes, texts = self._open
            self.files[-1].fields.append((found, attributes, "".join(texts).strip()))
            self._open = None
        self._path.pop()


def _refuse_doctype(*_: Any) -> None:
    raise MetalinkInvalid("it has a document type declaration, which is refused: remove <!DOCTYPE>")


def _meant(files: list[_File], file: str) -> _File:
    """A metalink of two files is no choice of ours."""
    if not files:
        raise MetalinkInvalid("it describes no file")
    if not file:
        if len(files) > 1:
            raise MetalinkInvalid(
                f"it describes {len(files)} files ({_names(files)}): name one in spec.source.file"
            )
        return files[0]
    named = [one for one in files if one.name == file]
    if not named:
        raise MetalinkInvalid(f"it describes no file {shortened(file, 60)!r}, but {_names(files)}")
    if len(named) > 1:
        raise MetalinkInvalid(f"it describes {len(named)} files {shortened(file, 60)!r}")
    return named[0]


def _names(files: list[_File]) -> str:
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    return ", ".join(repr(shortened(one.name, 40)) for one in files[:3]) + more


def _unusable(url: str, kind: str) -> str | None:
    if (objection := unfetchable(url)) is not None:
        return objection
    if any(character.isspace() or not character.isprintable() for character in url):
        return "the URL is not valid"
    path = urlsplit(url).path.lower()
    if path.endswith(".torrent") or kind.strip().lower() == "bittorrent":
        return "torrents are not supported"
    if path.endswith((".meta4", ".metalink")):
        return "a metalink within a metalink is not followed"
    return None


def _checksum(algorithm: str, digits: str) -> Checksum:
    if len(digits) == HEX_DIGITS[algorithm]:
        try:
            return Checksum.from_fields({"algorithm": algorithm, "hex": digits})
        except Misread:
            pass
    raise MetalinkInvalid(f"its {algorithm} digest {shortened(digits, 40)!r} is none")


def _number(what: str, text: str, least: int, most: int) -> int:
    if re.fullmatch(r"[0-9]{1,18}", text.strip()) and least <= int(text) <= most:
        return int(text)
    raise MetalinkInvalid(f"its {what} {shortened(text, 40)!r} is no number from {least} to {most}")
