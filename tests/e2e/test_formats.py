"""The same image by NFS and compressed, and a bomb."""

import gzip
import hashlib
import os
from typing import Final

from backports import zstd

from tests.e2e.builders import TEST_GOLDEN
from tests.e2e.server import Image
from tests.e2e.site import Site
from tests.servers.ganesha import ganesha, needs_ganesha

NODE: Final = "node-1"


@needs_ganesha
def test_one_image_from_a_file_server_and_compressed_and_a_bomb(
    site: Site, boot: Image, boot_line: str
) -> None:
    golden, _ = site.pools_on(NODE)
    # 64 members of 32 MiB of zeros each: two gigabytes from two megabytes.
    bomb = site.template(
        Image(gzip.compress(bytes(32 << 20), 9, mtime=0) * 64),
        stem="bomb",
        image_format="raw",
        prepare=[golden],
    )
    compressed = site.template(Image(zstd.compress(boot.content)), stem="compressed")
    # The Job that reads from it is not root, and mounts nothing.
    with ganesha(os.environ["GOLDPOOL_HOST_IP"]) as files:
        (files.export / "sub").mkdir()
        (files.export / "sub/disk.qcow2").write_bytes(boot.content)
        shared = site.template(boot, stem="nfs", url=files.url("/sub/disk.qcow2"))
        site.machine("by-nfs", template=shared)
        site.machine("by-zstd", template=compressed)
        for machine in ("by-nfs", "by-zstd"):
            site.says(machine, f"{boot_line} BOOTS 0001")

    # Checksums are of what was sent, and both templates have one; the revision is of what guests read.
    revision = hashlib.sha256(boot.content).hexdigest()
    for template in (shared, compressed):
        site.ready("Template", template)
        assert site.status("Template", template)["revision"] == revision
    (by_nfs,) = site.parents(shared)
    assert by_nfs["status"]["mirror"] == files.url("/sub/disk.qcow2")

    site.eventually(
        lambda: site.condition("Template", bomb, "Stalled").get("status") == "True",
        "the bomb is refused for good",
    )
    assert "decompression bomb" in site.condition("Template", bomb)["message"]
    (refused,) = site.parents(bomb)
    assert refused["status"]["failure"] == "UnsafeImage"
    kept = {parent["metadata"]["name"] for each in (shared, compressed) for parent in site.parents(each)}
    assert set(site.nodes.names_in(NODE, f"{TEST_GOLDEN}/templates")) == kept
    site.eventually(
        lambda: site.nodes.names_in(NODE, f"{TEST_GOLDEN}/tmp") == [], "nothing unfinished is left"
    )
