"""Where the API server is and who we are to it: from KUBECONFIG, from the pod, or from the user's own kubeconfig."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from kubernetes.aio import config as aio_config
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import incluster_config
from kubernetes.aio.config.kube_config import list_kube_config_contexts

_TOKEN_SECONDS: Final = 60.0


async def load_configuration(*, context: str | None = None, path: str | None = None) -> Configuration:
    """The kubeconfig at ``path``, else KUBECONFIG if it is set, else the pod's service account, else ``~/.kube/config``.

    In a pod the token's file is read again every minute: the kubelet rotates it within the hour.
    """
    configuration = Configuration()
    if _from_file(path):
        await aio_config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=path or os.environ.get("KUBECONFIG") or None,
            context=context,
            client_configuration=configuration,
            persist_config=False,
        )
    else:
        aio_config.load_incluster_config(  # type: ignore[no-untyped-call]
            client_configuration=configuration, try_refresh_token=False
        )
        follow_token(configuration, Path(incluster_config.SERVICE_TOKEN_FILENAME))
    configuration.connection_pool_maxsize = 0  # watches count too; requests are bounded by the client itself
    return configuration


def default_namespace(*, context: str | None = None, path: str | None = None) -> str:
    """The namespace that the same context, or the pod, stands in; "default" where none is named.

    Raises the library's ConfigException.
    """
    if not _from_file(path):
        return Path(incluster_config.SERVICE_TOKEN_FILENAME).with_name("namespace").read_text().strip()
    contexts, current = list_kube_config_contexts(  # type: ignore[no-untyped-call]
        config_file=path or os.environ.get("KUBECONFIG") or None
    )
    wanted = context or current["name"]
    found = next((each for each in contexts if each["name"] == wanted), None)
    return str(((found or {}).get("context") or {}).get("namespace") or "default")


def _from_file(path: str | None) -> bool:
    return bool(path or os.environ.get("KUBECONFIG") or "KUBERNETES_SERVICE_HOST" not in os.environ)


def follow_token(
    configuration: Configuration, path: Path, *, clock: Callable[[], float] = time.monotonic
) -> None:
    """From now on requests carry the token that is in the file, at most a minute late. The library's own hook counts
    that minute on the wall clock, which may be set back, and fails while the file is being replaced."""
    read_at = float("-inf")

    def refresh(target: Configuration) -> None:
        nonlocal read_at
        if clock() - read_at < _TOKEN_SECONDS:
            return
        read_at = clock()
        try:
            token = path.read_text().strip()
        except OSError:
            return
        if token:
            target.api_key["BearerToken"] = f"Bearer {token}"

    configuration.refresh_api_key_hook = refresh  # type: ignore[assignment]
    refresh(configuration)
