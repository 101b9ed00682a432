"""What a metalink says: both versions, and everything that is none."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from goldpool.contracts.operations import Checksum
from goldpool.worker.fetch.checksums import strongest
from goldpool.worker.fetch.metalink import DOCUMENT_LIMIT, Link, Metalink, MetalinkInvalid, in_order, parse

SHA256, SHA512, MD5 = "a" * 64, "b" * 128, "c" * 32
V4 = 'xmlns="urn:ietf:params:xml:ns:metalink"'
V3 = 'version="3.0" xmlns="http://www.metalinker.org/"'


def v4(inside: str, name: str = "debian.qcow2", *, also: str = "") -> bytes:
    return f'<metalink {V4}><file name="{name}">{inside}</file>{also}</metalink>'.encode()


def v3(resources: str, verification: str = "", size: str = "") -> bytes:
    return (
        f'<metalink {V3}><files><file name="debian.qcow2">{size}<verification>{verification}</verification>'
        f"<resources>{resources}</resources></file></files></metalink>"
    ).encode()


URL = "<url>https://a.example/d</url>"


def refusal(document: bytes, file: str = "") -> str:
    with pytest.raises(MetalinkInvalid) as refused:
        parse(document, file)
    assert len(refused.value.message) <= 256
    return refused.value.message


def test_a_version_4_document_is_read_as_rfc_5854_has_it() -> None:
    found = parse(
        f"""<?xml version="1.0" encoding="UTF-8"?>
        <metalink {V4} xmlns:x="urn:another">
          <published>2009-05-15T12:23:23Z</published>
          <file name="debian.qcow2">
            <identity>Debian</identity>
            <size>14471447</size>
            <hash type="sha-256">{SHA256.upper()}</hash>
            <hash type="SHA-512"> {SHA512}
            </hash>
            <pieces length="262144" type="sha-1"><hash>{"d" * 40}</hash></pieces>
            <x:hash type="md5">00</x:hash>
            <x:more><url>https://hidden.example/</url></x:more>
            <url location="DE" priority="1"> https://de.example/d?x=1&amp;y=2 </url>
            <url priority="2">http://b.example/d</url>
            <url>https://last.example/d</url>
          </file>
        </metalink>""".encode()
    )
    assert found == Metalink(
        name="debian.qcow2",
        links=(
            Link("https://de.example/d?x=1&y=2", "DE", 1),
            Link("http://b.example/d", "", 2),
            Link("https://last.example/d"),
        ),
        checksums=(Checksum(algorithm="sha256", hex=SHA256), Checksum(algorithm="sha512", hex=SHA512)),
        size=14471447,
    )


def test_a_version_3_document_is_read_with_all_its_digests() -> None:
    found = parse(
        v3(
            '<url type="http" location="bg" preference="100">http://bg.example/d</url>'
            '<url type="https" preference="10">https://x.example/d</url><url>http://last.example/d</url>',
            f'<hash type="sha512">{SHA512}</hash><hash type="md5">{MD5}</hash>'
            f'<pieces type="sha1" length="1"><hash piece="0">{"d" * 40}</hash></pieces>',
            "<size>7</size>",
        )
    )
    assert [(link.url, link.location, link.rank) for link in found.links[:2]] == [
        ("http://bg.example/d", "bg", 0),
        ("https://x.example/d", "", 90),
    ]
    assert {(one.algorithm, one.hex) for one in found.checksums} == {("sha512", SHA512), ("md5", MD5)}
    assert (found.size, strongest(found.checksums)) == (7, "sha512")


@pytest.mark.parametrize(
    ("location", "order"),
    [
        ("", ["low", "home", "tie", "none"]),
        ("de", ["home", "low", "tie", "none"]),
        ("DE", ["home", "low", "tie", "none"]),
        ("d", ["low", "home", "tie", "none"]),
        ("de ", ["low", "home", "tie", "none"]),
    ],
)
def test_mirrors_at_the_hosts_location_come_first_then_the_documents_order(
    location: str, order: list[str]
) -> None:
    links = (Link("none"), Link("home", "De", 5), Link("tie", "us", 5), Link("low", "", 1))
    assert [link.url for link in in_order(links, location)] == order


def test_at_home_the_order_is_the_documents_too() -> None:
    links = (Link("b", "de", 2), Link("c", "de", 2), Link("a", "de", 1), Link("x", "", 1))
    assert [link.url for link in in_order(links, "de")] == ["a", "b", "c", "x"]


@pytest.mark.parametrize(
    ("element", "what", "why"),
    [
        ("<url>ftp://a.example/d</url>", "ftp://a.example/d", "'ftp' is not supported"),
        ("<url>file:///etc/passwd</url>", "file:///etc/passwd", "'file' is not supported"),
        ("<url>sftp://a.example/d</url>", "sftp://a.example/d", "'sftp' is not supported"),
        ("<url>d.qcow2</url>", "://d.qcow2", "'(none)' is not supported"),
        ("<url>//a.example/d</url>", "://a.example/d", "'(none)' is not supported"),
        ("<url/>", "://", "'(none)' is not supported"),
        ("<url>http:///d</url>", "http:///d", "names no host"),
        ("<url>http://u:secret@a.example/d</url>", "http://a.example/d", "credentials"),
        ("<url>http://a.example/a b</url>", "http://a.example/a b", "not valid"),
        ("<url>http://a.example:port/</url>", "an invalid URL", "not valid"),
        ("<url>https://a.example/d.torrent</url>", "https://a.example/d.torrent", "torrents"),
        ('<url type="bittorrent">https://a.example/t</url>', "https://a.example/t", "torrents"),
        ("<url>https://a.example/d.Meta4?x</url>", "https://a.example/d.Meta4", "within a metalink"),
        ('<metaurl mediatype="torrent">https://a.example/d.torrent</metaurl>', "https://a.example/d.torrent", "torrents"),
        ('<metaurl mediatype="application/metalink4+xml">https://a.example/m</metaurl>', "https://a.example/m", "within"),
        (f'<hash type="sha3-256">{SHA256}</hash>', "hash sha3-256", "not supported"),
        (f"<hash>{SHA256}</hash>", "hash without a type", "not supported"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_skipped_and_said(element: str, what: str, why: str) -> None:
    found = parse(v4(URL + element))
    assert [link.url for link in found.links] == ["https://a.example/d"]
    assert found.checksums == ()
    (skipped,) = found.skipped
    assert skipped.what == what
    assert why in skipped.why
    assert "secret" not in f"{skipped}"


def test_the_text_of_elements_within_is_not_a_mirrors() -> None:
    assert [link.url for link in parse(v4("<url>https://a.example<x>/wrong</x>/d</url>")).links] == [
        "https://a.example/d"
    ]


def test_a_mirror_named_twice_is_asked_once_at_its_better_place() -> None:
    twice = '<url priority="9">https://a.example/d</url><url priority="2">https://a.example/d</url>'
    assert parse(v4(twice)).links == (Link("https://a.example/d", "", 2),)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/b", "con\\x", "", "ä"])
def test_a_files_name_is_only_text(name: str) -> None:
    document = v4(URL, name, also=f'<file name="other">{URL}</file>')
    if name:
        assert parse(document, name).name == name
        assert repr(name) in refusal(document)
    assert parse(v4(URL, name)).name == name


BOMB = '<!DOCTYPE m [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
REFUSED = [
    (b"", "no well-formed XML"),
    (b"<html><body>Not found</body></html>", "its root element is <html>"),
    (b"<!DOCTYPE html><html></html>", "document type"),
    (f"{BOMB}<metalink {V4}><file name='&b;'>{URL}</file></metalink>".encode(), "document type"),
    (f'<!DOCTYPE m SYSTEM "http://127.0.0.1/x.dtd"><metalink {V4}/>'.encode(), "document type"),
    (f"<!DOCTYPE m><metalink {V4}><file>{URL}</file></metalink>".encode(), "document type"),
    (v4(URL)[:-3], "no well-formed XML"),
    (v4(URL + "&undefined;"), "no well-formed XML"),
    (f"<?xml version='1.0' encoding='utf-99'?><metalink {V4}/>".encode(), "write it in UTF-8"),
    (f"<?xml version='1.0' encoding='utf-7'?><metalink {V4}/>".encode(), "write it in UTF-8"),
    (f"<metalink><file name='a'>{URL}</file></metalink>".encode(), "no namespace"),
    (f"<metalink xmlns='urn:x'><file name='a'>{URL}</file></metalink>".encode(), "namespace 'urn:x'"),
    (f"<metalink {V4}/>".encode(), "describes no file"),
    (f"<metalink {V3}><file name='a'>{URL}</file></metalink>".encode(), "describes no file"),
    (v4(""), "no usable mirror"),
    (v4("<url>ftp://a.example/d</url>"), "no usable mirror (ftp://a.example/d: scheme 'ftp'"),
    (
        v4(URL, also=f'<file name="b">{URL}</file>'),
        "2 files ('debian.qcow2', 'b'): name one in spec.source.file",
    ),
    (v4(URL + "<size>-1</size>"), "its size '-1'"),
    (v4(URL + "<size>1e9</size>"), "its size '1e9'"),
    (v4(URL + "<size/>"), "its size ''"),
    (v4(URL + "<size>٣</size>"), "its size '٣'"),
    (v4(URL + f"<size>{'9' * 5000}</size>"), "its size '999"),
    (v4(URL + "<size>1</size><size>2</size>"), "two sizes"),
    (v4('<url priority="0">https://a.example/d</url>'), "its priority '0' is no number from 1"),
    (v4('<url priority="1000000">https://a.example/d</url>'), "its priority '1000000'"),
    (v4('<url priority="high">https://a.example/d</url>'), "its priority 'high'"),
    (
        v3('<url preference="101">https://a.example/d</url>'),
        "its preference '101' is no number from 0 to 100",
    ),
    (v4(URL + '<hash type="sha-256">abcd</hash>'), "its sha256 digest 'abcd' is none"),
    (v4(URL + f'<hash type="sha-256">{"g" * 64}</hash>'), "its sha256 digest"),
    (v4(URL + f'<hash type="md5">{MD5}</hash><hash type="MD5">{"d" * 32}</hash>'), "two md5 digests"),
    (v4("<x>" * 40 + "</x>" * 40), "nested more than 32 deep"),
    (v4(URL) + b" " * DOCUMENT_LIMIT, f"larger than {DOCUMENT_LIMIT} bytes"),
]


@pytest.mark.parametrize(("document", "why"), REFUSED, ids=[why[:40] for _, why in REFUSED])
def test_what_is_no_metalink_is_refused_with_the_reason(document: bytes, why: str) -> None:
    assert why in refusal(document)


def test_the_file_that_is_meant_must_be_there_once() -> None:
    two = v4(URL, "a", also='<file name="b"><url>https://b.example/</url></file>')
    assert [link.url for link in parse(two, "b").links] == ["https://b.example/"]
    assert "no file 'c', but 'a', 'b'" in refusal(two, "c")
    assert "no file 'b'" in refusal(v4(URL, "a"), "b")
    assert "2 files 'a'" in refusal(v4(URL, "a", also=f'<file name="a">{URL}</file>'), "a")


def test_what_another_file_has_wrong_does_not_matter() -> None:
    two = v4(URL, "a", also='<file name="b"><size>x</size></file>')
    assert parse(two, "a").size is None


def judged(document: bytes, file: str = "") -> Metalink | str:
    try:
        return parse(document, file)
    except MetalinkInvalid as refused:
        return refused.message


def is_a_sentence(found: Metalink | str) -> bool:
    return isinstance(found, str) and 0 < len(found) <= 256


@given(st.binary(max_size=400))
@example(v4(URL).decode().encode("utf-16"))
@example(b"\xff\xfe<\x00")
def test_any_bytes_are_a_metalink_or_refused(document: bytes) -> None:
    found = judged(document)
    assert isinstance(found, Metalink) or is_a_sentence(found)


PIECES = [
    b"<metalink " + V4.encode() + b">", b"<metalink " + V3.encode() + b">", b"</metalink>", b"<file name='a'>", b"</file>",
    b"<files>", b"</files>", b"<resources>", b"</resources>", b"<verification>", b"</verification>", b"\xff", b"&#0;",
    b"<url priority='1'>https://a.example/d", b"<url preference='1'>http://b.example:99999/", b"<url>", b"</url>",
    b"<size>1</size>", b"<size>", b"</size>", b"<hash type='sha-256'>", b"<hash type='md5'>" + MD5.encode() + b"</hash>",
    b"</hash>", b"<metaurl>x</metaurl>", b"<![CDATA[x]]>", b"<!-- -->", b"<?x?>", b"&amp;", b"<!DOCTYPE m>",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join), st.sampled_from(["", "a", "b"]))
@example(v4(URL), "")
def test_any_pieces_of_metalinks_are_one_or_refused(document: bytes, file: str) -> None:
    found = judged(document, file)
    assert is_a_sentence(found) or (isinstance(found, Metalink) and found.links)


@pytest.mark.parametrize("repeated", [URL, f'<file name="b">{URL}</file>', "<x>", "<url>a</url>"])
def test_the_largest_document_is_judged(repeated: str) -> None:
    body = repeated * ((DOCUMENT_LIMIT - 400) // len(repeated))
    document = v4(body if "<file" not in repeated else URL, also=body if "<file" in repeated else "")
    assert DOCUMENT_LIMIT - 500 < len(document) <= DOCUMENT_LIMIT
    found = judged(document)
    assert is_a_sentence(found) or (isinstance(found, Metalink) and len(found.links) == 1)
