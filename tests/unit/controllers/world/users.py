"""What users write."""

from goldpool.kube.port import Obj

TEAM = "team-a"


def a_pool(name: str, *, golden: bool = False, shared: bool = False) -> Obj:
    spec = {
        "golden": golden,
        "backend": {"hostPath": {"path": f"/srv/{name}"}},
        "scope": "Shared" if shared else "Host",
        "hostSelector": {"matchLabels": {}},
    }
    return {"metadata": {"name": name}, "spec": spec}


def a_template(
    name: str = "debian", *, prepare: tuple[str, ...] = (), refresh: str = "Pin", checks: bool = False
) -> Obj:
    source = {"url": f"https://mirror.example/{name}", "refreshPolicy": refresh}
    spec = {
        "golden": True,
        "format": "qcow2",
        "source": source | ({"checkInterval": "1h"} if checks else {}),
        "prepare": {"pools": list(prepare)},
        "retention": "1h",
    }
    return {"metadata": {"name": name}, "spec": spec}


def an_iso(name: str = "tools", *, golden: bool = True) -> Obj:
    template = a_template(name)
    template["spec"] |= {"format": "iso", "golden": golden}
    return template


def inserted(iso: str) -> Obj:
    """``spec.iso``."""
    return {"templateRef": {"name": iso}}


def a_machine(
    name: str,
    *,
    template: str = "debian",
    data: tuple[str, ...] = (),
    golden: str = "Required",
    iso: str = "",
) -> Obj:
    """Without a template its root disk is empty."""
    spec: Obj = {
        "goldenPolicy": golden,
        "memory": "1Gi",
        "rootVolume": {"templateRef": {"name": template}} if template else {"size": "1Gi"},
        "volumes": [{"name": volume, "volumeRef": {"name": volume}} for volume in data],
    }
    if iso:
        spec["iso"] = inserted(iso)
    return {"metadata": {"name": name, "namespace": TEAM}, "spec": spec}


def a_data_volume(name: str) -> Obj:
    return {"metadata": {"name": name, "namespace": TEAM}, "spec": {"type": "Data", "size": "1Gi"}}
