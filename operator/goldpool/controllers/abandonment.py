"""What a person has given up: a host that is lost for good, or a disk that was replaced.

``goldpool.io/abandon`` names the place, so that an object is never given up by mistake. It is a permission, and used only
while the place cannot be reached: it lets deletions finish without the host, never touches bytes, and never starts
anything elsewhere.
"""

from collections.abc import Mapping

from goldpool.controllers.naming import ABANDON_ANNOTATION


def abandons(annotations: Mapping[str, str], place: str) -> bool:
    """Whether these annotations give up this place: a host, or a Shared pool."""
    return bool(place) and annotations.get(ABANDON_ANNOTATION) == place


def way_out(annotations: Mapping[str, str], place: str, what: str) -> str:
    """The end of a sentence that says what is waited for: how to stop waiting. ``what`` is like ``volume web-1-root``."""
    said = annotations.get(ABANDON_ANNOTATION)
    if said is not None and said != place:
        return f"; {ABANDON_ANNOTATION} says {said!r}, but only {place!r} can be given up"
    return f"; if it is lost for good: kubectl annotate {what} {ABANDON_ANNOTATION}={place}"
