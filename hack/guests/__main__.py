"""python3 -m hack.guests bootsector OUT [--marker] | linux OUT [--oneshot] | installer OUT | clean"""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from hack.guests import bootsector, installer, linux
from hack.images import cache, steps


def main() -> int:
    """Runs one command; progress goes to stderr."""
    arguments = _parser().parse_args()
    directory = cache.cache_directory("guests")
    try:
        match arguments.command:
            case "bootsector":
                recipe = bootsector.Recipe(arguments.seed, arguments.size, arguments.chunks, arguments.stride)
                write_bootsector(recipe, arguments.out)
                if arguments.marker:
                    print(bootsector.expected_line(recipe))
            case "linux":
                recipe_b = linux.Recipe(arguments.oneshot, arguments.data_mib, arguments.seed)
                linux.build(recipe_b, arguments.out, directory)
            case "installer":
                with cache.published(arguments.out.absolute()) as temporary:
                    temporary.write_bytes(installer.medium())
            case "clean":
                cache.remove(directory)
    except (steps.BuildError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def write_bootsector(recipe: bootsector.Recipe, out: Path) -> None:
    """Puts guest A at `out`: qcow2, or raw if the name ends so."""
    write_disk(bootsector.disk(recipe), out)


def write_disk(content: bytes, out: Path) -> None:
    """Puts a disk's bytes at `out`: qcow2, or raw if the name ends so."""
    with cache.published(out.absolute()) as temporary:
        if out.suffix in {".raw", ".img"}:
            temporary.write_bytes(content)
            return
        steps.ensure_tools({"qemu-img": "qemu-utils"})
        with TemporaryDirectory() as work:
            raw = Path(work) / "disk.raw"
            raw.write_bytes(content)
            steps.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, temporary])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m hack.guests", description="Small guests for tests.")
    commands = parser.add_subparsers(dest="command", required=True)

    boot = commands.add_parser(
        "bootsector", help="a 512-byte guest that sums its disk (qcow2, or raw by the name)"
    )
    boot.add_argument("out", type=Path)
    boot.add_argument(
        "--marker", action="store_true", help="print the line that the guest must print at its first boot"
    )
    boot.add_argument("--seed", type=int, default=0, help="of the disk's content")
    boot.add_argument("--size", type=int, default=16 << 20, help="of the disk, in bytes")
    boot.add_argument("--chunks", type=int, default=64, help="how many chunks of 32 KiB it reads")
    boot.add_argument("--stride", type=int, default=64, help="sectors from one chunk to the next")

    real = commands.add_parser("linux", help="a small Linux that checks its files and stays (qcow2)")
    real.add_argument("out", type=Path)
    real.add_argument("--oneshot", action="store_true", help="power off after the marker")
    real.add_argument("--data-mib", type=int, default=48, help="how much the guest reads and checks at boot")
    real.add_argument("--seed", type=int, default=0, help="of the files' content")

    cd = commands.add_parser(
        "installer", help="a CD of 52 KiB that installs a boot sector on an empty disk (iso)"
    )
    cd.add_argument("out", type=Path)

    commands.add_parser("clean", help="remove what was built or downloaded")
    return parser


if __name__ == "__main__":
    sys.exit(main())
