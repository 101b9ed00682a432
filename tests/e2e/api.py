"""The API server as these tests use it: raw objects by kind and name, over the client library's TLS connection pool."""

import json
import os
from typing import Any, Final
from urllib.parse import urlencode

import kubernetes
from urllib3 import Retry
from urllib3.exceptions import HTTPError

Obj = dict[str, Any]

DATA_NAMESPACE: Final = "goldpool-data"
SYSTEM_NAMESPACE: Final = "goldpool-system"

_PREFIX: Final = {
    "StoragePool": "/apis/goldpool.io/v1alpha1",
    "StorageLocation": "/apis/goldpool.io/v1alpha1",
    "Template": "/apis/goldpool.io/v1alpha1",
    "Parent": "/apis/goldpool.io/v1alpha1",
    "VirtualMachine": "/apis/goldpool.io/v1alpha1",
    "Volume": "/apis/goldpool.io/v1alpha1",
    "Namespace": "/api/v1",
    "Node": "/api/v1",
    "Pod": "/api/v1",
    "Event": "/api/v1",
    "Secret": "/api/v1",
    "ConfigMap": "/api/v1",
    "Job": "/apis/batch/v1",
    "Lease": "/apis/coordination.k8s.io/v1",
    "Deployment": "/apis/apps/v1",
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1",
}

_UNTIL_REACHABLE: Final = Retry(
    total=14,
    read=0,
    redirect=0,
    other=0,
    status_forcelist={429},
    allowed_methods=None,
    backoff_factor=0.25,
    backoff_max=8,
)


class Refused(Exception):
    """The API server answered with an error; the message is its own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class Api:
    """Every call is one request; nothing is cached. Only what the API server did not take, or said to ask again later, is
    tried again, for about a minute."""

    def __init__(self) -> None:
        configuration = kubernetes.client.Configuration()
        kubernetes.config.load_kube_config(os.environ["KUBECONFIG"], client_configuration=configuration)  # type: ignore[no-untyped-call]
        configuration.retries = _UNTIL_REACHABLE
        self._host: str = configuration.host
        self._pool = kubernetes.client.ApiClient(configuration).rest_client.pool_manager

    def get(self, kind: str, name: str, namespace: str = "") -> Obj | None:
        """None when there is none."""
        try:
            return self._call("GET", _path(kind, namespace, name))
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    def every(self, kind: str, namespace: str = "", labels: str = "") -> list[Obj]:
        query = f"?{urlencode({'labelSelector': labels})}" if labels else ""
        found: list[Obj] = self._call("GET", _path(kind, namespace) + query)["items"]
        return found

    def create(self, obj: Obj) -> Obj:
        return self._call("POST", _path(obj["kind"], obj["metadata"].get("namespace", "")), obj)

    def patch(self, kind: str, name: str, body: Obj, namespace: str = "", *, subresource: str = "") -> Obj:
        """A merge patch."""
        path = _path(kind, namespace, name) + (f"/{subresource}" if subresource else "")
        return self._call("PATCH", path, body, content="application/merge-patch+json")

    def delete(self, kind: str, name: str, namespace: str = "", *, grace: int | None = None) -> None:
        """What is gone already is no error."""
        body: Obj = {"propagationPolicy": "Background"}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        try:
            self._call("DELETE", _path(kind, namespace, name), body)
        except Refused as refused:
            if refused.status != 404:
                raise

    def delete_all(self, kind: str, namespace: str = "", labels: str = "") -> None:
        """Until none is left; none may have a finalizer. In portions, so that no request takes long."""
        selected = {"labelSelector": labels} if labels else {}
        path = _path(kind, namespace)
        while self._call("GET", f"{path}?{urlencode({**selected, 'limit': 1})}")["items"]:
            self._call("DELETE", f"{path}?{urlencode({**selected, 'limit': 500})}")

    def answers(self) -> bool:
        """Whether the API server can be reached and says that it is ready."""
        try:
            return bool(self._pool.request("GET", f"{self._host}/readyz", timeout=30).status == 200)
        except HTTPError:
            return False

    def log(self, pod: str, namespace: str = DATA_NAMESPACE) -> str:
        """What the pod's container wrote so far; empty while it has not started."""
        answer = self._pool.request("GET", f"{self._host}{_path('Pod', namespace, pod)}/log")
        return answer.data.decode(errors="replace") if answer.status == 200 else ""

    def watch(self, kind: str, namespace: str, version: str, seconds: int) -> Any:
        """The open response of a watch: one JSON event per line."""
        query = urlencode({"watch": "1", "resourceVersion": version, "timeoutSeconds": seconds})
        return self._pool.request(
            "GET", f"{self._host}{_path(kind, namespace)}?{query}", preload_content=False, timeout=seconds + 5
        )

    def version(self, kind: str, namespace: str) -> str:
        """Where a watch that misses nothing from now on begins."""
        return str(self._call("GET", f"{_path(kind, namespace)}?limit=1")["metadata"]["resourceVersion"])

    def _call(
        self, method: str, path: str, body: Obj | None = None, content: str = "application/json"
    ) -> Obj:
        answer = self._pool.request(
            method,
            self._host + path,
            body=json.dumps(body) if body is not None else None,
            headers={"Content-Type": content} if body is not None else {},
            timeout=30,
        )
        found: Obj = json.loads(answer.data)
        if answer.status >= 400:
            raise Refused(answer.status, str(found.get("message", "")))
        return found


def _path(kind: str, namespace: str = "", name: str = "") -> str:
    where = f"/namespaces/{namespace}" if namespace else ""
    what = f"{kind.lower()}s"
    return f"{_PREFIX[kind]}{where}/{what}" + (f"/{name}" if name else "")
