"""From the sources to the archive, or to the archive that stands already."""

from pathlib import Path

from hack.images import cache, context, engines, steps

KEPT_ARCHIVES = 2  # the newest, and the one somebody may just be importing


def inputs() -> str:
    """The digest of all that the images are made from."""
    return cache.digest_of_files([context.PACKAGE, *context.REQUIREMENTS.values(), Path(__file__).parent])


def archive_path(directory: Path) -> Path:
    """Where the archive of the present sources stands, or will stand."""
    return directory / f"goldpool-images-{inputs()[:16]}.tar"


def build(directory: Path) -> Path:
    """The archive of the present sources; idempotent, and one hash over the sources when nothing changed."""
    with cache.exclusive(directory):
        archive = archive_path(directory)
        if archive.exists():
            steps.say("images: nothing changed")
            return archive
        engine = engines.choose(directory)
        files = context.build_context(directory)
        while (copied := archive_path(directory)) != archive:
            # The sources were edited while they were copied: an archive's name must not lie about what is in it.
            archive, files = copied, context.build_context(directory)
        with cache.published(archive) as temporary:
            engine.build(files, temporary)
        cache.keep_newest(directory.glob("goldpool-images-*.tar"), KEPT_ARCHIVES)
        cache.keep_newest(directory.glob("context-*"), 1)
        steps.say(f"images: {archive.stat().st_size >> 20} MiB")
        return archive
