"""One JSON object per line on stderr; stdout belongs to the guest's serial console alone."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final

_LOGGER: Final = logging.getLogger("goldpool.runtime")


class JsonLine(logging.Formatter):
    """``time`` (UTC, RFC 3339), ``level``, ``event``, then the event's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = getattr(record, "fields", {})
        if record.exc_info:
            fields = {**fields, "traceback": self.formatException(record.exc_info)}
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **fields,
        }
        return json.dumps(line, default=str)


def to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLine())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # qemu.qmp reports each lost connection as an error of its own; what it means is decided and logged here.
    logging.getLogger("qemu").setLevel(logging.CRITICAL)
    logging.getLogger("goldpool.runtime.qmp").setLevel(logging.CRITICAL)


def info(event: str, **fields: object) -> None:
    _LOGGER.info(event, extra={"fields": fields})


def warning(event: str, **fields: object) -> None:
    _LOGGER.warning(event, extra={"fields": fields})


def exception(event: str, **fields: object) -> None:
    """To be called from an ``except`` block: adds the traceback."""
    _LOGGER.exception(event, extra={"fields": fields})
