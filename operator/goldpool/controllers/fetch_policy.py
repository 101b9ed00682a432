"""The limits of downloads, as every Job that talks to a source is told."""

from goldpool.contracts.network import DENIED, AddressRules, Proxies
from goldpool.contracts.operations import FetchPolicy
from goldpool.settings import Settings


def fetch_policy(settings: Settings) -> FetchPolicy:
    """What the chart says. Raises ``ValidationError`` for what a Job would not take: at the operator's start."""
    denied = settings.fetch_denied_addresses
    return FetchPolicy(
        attempts=settings.fetch_attempts,
        connect_seconds=settings.fetch_connect_seconds,
        idle_seconds=settings.fetch_idle_seconds,
        total_seconds=settings.fetch_total_seconds,
        max_bytes=settings.fetch_max_bytes,
        max_virtual_bytes=settings.fetch_max_virtual_bytes,
        check_cpu_seconds=settings.fetch_check_cpu_seconds,
        check_memory_bytes=settings.fetch_check_memory_bytes,
        check_seconds=settings.fetch_check_seconds,
        max_amplification=settings.fetch_max_amplification,
        max_window_bytes=settings.fetch_max_window_bytes,
        addresses=AddressRules(
            allow=settings.fetch_allowed_addresses, deny=DENIED if denied is None else denied
        ),
        proxies=Proxies(
            http=settings.fetch_http_proxy,
            https=settings.fetch_https_proxy,
            no_proxy=settings.fetch_no_proxy,
        ),
    )
