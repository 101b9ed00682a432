"""``python -m goldpool.runtime``: PID 1 of a VM pod."""

import signal
import sys


def main() -> int:
    # The kernel drops a SIGTERM that PID 1 has no handler for, and the imports below take a good part of a second.
    # A blocked signal is kept until the program listens.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    from goldpool.runtime.listener import listen_early

    listener = listen_early()
    from goldpool.runtime.program import run

    return run(listener)


if __name__ == "__main__":
    sys.exit(main())
