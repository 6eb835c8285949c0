"""The scenes of the settlement demo: each makes something happen and waits for what comes of it. What is true is judged later."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chain.frauds import Fall, commitment
from chain.merkle import MerkleTree
from chain.messages import Leaf
from chain.permit import Permit, sign_permit
from chain.types import Address, Digest, to_hex
from devnet.network import together
from devnet.rawchain import PostedLog
from devnet.settlement.cast import DEPOSIT, Cast
from devnet.settlement.evidence import proof_of
from devnet.settlement.hostile import HostileValidator
from devnet.settlement.rawlogs import CONVICTED, SHARE_COLLECTED, SLASHED, refusal, rows
from devnet.story import Untrue, wait_for
from wire.addresses import group_prefix, parse_ip

PERMIT_S = 3600
LOOK_S = 0.2
ANSWER_S = 20.0
"""The longest that the honest validator may take from a fraud to the end of what it does about it, beside the contracts' own times."""
SLOTS_SHOWN = 3
FIRST_TRIES = 4
"""Epochs: the honest validator proposes in the first rounds of some, and of the first one if the machine is not busy."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a stranger committed to, to show it later: a proof, and the salt of its commitment."""

    proof: Fall
    salt: Digest


async def deposit(cast: Cast) -> int:
    """The consumer deposits by one transaction; how many it has sent then."""
    chain, consumer = cast.chain, cast.consumer
    network, block = chain.network, await chain.latest()
    nonce = await chain.token.permit_nonce(consumer.address)
    permit = Permit(consumer.address, network.vault, DEPOSIT, nonce, block.timestamp + PERMIT_S)
    signature = sign_permit(permit, network.token, await chain.token.name(), network.chain_id, consumer.key)
    await consumer.do(chain.vault.deposit_with_permit(DEPOSIT, permit.deadline, signature))
    return int(str(await chain.backend.request("eth_getTransactionCount", [consumer.address, "latest"])), 16)


async def until_slots(cast: Cast) -> int:
    """The epoch, once so many slots of it have begun, and not long before its end."""
    timing = cast.devnet.network.timing

    async def begun() -> bool:
        second = (await cast.chain.latest()).timestamp
        return second >= timing.genesis and SLOTS_SHOWN - 1 <= timing.slot_at(second) < timing.slots_per_epoch - 1

    seconds = timing.epoch_length * 2 + max(0, timing.genesis - (await cast.chain.latest()).timestamp)
    await wait_for(cast.devnet.processes, "that an epoch has begun", begun, seconds, LOOK_S)
    return timing.epoch_at((await cast.chain.latest()).timestamp)


async def show_evidence(cast: Cast, epoch: int) -> None:
    """The provider shows the honest validator what resolver and master have signed about it. `PeerError` if it is not taken."""
    layout, keys, network = cast.devnet.layout, cast.devnet.ground.keys, cast.devnet.network
    (resolver, master, provider) = (layout.of(role)[0] for role in ("resolver", "master", "provider"))
    slots = ((1 << SLOTS_SHOWN) - 1).to_bytes(-(-network.timing.slots_per_epoch // 8), "little")
    prefix = group_prefix(parse_ip(provider.public_host))
    signed = proof_of(keys[provider.name], keys[resolver.name], keys[master.name], network.domain, epoch, slots, prefix)
    await cast.client.post(cast.honest.endpoint, "/v1/proofs", signed)


async def first_root(cast: Cast, epoch: int) -> PostedLog:
    """The first root, of this epoch or, if the honest validator misses its rounds, of a later one: it proposes, the others sign."""
    timing = cast.devnet.network.timing
    for one in range(epoch, epoch + FIRST_TRIES):
        await until_second(cast, timing.intake_end(one), f"the end of epoch {one}")
        if await cast.hostile.cosign(one):
            while (await cast.raw.head())[1] <= timing.post_end(one):
                if (log := await posting_of(cast, one)) is not None:
                    return log
                await asyncio.sleep(LOOK_S)
    raise Untrue(f"that a first root is posted has not come true in {FIRST_TRIES} windows: is this machine very busy?")


async def posting_of(cast: Cast, epoch: int) -> PostedLog | None:
    """The epoch's posting, by raw RPC."""
    return next((log for log in await cast.raw.posted() if log.epoch == epoch), None)


async def until_second(cast: Cast, second: int, what: str) -> None:
    """Returns once a block has this time."""

    async def come() -> bool:
        return (await cast.raw.head())[1] >= second

    now = (await cast.raw.head())[1]
    await wait_for(cast.devnet.processes, what, come, max(0, second - now) + ANSWER_S, LOOK_S)


async def pause_refuses(cast: Cast, tree: MerkleTree) -> str:
    """The guardian pauses, a claim is tried, it ends the pause; what the claim was refused with."""
    account = cast.provider.address
    call = cast.chain.settlement.claim(*leaf_of(tree, account))
    await cast.guardian.do(cast.chain.settlement.pause())
    found = await refusal(cast.raw, account, call.to, call.data)
    await cast.guardian.do(cast.chain.settlement.unpause())
    return found


async def until_punished(cast: Cast, guilty: Sequence[HostileValidator], say: Callable[[str], None]) -> None:
    """Returns once these are convicted and slashed and the reporter has its shares; says so of each. `Untrue` if it takes long."""
    processes, registry = cast.devnet.processes, cast.devnet.network.registry
    accounts, names = {one.address for one in guilty}, " and ".join(one.place.name for one in guilty)

    async def convicted() -> bool:
        return accounts <= {row.values[0] for row in await rows(cast.raw, registry, CONVICTED, 2)}

    async def slashed() -> bool:
        return accounts <= {row.values[0] for row in await rows(cast.raw, registry, SLASHED, 2)}

    async def collected() -> bool:
        shares = sum(row.values[3] for row in await rows(cast.raw, registry, SLASHED, 2))
        return bool(sum(row.values[1] for row in await rows(cast.raw, registry, SHARE_COLLECTED, 1)) == shares)

    steps = (
        (convicted, f"{names}: convicted"),
        (slashed, f"{names}: all stake slashed"),
        (collected, f"{cast.honest.name} has collected a tenth of it"),
    )
    for step, what in steps:
        await wait_for(processes, f"this: {what}", step, ANSWER_S, LOOK_S)
        say(f"    {what}.")


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """What was tried while the fraudulent root was pending. withdrawal: what that was refused with. roots: what `pendingRoot()` and
    `activeRoot()` said just after. stranger: a report that it has committed to as well."""

    withdrawal: str
    roots: tuple[Digest, Digest]
    stranger: Report


async def while_pending(cast: Cast, good: MerkleTree, bad: MerkleTree) -> Meanwhile:
    """A claim and a withdrawal from the previous root, and a stranger that begins a report of its own; all at once, time is short."""
    consumer, provider = cast.consumer.address, cast.provider.address
    claiming = cast.provider.do(cast.chain.settlement.claim(*leaf_of(good, provider)))
    report = Report(Fall(*leaf_of(bad, provider), *leaf_of(good, provider)), Digest(secrets.token_bytes(32)))
    committing = cast.stranger.do(cast.chain.judge.commit(commitment(cast.stranger.address, report.proof.digest(), report.salt)))
    withdrawal, *_ = await together(_withdrawal_refused(cast, consumer, good), claiming, committing)
    refused, roots = withdrawal
    return Meanwhile(refused, roots, report)


async def report_late(cast: Cast, report: Report) -> str:
    """The stranger shows its proof after all; what it is refused with."""
    call = cast.chain.judge.prove(report.proof, report.salt)
    return await refusal(cast.raw, cast.stranger.address, call.to, call.data)


async def until_quiet(cast: Cast) -> None:
    async def quiet() -> bool:
        return await cast.raw.number("isQuiet()") == 1

    await wait_for(cast.devnet.processes, "quiet time", quiet, 2 * cast.devnet.network.timing.epoch_length, LOOK_S)


async def withdraw(cast: Cast, old: MerkleTree, tree: MerkleTree) -> str:
    """The consumer withdraws by its leaf of `tree`; before, what its leaf of an older root is refused with."""
    consumer = cast.consumer.address
    call = cast.chain.vault.withdraw(*leaf_of(old, consumer))
    found = await refusal(cast.raw, consumer, call.to, call.data)
    await cast.consumer.do(cast.chain.vault.withdraw(*leaf_of(tree, consumer)))
    return found


def leaf_of(tree: MerkleTree, account: Address) -> tuple[Leaf, tuple[Digest, ...]]:
    """An account's leaf and its path. `Untrue` if it has none."""
    leaf = tree.leaf(account)
    if leaf is None:
        raise Untrue(f"that {account} has a leaf in the root {to_hex(tree.root)} has not come true")
    return leaf, tree.path(account)


async def _withdrawal_refused(cast: Cast, consumer: Address, tree: MerkleTree) -> tuple[str, tuple[Digest, Digest]]:
    call = cast.chain.vault.withdraw(*leaf_of(tree, consumer))
    found = await refusal(cast.raw, consumer, call.to, call.data)
    return found, (await cast.raw.pending_root(), await cast.raw.active_root())
