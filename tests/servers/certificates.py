"""A private certificate authority, made anew for each test that needs one."""

import ipaddress
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CONFIG: Final = """
[ca]
default_ca = it
[it]
dir = {directory}
new_certs_dir = {directory}
database = {directory}/index
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
certificate = {directory}/ca.crt
private_key = {directory}/ca.key
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
"""
_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Certificate:
    """PEM files. ``both`` has certificate and key in one, as some clients want it."""

    certificate: Path
    key: Path

    @property
    def both(self) -> str:
        return self.certificate.read_text() + self.key.read_text()

    def server_context(self, clients: "Authority | None" = None) -> ssl.SSLContext:
        """What a server speaks with; with ``clients``, only to those who show a certificate of that authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        if clients is not None:
            context.load_verify_locations(clients.certificate)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


class Authority:
    """``certificate`` is what its clients trust. Keys lie in ``directory``, which is the test's own."""

    def __init__(self, directory: Path, name: str = "test authority") -> None:
        directory.mkdir(parents=True)
        self._directory = directory
        self.certificate = directory / "ca.crt"
        self._config = directory / "ca.cnf"
        self._config.write_text(_CONFIG.format(directory=directory))
        (directory / "index").touch()
        _openssl(
            "req", "-config", self._config, "-x509", *_KEY, "-days", "2", "-subj", f"/CN={name}",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
            "-addext", "subjectKeyIdentifier=hash",
            "-keyout", directory / "ca.key", "-out", self.certificate,
        )  # fmt: skip

    @property
    def pem(self) -> str:
        return self.certificate.read_text()

    def issue(self, *names: str, client: bool = False, expired: bool = False) -> Certificate:
        """For these DNS names and IP addresses; for a client, only the first one counts, as its name."""
        stem = f"{'client' if client else 'server'}-{len([*self._directory.glob('*.csr')])}"
        request, extensions = self._directory / f"{stem}.csr", self._directory / f"{stem}.ext"
        issued = Certificate(self._directory / f"{stem}.crt", self._directory / f"{stem}.key")
        usage = "clientAuth" if client else "serverAuth"
        extensions.write_text(
            f"subjectAltName={','.join(map(_alternative, names))}\nextendedKeyUsage={usage}\n"
            "basicConstraints=CA:FALSE\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"
        )
        _openssl("req", "-config", self._config, "-new", *_KEY, "-subj", f"/CN={names[0]}", "-keyout", issued.key,
                 "-out", request)  # fmt: skip
        span = ("20200101000000Z", "20200102000000Z") if expired else ("20200101000000Z", "20991231000000Z")
        _openssl(
            "ca", "-config", self._config, "-batch", "-notext", "-startdate", span[0], "-enddate", span[1],
            "-extfile", extensions, "-in", request, "-out", issued.certificate,
        )  # fmt: skip
        return issued


def _alternative(name: str) -> str:
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"


def _openssl(*words: str | Path) -> None:
    done = subprocess.run(["openssl", *words], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
