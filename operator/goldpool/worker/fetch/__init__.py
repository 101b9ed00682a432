"""Bringing a template's bytes to a pool: mirrors and attempts, one verified pass, the image gate, publication."""

from goldpool.worker.fetch.answers import Answers
from goldpool.worker.fetch.operation import fetch

__all__ = ["Answers", "fetch"]
