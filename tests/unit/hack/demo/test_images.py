"""The demo's server counts what really went over the wire."""

import http.client
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hack.demo.images import serving


@pytest.fixture
def image(tmp_path: Path) -> Path:
    file = tmp_path / "demo.qcow2"
    file.write_bytes(b"x" * (32 << 20))
    return file


def test_a_whole_transfer_is_one_download(image: Path) -> None:
    with serving(image, "127.0.0.1") as served:
        with urllib.request.urlopen(served.url, timeout=10) as answer:
            assert answer.read() == image.read_bytes()
        # The count is taken after the last byte was handed to the kernel, maybe just after it was read here.
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"{served.url}.other", timeout=10)
    assert (served.downloads, served.sent, served.requests) == (1, 32 << 20, 2)


def test_a_transfer_that_broke_off_is_none(image: Path) -> None:
    with serving(image, "127.0.0.1") as served:
        connection = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=10)
        connection.request("GET", urlsplit(served.url).path)
        connection.getresponse().read(1000)
        connection.close()
    assert served.downloads == 0
    assert served.sent < 32 << 20
