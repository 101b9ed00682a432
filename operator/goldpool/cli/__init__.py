"""kubectl-goldpool: what people ask of Goldpool beyond `kubectl get` and `kubectl apply`. Imports api, planning and kube."""

from goldpool.cli.command import main

__all__ = ["main"]
