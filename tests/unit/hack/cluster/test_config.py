"""Addresses stay in the benchmark range, apart from each other; paths follow the environment."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from itertools import combinations
from pathlib import Path

import pytest

from hack.cluster import config
from hack.cluster.config import Layout

MOST_NODES = [config.Node(number) for number in range(1, 16)]


def test_all_addresses_lie_in_the_benchmark_range() -> None:
    whole = IPv4Network("198.18.0.0/15")
    ranges = [config.POD_RANGE, config.SERVICE_RANGE, *(node.pod_range for node in MOST_NODES)]
    assert IPv4Network(config.RANGE) == whole
    assert all(IPv4Network(each).subnet_of(whole) for each in ranges)
    assert all(IPv4Address(each) in whole for each in (config.HOST_IP, *(node.ip for node in MOST_NODES)))


def test_no_two_ranges_meet() -> None:
    links = f"{config.HOST_IP}/{config.HOST_PREFIX}"
    ranges = [links, config.SERVICE_RANGE, *(node.pod_range for node in MOST_NODES)]
    pairs = combinations([IPv4Network(each, strict=False) for each in ranges], 2)
    assert not any(one.overlaps(other) for one, other in pairs)


def test_pods_are_known_by_one_range() -> None:
    pods = IPv4Network(config.POD_RANGE)
    assert all(IPv4Network(node.pod_range).subnet_of(pods) for node in MOST_NODES)
    assert not pods.overlaps(IPv4Network(f"{config.HOST_IP}/{config.HOST_PREFIX}", strict=False))


@pytest.mark.parametrize("node", MOST_NODES)
def test_a_link_name_fits_the_kernel(node: config.Node) -> None:
    assert len(node.veth) <= 15


@pytest.mark.parametrize(
    ("environ", "cache"),
    [
        ({"HOME": "/h"}, "/h/.cache/goldpool"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/x"}, "/x/goldpool"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/x", "GOLDPOOL_CACHE": "/g"}, "/g/goldpool"),
    ],
)
def test_the_cache_is_where_the_user_wants_it(environ: dict[str, str], cache: str) -> None:
    assert Layout.of(environ).cache == Path(cache)


def test_a_shared_pool_is_one_disk_and_the_others_are_not() -> None:
    layout = Layout.of({})
    for pool in config.POOLS:
        assert len({layout.disk(node, pool) for node in config.NODES}) == (
            1 if pool.shared else len(config.NODES)
        )


def test_unix_socket_paths_stay_short() -> None:
    layout = Layout.of({})
    assert all(len(str(layout.containerd_socket(node))) < 90 for node in MOST_NODES)
