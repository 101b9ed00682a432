"""Machines by the dozen, on all hosts, while operators die at random writes."""

import os
import random

import pytest

from tests.e2e.lives import Lives
from tests.e2e.server import Image
from tests.matrix.ending import PATIENCE, NewSite, each_operation_once, ended

MACHINES = 12
DEATHS = 0.05
"""The chance of each write to be its operator's last."""
SEEDS = [int(seed) for seed in os.environ.get("GOLDPOOL_MATRIX_SEEDS", "1,2,3").split(",")]


@pytest.mark.parametrize("seed", SEEDS)
def test_many_machines_come_and_go(lives: Lives, new_site: NewSite, boot: Image, seed: int) -> None:
    chance = random.Random(seed)
    lives.begin(lambda _: chance.random() < DEATHS)
    site = new_site()
    pools = [site.pool("golden", golden=True), site.pool("standard")]
    template = site.template(boot)
    names = [f"m-{n}" for n in range(MACHINES)]
    for name in names:
        site.machine(name, template=template)
    site.running(*names, timeout=PATIENCE)
    gone = chance.sample(names, MACHINES // 2)
    site.delete("VirtualMachine", *gone)
    site.gone("VirtualMachine", *gone, timeout=PATIENCE)
    kept = [name for name in names if name not in gone]
    site.running(*kept, timeout=PATIENCE)
    downloads = site.images.gets_of(f"/{template}")
    assert set(downloads.values()) == {1}, f"downloaded more than once: {downloads}"
    site.delete("VirtualMachine", *kept)
    site.gone("VirtualMachine", *kept, timeout=PATIENCE)
    print(
        f"\nmany machines, seed {seed}: {len(lives.writes)} writes, {len(lives.deaths)} deaths, "
        f"{lives.lives} lives",
        flush=True,
    )
    assert lives.deaths
    lives.begin(None)
    ended(site)
    each_operation_once(site, *pools)
