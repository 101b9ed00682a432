"""The chart on the development cluster, with the images that were built from the present sources."""

from __future__ import annotations

import os

from hack.cluster import config
from hack.images import build, cache, steps
from hack.pipeline import environment

RELEASE = "goldpool"
NAMESPACE = "goldpool-system"
TIMEOUT_SECONDS = 300


def install() -> None:
    """The operator of the loaded images runs and is ready when this returns.

    Images keep their name when they are rebuilt, so an annotation with the archive's digest makes the difference.
    """
    images = build.archive_path(cache.cache_directory("images")).stem
    with steps.step("chart"):
        steps.run(
            ["helm", "upgrade", "--install", RELEASE, cache.REPOSITORY / "charts" / "goldpool",
             "--namespace", NAMESPACE, "--create-namespace", "--wait", "--timeout", f"{TIMEOUT_SECONDS}s",
             "--set-string", f"podAnnotations.goldpool\\.io/images={images}"],
            environ=environment.of_cluster(config.Layout.of(os.environ)),
            timeout=TIMEOUT_SECONDS + 60,
        )  # fmt: skip
