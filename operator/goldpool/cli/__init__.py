"""kubectl-goldpool: what people ask of Goldpool beyond `kubectl get` and `kubectl apply`. Imports api and kube only."""

from goldpool.cli.command import main

__all__ = ["main"]
