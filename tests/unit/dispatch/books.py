"""Books for tests, and what comes out of them."""

from goldpool.contracts.operations import (
    Operation,
)
from goldpool.dispatch.book import Book, Start
from goldpool.dispatch.settings import Limits
from tests.unit.dispatch.builders import (
    a_report,
    a_request,
)

LIMITS = Limits()
LATER = 1.0
"""Longer than anything is gathered for."""


def a_book(*operations: Operation, limits: Limits = LIMITS, host: str = "node-1") -> Book:
    book = Book(limits)
    for operation in operations:
        book.ask(a_request(operation, host=host), 0.0)
    return book


def ids(start: Start) -> list[str]:
    return [request.id for request in start.requests]


def end(book: Book, start: Start, now: float, **report: object) -> None:
    book.ended(start.record.name, a_report(len(start.requests), **report), now)  # type: ignore[arg-type]


MANY = LIMITS.burst_operations
