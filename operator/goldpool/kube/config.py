"""Where the API server is and who we are to it: from KUBECONFIG, from the pod, or from the user's own kubeconfig."""

import os

from kubernetes.aio import config as aio_config
from kubernetes.aio.client import Configuration


async def load_configuration(*, context: str | None = None) -> Configuration:
    """KUBECONFIG if it is set, else the pod's service account, else ``~/.kube/config``.

    In a pod the token file is read again every minute, by a hook that each request runs: the token rotates.
    """
    configuration = Configuration()
    if os.environ.get("KUBECONFIG") or "KUBERNETES_SERVICE_HOST" not in os.environ:
        await aio_config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=os.environ.get("KUBECONFIG") or None,
            context=context,
            client_configuration=configuration,
            persist_config=False,
        )
    else:
        aio_config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    configuration.connection_pool_maxsize = 0  # watches count too; requests are bounded by the client itself
    return configuration
