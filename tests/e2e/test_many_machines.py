"""Many machines of one template share one copy of it per location."""

from collections import Counter

from tests.e2e.server import Image
from tests.e2e.site import Site

NAMES = [f"m-{n}" for n in range(20)]


def test_twenty_machines_at_once_download_once_per_location(site: Site, boot: Image, boot_line: str) -> None:
    golden, standard = site.pools_on()
    template = site.template(boot)
    for name in NAMES:
        site.machine(name, template=template)
    site.running(*NAMES)

    machines = {name: site.status("VirtualMachine", name) for name in NAMES}
    hosts = Counter(status["host"] for status in machines.values())
    assert site.images.gets_of(f"/{template}") == dict.fromkeys(hosts, 1)

    for name in NAMES:
        site.ready("VirtualMachine", name)
        assert f"{boot_line} BOOTS 0001" in site.says(name, "BS-MARKER")

    parents = {p["spec"]["host"]: p for p in site.parents(template)}
    assert set(parents) == set(hosts)
    for name in NAMES:
        volume = site.get("Volume", machines[name]["rootVolume"])
        assert volume["status"]["parent"] == parents[machines[name]["host"]]["metadata"]["name"]

    site.ready("Template", template)
    site.eventually(
        lambda: (
            site.status("Template", template)["poolRefs"]
            == [
                {
                    "pool": golden,
                    "wanted": 0,
                    "ready": len(hosts),
                    "superseded": 0,
                    "fetching": 0,
                    "failed": 0,
                    "children": len(NAMES),
                    "digest": boot.checksum.removeprefix("sha256:"),
                }
            ]
        ),
        "the template counts its copies and children",
    )
    for verb in ("fetch", "create"):
        jobs = site.jobs.operations(verb, golden, standard)
        assert set(jobs.values()) == {1}, f"an operation was given to more than one Job: {jobs}"
    assert len(site.jobs.operations("create", standard)) == len(NAMES)
