"""nfs-ganesha serves its export to clients in user space, of both address families."""

import subprocess

import pytest

from tests.servers.ganesha import ganesha, needs_ganesha

pytestmark = needs_ganesha
CONTENT = bytes(range(256)) * 9000


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_it_serves_files(address: str) -> None:
    with ganesha(address) as server:
        (server.export / "sub").mkdir()
        (server.export / "sub/image").write_bytes(CONTENT)
        # libnfs 4 knows neither a port behind the host nor brackets.
        url = f"nfs://{address}/images/sub/image?version=4&nfsport={server.port}"
        done = subprocess.run(["nfs-cat", url], capture_output=True, check=True, timeout=60)
    assert done.stdout == CONTENT
