"""How a run ends: everything is deleted, and nothing is left or was done twice."""

from collections.abc import Callable

from tests.e2e.site import Site

NewSite = Callable[[], Site]
PATIENCE = 600
"""Seconds; only what never happens takes them."""


def ended(site: Site) -> None:
    """Everything of the site is deleted and nothing is left: no object, Job, pod, Lease or file."""
    site.close()
    site.end()


def each_operation_once(site: Site, *pools: str) -> None:
    for verb in ("initialize", "fetch", "create", "delete-volume", "delete-parent", "release"):
        jobs = site.jobs.operations(verb, *pools)
        assert set(jobs.values()) <= {1}, f"given to more than one Job: {jobs}"
