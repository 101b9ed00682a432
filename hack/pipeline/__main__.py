"""python3 -m hack.pipeline packages | venv | chart | test"""

from __future__ import annotations

import argparse
import sys

from hack.images import steps
from hack.pipeline import chart, debian, everything, promtool, venv


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m hack.pipeline", description="The steps behind `make`.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("packages", help="install the Debian packages that tests and builds need")
    commands.add_parser("venv", help="make .venv, or bring it up to date")
    commands.add_parser("chart", help="install or upgrade the chart on the development cluster")
    commands.add_parser("test", help="set up everything and run every test")
    command = parser.parse_args().command
    try:
        match command:
            case "packages":
                debian.install_missing()
                promtool.provide()
            case "venv":
                venv.provide()
            case "chart":
                chart.install()
            case "test":
                return everything.run_all()
    except (steps.BuildError, RuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
