"""Reads the ways people write a checksum: ``sha256:HEX``, CloudStack's ``{SHA-256}HEX``, bare hex by its length."""

from typing import Final, TypedDict

from goldpool.contracts.operations import Checksum

_BY_LENGTH: Final = {32: "md5", 40: "sha1", 56: "sha224", 64: "sha256", 96: "sha384", 128: "sha512"}


class Parsed(TypedDict):
    algorithm: str
    hex: str


def parse_checksum(text: str) -> Parsed:
    """Algorithm names without dashes, hex in lower case (upper case never matched upstream). The schema has
    already refused every other form; raises ValueError all the same."""
    if text.startswith("{"):
        algorithm, _, value = text[1:].partition("}")
    elif ":" in text:
        algorithm, _, value = text.partition(":")
    else:
        algorithm, value = _BY_LENGTH.get(len(text), ""), text
    algorithm = algorithm.replace("-", "").lower()
    if _BY_LENGTH.get(len(value)) != algorithm:
        raise ValueError(f"{text!r} is no checksum")
    return {"algorithm": algorithm, "hex": value.lower()}


def checksum(text: str) -> Checksum:
    return Checksum.from_fields({**parse_checksum(text)})
