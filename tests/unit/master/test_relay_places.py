"""Places of a relay: whatever is taken and given back, no bound is passed, and nothing is left behind."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from chain.types import Address
from master.places import Bounds, Holder, Places

PROVIDERS = [Address("0x" + f"{n:02x}" * 20) for n in range(1, 6)]
BOUNDS = Bounds(in_all=8, of_one=4, of_prefix=3, of_both=2)
holders = st.builds(
    lambda provider, prefix: Holder(PROVIDERS[provider], prefix, provider % 2 == 0),
    st.integers(0, 4),
    st.sampled_from(["a", "b", "c", "d"]),
)


def within(taken: list[Holder]) -> bool:
    return (
        len(taken) <= BOUNDS.in_all
        and 2 * sum(not one.registered for one in taken) <= BOUNDS.in_all
        and max(Counter(one.provider for one in taken).values(), default=0) <= BOUNDS.of_one
        and max(Counter(one.prefix for one in taken).values(), default=0) <= BOUNDS.of_prefix
        and max(Counter((one.provider, one.prefix) for one in taken).values(), default=0) <= BOUNDS.of_both
    )


@given(st.lists(st.one_of(holders, st.integers(0, 20)), max_size=80))
def test_no_bound_is_passed_and_room_is_found_where_there_is_some(steps: list[Holder | int]) -> None:
    places = Places(BOUNDS)
    taken: list[Holder] = []
    for step in steps:
        if isinstance(step, Holder):
            fits = within([*taken, step])
            assert places.has_room(step) == fits
            assert places.take(step) == fits
            taken += [step] * fits
        elif taken:
            places.free(taken.pop(step % len(taken)))
        assert places.taken == len(taken)
    for one in taken:
        places.free(one)
    assert places.taken == 0
    assert all(places.of(provider) == 0 for provider in PROVIDERS)
