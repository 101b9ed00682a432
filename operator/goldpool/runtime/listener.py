"""The health port, open before the rest of the program is loaded.

The kubelet asks for readiness when it first sees the container run, then once a second. The imports take a good part of
a second on a busy host: the first question would be refused, and the answer come a second later than it is true. So it
waits in the socket's queue instead.
"""

import contextlib
import os
import socket
from typing import Final

from goldpool.contracts.health import HEALTH_PORT

HEALTH_PORT_VARIABLE: Final = "GOLDPOOL_HEALTH_PORT"
ALL_ADDRESSES: Final = "0.0.0.0"  # noqa: S104 - the kubelet comes from the node's address


def listen(port: int) -> socket.socket:
    """On all IPv4 addresses; port 0 takes a free one. Raises OSError when the port is taken."""
    return socket.create_server((ALL_ADDRESSES, port))


def listen_early() -> socket.socket | None:
    """None where that fails: the program tries again when it is able to say why."""
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return listen(int(os.environ.get(HEALTH_PORT_VARIABLE, HEALTH_PORT)))
    return None
