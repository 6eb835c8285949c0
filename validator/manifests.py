"""The manifest of a root: what a proposer builds, and what everyone holds it against before signing.

A manifest and an inventory's index are named by one validator alone. So each has bounds that do not depend on what it says, and nothing
of it is parsed that is not known to have the form of the real one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chain.canonical import decode, encode
from chain.errors import CodecError
from chain.messages import EpochAttestation
from chain.typed import Domain, Signed, verify
from chain.types import ZERO_ADDRESS, ZERO_DIGEST, Address, Digest
from validator.agreement import Stakes, is_quorum
from validator.errors import Wrong
from validator.verification import STRANGERS_QUOTA_BYTES
from wire.agreement import ChainSection, CoveredEpoch, Depositor, InventoryEntry, InventoryIndex, Manifest
from wire.messages import Inventory

SMALLEST_PROOF = 350
"""Bytes; one with nothing in it has more."""
LARGEST_INVENTORY = 512
"""Bytes of a signed inventory in a manifest; it has less, whatever its numbers."""
_ENTRY = len(encode(InventoryEntry(ZERO_ADDRESS, ZERO_DIGEST)))
_FORM = rb'\{"proof":"0x([0-9a-f]{64})","provider":"(0x[0-9a-f]{40})"\}'
_ENTRY_FORM, _ENTRIES_FORM = re.compile(_FORM), re.compile(rb"(?:%b(?:,%b)*+)?" % (_FORM, _FORM))


@dataclass(frozen=True, slots=True)
class Basis:
    """What a root for `epoch` has to build on, as this validator reads it from the chain.

    sections: one per covered epoch, in order. sets: the validators with stake at each one's anchor. stakes: those at anchor(epoch), who
    propose, sign and post. depositors: at anchor(epoch). deposits: deposited and not withdrawn by now, wei, which is what the Judge would
    look at.
    """

    epoch: int
    parent_root: Digest
    parent_state_digest: Digest
    rules_digest: Digest
    sections: tuple[ChainSection, ...]
    sets: Mapping[int, Stakes]
    stakes: Stakes
    depositors: tuple[Depositor, ...]
    deposits: Mapping[Address, int]

    @property
    def through(self) -> int:
        return self.sections[-1].epoch

    def manifest(self, inventories: Mapping[int, Sequence[Signed[Inventory]]]) -> Manifest:
        """The manifest over these inventories per covered epoch, which are ascending by validator."""
        return Manifest(
            epoch=self.epoch,
            through=self.through,
            parent_root=self.parent_root,
            parent_state_digest=self.parent_state_digest,
            rules_digest=self.rules_digest,
            deposits=self.depositors,
            chain=self.sections,
            covered=tuple(CoveredEpoch(section.epoch, tuple(inventories[section.epoch])) for section in self.sections),
        )


def check_attestation(attestation: EpochAttestation, basis: Basis) -> None:
    """Raises `Wrong` unless the attestation stands on this basis; nothing is fetched for one that does not."""
    said = (attestation.epoch, attestation.through, attestation.parent_root, attestation.parent_state_digest, attestation.rules_digest)
    if said != (basis.epoch, basis.through, basis.parent_root, basis.parent_state_digest, basis.rules_digest):
        raise Wrong("it stands on another epoch, parent or rules than the chain does")


def manifest_sizes(basis: Basis) -> range:
    """How many bytes a manifest on this basis can have: the own one's without inventories, and an inventory of each validator."""
    least = len(encode(basis.manifest(_of_none(basis))))
    return range(least, least + LARGEST_INVENTORY * sum(map(len, basis.sets.values())) + 1)


def read_manifest(data: bytes, basis: Basis, domain: Domain) -> Manifest:
    """The manifest in these bytes. Raises `Wrong` unless it is the basis's own, with inventories of two thirds of the stake for each
    covered epoch; all but these is compared and not parsed."""
    blank = basis.manifest(_of_none(basis))
    name, inside = b'"covered":', encode(blank.covered)
    before, tail = encode(blank).split(name + inside, 1)
    head = before + name
    if not (data.startswith(head) and data.endswith(tail)):
        raise Wrong("its epochs, parent, rules, deposits or chain sections are not those that this validator reads from the chain")
    try:
        found: tuple[CoveredEpoch, ...] = decode(tuple[CoveredEpoch, ...], data[len(head) : len(data) - len(tail)])
    except CodecError as error:
        raise Wrong(f"its inventories are malformed: {error}") from error
    if [one.epoch for one in found] != [section.epoch for section in basis.sections]:
        raise Wrong("its inventories are of other epochs than it covers")
    for one in found:
        check_inventories(one, basis.sets[one.epoch], domain)
    return basis.manifest({one.epoch: one.inventories for one in found})


def check_inventories(covered: CoveredEpoch, stakes: Stakes, domain: Domain) -> None:
    """Raises `Wrong` unless the inventories of a covered epoch are such, ascending by validator, and of two thirds of the stake."""
    for signed in covered.inventories:
        check_inventory(signed, covered.epoch, stakes, domain)
    accounts = [signed.message.validator for signed in covered.inventories]
    if accounts != sorted(set(accounts)):
        raise Wrong(f"the inventories of epoch {covered.epoch} are not ascending by validator")
    if not is_quorum(accounts, stakes):
        raise Wrong(f"the inventories of epoch {covered.epoch} are of less than two thirds of the stake")


def _of_none(basis: Basis) -> dict[int, tuple[Signed[Inventory], ...]]:
    return {section.epoch: () for section in basis.sections}


def check_inventory(signed: Signed[Inventory], epoch: int, stakes: Stakes, domain: Domain) -> None:
    """Raises `Wrong` unless it is an inventory of the epoch, signed by a validator with stake at its anchor."""
    if signed.message.epoch != epoch or signed.message.validator not in stakes:
        raise Wrong(f"an inventory of epoch {epoch} is of another epoch, or of no validator")
    try:
        verify(signed, domain)
    except CodecError as error:
        raise Wrong(f"an inventory of epoch {epoch}: {error}") from error


def most_entries(section: ChainSection) -> int:
    """How many proofs an inventory of this epoch can name: those of the registered, and as many as fit into the quota of all others.

    Those count twice, since who is registered is told by another block when a proof is accepted.
    """
    return 2 * len(section.providers) + STRANGERS_QUOTA_BYTES // SMALLEST_PROOF


def index_size(inventory: Inventory) -> int:
    """How many bytes the index of an inventory has: each entry has as many as the others."""
    return len(encode(InventoryIndex(inventory.epoch, ()))) + inventory.count * _ENTRY + max(0, inventory.count - 1)


def read_index(data: bytes, inventory: Inventory) -> InventoryIndex:
    """The index in these bytes; `Wrong` unless it is what the inventory says."""
    head, tail = b'{"entries":[', b'],"epoch":%b}' % encode(inventory.epoch)
    if not (data.startswith(head) and data.endswith(tail) and _ENTRIES_FORM.fullmatch(data, len(head), len(data) - len(tail))):
        raise Wrong(f"the index of {inventory.validator} for epoch {inventory.epoch} is none, or of another epoch")
    found = _ENTRY_FORM.findall(data)
    entries = (InventoryEntry(Address(provider.decode()), Digest(bytes.fromhex(proof.decode()))) for proof, provider in found)
    index = InventoryIndex(inventory.epoch, tuple(entries))
    check_index(index, inventory)
    return index


def check_index(index: InventoryIndex, inventory: Inventory) -> None:
    """Raises `Wrong` unless the index is what the inventory says it is: its epoch, its count, ascending by provider, each proof once."""
    providers = [entry.provider for entry in index.entries]
    if index.epoch != inventory.epoch or len(providers) != inventory.count:
        raise Wrong(f"the index of {inventory.validator} for epoch {inventory.epoch} has another epoch or count than its inventory says")
    if providers != sorted(set(providers)):
        raise Wrong(f"the index of {inventory.validator} for epoch {inventory.epoch} is not ascending by provider")
    if len({entry.proof for entry in index.entries}) < len(providers):
        raise Wrong(f"the index of {inventory.validator} for epoch {inventory.epoch} names a proof as several providers'")
