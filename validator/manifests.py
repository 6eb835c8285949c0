"""The manifest of a root: what a proposer builds, and what everyone holds it against before signing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chain.errors import CodecError
from chain.messages import EpochAttestation
from chain.typed import Domain, Signed, verify
from chain.types import Address, Digest
from validator.agreement import Stakes, is_quorum
from validator.errors import Wrong
from wire.agreement import ChainSection, CoveredEpoch, Depositor, InventoryIndex, Manifest
from wire.messages import Inventory


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


def check_manifest(manifest: Manifest, basis: Basis, domain: Domain) -> None:
    """Raises `Wrong` unless the manifest is the basis's own, with inventories of two thirds of the stake for each covered epoch."""
    if manifest != basis.manifest({covered.epoch: covered.inventories for covered in manifest.covered} | _none(basis, manifest)):
        raise Wrong("its epochs, parent, rules, deposits or chain sections are not those that this validator reads from the chain")
    for covered in manifest.covered:
        check_inventories(covered, basis.sets[covered.epoch], domain)


def check_inventories(covered: CoveredEpoch, stakes: Stakes, domain: Domain) -> None:
    """Raises `Wrong` unless the inventories of a covered epoch are such, ascending by validator, and of two thirds of the stake."""
    for signed in covered.inventories:
        check_inventory(signed, covered.epoch, stakes, domain)
    accounts = [signed.message.validator for signed in covered.inventories]
    if accounts != sorted(set(accounts)):
        raise Wrong(f"the inventories of epoch {covered.epoch} are not ascending by validator")
    if not is_quorum(accounts, stakes):
        raise Wrong(f"the inventories of epoch {covered.epoch} are of less than two thirds of the stake")


def _none(basis: Basis, manifest: Manifest) -> dict[int, tuple[Signed[Inventory], ...]]:
    """No inventories for covered epochs that the manifest leaves out, so that comparing it needs no special case."""
    named = {covered.epoch for covered in manifest.covered}
    return {section.epoch: () for section in basis.sections if section.epoch not in named}


def check_inventory(signed: Signed[Inventory], epoch: int, stakes: Stakes, domain: Domain) -> None:
    """Raises `Wrong` unless it is an inventory of the epoch, signed by a validator with stake at its anchor."""
    if signed.message.epoch != epoch or signed.message.validator not in stakes:
        raise Wrong(f"an inventory of epoch {epoch} is of another epoch, or of no validator")
    try:
        verify(signed, domain)
    except CodecError as error:
        raise Wrong(f"an inventory of epoch {epoch}: {error}") from error


def check_index(index: InventoryIndex, inventory: Inventory) -> None:
    """Raises `Wrong` unless the index is what the inventory says it is: its epoch, its count, ascending by provider."""
    providers = [entry.provider for entry in index.entries]
    if index.epoch != inventory.epoch or len(providers) != inventory.count:
        raise Wrong(f"the index of {inventory.validator} for epoch {inventory.epoch} has another epoch or count than its inventory says")
    if providers != sorted(set(providers)):
        raise Wrong(f"the index of {inventory.validator} for epoch {inventory.epoch} is not ascending by provider")
