"""A source behind a private CA and a password: its secret reaches the origins it is for, and is written nowhere."""

import base64
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.api import DATA_NAMESPACE, Obj
from tests.e2e.builders import a_template
from tests.e2e.server import Image
from tests.e2e.site import Site
from tests.e2e.witness import Witness
from tests.servers import misbehaving as web
from tests.servers.certificates import Authority
from tests.servers.misbehaving import Server, serving

NODE = "node-2"
PASSWORD = "correct-horse-battery"
WRONG = "incorrect-horse-battery"
BASIC = base64.b64encode(f"importer:{PASSWORD}".encode()).decode()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture
def servers(authority: Authority) -> Iterator[tuple[Server, Server]]:
    """Two origins."""
    address = os.environ["GOLDPOOL_HOST_IP"]
    context = authority.issue(address).server_context()
    with ExitStack() as stack:
        yield (
            stack.enter_context(serving(address, context)),
            stack.enter_context(serving(address, context)),
        )


def in_data_namespace(site: Site, kind: str, stem: str, **fields: object) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": site.name(stem), "namespace": DATA_NAMESPACE},
        **fields,
    }


def failure(site: Site, template: str, reason: str) -> str:
    """What the copy says of itself once it failed for this reason."""

    def said() -> str:
        found = [p["status"] for p in site.parents(template) if "status" in p]
        return next((json.dumps(status) for status in found if status.get("failure") == reason), "")

    return site.eventually(said, f"{template} fails with {reason}")


def again(site: Site, template: str, value: str) -> None:
    site.api.patch("Template", template, {"metadata": {"annotations": {"goldpool.io/retry": value}}})


def test_a_secret_goes_to_its_origins_and_is_written_nowhere(
    site: Site, boot: Image, authority: Authority, servers: tuple[Server, Server]
) -> None:
    first, second = servers
    disk = second.answer("/disk", web.body(boot.content))
    url = first.answer("/disk", web.for_those_with("Authorization", f"Basic {BASIC}", web.redirect(disk)))
    golden = site.pool("golden", golden=True, hosts={"kubernetes.io/hostname": NODE})
    site.ready("StoragePool", golden)
    secret = in_data_namespace(
        site, "Secret", "login", type="goldpool.io/source-credentials",
        stringData={"origins": first.url(""), "username": "importer", "password": WRONG},
    )  # fmt: skip
    bundle = in_data_namespace(site, "ConfigMap", "ca", data={"ca.crt": authority.pem})
    site.api.create(bundle)
    begin = site.operator.mark()
    name = site.name("private")
    site.templates.append(name)
    try:
        with Witness(site.api) as witness:
            site.api.create(a_template(name, url, checksum=boot.checksum, prepare=[golden]))
            assert "caBundleRef" in failure(site, name, "TLSFailed")

            references = {
                "caBundleRef": {"name": bundle["metadata"]["name"]},
                "secretRef": {"name": secret["metadata"]["name"]},
            }
            site.api.patch("Template", name, {"spec": {"source": references}})
            assert secret["metadata"]["name"] in failure(site, name, "SecretMissing")
            site.eventually(
                lambda: site.condition("Template", name, "SourceReachable").get("reason") == "SecretMissing",
                "the host that asks the source says the same",
            )

            site.api.create(secret)
            again(site, name, "with a wrong password")
            assert "401" in failure(site, name, "SourceRefused")

            site.api.patch(
                "Secret", secret["metadata"]["name"], {"stringData": {"password": PASSWORD}}, DATA_NAMESPACE
            )
            again(site, name, "with the right one")
            site.ready("Template", name)
            text = [
                *(json.dumps(site.get("Template", name)), json.dumps(site.parents(name))),
                *(
                    json.dumps(e)
                    for space in ("default", DATA_NAMESPACE)
                    for e in site.api.every("Event", space)
                ),
                site.operator.tail(begin),
            ]
            assert witness.of(secret["metadata"]["name"])  # it saw the Jobs that mount it
            for hidden in (PASSWORD, WRONG, BASIC, base64.b64encode(PASSWORD.encode()).decode()):
                assert witness.of(hidden) == []
                assert not [one for one in text if hidden in one]
    finally:
        for obj in (secret, bundle):
            site.api.delete(obj["kind"], obj["metadata"]["name"], DATA_NAMESPACE)

    assert second.requests_of("/disk", "GET")
    assert not [r for r in second.requests if "Authorization" in r.headers]
    assert {r.headers["Authorization"] for r in first.requests if r.status == 302} == {f"Basic {BASIC}"}


def test_a_host_downloads_from_nowhere_on_itself(site: Site, boot: Image) -> None:
    golden = site.pool("golden", golden=True, hosts={"kubernetes.io/hostname": NODE})
    site.ready("StoragePool", golden)
    site.images.answer("/inside", web.redirect("http://localhost:10248/healthz"))
    for stem, url in (
        ("literal", "http://0x7f000001:10248/healthz"),
        ("redirected", site.images.url("/inside")),
    ):
        template = site.template(boot, stem=stem, url=url, prepare=[golden])
        assert "fetch.addresses.deny" in failure(site, template, "AddressRefused")
