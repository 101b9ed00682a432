"""python3 -m hack.images build | archive-path | sizes | names | clean"""

import argparse
import sys

from hack.images import build, cache, engines, oci, steps


def main() -> int:
    """Runs one command; results go to stdout, the archive's path as the last line."""
    parser = argparse.ArgumentParser(
        prog="python3 -m hack.images", description="Goldpool's container images."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build what changed; prints the archive's path")
    commands.add_parser("archive-path", help="where the archive of the present sources is (built or not)")
    commands.add_parser("sizes", help="each image's size, as a Markdown table")
    commands.add_parser("names", help="the images' references, as pods name them")
    commands.add_parser("clean", help="remove everything that was built or downloaded")
    command = parser.parse_args().command
    directory = cache.cache_directory("images")
    try:
        match command:
            case "build":
                print(build.build(directory))
            case "archive-path":
                print(build.archive_path(directory))
            case "sizes":
                archive = build.build(directory)
                print("\n".join(oci.table(oci.sizes(archive), archive.stat().st_size)))
            case "names":
                print("\n".join(sorted(engines.reference(target) for target in engines.TARGETS)))
            case "clean":
                cache.remove(directory)
    except steps.BuildError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
