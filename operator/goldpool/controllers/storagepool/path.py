"""Where a pool of the hosts' own directories may lie."""

from pathlib import PurePosixPath

from goldpool.api.storagepool import StoragePool


def path_problem(
    pool: StoragePool, prefixes: tuple[str, ...], others: tuple[tuple[str, str], ...]
) -> str | None:
    """Why the pool's path may not be used. Compared by components: ``/srv2`` is not below ``/srv``."""
    if pool.spec.backend.host_path is None:
        return None
    path = PurePosixPath(pool.spec.backend.host_path.path)
    if not any(path != PurePosixPath(p) and path.is_relative_to(p) for p in prefixes):
        return (
            f"spec.backend.hostPath.path {path} is not below an allowed prefix ({', '.join(prefixes)}): "
            "choose another path, or add the prefix to allowedPathPrefixes in the chart's values"
        )
    for name, other in others:
        if path.is_relative_to(other) or PurePosixPath(other).is_relative_to(path):
            return f"spec.backend.hostPath.path {path} nests with {other} of StoragePool {name}: pools never nest"
    return None
