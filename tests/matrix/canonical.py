"""What is there, told so that two runs can be compared: without names, ids and times of the run."""

import json
import re
import time
from collections.abc import Callable
from typing import Any, Final

from tests.e2e.api import DATA_NAMESPACE, Obj
from tests.e2e.builders import TEST_GOLDEN, TEST_STANDARD
from tests.e2e.site import Site

_OWN: Final = ("StoragePool", "StorageLocation", "Template", "Parent")
_TENANT: Final = ("VirtualMachine", "Volume")
_METADATA: Final = ("finalizers", "labels", "ownerReferences")
_OF_THE_MOMENT: Final = re.compile(
    r"(?i)(time|answered|uid|bytes|ip|nonce|generation|resourceVersion|allocated|used|free|observed|hash)$"
)
"""Fields that differ between any two runs, or follow the disk's own use."""


State = dict[str, Any]
_STEADY_SECONDS: Final = 5.0


def state(site: Site, node: str, *pools: str) -> State:
    """Every object and file of the site, by a name that is the same in every run."""
    api = site.api
    objects = [o for kind in _TENANT for o in api.every(kind, site.namespace)]
    names = (site.token, *pools)
    objects += [o for kind in _OWN for o in api.every(kind) if any(n in o["metadata"]["name"] for n in names)]
    objects += [
        {**o, "kind": kind}  # the server's lists of its own kinds do not say it
        for kind in ("Job", "Pod", "Lease")
        for o in api.every(kind, DATA_NAMESPACE)
        if site.token in json.dumps(o["metadata"].get("labels"))
    ]
    rename = _renamer(site, objects, pools)
    found = {rename(f"{o['kind']}/{o['metadata']['name']}"): rename(_plain(o)) for o in objects}
    files = [
        rename(f"{path}/{name}")
        for path in (TEST_GOLDEN, TEST_STANDARD)
        for name in site.nodes.files(node, path)
        if not name.startswith(("trash/", "lost+found"))
    ]
    return {"objects": found, "files": sorted(files)}


def settled(look: Callable[[], State], expected: State | None, patience: float) -> State:
    """The expected state, as soon as it is there; without one, the state that is the same for some seconds."""
    end = time.monotonic() + patience
    found, since = look(), time.monotonic()
    told = time.monotonic() + 30
    while found != expected if expected is not None else time.monotonic() - since < _STEADY_SECONDS:
        if expected is not None and time.monotonic() > told:
            told = end
            print("still another state:", difference(expected, found), sep="\n", flush=True)
        assert time.monotonic() < end, f"another state: {difference(expected or {}, found)}"
        time.sleep(0.5)
        again = look()
        if again != found:
            found, since = again, time.monotonic()
    return found


def difference(expected: State, found: State) -> str:
    lines = []
    for part in ("objects", "files"):
        one, other = expected.get(part, {}), found.get(part, {})
        for name in sorted({*one, *other}):
            if isinstance(one, dict) and isinstance(other, dict):
                if one.get(name) != other.get(name):
                    lines.append(f"{name}:\n  expected {one.get(name)}\n  found    {other.get(name)}")
            elif (name in one) != (name in other):
                lines.append(f"{name}: {'missing' if name in one else 'not expected'}")
    return "\n".join(lines)


def _plain(obj: Obj) -> str:
    metadata = {name: obj["metadata"][name] for name in _METADATA if name in obj["metadata"]}
    shown = {"metadata": metadata, "spec": obj.get("spec"), "status": obj.get("status")}
    if obj["kind"] in {"Pod", "Lease"}:  # the kubelet's and the runtime's own words
        shown = {"metadata": metadata, "phase": (obj.get("status") or {}).get("phase")}
    return json.dumps(_steady(shown), sort_keys=True)


def _steady(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _steady(item) for name, item in value.items() if not _OF_THE_MOMENT.search(name)}
    return [_steady(item) for item in value] if isinstance(value, list) else value


def _renamer(site: Site, objects: list[Obj], pools: tuple[str, ...]) -> Any:
    """Names that are minted anew in each run become what they name."""
    minted: dict[str, str] = {site.token: "TOKEN"}
    for number, obj in enumerate(objects):
        metadata = obj["metadata"]
        minted[metadata["uid"]] = f"UID-OF-{obj['kind']}"
        if obj["kind"] == "Parent":
            minted[metadata["name"]] = "PARENT"
        if obj["kind"] == "Pod":
            minted[metadata["name"]] = "POD"
        if disk := (obj.get("spec") or {}).get("storageID"):
            minted[disk] = f"DISK-{number}"
    for pool in pools:
        minted[pool.rpartition("-")[2]] = "POOLS"
    order = sorted(minted, key=len, reverse=True)

    def rename(text: str) -> str:
        for name in order:
            text = text.replace(name, minted[name])
        return re.sub(r"\b(PARENT|POOLS|TOKEN)-[0-9a-z]{8,16}\b", r"\1-ID", text)

    return rename
