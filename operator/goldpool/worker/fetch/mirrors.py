"""The attempt x mirror loop.

A mirror that fails gives way to the next one, a wrong digest too; an attempt is one round over all mirrors, and a
metalink is read anew in each. Source: CloudStack's direct download (3 validations), which asks the last mirror again
after a mismatch, as metalink clients were measured to do.
"""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from goldpool.worker.fetch.answers import Answers
from goldpool.worker.fetch.listing import Listing
from goldpool.worker.fetch.policy import MirrorFailed, origin
from goldpool.worker.log import log

T = TypeVar("T")


def first_good(
    urls: Sequence[str],
    attempts: int,
    deadline: float,
    answers: Answers,
    *,
    listed: Callable[[str], Listing],
    one: Callable[[str, Listing], T],
) -> tuple[T, str, int]:
    """What the first mirror that delivers brought, its URL, and the attempt (from 1).

    ``listed`` says which mirrors a URL of the source leads to; it and ``one`` raise ``MirrorFailed`` to go on and
    anything else to stop. ``OperationFailed`` names every mirror; ``answers`` knows them in any case.
    """
    for attempt in range(1, attempts + 1):
        for url in urls:
            if _over(url, answers, deadline):
                continue
            try:
                listing = listed(url)
            except MirrorFailed as failed:
                _note(answers, url, failed, attempt)
                continue
            answers.read(url, listing.skipped)
            for mirror in listing.mirrors:
                if _over(mirror, answers, deadline):
                    continue
                try:
                    brought = one(mirror, listing)
                except MirrorFailed as failed:
                    _note(answers, mirror, failed, attempt)
                else:
                    answers.delivered(mirror)
                    return brought, mirror, attempt
    raise answers.conclusion()


def _over(url: str, answers: Answers, deadline: float) -> bool:
    """Not asked again. One that was never asked is, if only to say that there is no time left."""
    return answers.hopeless(url) or (answers.asked_before(url) and time.monotonic() >= deadline)


def _note(answers: Answers, url: str, failed: MirrorFailed, attempt: int) -> None:
    answers.failed(url, failed)
    log("mirror failed", mirror=origin(url), attempt=attempt, reason=failed.reason, message=failed.message)
