"""A pool's bandwidth, among all fetches that it may have at once."""

import pytest

from goldpool.api.storagepool import StoragePool
from goldpool.controllers.fetch_policy import fetch_policy, within_bandwidth
from goldpool.settings import Settings
from tests.unit.controllers.builders import a_golden_pool

MIB = 1 << 20


@pytest.mark.parametrize(
    ("bandwidth", "settings", "each"),
    [
        (None, {}, 0),  # no limit
        ("100Mi", {}, 25 * MIB),  # perPool is 4
        ("100Mi", {"fetches_per_pool": 1}, 100 * MIB),
        ("100Mi", {"fetches_per_pool": 10, "fetches_per_cluster": 2}, 50 * MIB),
        ("100Mi", {"fetches_per_host": 1}, 25 * MIB),  # its hosts fetch side by side
        ("2", {}, 1),  # 0 would be no limit at all
    ],
)
def test_a_pools_bandwidth_is_shared_by_as_many_as_may_fetch(
    bandwidth: str | None, settings: dict[str, int], each: int
) -> None:
    spec = {} if bandwidth is None else {"downloadBandwidth": bandwidth}
    pool = StoragePool.model_validate(a_golden_pool(spec=spec))
    policy = fetch_policy(Settings(**settings))
    assert within_bandwidth(policy, pool, Settings(**settings)).max_bytes_per_second == each
    assert within_bandwidth(policy, None, Settings(**settings)) == policy
