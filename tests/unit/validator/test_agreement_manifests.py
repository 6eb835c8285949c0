"""A candidate is held against what this validator reads from the chain itself, clause by clause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from chain.canonical import encode
from chain.keys import NodeKey
from chain.messages import EpochAttestation
from chain.typed import Domain, Signed, sign
from chain.types import ZERO_ADDRESS, ZERO_DIGEST, Address, Digest, Wei
from chain.view import BlockStamp, ChainView, Deposit, Listing, Registration
from validator.chain_section import chain_section, depositors_of
from validator.errors import Wrong
from validator.manifests import (
    LARGEST_INVENTORY,
    SMALLEST_PROOF,
    Basis,
    check_attestation,
    check_index,
    check_inventory,
    index_size,
    manifest_sizes,
    most_entries,
    read_index,
    read_manifest,
)
from validator.verification import STRANGERS_QUOTA_BYTES
from wire.agreement import CoveredEpoch, InventoryEntry, InventoryIndex, Manifest
from wire.messages import ActivityProof, Inventory

DOMAIN = Domain(31337, Address("0x" + "11" * 20))
NODES = sorted((NodeKey(bytes([n]) * 32) for n in (1, 2, 3, 4)), key=lambda one: one.address)
STRANGER = NodeKey(bytes([9]) * 32)
STAKES = {one.address: Wei(100) for one in reversed(NODES)}
ONE = Digest(bytes([1]) * 32)


def view(number: int) -> ChainView:
    listings = tuple(Listing(one.address, "validator", "a:1", Wei(100), Wei(100)) for one in reversed(NODES))
    others = (Listing(Address("0x" + "0b" * 20), "master", "b:1", Wei(1)), Listing(Address("0x" + "0a" * 20), "resolver", "c:1", Wei(1)))
    idle = Listing(STRANGER.address, "validator", "d:1", Wei(100))
    registered = {
        Address("0x" + pair * 20): Registration(Address("0x" + pair * 20), ZERO_ADDRESS, Wei(bond)) for pair, bond in (("0f", 7), ("0e", 8))
    }
    return ChainView(
        BlockStamp(number, Digest(bytes([number]) * 32), 100 * number),
        (*listings, idle, *others),
        registrations=registered,
        deposits={
            Address("0x" + "0d" * 20): Deposit(Wei(9), Wei(4), exit_epoch=0),
            Address("0x" + "0c" * 20): Deposit(Wei(8)),
        },
        funded=Wei(1_000),
    )


SECTIONS = tuple(chain_section(epoch, view(epoch + 1), view(epoch), Wei(10), STRANGER.address) for epoch in (4, 5))
DEPOSITORS = depositors_of(view(6))
BASIS = Basis(5, ONE, ONE, ONE, SECTIONS, {4: STAKES, 5: STAKES}, STAKES, DEPOSITORS, {})


def inventory(key: NodeKey, epoch: int, signer: NodeKey | None = None) -> Signed[Inventory]:
    return sign(Inventory(key.address, epoch, 0, ONE), DOMAIN, signer or key)


def manifest_over(*keys: NodeKey) -> Manifest:
    return BASIS.manifest({epoch: [inventory(key, epoch) for key in keys] for epoch in (4, 5)})


def covered(*inventories: Signed[Inventory]) -> tuple[CoveredEpoch, ...]:
    return CoveredEpoch(4, tuple(inventory(key, 4) for key in NODES)), CoveredEpoch(5, inventories)


def test_a_section_is_the_anchors_view_ascending() -> None:
    section = SECTIONS[0]
    assert (section.epoch, section.anchor_block, section.anchor_block_hash) == (4, 5, bytes([5]) * 32)
    assert [one.role for one in section.roles if one.role != "validator"] == ["resolver", "master"]
    assert {one.account: one.stake for one in section.roles if one.role == "validator"} == STAKES
    assert [one.account for one in section.validators] == [one.address for one in NODES]
    assert [(one.provider[:4], one.bond) for one in section.providers] == [("0x0e", 8), ("0x0f", 7)]
    assert [(one.account[:4], one.deposited, one.withdrawn, one.exited) for one in DEPOSITORS] == [
        ("0x0c", 8, 0, 0),
        ("0x0d", 9, 4, 1),
    ]
    assert [one.held for one in DEPOSITORS] == [8, 5]
    assert (section.funded, section.rate, section.treasury) == (1_000, 10, STRANGER.address)


def test_the_manifest_of_two_thirds_or_more_is_sound() -> None:
    for sound in (manifest_over(*NODES), manifest_over(*NODES[:3])):
        assert read_manifest(encode(sound), BASIS, DOMAIN) == sound
        assert len(encode(sound)) in manifest_sizes(BASIS)


FALSE: dict[str, Callable[[Manifest], Manifest]] = {
    "epoch": lambda m: replace(m, epoch=6),
    "through": lambda m: replace(m, through=4),
    "parent root": lambda m: replace(m, parent_root=ZERO_DIGEST),
    "parent state": lambda m: replace(m, parent_state_digest=ZERO_DIGEST),
    "rules": lambda m: replace(m, rules_digest=ZERO_DIGEST),
    "a provider more": lambda m: replace(m, chain=(m.chain[0], replace(m.chain[1], providers=()))),
    "a deposit less": lambda m: replace(m, deposits=m.deposits[1:]),
    "another rate": lambda m: replace(m, chain=(m.chain[0], replace(m.chain[1], rate=11))),
    "another anchor": lambda m: replace(m, chain=(m.chain[0], replace(m.chain[1], anchor_block_hash=ONE))),
    "a section less": lambda m: replace(m, chain=m.chain[:1]),
    "an epoch less": lambda m: replace(m, covered=m.covered[:1]),
    "an epoch twice": lambda m: replace(m, covered=(*m.covered, m.covered[1])),
    "other order": lambda m: replace(m, covered=(m.covered[1], m.covered[0])),
    "half of the stake": lambda m: replace(m, covered=covered(*(inventory(key, 5) for key in NODES[:2]))),
    "one twice": lambda m: replace(m, covered=covered(*(inventory(key, 5) for key in (NODES[0], NODES[1], NODES[1])))),
    "descending": lambda m: replace(m, covered=covered(*(inventory(key, 5) for key in reversed(NODES)))),
    "of another epoch": lambda m: replace(m, covered=covered(*(inventory(key, 4) for key in NODES))),
    "a forged one": lambda m: replace(m, covered=covered(*(inventory(key, 5, STRANGER) for key in NODES))),
    "one without stake": lambda m: replace(
        m, covered=covered(*(inventory(key, 5) for key in sorted([*NODES, STRANGER], key=lambda one: one.address)))
    ),
}


@pytest.mark.parametrize("name", sorted(FALSE))
def test_a_manifest_that_differs_is_never_signed(name: str) -> None:
    with pytest.raises(Wrong):
        read_manifest(encode(FALSE[name](manifest_over(*NODES))), BASIS, DOMAIN)


@pytest.mark.parametrize("change", [b"", b"{}", b"[" * 5_000])
def test_bytes_that_are_no_manifest_are_none(change: bytes) -> None:
    data = encode(manifest_over(*NODES))
    within = data.index(b'"covered":') + len(b'"covered":')
    for bad in (change, data[:within] + change + data[within:], data + b"\n", data[:-1], b" " + data):
        if bad != data:
            with pytest.raises(Wrong):
                read_manifest(bad, BASIS, DOMAIN)


def test_a_manifest_has_room_for_an_inventory_of_each_validator_and_no_more() -> None:
    most = 2**64 - 1
    largest = encode(sign(Inventory(NODES[0].address, most, most, ONE), DOMAIN, NODES[0]))
    assert len(largest) < LARGEST_INVENTORY
    blank = encode(BASIS.manifest({4: (), 5: ()}))
    assert manifest_sizes(BASIS) == range(len(blank), len(blank) + 2 * len(NODES) * LARGEST_INVENTORY + 1)


ELSEWHERE: dict[str, Callable[[EpochAttestation], EpochAttestation]] = {
    "epoch": lambda a: replace(a, epoch=6),
    "through": lambda a: replace(a, through=4),
    "parent root": lambda a: replace(a, parent_root=ZERO_DIGEST),
    "parent state": lambda a: replace(a, parent_state_digest=ZERO_DIGEST),
    "rules": lambda a: replace(a, rules_digest=ZERO_DIGEST),
}


@pytest.mark.parametrize("name", sorted(ELSEWHERE))
def test_an_attestation_on_another_basis_is_not_looked_into(name: str) -> None:
    sound = EpochAttestation(5, 5, 0, ONE, ONE, ONE, ONE, 0, 0, ONE, ONE, ONE)
    check_attestation(sound, BASIS)
    with pytest.raises(Wrong):
        check_attestation(ELSEWHERE[name](sound), BASIS)


def test_an_inventory_counts_for_its_epoch_and_signer_only() -> None:
    check_inventory(inventory(NODES[0], 4), 4, STAKES, DOMAIN)
    for bad in (inventory(NODES[0], 5), inventory(STRANGER, 4), inventory(NODES[0], 4, NODES[1])):
        with pytest.raises(Wrong):
            check_inventory(bad, 4, STAKES, DOMAIN)


def test_an_index_is_what_its_inventory_says() -> None:
    entries = tuple(InventoryEntry(Address("0x" + pair * 20), Digest(bytes.fromhex(pair) * 32)) for pair in ("0a", "0b"))
    said = Inventory(NODES[0].address, 4, 2, ONE)
    check_index(InventoryIndex(4, entries), said)
    for index in (
        InventoryIndex(5, entries),
        InventoryIndex(4, entries[:1]),
        InventoryIndex(4, entries[::-1]),
        InventoryIndex(4, entries[:1] * 2),
        InventoryIndex(4, (entries[0], replace(entries[1], proof=entries[0].proof))),
    ):
        with pytest.raises(Wrong):
            check_index(index, said)
        with pytest.raises(Wrong):
            read_index(encode(index), said)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 1_000])
@pytest.mark.parametrize("epoch", [1, 2**64 - 1])
def test_the_size_of_an_index_follows_from_its_count(count: int, epoch: int) -> None:
    entries = tuple(InventoryEntry(Address(f"0x{n:040x}"), Digest(n.to_bytes(32))) for n in range(count))
    data, said = encode(InventoryIndex(epoch, entries)), Inventory(NODES[0].address, epoch, count, ONE)
    assert index_size(said) == len(data)
    assert read_index(data, said).entries == entries


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"[" * 1_000,
        b'{"entries":[],"epoch":4',
        b'{"entries":[' + b"[]," * 1_000 + b'[]],"epoch":4}',
        b'{"epoch":4,"entries":[]}',
        b'{"entries":[,],"epoch":4}',
        b'{"entries": [],"epoch":4}',
        b'{"entries":[],"epoch":4}\n',
        b'{"entries":[],"epoch":"4"}',
        b'{"entries":[],"epoch":04}',
    ],
)
def test_what_has_not_the_form_of_an_index_is_none(bad: bytes) -> None:
    read_index(b'{"entries":[],"epoch":4}', Inventory(NODES[0].address, 4, 0, ONE))
    with pytest.raises(Wrong):
        read_index(bad, Inventory(NODES[0].address, 4, 0, ONE))


def test_entries_are_as_many_as_the_registered_and_the_quota_of_strangers_allow() -> None:
    smallest = encode(sign(ActivityProof(NODES[0].address, 0, 0, (), (), (), (), ZERO_DIGEST), DOMAIN, NODES[0]))
    assert len(smallest) > SMALLEST_PROOF
    strangers = STRANGERS_QUOTA_BYTES // len(smallest)
    assert strangers < most_entries(SECTIONS[0]) - 2 * len(SECTIONS[0].providers) < 1.2 * strangers
