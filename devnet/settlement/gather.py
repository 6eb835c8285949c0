"""Collects the facts once the story is over: raw RPC, the state files that validators serve, the processes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from chain.merkle import MerkleTree
from chain.types import Address
from devnet.archives import NotServed, tree_of
from devnet.rawchain import PostedLog
from devnet.settlement.cast import DEPOSIT, Cast
from devnet.settlement.facts import MINT, Accounts, Facts, Refusals
from devnet.settlement.rawlogs import records
from devnet.settlement.scenes import Meanwhile


def accounts(cast: Cast, equivocator: Address) -> Accounts:
    network, devnet = cast.devnet.network, cast.devnet
    return Accounts(
        validators=tuple(sorted(devnet.address(place.name) for place in devnet.layout.of("validator"))),
        honest=devnet.address(cast.honest.name),
        equivocator=equivocator,
        consumer=cast.consumer.address,
        provider=cast.provider.address,
        stranger=cast.stranger.address,
        guardian=cast.guardian.address,
        registry=network.registry,
        vault=network.vault,
        settlement=network.settlement,
        judge=network.judge,
    )


async def facts(
    cast: Cast, who: Accounts, epochs: tuple[int, int, int], transactions: int, meanwhile: Meanwhile, refusals: Refusals
) -> Facts:
    """Everything that the checks look at."""
    raw, network, processes = cast.raw, cast.devnet.network, cast.devnet.processes
    posted = await raw.posted()
    trees = {log.epoch: await _tree(cast, log) for log in posted}
    barred = {account: await raw.number("convictionOf(address)", account, to=network.registry) for account in who.validators}
    return Facts(
        accounts=who,
        epochs=epochs,
        stake=cast.devnet.layout.money.stake_wei,
        deposit=DEPOSIT,
        its_transactions=transactions,
        posted=posted,
        payments=await raw.payments(),
        records=await records(raw),
        leaves={epoch: {leaf.account: leaf for leaf in tree.leaves} for epoch, tree in trees.items() if tree is not None},
        roots={epoch: tree.root for epoch, tree in trees.items() if tree is not None},
        refusals=refusals,
        pending=meanwhile.roots,
        active=await raw.active_root(),
        second=(await raw.head())[1],
        last_posted=await raw.number("lastPostedEpoch()"),
        activated=await raw.activated(),
        stakes=await _numbers(cast, "stakeOf(address)", who.validators, network.registry),
        barred=frozenset(account for account, reporter in barred.items() if reporter),
        shares=await _numbers(cast, "shareOf(address)", (*who.validators, who.stranger), network.registry),
        balances=await _numbers(cast, "balanceOf(address)", tuple(who.names().keys() - {MINT}), network.token),
        supply=await raw.number("totalSupply()", to=network.token),
        started=tuple(processes.started),
        alive=frozenset(processes.alive()),
    )


async def _numbers(cast: Cast, function: str, of: tuple[Address, ...], to: Address) -> Mapping[Address, int]:
    found = await asyncio.gather(*(cast.raw.number(function, account, to=to) for account in of))
    return dict(zip(of, found, strict=True))


async def _tree(cast: Cast, log: PostedLog) -> MerkleTree | None:
    """The tree of a posted root, from the honest validator's bytes, else from a hostile one's."""
    for place in (cast.honest, *(member.place for member in cast.hostile.members)):
        try:
            return await tree_of(cast.client, place, log.state_digest, cast.devnet.network.treasury)
        except NotServed:
            continue
    return None
