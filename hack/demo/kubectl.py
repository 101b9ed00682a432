"""kubectl on the development cluster."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

from hack.cluster import config
from hack.cluster.commands import run
from hack.pipeline import environment

Obj = dict[str, Any]


class Kubectl:
    """Each method is one call, ended after its time limit. Raises CommandFailedError."""

    def __init__(self) -> None:
        self.environ = {**os.environ, **environment.of_cluster(config.Layout.of(os.environ))}

    def apply(self, objects: Iterable[Obj]) -> list[str]:
        """What was done to each object, as kubectl tells it."""
        listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        return self("apply", "-f", "-", stdin=listed).splitlines()

    def get(self, plural: str) -> list[Obj]:
        """All objects of a kind, in all namespaces."""
        items: list[Obj] = json.loads(self("get", f"{plural}.goldpool.io", "-A", "-o", "json"))["items"]
        return items

    def log(self, pod: str, namespace: str) -> str:
        return self("-n", namespace, "logs", pod)

    def __call__(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> str:
        return run(["kubectl", *arguments], stdin=stdin, env=self.environ, timeout=timeout)
