"""Mirrors that fail give way to those that do not, and everybody may read which did what."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.api import Obj
from tests.e2e.server import Image
from tests.e2e.site import Site
from tests.servers.misbehaving import Body, Exchange, Gate, Request, status

NAMESPACE = "urn:ietf:params:xml:ns:metalink"


def metalink(site: Site, path: str, image: Image, links: list[tuple[str, str]]) -> str:
    """Of the image, with (attributes, URL) of each mirror; the URL at which it is served."""
    urls = "".join(f"<url {attributes}>{url}</url>" for attributes, url in links)
    digest = hashlib.sha256(image.content).hexdigest()
    document = (
        f'<metalink xmlns="{NAMESPACE}"><file name="boot.qcow2"><size>{len(image.content)}</size>'
        f'<hash type="sha-256">{digest}</hash>{urls}</file></metalink>'
    )
    return site.images.answer(path, Body(document.encode()))


def lying(site: Site, path: str, image: Image, how: bytes) -> str:
    """As many bytes as the image has, and others."""
    return site.images.answer(path, Body(how + image.content[len(how) :]))


def told(parent: Obj) -> list[tuple[str, str, int]]:
    """(path, reason, attempts) of each mirror in the Parent's status."""
    mirrors = parent["status"].get("mirrors", [])
    return [(one["mirror"].rpartition("/")[2], one["reason"], one["attempts"]) for one in mirrors]


def is_transfer(request: Request) -> bool:
    """Not a look at the source, which asks for its head or its first bytes."""
    return request.method == "GET" and "range" not in request.headers


def transfers(site: Site, path: str) -> dict[str, int]:
    """By node."""
    asked = filter(is_transfer, site.images.requests_of(path))
    return dict(Counter(site.nodes.of_address(request.client) for request in asked))


@contextmanager
def standing_at(site: Site, node: str, location: str) -> Iterator[None]:
    def label(value: str | None) -> None:
        site.api.patch("Node", node, {"metadata": {"labels": {"goldpool.io/location": value}}})

    label(location)
    try:
        yield
    finally:
        label(None)


def test_a_dead_and_a_lying_mirror_nearby_give_way_to_a_good_one_far_away(
    site: Site, boot: Image, boot_line: str
) -> None:
    node = site.nodes.names()[0]
    site.pools_on(node)
    here = f'location="{site.token.upper()}"'
    good = site.images.serve(f"/good-{site.token}", boot)
    links = [
        ('priority="1"', good),
        (f'{here} priority="3"', lying(site, f"/lying-{site.token}", boot, b"a lie")),
        (f'{here} priority="2"', f"http://{site.images.server_address[0]!s}:1/dead-{site.token}"),
        ('priority="1"', f"ftp://mirror.example/old-{site.token}"),
    ]
    url = metalink(site, f"/{site.token}.meta4", boot, links)
    with standing_at(site, node, site.token):
        template = site.template(boot, url=url, checksum="")
        site.machine("vm", template=template)
        site.running("vm")
        site.says("vm", f"{boot_line} BOOTS 0001")
    (parent,) = site.parents(template)
    assert told(parent) == [
        (f"dead-{site.token}", "SourceUnreachable", 1),
        (f"lying-{site.token}", "ChecksumMismatch", 1),
        (f"good-{site.token}", "", 1),
        (f"old-{site.token}", "Unsupported", 0),
    ]
    found = parent["status"]
    assert (found["mirror"], found["mirrorsTotal"], found["verified"]) == (good, 4, "sha256")
    assert site.status("VirtualMachine", "vm").get("avoid", []) == []
    site.ready("Template", template)


def test_another_host_of_a_shared_pool_helps_where_the_way_was_bad_and_not_where_the_source_is_wrong(
    site: Site, boot: Image, boot_line: str
) -> None:
    golden, _ = site.shared_pools()
    refused: list[str] = []

    def refusing_the_first(exchange: Exchange) -> None:
        if is_transfer(exchange.request_seen):
            node = site.nodes.of_address(exchange.request_seen.client)
            refused[:] = refused or [node]
            if node in refused:
                status(503)(exchange)
                return
        Body(boot.content)(exchange)

    liars = [
        (f'priority="{n}"', lying(site, f"/liar-{n}-{site.token}", boot, bytes([n] * 8))) for n in (1, 2)
    ]
    wrong = site.template(
        boot, stem="wrong", url=metalink(site, f"/wrong-{site.token}.meta4", boot, liars), prepare=[golden]
    )
    template = site.template(boot, url=site.images.answer(f"/first-{site.token}", refusing_the_first))
    site.machine("vm", template=template)

    site.running("vm")
    site.says("vm", f"{boot_line} BOOTS 0001")
    (parent,) = site.parents(template)
    assert (parent["status"]["attempt"], parent["status"].get("triedHosts", [])) == (2, [])
    assert parent["status"]["fetchedOn"] not in refused
    assert transfers(site, f"/first-{site.token}") == {refused[0]: 3, parent["status"]["fetchedOn"]: 1}
    assert site.status("VirtualMachine", "vm").get("avoid", []) == []

    sentence = site.reason("Template", wrong, "SourceInvalid")
    assert f"/liar-1-{site.token}: sha256 is" in sentence
    (parent,) = site.parents(wrong)
    assert told(parent) == [(f"liar-{n}-{site.token}", "ChecksumMismatch", 3) for n in (1, 2)]
    assert (parent["status"]["failure"], parent["status"]["permanent"]) == ("ChecksumMismatch", True)
    assert parent["status"].get("nextRetryTime") is None
    asked = transfers(site, f"/liar-2-{site.token}")
    assert list(asked.values()) == [3], f"one host's proof is enough, but {asked} asked"

    site.api.patch("Template", wrong, {"spec": {"source": {"url": site.images.url(f"/{template}")}}})
    site.ready("Template", wrong)


def test_a_url_that_is_edited_while_it_is_fetched_is_let_go_at_once(
    site: Site, boot: Image, boot_line: str
) -> None:
    """The wrong server would hold its answer for as long as the test lasts."""
    site.pools_on()
    gate = Gate()
    slow = site.images.answer(f"/slow-{site.token}", Body(boot.content, gate=gate, gate_at=1 << 20))
    try:
        template = site.template(boot, url=slow)
        site.machine("vm", template=template)
        site.eventually(gate.reached.is_set, "the transfer is under way")
        (before,) = site.parents(template)
        site.api.patch("Template", template, {"spec": {"source": {"url": site.images.url(f"/{template}")}}})
        site.running("vm")
        site.says("vm", f"{boot_line} BOOTS 0001")
        site.gone("Parent", before["metadata"]["name"])
        site.ready("Template", template)
        (after,) = site.parents(template)
        assert after["status"]["mirror"] == site.images.url(f"/{template}")
        assert site.status("VirtualMachine", "vm").get("avoid", []) == []
    finally:
        gate.opened.set()
