"""Why a machine is where it is, or nowhere, from the objects alone."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from goldpool.api.parent import Parent
from goldpool.api.storagelocation import StorageLocation
from goldpool.api.storagepool import StoragePool
from goldpool.api.template import Template
from goldpool.api.virtualmachine import VirtualMachine
from goldpool.api.volume import Volume
from goldpool.cli import main
from goldpool.cli.commands.explain import lines
from goldpool.cli.explanation import Explanation, Objects, explain
from goldpool.planning.identity import location_name
from goldpool.planning.snapshot import NodeView
from tests.unit.cli.apiserver import a_list, serving
from tests.unit.cli.builders import NOW, ready

GIB = 1 << 30


def a_node(name: str, **more: Any) -> NodeView:
    defaults: dict[str, Any] = {"ready": True, "cordoned": False, "taints": (), "out_of_service": False}
    return NodeView(name, f"uid-{name}", {}, **(defaults | more))


def a_pool(name: str, *, golden: bool = False) -> StoragePool:
    spec = {"golden": golden, "backend": {"hostPath": {"path": f"/srv/{name}"}}}
    return StoragePool.read({"metadata": {"name": name, "uid": f"uid-{name}"}, "spec": spec})


def a_location(pool: str, host: str, *, used: int = 0) -> StorageLocation:
    status = {"total": 100 * GIB, "free": (100 - used) * GIB, "conditions": [ready()]}
    spec = {"pool": pool, "poolUID": f"uid-{pool}", "host": host}
    name = location_name(pool, f"uid-{pool}", host)
    return StorageLocation.read({"metadata": {"name": name}, "spec": spec, "status": status})


def a_template() -> Template:
    spec = {"golden": True, "format": "qcow2", "source": {"url": "https://mirror.example/a"}}
    status = {"size": GIB, "virtualSize": 2 * GIB}
    return Template.read({"metadata": {"name": "debian", "uid": "t"}, "spec": spec, "status": status})


def a_parent(host: str) -> Parent:
    spec = {
        "template": "debian", "templateUID": "t", "pool": "gold", "location": location_name("gold", "uid-gold", host),
        "host": host, "format": "qcow2", "sourceHash": "h",
    }  # fmt: skip
    return Parent.read({"metadata": {"name": "debian-1"}, "spec": spec, "status": {"state": "Ready"}})


def a_machine(**status: Any) -> VirtualMachine:
    spec = {"memory": "1Gi", "rootVolume": {"templateRef": {"name": "debian"}, "size": "10Gi"}}
    metadata = {"name": "web", "namespace": "team", "uid": "u"}
    return VirtualMachine.read({"metadata": metadata, "spec": spec, "status": status})


def a_root(host: str | None = None) -> Volume:
    spec: dict[str, Any] = {"type": "Root", "size": "10Gi", "source": {"templateRef": {"name": "debian"}}}
    if host is not None:
        spec |= {"placement": {"pool": "std", "host": host, "parentPool": "gold"}, "storageID": "v-aaaaaaaa"}
    return Volume.read({"metadata": {"name": "web-root", "namespace": "team"}, "spec": spec})


HOSTS = ("node-1", "node-2", "node-3")


def a_world(machine: VirtualMachine | None = None, **more: Any) -> Objects:
    """Three hosts with a golden and an ordinary pool each; node-2 has the parent, node-3 is cordoned."""
    defaults: dict[str, Any] = {
        "nodes": [a_node("node-1"), a_node("node-2"), a_node("node-3", cordoned=True)],
        "pools": [a_pool("std"), a_pool("gold", golden=True)],
        "locations": [a_location(pool, host) for pool in ("std", "gold") for host in HOSTS],
        "templates": [a_template()],
        "parents": [a_parent("node-2")],
        "volumes": [],
    }
    return Objects(machine or a_machine(), **(defaults | more))


def told(found: Explanation) -> list[tuple[int | None, str, str]]:
    return [(c.rank, c.host, c.reason) for c in found.disks[0].candidates]


def explained(objects: Objects) -> Explanation:
    return explain(objects, "firstfitleastconsumed")


def test_every_candidate_has_its_rank_or_its_reason() -> None:
    found = explained(a_world())
    assert told(found) == [(1, "node-2", ""), (2, "node-1", ""), (None, "node-3", "HostCordoned")]
    assert found.disks[0].candidates[0].detail == "100 % not promised, the parent is there, 100 % free"
    assert found.answer == "root in std over gold, on node-2"
    assert found.hosts == (("node-3", "HostCordoned", "node-3 is cordoned"),)
    assert found.remedies == (("HostCordoned", 1, "kubectl uncordon the node"),)


def test_the_place_a_machine_has_is_marked_and_gives_back_what_it_takes() -> None:
    found = explained(a_world(volumes=[a_root("node-1")]))
    text = [*lines(found)]
    assert found.asked
    assert any(line.startswith("  2*    node-1") for line in text), text
    assert "Disk root (Volume web-root): bound to std on node-1, its parent in gold (*)" in text
    # Its own disk is left out: the location it takes is as free as the others.
    assert found.disks[0].candidates[1].detail.startswith("100 % not promised")
    other = Volume.read(a_root("node-1").to_dict() | {"metadata": {"name": "other", "namespace": "else"}})
    assert explained(a_world(volumes=[other])).disks[0].candidates[1].detail.startswith("95 % not promised")


def an_iso(*, golden: bool = True) -> Template:
    spec = {"golden": golden, "format": "iso", "source": {"url": "https://mirror.example/a.iso"}}
    return Template.read({"metadata": {"name": "tools", "uid": "i"}, "spec": spec, "status": {"size": GIB}})


def with_iso(machine: VirtualMachine | None = None, **more: Any) -> Objects:
    """An installer on node-1, and a machine with an empty disk."""
    raw = (machine or a_machine()).to_dict()
    raw["spec"] |= {"rootVolume": {"size": "10Gi"}, "iso": {"templateRef": {"name": "tools"}}}
    parent = a_parent("node-1").to_dict()
    parent["spec"] |= {"template": "tools", "format": "iso"}
    defaults: dict[str, Any] = {"templates": [an_iso()], "parents": [Parent.read(parent)]}
    return a_world(VirtualMachine.read(raw), **(defaults | more))


def iso_told(found: Explanation) -> list[tuple[int | None, str, str]]:
    assert found.disks[-1].name == "ISO"
    return [(c.rank, c.host, c.reason) for c in found.disks[-1].candidates]


def test_the_iso_has_candidates_of_its_own() -> None:
    found = explained(with_iso())
    assert iso_told(found) == [(1, "node-1", ""), (2, "node-2", ""), (None, "node-3", "HostCordoned")]
    assert found.answer.endswith(f"ISO in gold, on {found.answer[-6:]}")
    text = [*lines(found)]
    assert "The ISO: no place yet" in text
    assert "the parent is there" in found.disks[-1].candidates[0].detail


def test_an_iso_that_waits_is_asked_about_beside_the_disk_there_is() -> None:
    root = a_root("node-2").to_dict()
    del root["spec"]["source"]
    del root["spec"]["placement"]["parentPool"]
    found = explained(with_iso(volumes=[Volume.read(root)]))
    assert not found.asked
    assert [d.name for d in found.disks] == ["ISO"]
    assert found.answer == "ISO in gold, on node-2"


def test_the_place_of_the_iso_is_marked_and_gives_back_what_it_takes() -> None:
    place = {"template": "tools", "pool": "gold", "host": "node-2"}
    iso = place | {"location": location_name("gold", "uid-gold", "node-2")}
    root = a_root("node-2").to_dict()
    del root["spec"]["source"]
    found = explained(with_iso(a_machine(iso=iso), volumes=[Volume.read(root)]))
    text = [*lines(found)]
    assert found.asked
    assert "The ISO: bound to gold on node-2 (*)" in text
    assert any(line.startswith("  2*    node-2") for line in text), text
    other = VirtualMachine.read(a_machine(iso=iso).to_dict() | {"metadata": {"name": "b", "namespace": "c"}})
    taken = explained(with_iso(machines=[other])).disks[-1].candidates[1]
    assert taken.detail.startswith("99 % not promised")


def test_when_nothing_fits_each_location_says_why_and_what_would_help() -> None:
    full = [a_location(pool, host, used=90) for pool in ("std", "gold") for host in HOSTS]
    found = explained(a_world(locations=full, volumes=[a_root()]))
    assert told(found) == [
        (None, "node-1", "UsedLimit"),
        (None, "node-2", "UsedLimit"),
        (None, "node-3", "HostCordoned"),
    ]
    assert found.answer.startswith("0 of 6 locations fit disk root: ")
    assert found.remedies[0][:2] == ("UsedLimit", 2)
    assert "raise the pool's capacity.usedLimitPercent" in "\n".join(lines(found))


def test_a_pool_for_other_namespaces_says_so() -> None:
    def open_to(namespace: str) -> list[StoragePool]:
        spec = {
            "golden": False,
            "backend": {"hostPath": {"path": "/srv/std"}},
            "allowedNamespaces": [namespace],
        }
        std = StoragePool.read({"metadata": {"name": "std", "uid": "uid-std"}, "spec": spec})
        return [std, a_pool("gold", golden=True)]

    assert told(explained(a_world(pools=open_to("team"))))[0] == (1, "node-2", "")
    assert {reason for _, _, reason in told(explained(a_world(pools=open_to("other"))))} == {
        "NamespaceNotAllowed"
    }


def test_a_golden_location_in_the_way_is_told_beside_the_ordinary_one() -> None:
    full = [a_location("std", h) for h in HOSTS] + [a_location("gold", h, used=90) for h in HOSTS]
    found = explained(a_world(locations=full, parents=[]))
    lost = found.disks[0].candidates[0]
    assert (lost.pool, lost.parent_pool, lost.host, lost.reason) == ("std", "gold", "node-1", "UsedLimit")


def preferring(**status: Any) -> VirtualMachine:
    raw = a_machine(**status).to_dict()
    return VirtualMachine.read(raw | {"spec": raw["spec"] | {"goldenPolicy": "Preferred"}})


def test_fallbacks_come_after_every_golden_place() -> None:
    found = explained(a_world(preferring()))
    assert found.answer == "root in std over gold, on node-2"
    ranks = [(c.rank, c.host, c.parent_pool, c.fallback) for c in found.disks[0].candidates if c.rank]
    assert ranks[:2] == [(1, "node-2", "gold", False), (2, "node-1", "gold", False)]
    assert {(rank, pool, fallback) for rank, _, pool, fallback in ranks[2:]} == {
        (3, "std", True), (4, "std", True),
    }  # fmt: skip
    told_of_node_3 = [c for c in found.disks[0].candidates if c.host == "node-3"]
    assert [c.reason for c in told_of_node_3] == ["HostCordoned"], "told once"


def test_where_no_golden_pool_serves_the_answer_is_a_fallback_and_marked() -> None:
    away: dict[str, Any] = {"pools": [a_pool("std")], "parents": []}
    assert explained(a_world(**away)).answer.startswith("0 of ")
    assert explained(a_world(preferring(), **away)).answer.startswith(
        "root in std with its parent beside it as a fallback, on node-"
    )
    raw = a_root("node-1").to_dict()
    raw["spec"]["placement"]["parentPool"] = "std"
    text = [*lines(explained(a_world(preferring(), volumes=[Volume.read(raw)], **away)))]
    assert (
        "Disk root (Volume web-root): bound to std on node-1, its parent beside it as a fallback (*)" in text
    )
    assert any("*" in line.split("node-1")[0] and "std (fallback)" in line for line in text), text


def test_the_avoid_set_is_shown_with_its_reasons() -> None:
    avoided = {
        "location": "node-2",
        "host": "node-2",
        "reason": "StartFailed",
        "message": "no KVM",
        "time": NOW,
    }
    found = explained(a_world(a_machine(avoid=[avoided])))
    assert ("node-2", "Avoided") in [(c.host, c.reason) for c in found.disks[0].candidates]
    assert any("node-2  StartFailed" in line and line.endswith("no KVM") for line in lines(found))


@pytest.mark.parametrize("output", ["text", "json"])
def test_the_command_reads_the_cluster(tmp_path: Any, monkeypatch: Any, output: str) -> None:
    objects = a_world()
    ends = {
        "/namespaces/team/virtualmachines/web": (200, objects.machine.to_dict()),
        "/storagepools": a_list(*(p.to_dict() for p in objects.pools)),
        "/storagelocations": a_list(*(x.to_dict() for x in objects.locations)),
        "/templates": a_list(*(t.to_dict() for t in objects.templates)),
        "/parents": a_list(*(p.to_dict() for p in objects.parents)),
        "/nodes": a_list(
            *(
                {"metadata": {"name": h}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
                for h in HOSTS
            )
        ),
    }
    with serving(ends, tmp_path) as kubeconfig:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        result = CliRunner().invoke(main, ["explain", "vm", "web", "-n", "team", "-o", output])
    assert result.exit_code == 0, result.output
    if output == "text":
        assert "The plan: root in std over gold, on node-2" in result.output
        assert not any(line != line.rstrip() for line in result.output.splitlines())
    else:
        [found] = json.loads(result.output)
        assert found["disks"][0]["candidates"][0] | {"detail": ""} == {
            "host": "node-2", "pool": "std", "parent_pool": "gold", "rank": 1, "reason": "", "detail": "", "fallback": False,
            "location": location_name("std", "uid-std", "node-2"),
            "parent_location": location_name("gold", "uid-gold", "node-2"),
        }  # fmt: skip
        assert found["answer"] == "root in std over gold, on node-2"
