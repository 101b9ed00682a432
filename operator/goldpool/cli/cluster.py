"""The cluster a command talks to, and the one sentence a person gets when that fails."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import click
from kubernetes.aio.config.config_exception import ConfigException
from pydantic import ValidationError

from goldpool.kube.client import KubeClient
from goldpool.kube.config import default_namespace, load_configuration
from goldpool.kube.port import Forbidden, KubeError, NotFound

TIMEOUT_SECONDS: Final = 10.0
FIELD_MANAGER: Final = "kubectl-goldpool"

F = TypeVar("F", bound=Callable[..., object])
T = TypeVar("T")


@dataclass(frozen=True)
class Cluster:
    """Where the user's kubeconfig points to."""

    kubeconfig: str | None = None
    context: str | None = None

    @property
    def namespace(self) -> str:
        """What ``-n`` is by default: the context's namespace. Raises ClickException."""
        try:
            return default_namespace(context=self.context, path=self.kubeconfig)
        except ConfigException as error:
            raise _no_configuration(error) from error

    def ask(self, work: Callable[[KubeClient], Awaitable[T]], *, hint: str = "") -> T:
        """What ``work`` answers. Whatever goes wrong is raised as a ClickException of one readable sentence;
        ``hint`` follows the sentence of a refusal for lack of rights."""
        try:
            return asyncio.run(self._asking(work))
        except ConfigException as error:
            raise _no_configuration(error) from error
        except KubeError as error:
            raise click.ClickException(explanation(error, hint)) from error
        except ValidationError as error:
            raise click.ClickException(
                f"the cluster has an object that this version does not understand: {error}"
            ) from error

    async def _asking(self, work: Callable[[KubeClient], Awaitable[T]]) -> T:
        configuration = await load_configuration(context=self.context, path=self.kubeconfig)
        async with KubeClient(
            configuration, field_manager=FIELD_MANAGER, timeout=TIMEOUT_SECONDS, trust_env=True
        ) as client:
            try:
                return await work(client)
            except KubeError as error:
                error.add_note(client.host)
                raise


def explanation(error: KubeError, hint: str = "") -> str:
    """What a person should know and do about a refusal. The error's note is the server's address."""
    server = (getattr(error, "__notes__", None) or ["the API server"])[0]
    if error.status == 401:
        return f"{server} does not accept these credentials: {error.message}"
    match error:
        case NotFound() if error.reason == "NotFound" and " not found" in error.message:
            return error.message
        case NotFound():
            return f"Goldpool is not installed at {server}: the server knows no goldpool.io kinds"
        case Forbidden():
            return f"{error.message}{'; ' + hint if hint else ''}"
        case _:
            return f"cannot reach {server}: {error.message}"


def _no_configuration(error: ConfigException) -> click.ClickException:
    return click.ClickException(f"no cluster to talk to: {error}. Set KUBECONFIG or make ~/.kube/config")


def cluster_options(command: F) -> F:
    """Adds ``--kubeconfig`` and ``--context``; the command gets them as one ``cluster``."""

    @click.option(
        "--kubeconfig", default=None, metavar="FILE", help="The kubeconfig to use instead of KUBECONFIG."
    )
    @click.option("--context", default=None, metavar="NAME", help="The kubeconfig's context to use.")
    @functools.wraps(command)
    def with_cluster(*args: Any, kubeconfig: str | None, context: str | None, **kwargs: Any) -> object:
        return command(*args, cluster=Cluster(kubeconfig, context), **kwargs)

    return with_cluster  # type: ignore[return-value]
