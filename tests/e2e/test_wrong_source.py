"""A source that is wrong is said once, in words, publishes nothing, and is healed by correcting the template."""

from tests.e2e.builders import TEST_GOLDEN
from tests.e2e.server import Image
from tests.e2e.site import Site

WRONG = f"sha256:{'0' * 64}"


def nothing_published(site: Site) -> None:
    for node in site.nodes.names():
        assert site.nodes.names_in(node, f"{TEST_GOLDEN}/templates") == []
        assert site.nodes.names_in(node, f"{TEST_GOLDEN}/tmp") == []


def test_a_wrong_checksum_is_terminal_and_publishes_nothing(site: Site, boot: Image, boot_line: str) -> None:
    site.pools_on()
    template = site.template(boot, checksum=WRONG)
    site.machine("vm", template=template)

    sentence = site.reason("Template", template, "SourceInvalid")
    assert site.condition("Template", template, "Stalled")["status"] == "True"
    assert "Reconciling" not in {c["type"] for c in site.status("Template", template)["conditions"]}
    assert "spec.checksum" in sentence
    told = site.eventually(
        lambda: str(site.condition("VirtualMachine", "vm", "Stalled").get("message", "")),
        "the machine says why",
    )
    assert template in told
    assert "\n" not in told
    nothing_published(site)
    asked = site.images.gets_of(f"/{template}")
    assert len(asked) == 1, f"one host's proof is enough, but {asked} asked"

    site.api.patch("Template", template, {"spec": {"checksum": boot.checksum}})
    site.running("vm")
    site.says("vm", f"{boot_line} BOOTS 0001")
    site.ready("Template", template)
    site.eventually(
        lambda: [p["status"]["state"] for p in site.parents(template)] == ["Ready"],
        "only the good copy is left",
    )


def test_a_missing_file_heals_when_the_url_is_corrected_and_another_format_is_refused(
    site: Site, boot: Image
) -> None:
    golden, _ = site.pools_on()
    mislabelled = site.template(boot, stem="raw", image_format="raw", prepare=[golden])
    template = site.template(boot, url=site.images.url("/typo"), prepare=[golden])
    site.machine("vm", template=template)

    def says_404() -> bool:
        return "404" in site.condition("Template", template).get("message", "")

    site.eventually(says_404, "the template says what the server answered")
    site.eventually(
        lambda: site.condition("Template", mislabelled, "Stalled").get("status") == "True",
        "qcow2 is not published as raw",
    )
    nothing_published(site)
    site.api.patch("Template", template, {"spec": {"source": {"url": site.images.url(f"/{template}")}}})
    site.running("vm")
    site.ready("Template", template)
