"""The ways people write a checksum."""

import pytest

from goldpool.contracts.operations import Checksum
from goldpool.controllers.checksum import checksum

LENGTHS = {"md5": 32, "sha1": 40, "sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128}


@pytest.mark.parametrize(("algorithm", "length"), LENGTHS.items())
@pytest.mark.parametrize("form", ["{name}:{hex}", "{hex}", "{{{upper}}}{hex}"])
def test_prefix_bare_hex_and_cloudstacks_form_mean_the_same(algorithm: str, length: int, form: str) -> None:
    upper = algorithm.upper().replace("SHA", "SHA-")
    text = form.format(name=algorithm, upper=upper, hex="Ab" * (length // 2))
    assert checksum(text) == Checksum.from_fields({"algorithm": algorithm, "hex": "ab" * (length // 2)})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256:",
        "abc",
        "f" * 63,
        "sha256:" + "a" * 40,
        "{SHA-256}" + "a" * 32,
        "crc32:" + "a" * 8,
        "g" * 64,
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        checksum(text)
