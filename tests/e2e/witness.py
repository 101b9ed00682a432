"""All that was ever to be read of storage Jobs and their pods, also of those that are gone: a secret must not be in it."""

import json
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from tests.e2e.api import DATA_NAMESPACE, Api


class Witness:
    """Inside the block, keeps every version of the data namespace's Jobs and Pods, and what their containers wrote."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._seen: list[str] = []
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._follow, args=(kind, api.version(kind, DATA_NAMESPACE)), daemon=True)
            for kind in ("Job", "Pod")
        ]

    def of(self, word: str) -> list[str]:
        """Those in which the word stands."""
        return [text for text in list(self._seen) if word in text]

    def _follow(self, kind: str, version: str) -> None:
        while not self._ended.is_set():
            with suppress(Exception):  # a watch that breaks goes on where it was
                for line in self._api.watch(kind, DATA_NAMESPACE, version, 300):
                    if self._ended.is_set():
                        return
                    event = json.loads(line)
                    version = event["object"]["metadata"]["resourceVersion"]
                    self._seen.append(json.dumps(event["object"]))
                    if kind == "Pod":
                        self._seen.append(self._api.log(event["object"]["metadata"]["name"]))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
