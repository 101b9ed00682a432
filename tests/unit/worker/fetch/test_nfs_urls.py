"""Which nfs URLs are taken: the same ones by who registers a template and by who fetches it."""

import re
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from goldpool.api.template import Source
from goldpool.worker.fetch.nfs_urls import NfsFile, objection, parsed
from goldpool.worker.fetch.policy import forbidden, unfetchable


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("nfs://files.example/images/a.qcow2", NfsFile("files.example", 2049, "/images/a.qcow2")),
        ("nfs://files:2050/images/sub/a", NfsFile("files", 2050, "/images/sub/a")),
        ("nfs://192.0.2.7/a", NfsFile("192.0.2.7", 2049, "/a")),
        ("nfs://[2001:db8::1]:12049/a", NfsFile("2001:db8::1", 12049, "/a")),
        ("nfs://files/.a/..b/c..", NfsFile("files", 2049, "/.a/..b/c..")),
        ("nfs://files/a@b:c=d,e+f~g", NfsFile("files", 2049, "/a@b:c=d,e+f~g")),
    ],
)
def test_an_nfs_url_names_a_file(url: str, file: NfsFile) -> None:
    assert parsed(url) == file


REFUSED = [
    ("nfs://files", "nfs://host"),
    ("nfs://files/", "path"),
    ("nfs:///images/a", "nfs://host"),
    ("NFS://files/a", "nfs://host"),
    ("nfs://files/images/../a", ".."),
    ("nfs://files/..", ".."),
    ("nfs://files/./a", ". or .."),
    ("nfs://files//a", "single slashes"),
    ("nfs://files/a/", "path"),
    ("nfs://files/a?version=3", "query"),
    ("nfs://files/a#b", "fragment"),
    ("nfs://files/a%2e%2e", "letters"),
    ("nfs://files/a b", "letters"),
    ("nfs://files/a\n", "letters"),
    ("nfs://files/a\0", "letters"),
    ("nfs://files/ä", "letters"),
    ("nfs://files/a;b", "letters"),
    ("nfs://files/$(a)", "letters"),
    ("nfs://files/`a`", "letters"),
    ("nfs://files/a|b", "letters"),
    ("nfs://files/a&b", "letters"),
    ("nfs://files/a*", "letters"),
    ("nfs://files/a\\b", "letters"),
    ("nfs://files/'a'", "letters"),
    ("nfs://-files/a", "nfs://host"),
    ("nfs://--help/a", "nfs://host"),
    ("nfs://files-/a", "nfs://host"),
    ("nfs://fi les/a", "nfs://host"),
    ("nfs://files:/a", "nfs://host"),
    ("nfs://files:a/b", "nfs://host"),
    ("nfs://files:0/b", "no port"),
    ("nfs://files:65536/b", "no port"),
    ("nfs://user@files/a", "credentials"),
    ("nfs://user:word@files/a", "credentials"),
    ("nfs://[fe80::1%eth0]/a", "nfs://host"),
]


@pytest.mark.parametrize(("url", "words"), REFUSED)
def test_what_could_be_read_in_two_ways_is_refused(url: str, words: str) -> None:
    assert words in str(objection(url))
    assert unfetchable(url) is not None


@given(st.text(alphabet=string.printable + "ä\u2028", max_size=12))
@example("../x")
def test_a_path_that_is_taken_is_one_word_to_every_reader(text: str) -> None:
    found = parsed(f"nfs://files/{text}")
    if isinstance(found, NfsFile):
        assert re.fullmatch(r"(/[A-Za-z0-9._~+,=@:-]+)+", found.path, re.ASCII)
        assert not {".", ".."} & set(found.path.split("/"))


@pytest.mark.parametrize("url", [url for url, words in REFUSED if words not in {"..", ". or ..", "no port"}])
def test_the_schema_refuses_the_same(url: str) -> None:
    """Dots are left to the rules beside it, ports to the worker."""
    (pattern,) = (found.pattern for found in Source.model_fields["url"].metadata if hasattr(found, "pattern"))
    assert not re.search(pattern.removesuffix("$") + r"\Z", url)


def test_a_redirect_leads_to_http_only() -> None:
    assert forbidden("nfs://files/a") is not None
