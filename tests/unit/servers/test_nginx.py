"""nginx serves what a site says, and tells what it served."""

import base64
import ssl
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.servers.certificates import Authority
from tests.servers.nginx import Served, Site, needs_nginx, nginx

pytestmark = needs_nginx
CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/image").write_bytes(CONTENT)
    return tmp_path / "root"


def test_it_serves_files_and_ranges_and_says_what_went_out(root: Path, tmp_path: Path) -> None:
    with nginx(Site(root), tmp_path / "nginx") as server:
        with urllib.request.urlopen(server.url("/image"), timeout=60) as answer:
            assert answer.read() == CONTENT
        wish = urllib.request.Request(server.url("/image"), headers={"Range": "bytes=1000-"})
        with urllib.request.urlopen(wish, timeout=60) as answer:
            assert (answer.status, answer.read()) == (206, CONTENT[1000:])
    assert server.served() == [
        Served("GET", "/image", 200, len(CONTENT), ""),
        Served("GET", "/image", 206, len(CONTENT) - 1000, "bytes=1000-"),
    ]


def test_passwords_over_tls_to_holders_of_a_certificate(root: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    shown = authority.issue("host", client=True)
    client = ssl.create_default_context(cadata=authority.pem)
    site = Site(root, tls=authority.issue("127.0.0.1"), clients=authority, users={"me": "s3cret"})
    with nginx(site, tmp_path / "nginx") as server:
        basic = {"Authorization": "Basic " + base64.b64encode(b"me:s3cret").decode()}
        wish = urllib.request.Request(server.url("/image"), headers=basic)
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(wish, timeout=60, context=client)
        client.load_cert_chain(shown.certificate, shown.key)
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(server.url("/image"), timeout=60, context=client)
        with urllib.request.urlopen(wish, timeout=60, context=client) as answer:
            assert answer.read() == CONTENT


def test_a_bad_configuration_is_told(root: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match="unknown directive"),
        nginx(Site(root, directives="nonsense;"), tmp_path / "nginx"),
    ):
        pass
