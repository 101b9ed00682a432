"""A host that fails a machine is avoided, the next one is used, and the machine's status says both."""

from tests.e2e.cli import goldpool
from tests.e2e.server import Image
from tests.e2e.site import Site


def test_a_host_that_cannot_download_is_avoided(site: Site, boot: Image, boot_line: str) -> None:
    golden, _ = site.pools_on()
    refused: list[str] = []

    def refuses(node: str) -> bool:
        refused[:] = refused or [node]
        return node in refused

    boot.refuses = refuses
    template = site.template(boot)
    site.machine("vm", template=template)
    site.running("vm")
    site.says("vm", f"{boot_line} BOOTS 0001")

    status = site.status("VirtualMachine", "vm")
    assert status["host"] not in refused
    (avoided,) = status["avoid"]
    assert (avoided["host"], avoided["pool"]) == (refused[0], golden)
    assert avoided["location"] == site.locations(golden)[refused[0]]["metadata"]["name"]
    assert "503" in avoided["message"]
    site.eventually(
        lambda: {p["spec"]["host"] for p in site.parents(template)} == {status["host"]},
        "the failed copy that nobody waits for goes",
    )
    site.ready("Template", template)


def test_a_machine_that_failed_everywhere_starts_when_it_is_told_to_retry(site: Site, boot: Image) -> None:
    site.pools_on()
    refusing = [True]
    boot.refuses = lambda _node: refusing[0]
    template = site.template(boot)
    site.machine("vm", template=template)
    sentence = site.reason("VirtualMachine", "vm", "NotPlaceable")
    assert "failed this machine before" in sentence
    avoided = site.status("VirtualMachine", "vm")["avoid"]
    assert {a["host"] for a in avoided} == set(site.nodes.names())

    refusing[0] = False
    again = {"metadata": {"annotations": {"goldpool.io/retry": "1"}}}
    site.api.patch("VirtualMachine", "vm", again, site.namespace)
    site.running("vm")
    assert site.status("VirtualMachine", "vm").get("avoid", []) == []


def test_a_machine_whose_every_plan_fails_stops_trying_until_it_is_told_to(site: Site, boot: Image) -> None:
    """A golden pool on three hosts and a Shared one are four places."""
    site.pools_on()
    site.ready("StoragePool", site.shared_pool("more", golden=True))
    refusing = [True]
    boot.refuses = lambda _node: refusing[0]
    template = site.template(boot)
    site.machine("vm", template=template)
    sentence = site.reason("VirtualMachine", "vm", "TooManyPlans")
    assert sentence.startswith("4 plans failed; last: ParentFailed at ")
    assert site.condition("VirtualMachine", "vm", "Stalled")["status"] == "True"
    assert len(site.status("VirtualMachine", "vm")["avoid"]) == 4
    said = goldpool("explain", "vm", "vm", "-n", site.namespace).stdout
    assert "Avoided, because it failed there" in said
    assert "goldpool.io/retry" in said

    refusing[0] = False
    again = {"metadata": {"annotations": {"goldpool.io/retry": "1"}}}
    site.api.patch("VirtualMachine", "vm", again, site.namespace)
    site.running("vm")
    status = site.status("VirtualMachine", "vm")
    assert (status.get("plans"), status.get("avoid", [])) == (None, [])
