"""Which Jobs were ever made: watched from a moment on, so that one that was deleted at once is seen too."""

import json
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

from tests.e2e.api import DATA_NAMESPACE, Api, Obj


@dataclass(frozen=True)
class Made:
    """A Job as it was when it was created: its pool, the ids of its operations, its pod's priority class."""

    name: str
    pool: str
    operations: tuple[str, ...]
    priority: str


class JobLog:
    """Every Job made in the data namespace since the log began."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._made: dict[str, Made] = {}
        self._ended = threading.Event()
        self._version = api.version("Job", DATA_NAMESPACE)
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def of_pools(self, *pools: str) -> list[Made]:
        return [made for made in list(self._made.values()) if made.pool in pools]

    def operations(self, verb: str, *pools: str) -> Counter[str]:
        """How many Jobs each operation of this verb was given to."""
        return Counter(
            operation
            for made in self.of_pools(*pools)
            for operation in made.operations
            if operation.startswith(f"{verb}/")
        )

    def close(self) -> None:
        self._ended.set()

    def _follow(self) -> None:
        while not self._ended.is_set():
            with suppress(
                Exception
            ):  # a watch that breaks goes on where it was, as soon as the API server is back
                for line in self._api.watch("Job", DATA_NAMESPACE, self._version, 300):
                    if self._ended.is_set():
                        return
                    event = json.loads(line)
                    self._version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] == "ADDED":
                        self._note(event["object"])

    def _note(self, job: Obj) -> None:
        notes = job["metadata"].get("annotations") or {}
        if "goldpool.io/operations" not in notes:
            return
        self._made[job["metadata"]["uid"]] = Made(
            job["metadata"]["name"],
            json.loads(notes["goldpool.io/place"])["pool"],
            tuple(entry["id"] for entry in json.loads(notes["goldpool.io/operations"])),
            job["spec"]["template"]["spec"].get("priorityClassName", ""),
        )
