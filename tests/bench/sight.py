"""When things happened, as a watch told it: asking again and again would add its own time, and load the server."""

import json
import threading
import time
from collections.abc import Callable, Collection
from types import TracebackType

from tests.e2e.api import Api, Obj

Question = Callable[[Obj], bool]


class Sight:
    """Notes when each object of a kind in a namespace first answered the question with yes (monotonic seconds).
    Whatever happens after it was entered is seen; what was so before is not."""

    def __init__(self, api: Api, kind: str, namespace: str, question: Question) -> None:
        self._api, self._kind, self._namespace, self._question = api, kind, namespace, question
        self.changes = 0
        """Writes that changed something, of whoever it was; a creation is none."""
        self._seen: dict[str, float] = {}
        self._changed = threading.Condition()
        self._ended = threading.Event()
        self._version = ""
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> "Sight":
        self._version = self._api.version(self._kind, self._namespace)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()

    def last_of(self, names: Collection[str], timeout: float) -> float:
        """When the last of them was seen; waits for it. Raises TimeoutError."""
        wanted = set(names)
        with self._changed:
            if not self._changed.wait_for(lambda: wanted <= self._seen.keys(), timeout):
                missing = sorted(wanted - self._seen.keys())
                raise TimeoutError(
                    f"{len(missing)} of {len(wanted)} {self._kind}s not seen, {missing[0]} first"
                )
            return max(self._seen[name] for name in wanted)

    def first(self, timeout: float) -> float:
        """When any was seen; waits for it. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: bool(self._seen), timeout):
                raise TimeoutError(f"no {self._kind} seen")
            return min(self._seen.values())

    def _follow(self) -> None:
        while not self._ended.is_set():
            try:
                for line in self._api.watch(self._kind, self._namespace, self._version, 300):
                    if self._ended.is_set():
                        return
                    self._note(json.loads(line))
            except Exception:  # a watch that breaks goes on where it was
                time.sleep(0.1)

    def _note(self, event: Obj) -> None:
        obj, now = event["object"], time.monotonic()
        self._version = obj["metadata"]["resourceVersion"]
        name = obj["metadata"]["name"]
        self.changes += event["type"] == "MODIFIED"
        if event["type"] != "DELETED" and name not in self._seen and self._question(obj):
            with self._changed:
                self._seen[name] = now
                self._changed.notify_all()


def runs(obj: Obj) -> bool:
    """A pod, a machine: Running, by its own word."""
    return (obj.get("status") or {}).get("phase") == "Running"


def has_terminated(pod: Obj) -> bool:
    states = [c.get("state") or {} for c in (pod.get("status") or {}).get("containerStatuses") or ()]
    return bool(states) and all("terminated" in state for state in states)


def is_ready(obj: Obj) -> bool:
    conditions = (obj.get("status") or {}).get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
