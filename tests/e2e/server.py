"""The web server that hosts download from. It counts by host, and it misbehaves on request, path by path."""

import hashlib
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.e2e.nodes import Nodes
from tests.servers.misbehaving import Body, Exchange, Request, Server, running, status


@dataclass
class Image:
    """Bytes at a path. What hosts get is ``content``, slowly or not at all."""

    content: bytes
    pause: float = 0.0
    """Seconds for each 64 KiB."""
    refuses: Callable[[str], bool] = field(default=lambda _node: False)
    """Whether this node's fetch is answered with 503; who only asks what is served is told."""
    begun: threading.Event = field(default_factory=threading.Event)
    """Set when an answer to a fetch was begun."""

    def rate(self) -> float | None:
        """Bytes a second, at this moment."""
        return (64 << 10) / self.pause if self.pause else None

    @property
    def checksum(self) -> str:
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"


class Images(Server):
    """A node's pods and the node itself count as the node."""

    def __init__(self, address: str, nodes: Nodes) -> None:
        super().__init__(address)
        self.nodes = nodes

    def serve(self, path: str, image: Image) -> str:
        """The URL at which the image is served from now on."""

        def answer(exchange: Exchange) -> None:
            if not _only_looks(exchange.request_seen):
                if image.refuses(self.nodes.of_address(exchange.request_seen.client)):
                    status(503)(exchange)
                    return
                image.begun.set()
            Body(image.content, bytes_per_second=image.rate)(exchange)

        return self.answer(path, answer)

    def gets_of(self, path: str) -> dict[str, int]:
        """Fetches by node; asking what is served, by the first bytes, is none."""
        return dict(Counter(self.nodes.of_address(r.client) for r in self._fetches(path)))

    def whole(self, path: str, node: str) -> int:
        """How many of them were answered in full."""
        return sum(r.whole for r in self._fetches(path) if self.nodes.of_address(r.client) == node)

    def _fetches(self, path: str) -> list[Request]:
        return [r for r in self.requests_of(path, "GET") if not _only_looks(r)]


def _only_looks(request: Request) -> bool:
    """A fetch wants all of it, or all from somewhere on."""
    return (
        request.method == "HEAD"
        or re.fullmatch("bytes=0-[0-9]+", request.headers.get("Range", "")) is not None
    )


@contextmanager
def serving(address: str, nodes: Nodes) -> Iterator[Images]:
    with Images(address, nodes) as server, running(server):
        yield server
