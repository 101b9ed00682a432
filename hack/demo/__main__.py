"""python3 -m hack.demo: the golden path, end to end, on the development cluster. Ends with 1 and the reason when
something does not come true in time."""

from __future__ import annotations

import os
import sys

from hack.cluster.commands import CommandFailedError, TimedOutError
from hack.demo.journey import BrokenOffError, Journey
from hack.demo.stage import Stage
from hack.images.steps import BuildError


def main() -> int:
    stage = Stage()
    try:
        if os.geteuid() != 0:
            raise BrokenOffError("the development cluster needs root")
        Journey(stage).run()
    except (BrokenOffError, BuildError, CommandFailedError, TimedOutError, RuntimeError, OSError) as error:
        stage.console.print(f"demo: {error}", style="bold red", markup=False, soft_wrap=True)
        stage.tell_times()
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
