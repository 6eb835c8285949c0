"""What one covered epoch reads from the chain, from views folded at its anchors; the same logs give the same section."""

from __future__ import annotations

from collections.abc import Iterable

from chain.types import Address, Wei
from chain.view import ChainView, Listing
from wire.agreement import ChainSection, Depositor, ListedNode, RegisteredProvider


def chain_section(epoch: int, end: ChainView, start: ChainView, rate: Wei, treasury: Address) -> ChainSection:
    """The section of `epoch`. end: the view at anchor(epoch). start: the view at anchor(epoch - 1), which says who held a role.

    rate: the Vault's budget per epoch. Validators are those with stake; providers those registered and bonded.
    """
    return ChainSection(
        epoch=epoch,
        anchor_block=end.block.number,
        anchor_block_hash=end.block.hash,
        roles=roles_of(start),
        validators=_nodes(end.validators()),
        providers=tuple(
            RegisteredProvider(one.provider, one.referrer, one.bond)
            for one in sorted(end.registrations.values(), key=lambda one: one.provider)
            if one.bond > 0
        ),
        funded=end.funded,
        rate=rate,
        treasury=treasury,
    )


def roles_of(view: ChainView) -> tuple[ListedNode, ...]:
    """Who may sign about the epoch that begins after `view`: resolvers, masters, and the validators with stake; ascending by address."""
    return _nodes((*view.validators(), *view.resolvers(), *view.masters()))


def depositors_of(view: ChainView) -> tuple[Depositor, ...]:
    """All that ever deposited, ascending by address, since who has nothing left may deposit again."""
    return tuple(
        Depositor(account, one.deposited, one.withdrawn, 0 if one.exit_epoch is None else one.exit_epoch + 1)
        for account, one in sorted(view.deposits.items())
    )


def _nodes(listings: Iterable[Listing]) -> tuple[ListedNode, ...]:
    return tuple(ListedNode(one.account, one.role, one.stake) for one in sorted(listings, key=lambda one: one.account))
