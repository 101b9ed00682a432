"""Logs: one JSON object per event on stdout, or colours on a terminal. For those who run Goldpool; users read Events."""

import logging
import sys
from typing import Any

import structlog

_QUIET = ("kopf", "kubernetes", "aiohttp", "asyncio", "client")
"""Libraries that say at INFO what is only of interest to their authors."""


def configure_logging(*, level: str = "INFO", terminal: bool | None = None, **always: Any) -> None:
    """Once, at the start. ``always`` fields are on every line (replica, version). The libraries' own records take the
    same way out, from WARNING on."""
    on_terminal = sys.stdout.isatty() if terminal is None else terminal
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        _with(always),
    ]
    last: list[Any] = (
        [structlog.dev.ConsoleRenderer()]
        if on_terminal
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _with(fields: dict[str, Any]) -> Any:
    def add(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
        return {**fields, **event}

    return add
