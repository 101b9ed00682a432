"""What one test has of the cluster: its namespace, pools, templates and machines, and the end of them all."""

import secrets
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from tests.e2e import tidy
from tests.e2e.api import DATA_NAMESPACE, Api, Obj
from tests.e2e.builders import SHARED_GOLDEN, SHARED_STANDARD, a_machine, a_pool, a_template
from tests.e2e.jobs import JobLog
from tests.e2e.nodes import Nodes
from tests.e2e.operator_process import Operator, OperatorProcess
from tests.e2e.server import Image, Images

T = TypeVar("T")

PATIENCE_SECONDS: Final = 300
"""How long a test waits for what should come within seconds: only what never happens takes so long, also on a machine that
is busy with other things."""


class Site:
    """Names are unique to the test; what it makes is deleted at its end, and nothing may be left then."""

    def __init__(self, api: Api, nodes: Nodes, images: Images, operator: Operator | OperatorProcess) -> None:
        self.api, self.nodes, self.images, self.operator = api, nodes, images, operator
        self.token = secrets.token_hex(3)
        self.traces = tidy.Traces(api, nodes, self.token)
        self.namespace = self.traces.namespace
        self.pools: list[str] = []
        self.templates: list[str] = []
        self.jobs = JobLog(api)
        api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})

    # --- making things

    def name(self, stem: str) -> str:
        """A cluster-wide name of this test's own."""
        return f"{stem}-{self.token}"

    def pool(self, stem: str, **wishes: Any) -> str:
        """Made, for this test's namespace alone; nobody waits for its hosts."""
        name = self.name(stem)
        self.pools.append(name)
        self.api.create(a_pool(name, namespaces=[self.namespace], **wishes))
        return name

    def pools_on(self, *hosts: str) -> tuple[str, str]:
        """A golden pool and an ordinary one, ready; on one host if one is named, else on all."""
        labels = {"kubernetes.io/hostname": hosts[0]} if hosts else None
        golden = self.pool("golden", golden=True, hosts=labels)
        standard = self.pool("standard", hosts=labels)
        self.ready("StoragePool", golden, standard)
        return golden, standard

    def shared_pool(self, stem: str, *, golden: bool = False) -> str:
        """One that every host reaches; its directory is made."""
        path = SHARED_GOLDEN if golden else SHARED_STANDARD
        self.nodes.run(self.nodes.names()[0], "mkdir", "-p", path)
        return self.pool(stem, golden=golden, scope="Shared", path=path, require_mount=False)

    def shared_pools(self) -> tuple[str, str]:
        """A golden pool and an ordinary one that every host reaches, ready."""
        golden, standard = self.shared_pool("golden", golden=True), self.shared_pool("standard")
        self.ready("StoragePool", golden, standard)
        return golden, standard

    def template(self, image: Image, *, stem: str = "boot", url: str = "", **wishes: Any) -> str:
        """Registered, its image served at /NAME."""
        name = self.name(stem)
        self.templates.append(name)
        served = self.images.serve(f"/{name}", image)
        self.api.create(a_template(name, url or served, **{"checksum": image.checksum, **wishes}))
        return name

    def machine(self, name: str, **wishes: Any) -> str:
        self.api.create(a_machine(name, self.namespace, **wishes))
        return name

    def delete(self, kind: str, *names: str) -> None:
        for name in names:
            self.api.delete(kind, name, self._namespace_of(kind))

    # --- looking

    def get(self, kind: str, name: str) -> Obj:
        found = self.api.get(kind, name, self._namespace_of(kind))
        assert found is not None, f"there is no {kind} {name}"
        return found

    def status(self, kind: str, name: str) -> Obj:
        return dict(self.get(kind, name).get("status") or {})

    def condition(self, kind: str, name: str, condition: str = "Ready") -> Obj:
        """Empty when it is not there."""
        return condition_of(self.api.get(kind, name, self._namespace_of(kind)), condition)

    def parents(self, template: str) -> list[Obj]:
        return [p for p in self.api.every("Parent") if p["spec"]["template"] == template]

    def locations(self, pool: str) -> dict[str, Obj]:
        """By host."""
        found = self.api.every("StorageLocation")
        return {x["spec"]["host"]: x for x in found if x["spec"]["pool"] == pool}

    def pod_of(self, machine: str) -> Obj | None:
        labels = f"goldpool.io/virtualmachine={machine},goldpool.io/virtualmachine-namespace={self.namespace}"
        return next(iter(self.api.every("Pod", DATA_NAMESPACE, labels)), None)

    def console(self, machine: str) -> str:
        pod = self.pod_of(machine)
        return self.api.log(pod["metadata"]["name"]) if pod else ""

    def events(self, name: str) -> list[str]:
        """(reason, note) of what was told about a tenant's object, as "reason: note"."""
        found = self.api.every("Event", self.namespace)
        return [f"{e['reason']}: {e['message']}" for e in found if e["involvedObject"]["name"] == name]

    def told(self, name: str, begin: str) -> list[str]:
        """The events of a tenant's object that begin like this, once there is one: they are written behind its status."""
        return self.eventually(
            lambda: [e for e in self.events(name) if e.startswith(begin)], f"{name} was told {begin!r}"
        )

    # --- waiting

    def eventually(self, question: Callable[[], T], what: str, timeout: float = PATIENCE_SECONDS) -> T:
        """The first true answer."""
        end = time.monotonic() + timeout
        while True:
            answer = question()
            if answer:
                return answer
            if time.monotonic() > end:
                raise AssertionError(f"never happened: {what}")
            time.sleep(0.25)

    def ready(self, kind: str, *names: str, timeout: float = PATIENCE_SECONDS) -> None:
        self.eventually(
            lambda: all(self.condition(kind, n).get("status") == "True" for n in names),
            f"{kind} {', '.join(names)} Ready",
            timeout,
        )

    def running(self, *names: str, timeout: float = PATIENCE_SECONDS) -> None:
        def all_run() -> bool:
            machines = {m["metadata"]["name"]: m for m in self.api.every("VirtualMachine", self.namespace)}
            return all((machines[n].get("status") or {}).get("phase") == "Running" for n in names)

        self.eventually(all_run, f"{len(names)} machines Running", timeout)

    def phase(self, machine: str, phase: str, timeout: float = PATIENCE_SECONDS) -> None:
        self.eventually(
            lambda: self.status("VirtualMachine", machine).get("phase") == phase,
            f"{machine} is {phase}",
            timeout,
        )

    def reason(self, kind: str, name: str, reason: str, timeout: float = PATIENCE_SECONDS) -> str:
        """The message of the Ready condition once it has this reason."""

        def message() -> str | None:
            found = self.condition(kind, name)
            return str(found.get("message")) if found.get("reason") == reason else None

        answer = self.eventually(message, f"{kind} {name} says {reason}", timeout)
        assert answer is not None
        return answer

    def gone(self, kind: str, *names: str, timeout: float = PATIENCE_SECONDS) -> None:
        namespace = self._namespace_of(kind)
        self.eventually(
            lambda: all(self.api.get(kind, n, namespace) is None for n in names),
            f"{kind} {', '.join(names)} gone",
            timeout,
        )

    def says(self, machine: str, text: str, timeout: float = PATIENCE_SECONDS) -> str:
        """The console, once the text is on it."""
        return self.eventually(
            lambda: console if text in (console := self.console(machine)) else "",
            f"{machine} prints {text!r}",
            timeout,
        )

    # --- the end

    def close(self) -> None:
        """Everything is deleted at once; the guards bring it into order, and then nothing is left of it anywhere."""
        machines, volumes = self._names("VirtualMachine"), self._names("Volume")
        self.delete("VirtualMachine", *machines)
        self.delete("Template", *self.templates)
        self.delete("StoragePool", *self.pools)
        self.delete("Volume", *volumes)
        self.gone("VirtualMachine", *machines)
        self.gone("Volume", *volumes, *self._names("Volume"))
        self.gone("Template", *self.templates)
        self.gone("StoragePool", *self.pools)
        self.eventually(lambda: not tidy.left_of(self.traces), "nothing is left")

    def end(self) -> None:
        self.jobs.close()
        self.api.delete("Namespace", self.namespace)

    def _names(self, kind: str) -> list[str]:
        return [obj["metadata"]["name"] for obj in self.api.every(kind, self.namespace)]

    def _namespace_of(self, kind: str) -> str:
        return self.namespace if kind in {"VirtualMachine", "Volume"} else ""


def condition_of(obj: Obj | None, condition: str) -> Obj:
    conditions = ((obj or {}).get("status") or {}).get("conditions", ())
    return next((dict(c) for c in conditions if c["type"] == condition), {})
