"""Only Secrets that were made for a template's source can be taken for its credentials."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.cluster.api.builders import NAMESPACE, RUN, a_template
from tests.cluster.api.server import Answer, Obj, Server, kubectl
from tests.cluster.api.test_chart import OURS
from tests.unit.chart.helm import template

TYPE = "goldpool.io/source-credentials"
ORIGINS = {"origins": "https://mirror.example"}


def a_secret(kind: str = TYPE, namespace: str = NAMESPACE, **keys: str) -> Obj:
    named = {key.replace("__", "."): value for key, value in keys.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"source-{RUN}", "namespace": namespace},
        "type": kind,
        "stringData": named,
    }


def created(server: Server, secret: Obj) -> Answer:
    """As if."""
    path = f"/api/v1/namespaces/{secret['metadata']['namespace']}/secrets"
    return server.request("POST", path, secret, dryRun="All")


@pytest.fixture(scope="module")
def guarded(server: Server) -> Iterator[Server]:
    """A server with the chart's policy for the tests' namespace."""
    policies = [
        d for d in template(OURS)
        if d["kind"].startswith("ValidatingAdmission") and d["metadata"]["name"].endswith("-sources")
    ]  # fmt: skip
    assert len(policies) == 2
    documents = yaml.safe_dump_all(policies)
    kubectl("apply", "-f", "-", stdin=documents)
    deadline = time.monotonic() + 60
    while created(server, a_secret("Opaque", **ORIGINS)).ok:
        assert time.monotonic() < deadline, "the policy does not bite"
        time.sleep(0.2)
    yield server
    kubectl("delete", "-f", "-", "--wait=false", stdin=documents)


@pytest.mark.parametrize(
    "secret",
    [
        a_secret(**ORIGINS, token="t"),
        a_secret(**ORIGINS, username="u", password="p", headers="X-A: 1", tls__crt="c", tls__key="k"),
        a_secret("Opaque", token="t"),  # not for us, and without origins sent to nobody
        a_secret("Opaque"),
        a_secret("Opaque", namespace="default", **ORIGINS),  # elsewhere it can be anything
    ],
)
def test_what_is_a_sources_and_what_is_not_concern_of_ours(guarded: Server, secret: Obj) -> None:
    answer = created(guarded, secret)
    assert answer.ok, answer.text


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        (a_secret("Opaque", **ORIGINS, token="SECRET"), f"its type must be {TYPE}"),
        (a_secret(token="SECRET"), "the key origins is missing"),
        (a_secret(), "the key origins is missing"),
        (a_secret(**ORIGINS, tokn="SECRET"), "there is an unknown key"),
    ],
)
def test_a_secret_that_could_not_serve_is_refused_when_it_is_made(
    guarded: Server, secret: Obj, says: str
) -> None:
    answer = created(guarded, secret)
    assert not answer.ok
    assert says in answer.text
    assert "SECRET" not in answer.text


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ({"secretRef": {"name": "Not A Name"}}, "secretRef.name"),
        ({"secretRef": {}}, "secretRef.name"),
        ({"secretRef": {"name": "a", "namespace": "b"}}, "secretRef.namespace"),
        ({"caBundleRef": {"name": "a", "key": "../a"}}, "caBundleRef.key"),
    ],
)
def test_a_template_names_them_by_name_in_one_namespace(server: Server, source: Obj, says: str) -> None:
    answer = server.create(a_template(source={"url": "https://images.example/a", **source}), dry=True)
    assert not answer.ok
    assert says in answer.text


def test_references_may_change_after_copies_were_published(server: Server, stored: Any) -> None:
    made = a_template(source={"url": "https://images.example/a"})
    stored(made)
    server.patch(made, {"status": {"revision": "a" * 64}}, status=True)
    answer = server.patch(
        made, {"spec": {"source": {"secretRef": {"name": "login"}, "caBundleRef": {"name": "our-ca"}}}}
    )
    assert answer.ok, answer.text
    assert server.get(made)["spec"]["source"]["caBundleRef"] == {"name": "our-ca", "key": "ca.crt"}
