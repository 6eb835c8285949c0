"""The activity log's links."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chain.typed import Domain
from chain.types import ZERO_DIGEST, Address
from provider.activity import KINDS, entry_after
from wire.activity import broken_link, log_head
from wire.messages import ActivityEntry

DOMAIN = Domain(31337, Address("0x" + "5e" * 20))


def log(length: int) -> list[ActivityEntry]:
    entries: list[ActivityEntry] = []
    for number in range(length):
        entries.append(entry_after(entries[-1] if entries else None, 1_000 + number, KINDS[number % len(KINDS)], f"n {number}", DOMAIN))
    return entries


def test_the_first_entry_follows_nothing_and_the_next_names_it() -> None:
    first, second = log(2)
    assert (first.index, first.previous) == (0, ZERO_DIGEST)
    assert (second.index, second.previous) == (1, log_head([first], DOMAIN))


def test_a_kind_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="no kind"):
        entry_after(None, 1, "visited", "", DOMAIN)


def test_any_segment_is_linked() -> None:
    entries = log(6)
    assert broken_link(entries, DOMAIN) is None
    assert broken_link(entries[2:5], DOMAIN) is None
    assert broken_link([], DOMAIN) is None


@pytest.mark.parametrize("change", [{"detail": "other"}, {"time": 1}, {"kind": "left"}, {"index": 9}])
def test_no_entry_can_be_changed_unseen(change: dict[str, object]) -> None:
    entries = log(6)
    assert broken_link([*entries[:2], replace(entries[2], **change), *entries[3:]], DOMAIN) is not None  # type: ignore[arg-type]


def test_no_entry_can_be_left_out_or_moved() -> None:
    entries = log(6)
    assert broken_link([*entries[:2], *entries[3:]], DOMAIN) is not None
    assert broken_link([entries[1], entries[0]], DOMAIN) is not None
    assert broken_link([replace(entries[0], previous=log_head([entries[3]], DOMAIN))], DOMAIN) is not None


def test_the_digest_belongs_to_one_network() -> None:
    entries = log(3)
    assert broken_link(entries, Domain(1, DOMAIN.settlement)) is not None
