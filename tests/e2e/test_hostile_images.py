"""Images that must not become parents, all at once: each template says what was found, and nothing of them stays."""

from pathlib import Path
from typing import Final

from tests.e2e.builders import TEST_GOLDEN
from tests.e2e.server import Image
from tests.e2e.site import Site
from tests.images.hostile import BY_NAME, Hostile

NODE: Final = "node-1"
CHOSEN: Final = (
    "backing file",
    "json backing file",
    "data file",
    "encrypted",
    "internal snapshots",
    "60 PiB",
    "oversized L1 table",
    "refcounts of nothing",
    "text vmdk as raw",
    "page as qcow2",
)


def refused(site: Site, template: str, hostile: Hostile) -> None:
    site.eventually(
        lambda: site.condition("Template", template, "Stalled").get("status") == "True",
        f"{hostile.name}: the template is refused for good",
    )
    assert hostile.says in site.condition("Template", template)["message"]
    (parent,) = site.parents(template)
    assert parent["status"]["failure"] == hostile.reason
    assert parent["status"]["permanent"] is True


def test_each_of_many_hostile_images_is_refused_by_its_finding_and_leaves_nothing(
    site: Site, boot: Image, tmp_path: Path
) -> None:
    golden, _ = site.pools_on(NODE)
    victim = tmp_path / "data"
    asked: dict[str, Hostile] = {}
    for name in CHOSEN:
        hostile = BY_NAME[name]
        image = Image(hostile.content(tmp_path))
        stem = name.lower().replace(" ", "-")
        asked[site.template(image, stem=stem, image_format=hostile.declared, prepare=[golden])] = hostile
    assert victim.exists(), "the file that one of them leads to is there to be read"
    machine = site.machine("vm", template=next(iter(asked)))
    good = site.template(boot, prepare=[golden])
    for template, hostile in asked.items():
        refused(site, template, hostile)
    site.ready("Template", good)
    told = site.eventually(
        lambda: str(site.condition("VirtualMachine", machine, "Stalled").get("message", "")),
        "the machine says why it does not start",
    )
    assert "names a backing file (/etc/passwd)" in told
    assert site.pod_of(machine) is None
    (kept,) = site.parents(good)
    assert site.nodes.names_in(NODE, f"{TEST_GOLDEN}/templates") == [kept["metadata"]["name"]]
    site.eventually(
        lambda: site.nodes.names_in(NODE, f"{TEST_GOLDEN}/tmp") == [], "nothing unfinished is left"
    )
    assert site.nodes.names_in(NODE, f"{TEST_GOLDEN}/trash") == []
    # One look is enough: what is refused for its bytes is not fetched again.
    assert {
        template: sum(site.images.gets_of(f"/{template}").values()) for template in asked
    } == dict.fromkeys(asked, 1)
