"""python3 -m hack.kind up | down | status | env | load ARCHIVE: what `make ... CLUSTER=kind` runs."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from hack.cluster import config as facts
from hack.cluster.commands import CommandFailedError, run
from hack.kind import config
from hack.kind.config import home, kubeconfig

PROGRAMS = ("docker", "kind", "kubectl", "helm")


def up() -> None:
    """Makes the cluster unless there is one. Pools' directories stay what they were."""
    if config.NAME in run(["kind", "get", "clusters"]).split():
        run(
            [
                "kind",
                "export",
                "kubeconfig",
                "--name",
                config.NAME,
                "--kubeconfig",
                str(kubeconfig(os.environ)),
            ]
        )
        return
    for node in facts.NODES:
        for path in config.pool_directories(node, home(os.environ)).values():
            path.mkdir(parents=True, exist_ok=True)
    file = home(os.environ) / "config.yaml"
    file.write_text(config.cluster(home(os.environ), os.environ.get("KIND_NODE_IMAGE") or config.NODE_IMAGE))
    command = [
        "kind",
        "create",
        "cluster",
        "--config",
        str(file),
        "--kubeconfig",
        str(kubeconfig(os.environ)),
    ]
    subprocess.run([*command, "--wait", "180s"], check=True)
    print(
        "pools are directories here, no mount points: apply hack/kind/pools.yaml in place of examples/01-pools.yaml"
    )


def down() -> None:
    """The cluster is gone, and of its pools what this user may remove: nodes write there as root."""
    run(
        ["kind", "delete", "cluster", "--name", config.NAME, "--kubeconfig", str(kubeconfig(os.environ))],
        timeout=300,
    )
    shutil.rmtree(home(os.environ), ignore_errors=True)


def load(archive: Path) -> None:
    """On every node. kind imports what is there already once more."""
    run(["kind", "load", "image-archive", str(archive), "--name", config.NAME], timeout=900)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python3 -m hack.kind", description="The development cluster by kind."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("up", "down", "status", "env"):
        commands.add_parser(name)
    commands.add_parser("load").add_argument("archive", type=Path)
    chosen = parser.parse_args()
    if chosen.command == "env":
        print(f"export KUBECONFIG='{kubeconfig(os.environ)}'")
        return 0
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        print(f"error: CLUSTER=kind needs {', '.join(missing)} on the PATH", file=sys.stderr)
        return 1
    try:
        match chosen.command:
            case "up":
                up()
            case "down":
                down()
            case "status":
                print(
                    run(
                        ["kubectl", "--kubeconfig", str(kubeconfig(os.environ)), "get", "nodes", "-o", "wide"]
                    ),
                    end="",
                )
            case "load":
                load(chosen.archive)
    except (CommandFailedError, subprocess.CalledProcessError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
