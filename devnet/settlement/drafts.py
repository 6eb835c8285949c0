"""What hostile validators write: states that are edited instead of computed, and what they sign about them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from chain.merkle import MerkleTree
from chain.messages import EpochAttestation
from chain.types import Address, Digest
from devnet.archives import tree_of_bytes
from validator.state import AccountState, decode_state, encode_state
from wire.files import file_digest

NO_MANIFEST = b"{}"
"""What a hostile quorum hands out as the manifest of its root: its amounts come from nowhere."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A root to be posted. state: the bytes of its state file. totals: wei, over all leaves."""

    state: bytes
    tree: MerkleTree
    total_earned: int
    total_spent: int

    def attestation(
        self, epoch: int, round_: int, parent_root: Digest, parent_state: Digest, anchor: Digest, rules_digest: Digest
    ) -> EpochAttestation:
        """What is signed about it, as a root that covers everything up to `epoch`."""
        return EpochAttestation(
            epoch=epoch,
            through=epoch,
            round=round_,
            parent_root=parent_root,
            parent_state_digest=parent_state,
            state_digest=file_digest(self.state),
            root=self.tree.root,
            total_earned=self.total_earned,
            total_spent=self.total_spent,
            anchor_block_hash=anchor,
            rules_digest=rules_digest,
            manifest_digest=file_digest(NO_MANIFEST),
        )


def edited(state: bytes, epoch: int, sums: Mapping[Address, tuple[int, int]], treasury: Address) -> Draft:
    """The state of `epoch` in which these accounts have earned and spent so much (wei), and everything else stays as it was.

    An account that the state does not hold is added, with the standing of its first one; the state holds one at least.
    """
    before = decode_state(state)
    accounts = {account.account: account for account in before.accounts}
    for address, (earned, spent) in sums.items():
        accounts[address] = replace(accounts.get(address) or _newcomer(address, before.accounts[0]), earned=earned, spent=spent)
    written = encode_state(replace(before, through=epoch, accounts=tuple(accounts[address] for address in sorted(accounts))))
    tree = tree_of_bytes(written, treasury)
    return Draft(written, tree, sum(leaf.earned for leaf in tree.leaves), sum(leaf.spent for leaf in tree.leaves))


def contradiction(attestation: EpochAttestation) -> EpochAttestation:
    """Another statement about the same epoch and round: that nothing has changed since the parent."""
    return replace(attestation, root=attestation.parent_root, state_digest=attestation.parent_state_digest)


def _newcomer(address: Address, like: AccountState) -> AccountState:
    return replace(like, account=address, points=0)
