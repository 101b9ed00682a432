"""One JSON line per event on stderr. Progress has stdout to itself, so that its reader never meets half a line."""

import json
import sys


def log(event: str, **fields: object) -> None:
    """Never raises: a closed stderr must not stop storage work. ``event`` is in the past tense."""
    try:
        print(json.dumps({"event": event, **fields}, default=str), file=sys.stderr, flush=True)
    except (OSError, ValueError):
        return
