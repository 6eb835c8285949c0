"""A candidate is held against what this validator reads from the chain itself, clause by clause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from chain.keys import NodeKey
from chain.messages import EpochAttestation
from chain.typed import Domain, Signed, sign
from chain.types import ZERO_ADDRESS, ZERO_DIGEST, Address, Digest, Wei
from chain.view import BlockStamp, ChainView, Deposit, Listing, Registration
from validator.chain_section import chain_section, depositors_of
from validator.errors import Wrong
from validator.manifests import Basis, check_attestation, check_index, check_inventory, check_manifest
from wire.agreement import CoveredEpoch, InventoryEntry, InventoryIndex, Manifest
from wire.messages import Inventory

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
    check_manifest(manifest_over(*NODES), BASIS, DOMAIN)
    check_manifest(manifest_over(*NODES[:3]), BASIS, DOMAIN)


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
        check_manifest(FALSE[name](manifest_over(*NODES)), BASIS, DOMAIN)


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
    entries = tuple(InventoryEntry(Address("0x" + pair * 20), ONE) for pair in ("0a", "0b"))
    said = Inventory(NODES[0].address, 4, 2, ONE)
    check_index(InventoryIndex(4, entries), said)
    for index in (
        InventoryIndex(5, entries),
        InventoryIndex(4, entries[:1]),
        InventoryIndex(4, entries[::-1]),
        InventoryIndex(4, entries[:1] * 2),
    ):
        with pytest.raises(Wrong):
            check_index(index, said)
