"""python3 -m hack.upgrade: builds the version that an upgrade comes from, and prints its commit and chart."""

import sys

from hack.images import steps
from hack.upgrade.previous import NoHistoryError, provide, wished


def main() -> int:
    try:
        found = provide(wished())
    except NoHistoryError as none:
        sys.stderr.write(f"{none}\n")  # the tests say so, too, and are skipped
        return 0
    except steps.BuildError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    print(f"{found.commit} {found.chart}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
