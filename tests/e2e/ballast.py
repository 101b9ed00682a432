"""A node's file system with no room left."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.site import Site


@contextmanager
def filled(site: Site, node: str, path: str, *, but: int) -> Iterator[None]:
    """Only ``but`` bytes are left on the node's file system; its blocks are reserved, not written."""
    ballast = f"{path}/ballast"
    free = int(site.nodes.run(node, "stat", "-f", "-c", "%a %S", path).split()[0])
    size = int(site.nodes.run(node, "stat", "-f", "-c", "%S", path))
    site.nodes.run(node, "fallocate", "-l", str(free * size - but), ballast)
    try:
        yield
    finally:
        site.nodes.run(node, "rm", "-f", ballast)
