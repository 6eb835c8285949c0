"""Whether a validator's inventory has what it receipted: a receipted proof that it lacks, or an older one in its place, is evidence that
stands for itself. Pure.

A validator signs one inventory an epoch, and accepts nothing of the epoch afterwards; so whatever it receipted is in it, or a newer proof
of the same provider is.
"""

from __future__ import annotations

from dataclasses import dataclass

from chain.canonical import encode
from chain.errors import CodecError
from chain.typed import Domain, Signed, digest_of, verify
from validator.errors import Wrong
from validator.manifests import check_index
from wire.agreement import InventoryIndex
from wire.files import file_digest
from wire.messages import ActivityProof, Inventory, ProofReceipt


@dataclass(frozen=True, slots=True)
class Omission:
    """All that anybody needs to see that a validator left out what it receipted.

    proof: the receipted one, if an entry of the index has to be compared with it. named: the proof that the index names for the provider,
    empty if it names none.
    """

    receipt: Signed[ProofReceipt]
    proof: tuple[Signed[ActivityProof], ...]
    inventory: Signed[Inventory]
    index: InventoryIndex
    named: tuple[Signed[ActivityProof], ...]


def is_included(receipt: ProofReceipt, index: InventoryIndex) -> bool | None:
    """Whether the index has the receipted proof; None if it has another one of the provider, which may be newer."""
    entry = next((one for one in index.entries if one.provider == receipt.provider), None)
    if entry is None:
        return False
    return True if entry.proof == receipt.proof else None


def check_omission(omission: Omission, domain: Domain) -> None:
    """Raises `Wrong`, with the reason, unless this proves that the receipt's signer left its proof out of its inventory."""
    receipt, inventory, index = omission.receipt.message, omission.inventory.message, omission.index
    try:
        verify(omission.receipt, domain)
        verify(omission.inventory, domain)
        for proof in (*omission.proof, *omission.named):
            verify(proof, domain)
    except CodecError as error:
        raise Wrong(f"a signature does not verify: {error}") from error
    if (receipt.validator, receipt.epoch) != (inventory.validator, inventory.epoch):
        raise Wrong("receipt and inventory are not of one validator and epoch")
    if file_digest(encode(index)) != inventory.index_digest:
        raise Wrong("the index is not the one that the inventory names")
    check_index(index, inventory)
    included = is_included(receipt, index)
    if included:
        raise Wrong("the index has the receipted proof")
    if included is None:
        _check_older(omission, domain)


def _check_older(omission: Omission, domain: Domain) -> None:
    """Raises `Wrong` unless the named proof is older than the receipted one."""
    receipt = omission.receipt.message
    if len(omission.proof) != 1 or len(omission.named) != 1:
        raise Wrong("the index names another proof of the provider: both have to be shown, to see which one is newer")
    receipted, named = omission.proof[0].message, omission.named[0].message
    entry = next(one for one in omission.index.entries if one.provider == receipt.provider)
    if (digest_of(receipted, domain), digest_of(named, domain)) != (receipt.proof, entry.proof):
        raise Wrong("the proofs shown are not the ones that receipt and index name")
    if (named.provider, named.epoch) == (receipted.provider, receipted.epoch) and named.sequence >= receipted.sequence:
        raise Wrong("the index names a newer proof of the provider, which is as it should be")
