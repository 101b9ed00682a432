"""The limits of downloads, as every Job that talks to a source is told."""

from collections.abc import Iterable

from goldpool.api.storagepool import StoragePool
from goldpool.contracts.network import DENIED, AddressRules, Proxies
from goldpool.contracts.operations import FetchPolicy
from goldpool.settings import Settings


def fetch_policy(settings: Settings) -> FetchPolicy:
    """What the chart says. Raises ``Misread`` for what a Job would not take: at the operator's start."""
    denied = settings.fetch_denied_addresses
    policy = FetchPolicy(
        attempts=settings.fetch_attempts,
        connect_seconds=settings.fetch_connect_seconds,
        idle_seconds=settings.fetch_idle_seconds,
        min_bytes_per_second=settings.fetch_min_bytes_per_second,
        min_speed_seconds=settings.fetch_min_speed_seconds,
        total_seconds=settings.fetch_total_seconds,
        max_bytes=settings.fetch_max_bytes,
        max_virtual_bytes=settings.fetch_max_virtual_bytes,
        reserve_bytes=settings.fetch_reserve_bytes,
        check_cpu_seconds=settings.fetch_check_cpu_seconds,
        check_memory_bytes=settings.fetch_check_memory_bytes,
        check_seconds=settings.fetch_check_seconds,
        max_amplification=settings.fetch_max_amplification,
        max_window_bytes=settings.fetch_max_window_bytes,
        max_redirects=settings.fetch_max_redirects,
        addresses=AddressRules(
            allow=_texts(settings.fetch_allowed_addresses), deny=DENIED if denied is None else _texts(denied)
        ),
        proxies=Proxies(
            http=settings.fetch_http_proxy,
            https=settings.fetch_https_proxy,
            no_proxy=settings.fetch_no_proxy,
        ),
    )
    return FetchPolicy.from_json(policy.to_json())  # as a Job reads it


def _texts(networks: Iterable[object]) -> tuple[str, ...]:
    return tuple(map(str, networks))


def within_bandwidth(policy: FetchPolicy, pool: StoragePool | None, settings: Settings) -> FetchPolicy:
    """The policy of one of all the fetches that the pool may have at once, so that together they are never faster.

    Known when a Job is made, and the same for its whole life: nobody has to ask anybody, on hosts that do not see each
    other's files. A single fetch does not get the others' shares.
    """
    if pool is None or pool.spec.download_bandwidth is None:
        return policy
    at_once = min(settings.fetches_per_pool, settings.fetches_per_cluster)
    return policy.replace(max_bytes_per_second=max(1, pool.spec.download_bandwidth // at_once))


def probe_policy(settings: Settings) -> FetchPolicy:
    """Of asking a source: little is transferred, and somebody waits for the answer."""
    seconds = settings.source_probe_seconds
    policy = fetch_policy(settings)
    idle = min(policy.idle_seconds, seconds)
    return policy.replace(total_seconds=seconds, idle_seconds=idle, attempts=1)
