"""kubectl-goldpool: what people ask of Goldpool that `kubectl get` cannot show. Reads only; imports api and kube."""

from goldpool.cli.command import main

__all__ = ["main"]
