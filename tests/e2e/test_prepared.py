"""Copies are fetched ahead where that is asked for, and go when nobody has used them for a while."""

from tests.e2e.builders import TEST_GOLDEN
from tests.e2e.server import Image
from tests.e2e.site import Site


def test_prepared_copies_are_fetched_everywhere_and_kept(site: Site, boot: Image) -> None:
    golden, _ = site.pools_on()
    template = site.template(boot, prepare=[golden], retention="0s")
    site.eventually(lambda: site.status("Template", template).get("copies") == "3/3", "three copies")
    assert site.images.gets_of(f"/{template}") == dict.fromkeys(site.nodes.names(), 1)
    before = {p["metadata"]["name"] for p in site.parents(template)}

    site.machine("vm", template=template)
    site.running("vm")
    site.delete("VirtualMachine", "vm")
    site.gone("Volume", "vm-root")
    assert {p["metadata"]["name"] for p in site.parents(template)} == before
    assert sum(site.images.gets_of(f"/{template}").values()) == 3

    site.api.patch("Template", template, {"spec": {"prepare": {"pools": []}}})
    site.eventually(lambda: not site.parents(template), "copies that nobody asks for any more go")
    for node in site.nodes.names():
        assert site.nodes.names_in(node, f"{TEST_GOLDEN}/templates") == []


def test_an_unused_copy_goes_after_its_retention_and_is_fetched_again_as_another(
    site: Site, boot: Image
) -> None:
    site.pools_on("node-1")
    template = site.template(boot, retention="2s")
    site.machine("first", template=template)
    site.running("first")
    (old,) = site.parents(template)
    site.delete("VirtualMachine", "first")
    site.gone("Parent", old["metadata"]["name"])
    assert site.nodes.names_in("node-1", f"{TEST_GOLDEN}/templates") == []

    site.machine("second", template=template)
    site.running("second")
    (new,) = site.parents(template)
    assert new["metadata"]["name"] != old["metadata"]["name"]
    assert new["status"]["revision"] == old["status"]["revision"]
    assert site.images.gets_of(f"/{template}") == {"node-1": 2}
