"""Label selectors, read on our side too: so that the cache never holds an object that no watch keeps true."""

import re
from collections.abc import Callable, Mapping

from goldpool.kube.port import Obj

Matches = Callable[[Obj], bool]

_SET = re.compile(r"^(?P<key>\S+)\s+(?P<op>in|notin)\s*\((?P<values>[^)]*)\)$")
_REQUIREMENT = re.compile(r",(?![^(]*\))")


def matches_labels(selector: str) -> Matches:
    """The predicate of a label selector in the server's own syntax. Raises ValueError for what is none."""
    requirements = [_requirement(part.strip()) for part in _REQUIREMENT.split(selector) if part.strip()]

    def matches(obj: Obj) -> bool:
        labels: Mapping[str, str] = obj["metadata"].get("labels") or {}
        return all(requirement(labels) for requirement in requirements)

    return matches


def _requirement(part: str) -> Callable[[Mapping[str, str]], bool]:
    if found := _SET.match(part):
        key, values = found["key"], {value.strip() for value in found["values"].split(",")}
        if found["op"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if "!=" in part:
        key, value = (side.strip() for side in part.split("!=", 1))
        return lambda labels: labels.get(key) != value
    if "=" in part:
        key, value = (side.strip() for side in re.split("==?", part, maxsplit=1))
        return lambda labels: labels.get(key) == value
    if " " in part or "(" in part:
        raise ValueError(f"not a label selector: {part!r}")
    if part.startswith("!"):
        return lambda labels: part[1:].strip() not in labels
    return lambda labels: part in labels
