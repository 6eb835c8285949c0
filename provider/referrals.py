"""What referring brings: who named whom on chain, the tier, and what of the newest root's epochs went from whom to whom.

A leaf says what an account earned in all. What of it was a referrer's part is in the state file of each root, whose digest 2/3 of the stake
signed and the chain keeps: two of them, the active root's and its parent's, say what the epochs between brought.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from chain.client import ChainClient
from chain.events import Posted
from chain.rules import Rules
from chain.types import ZERO_ADDRESS, Address
from chain.view import BlockStamp, ChainView
from wire.archived import NotServed, archived_file
from wire.http import Client
from wire.leaves import NoActiveRoot, NoVerifiedLeaf, proven_leaf
from wire.tiers import MILLI, Tier, tier_after, tier_of


@dataclass(frozen=True, slots=True)
class Shared:
    """What of a provider's rewards went to its referrer, wei: in the newest root's epochs, and ever."""

    newest: int
    ever: int


@dataclass(frozen=True, slots=True)
class Referrals:
    """An account's referrals as the chain and the active root have them.

    referrer: the zero address for none. points: thousandths, by the active root, 0 without a leaf. epochs: those that the active root
    covers, first and last, 0 without a root. referred: providers that named the account, and whether they are registered at present.
    shared: by provider, of the account itself too; empty if it is not known, for which `unknown` says why.
    """

    account: Address
    registered: bool
    referrer: Address
    points: int
    tier: Tier
    following: Tier | None
    epochs: tuple[int, int]
    referred: Mapping[Address, bool]
    shared: Mapping[Address, Shared]
    unknown: str

    @property
    def missing(self) -> int:
        """Thousandths of a point to the next tier; 0 in the highest."""
        return self.following.points * MILLI - self.points if self.following else 0

    def of(self, provider: Address) -> Shared:
        """What went from a provider to its referrer; nothing where nothing is known of it."""
        return self.shared.get(provider, Shared(0, 0))

    @property
    def came(self) -> Shared:
        """From all who named the account."""
        found = [self.of(one) for one in self.referred]
        return Shared(sum(one.newest for one in found), sum(one.ever for one in found))


async def referrals_of(chain: ChainClient, client: Client, account: Address, rules: Rules) -> Referrals:
    """The account's referrals at the newest block. Raises `NoVerifiedLeaf` if validators answer with other roots than the active one."""
    block = await chain.latest()
    view = await chain.view(block)
    points = await _points(chain, client, account, block)
    root = view.active_posting(block.timestamp)
    parent = None if root is None else view.root_before(root.epoch)
    shared, unknown = await _shared(client, view, root, parent)
    tier = tier_of(points, rules)
    return Referrals(
        account=account,
        registered=account in view.registrations,
        referrer=_referrer_of(view, account),
        points=points,
        tier=tier,
        following=tier_after(tier, rules),
        epochs=(0, 0) if root is None else (parent.through + 1 if parent else 1, root.through),
        referred=_referred(view, account),
        shared=shared,
        unknown=unknown,
    )


async def _points(chain: ChainClient, client: Client, account: Address, block: BlockStamp) -> int:
    try:
        return (await proven_leaf(client, chain, account, block)).leaf.points
    except NoActiveRoot:
        return 0
    except NoVerifiedLeaf as error:
        if not error.absent:
            raise
        return 0


def _referrer_of(view: ChainView, account: Address) -> Address:
    """Named at the first registration, and kept ever since."""
    record = view.registrations.get(account) or view.former.get(account)
    return record.referrer if record else ZERO_ADDRESS


def _referred(view: ChainView, account: Address) -> dict[Address, bool]:
    known = {one: _referrer_of(view, one) for one in (*view.registrations, *view.former)}
    return {one: one in view.registrations for one in sorted(known) if known[one] == account}


async def _shared(client: Client, view: ChainView, root: Posted | None, parent: Posted | None) -> tuple[dict[Address, Shared], str]:
    """By provider, or the sentence why it is not known."""
    if root is None:
        return {}, "No root is active yet, so nothing has been paid."
    try:
        now = await _in_state(client, view, root)
        before = await _in_state(client, view, parent) if parent else {}
    except NotServed as error:
        return {}, f"What came of it is not known: {error} What was earned in all is proven by `dpn wallet rewards`."
    return {one: Shared(max(0, ever - before.get(one, 0)), ever) for one, ever in now.items()}, ""


async def _in_state(client: Client, view: ChainView, root: Posted) -> dict[Address, int]:
    """By account, what of its rewards went to its referrer up to a root, wei, as its state file says. Raises `NotServed`."""
    data = await archived_file(client, [one.endpoint for one in view.validators()], root.state_digest)
    try:
        return {Address(one["account"]): int(one["shared"]) for one in json.loads(data)["accounts"]}
    except (KeyError, TypeError, ValueError) as error:
        raise NotServed(f"The state of epoch {root.epoch} is one that cannot be read.") from error
