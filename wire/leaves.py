"""An account's record in the active root, from the first validator whose path leads there: for claims and withdrawals.

CommandFailed (`runtime.terminal`): the sentence is for the person
├── NoActiveRoot     5: no epoch's root is active yet
└── NoVerifiedLeaf   4: no validator showed a leaf of the root that is active on chain; each one's reason is in the sentence
"""

from __future__ import annotations

from dataclasses import dataclass

from chain.canonical import decode
from chain.client import ChainClient
from chain.errors import CodecError
from chain.merkle import verify
from chain.messages import Leaf
from chain.types import Address, Digest
from chain.view import BlockStamp
from runtime.terminal import CommandFailed, NothingToDo
from wire.agreement import LeafPath
from wire.http import Client, PeerError, PeerRefused


class NoActiveRoot(NothingToDo):
    def __init__(self) -> None:
        super().__init__("No root is active yet: the first epoch's records can be used once its root is. Try again later.")


class NoVerifiedLeaf(CommandFailed):
    """`absent`: every validator that answered says that the active root has no leaf of the account."""

    def __init__(self, account: Address, reasons: list[str], *, absent: bool) -> None:
        self.absent = absent
        super().__init__(f"No validator proved a record of {account} in the active root. " + "; ".join(reasons))


@dataclass(frozen=True, slots=True)
class ProvenLeaf:
    """A leaf, seen to verify against the root that was active at a block. epoch: the root's."""

    leaf: Leaf
    path: tuple[Digest, ...]
    epoch: int
    root: Digest


async def proven_leaf(client: Client, chain: ChainClient, account: Address, block: BlockStamp) -> ProvenLeaf:
    """The account's record in the root active at `block`. Raises `NoActiveRoot` or `NoVerifiedLeaf`."""
    record = await chain.settlement.active_record(block)
    if not any(record.root):
        raise NoActiveRoot
    reasons, codes = [], []
    for validator in (await chain.view(block)).validators():
        try:
            found: LeafPath = decode(LeafPath, await client.get(validator.endpoint, f"/v1/leaves/{account}"))
        except (PeerError, CodecError) as error:
            reasons.append(f"{validator.endpoint}: {error}")
            codes += [error.code] if isinstance(error, PeerRefused) else []
            continue
        leaf = Leaf(found.account, found.earned, found.spent, found.points, found.reputation)
        if found.account == account and verify(record.root, leaf, found.path):
            return ProvenLeaf(leaf, found.path, record.epoch, record.root)
        reasons.append(f"{validator.endpoint}: its path does not lead to the active root 0x{record.root.hex()}")
    raise NoVerifiedLeaf(account, reasons, absent=bool(codes) and set(codes) == {"not_found"})
