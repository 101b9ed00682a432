"""Whatever users do, operations come to, hosts suffer and crashes cut off: the rules hold at every step, and in the end
everybody comes to rest where they were told to be."""

from hypothesis import given, note, settings
from hypothesis import strategies as st

from tests.unit.controllers.world.life import Life


@settings(max_examples=100, derandomize=True, deadline=None, database=None)
@given(seed=st.integers(0, 2**32), steps=st.integers(20, 600), shared=st.booleans(), calm=st.booleans())
def test_after_any_life_everybody_comes_to_rest_where_they_should_be(
    seed: int, steps: int, shared: bool, calm: bool
) -> None:
    life = Life(seed, shared=shared, faults=not calm)
    try:
        for _ in range(steps):
            life.step()
        life.ends_well()
    except AssertionError:
        note("\n".join(life.told[-80:]))
        raise
