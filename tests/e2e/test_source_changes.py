"""A source is asked when it is registered, and told when it changes; a new revision comes beside the old one."""

from tests.e2e.api import Obj
from tests.e2e.builders import TEST_GOLDEN
from tests.e2e.server import Image
from tests.e2e.site import Site

NODE = "node-1"


def test_a_bad_source_is_said_before_any_machine_needs_it_and_a_corrected_one_too(
    site: Site, boot: Image
) -> None:
    site.pools_on(NODE)
    template = site.template(boot, url=site.images.url("/typo"))
    page = site.template(Image(b"<!DOCTYPE html><html>no image</html>"), stem="page", checksum="")
    sentence = site.reason("Template", template, "SourceRefused")
    assert "404" in sentence
    assert site.images.url("/typo") in sentence
    assert site.condition("Template", template, "SourceReachable")["status"] == "False"
    assert "HTML" in site.reason("Template", page, "SourceInvalid")
    assert not site.parents(template)

    site.api.patch("Template", template, {"spec": {"source": {"url": site.images.url(f"/{template}")}}})
    site.ready("Template", template)
    site.eventually(
        lambda: site.condition("Template", template, "SourceReachable").get("status") == "True", "it answers"
    )
    status = site.status("Template", template)
    probe = status["source"]["probe"]
    assert probe["format"] == "qcow2"
    assert status["virtualSize"]
    assert not site.parents(template)
    assert site.images.gets_of(f"/{template}") == {}


def test_a_changed_source_becomes_a_revision_beside_the_old_one(
    site: Site, boot: Image, boot_line: str
) -> None:
    golden, _ = site.pools_on(NODE)
    image = Image(boot.content)
    template = site.template(image, checksum="")
    site.api.patch("Template", template, {"spec": {"source": {"checkInterval": "1h"}}})
    site.machine("old", template=template)
    site.running("old")
    before = str(site.eventually(lambda: site.status("Template", template).get("revision"), "a revision"))
    (parent,) = site.parents(template)
    used = site.get("Volume", "old-root")["status"]

    # The same guest in other bytes: the tail is behind the last cluster that the header knows.
    image.content = boot.content + bytes(1 << 16)
    ask_again(site, template, "1")
    site.eventually(
        lambda: site.condition("Template", template, "SourceChanged").get("status") == "True", "it is noticed"
    )
    told = site.condition("Template", template, "SourceChanged")["message"]
    assert str(len(image.content)) in told
    assert [p["metadata"]["name"] for p in site.parents(template)] == [parent["metadata"]["name"]]
    site.ready("Template", template)

    site.api.patch("Template", template, {"spec": {"source": {"refreshPolicy": "Refetch"}}})
    site.eventually(lambda: site.status("Template", template)["revision"] != before, "a new revision")
    site.eventually(
        lambda: not site.condition("Template", template, "SourceChanged"),
        "what is served is what new disks take",
    )
    site.machine("new", template=template)
    site.running("new")
    site.says("new", f"{boot_line} BOOTS 0001")
    after = str(site.status("Template", template)["revision"])
    assert site.get("Volume", "new-root")["status"]["revision"] == after

    def counted() -> list[tuple[int, int, str]]:
        refs: list[Obj] = site.status("Template", template)["poolRefs"]
        return [(x["ready"], x["superseded"], x["digest"]) for x in refs if x["pool"] == golden]

    site.eventually(lambda: counted() == [(1, 1, after)], "the new copy is counted beside the old one")

    # The old machine is of the old bytes for ever, also over a restart.
    site.api.patch("VirtualMachine", "old", {"spec": {"runStrategy": "Halted"}}, site.namespace)
    site.phase("old", "Stopped")
    site.api.patch("VirtualMachine", "old", {"spec": {"runStrategy": "Always"}}, site.namespace)
    site.running("old")
    site.says("old", f"{boot_line} BOOTS 0002")
    now = site.get("Volume", "old-root")["status"]
    assert (now["parent"], now["revision"]) == (used["parent"], before)

    site.delete("VirtualMachine", "old")
    site.gone("Parent", parent["metadata"]["name"])
    (left,) = site.parents(template)
    assert left["status"]["revision"] == after
    assert site.nodes.names_in(NODE, f"{TEST_GOLDEN}/templates") == [left["metadata"]["name"]]
    site.running("new")


def ask_again(site: Site, template: str, value: str) -> None:
    site.api.patch("Template", template, {"metadata": {"annotations": {"goldpool.io/retry": value}}})
