"""A real API server, asked as kubectl would ask: strictly, and showing its own words."""

import json
import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml
from kubernetes import config

from goldpool.api.crds import KINDS, definition
from goldpool.api.model import API_VERSION

Obj = dict[str, Any]
CRD_OF = {kind.crd.kind: kind.crd for kind in KINDS}


def a_suffix() -> str:
    """Several sessions share the cluster: no two runs use a name twice."""
    return secrets.token_hex(4)


@dataclass(frozen=True)
class Answer:
    """What the server said. ``text`` is the message people see."""

    status: int
    body: Obj

    @property
    def ok(self) -> bool:
        return self.status < 300

    @property
    def text(self) -> str:
        return str(self.body.get("message", ""))


class Server:
    """Every method is one request, with ``fieldValidation=Strict``."""

    def __init__(self, user: str = "") -> None:
        connect: Any = config.new_client_from_config
        self._client = connect(os.environ["KUBECONFIG"])
        self._user = user

    def request(
        self, verb: str, path: str, body: Obj | None = None, content: str = "json", **query: str
    ) -> Answer:
        """``as_table`` among the query asks for what ``kubectl get`` prints instead of the object."""
        form = ";as=Table;v=v1;g=meta.k8s.io" if query.pop("as_table", "") else ""
        url = f"{self._client.configuration.host}{path}?{urlencode(query)}"
        headers = {"Accept": f"application/json{form}", "Content-Type": f"application/{content}"}
        if self._user:
            headers["Impersonate-User"] = self._user
        response = self._client.call_api(verb, url, headers, body, _request_timeout=30)
        return Answer(response.status, json.loads(response.read() or b"{}"))

    def create(self, obj: Obj, *, dry: bool = False) -> Answer:
        dry_run = {"dryRun": "All"} if dry else {}
        return self.request("POST", _path(obj, named=False), obj, fieldValidation="Strict", **dry_run)

    def get(self, obj: Obj) -> Obj:
        answer = self.request("GET", _path(obj))
        assert answer.ok, answer.text
        return answer.body

    def patch(self, obj: Obj, patch: Obj, *, status: bool = False) -> Answer:
        path = _path(obj) + ("/status" if status else "")
        return self.request("PATCH", path, patch, "merge-patch+json", fieldValidation="Strict")

    def columns(self, obj: Obj, status: Obj) -> dict[str, Any]:
        """What ``kubectl get -o wide`` would print of a stored object if it had that status.

        By a dry run, because an operator on the same cluster may write the real status at any time.
        """
        answer = self.request("PATCH", f"{_path(obj)}/status", {"status": status}, "merge-patch+json",
                              dryRun="All", as_table="yes")  # fmt: skip
        assert answer.ok, answer.text
        [row] = answer.body["rows"]
        names = [column["name"] for column in answer.body["columnDefinitions"]]
        return dict(zip(names, row["cells"], strict=True))

    def apply_status(self, obj: Obj, status: Obj, manager: str) -> Answer:
        """Server-side apply by one of several field managers."""
        whole = {**_head(obj), "status": status}
        path = f"{_path(obj)}/status"
        return self.request("PATCH", path, whole, "apply-patch+yaml", fieldManager=manager, force="true")

    def delete(self, obj: Obj) -> None:
        """Gone at the end, whatever finalizers an operator under test has put on it meanwhile."""
        self.request("DELETE", _path(obj))
        self.patch(obj, {"metadata": {"finalizers": None}})


def _head(obj: Obj) -> Obj:
    metadata = {key: obj["metadata"][key] for key in ("name", "namespace") if key in obj["metadata"]}
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": metadata}


def _path(obj: Obj, *, named: bool = True) -> str:
    name = f"/{obj['metadata']['name']}" if named else ""
    within = f"/namespaces/{obj['metadata']['namespace']}" if "namespace" in obj["metadata"] else ""
    if obj["apiVersion"] == "v1":
        return f"/api/v1{within}/{obj['kind'].lower()}s{name}"
    return f"/apis/{API_VERSION}{within}/{CRD_OF[obj['kind']].plural}{name}"


def kubectl(*arguments: str, stdin: str = "") -> str:
    """Its output; fails the test with its own words when it fails."""
    program = shutil.which("kubectl") or pytest.skip("no kubectl: set PATH by `python3 -m hack.cluster env`")
    done = subprocess.run(
        [program, *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def install_crds() -> None:
    """As they are generated now. An apply that changes nothing disturbs nobody's watches."""
    documents = yaml.safe_dump_all([definition(kind) for kind in KINDS])
    kubectl("apply", "--server-side", "--force-conflicts", "--validate=strict", "-f", "-", stdin=documents)
    kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd",
            *(f"{kind.crd.plural}.goldpool.io" for kind in KINDS))  # fmt: skip
