"""An account's record in the active root, from the first validator whose path leads there: for claims and withdrawals.

CommandFailed (`runtime.terminal`): the sentence is for the person
├── NoActiveRoot     5: no epoch's root is active yet
└── NoVerifiedLeaf   4: no validator showed a leaf of the root that is active on chain; each one's reason is in the sentence
"""

from __future__ import annotations

from chain.client import ChainClient
from chain.types import Address
from chain.view import BlockStamp
from runtime.terminal import CommandFailed, NothingToDo
from wire.active import ProvenLeaf, show_leaf
from wire.http import Client


class NoActiveRoot(NothingToDo):
    def __init__(self) -> None:
        super().__init__("No root is active yet: the first epoch's records can be used once its root is. Try again later.")


class NoVerifiedLeaf(CommandFailed):
    """`absent`: every validator that answered says that the active root has no leaf of the account."""

    def __init__(self, account: Address, reasons: list[str], *, absent: bool) -> None:
        self.absent = absent
        super().__init__(f"No validator proved a record of {account} in the active root. " + "; ".join(reasons))


async def proven_leaf(client: Client, chain: ChainClient, account: Address, block: BlockStamp) -> ProvenLeaf:
    """The account's record in the root active at `block`. Raises `NoActiveRoot` or `NoVerifiedLeaf`."""
    record = await chain.settlement.active_record(block)
    if not any(record.root):
        raise NoActiveRoot
    reasons, codes = [], set()
    for validator in (await chain.view(block)).validators():
        shown = await show_leaf(client, validator, account, record)
        if isinstance(shown, ProvenLeaf):
            return shown
        reasons.append(f"{validator.endpoint}: {shown.said}")
        codes |= {shown.code} - {""}
    raise NoVerifiedLeaf(account, reasons, absent=codes == {"not_found"})
