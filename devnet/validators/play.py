"""`dpn demo validators`: four validators, each a process of its own, one of which proposes false roots.

    1  the liar's round: its candidate is left unsigned,   3  they come back: one root covers both epochs
       the next round posts                                4  `dpn audit` recomputes every epoch from outside
    2  two are killed: an epoch has no two thirds, and dies

Resolver, master and providers do not run: the demo holds their keys and shows their evidence to whichever validators answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_abi.abi import decode as decode_abi
from rich.console import Console

from chain.canonical import decode
from chain.epochs import Timing, proposer_index
from chain.messages import EpochAttestation
from chain.rpc import RpcBackend
from chain.typed import Signed, digest_of, signer_of
from chain.types import Address, Digest
from devnet.archives import NotServed, file, tree_of_bytes
from devnet.layout import Layout, Place
from devnet.network import Devnet, dpn, open_contracts, register, start_node, together, until_answers
from devnet.processes import Command
from devnet.rawchain import PostedLog, RawChain
from devnet.settlement.evidence import proof_of
from devnet.stage import Findings
from devnet.story import Story, Untrue, wait_for
from devnet.validators.checks import judge
from devnet.validators.facts import Audit, Facts, Recorded
from wire.addresses import group_prefix, parse_ip
from wire.http import Client, PeerError

PROPOSED = "Proposed(uint256,uint256,address,bytes32)"
LOOK_S = 0.2
LATE_S = 30.0


@dataclass(frozen=True, slots=True)
class Cast:
    """false_epoch: the epoch whose first round is the liar's, and whose second is not."""

    devnet: Devnet
    raw: RawChain
    client: Client
    liar: Place
    honest: tuple[Place, ...]
    false_epoch: int

    @property
    def timing(self) -> Timing:
        return self.devnet.network.timing

    @property
    def validators(self) -> dict[Address, str]:
        return dict(sorted((self.devnet.address(place.name), place.name) for place in self.devnet.layout.of("validator")))


async def play(layout: Layout, folder: Path, console: Console) -> Findings:
    """Sets the network up, plays the story, ends everything. Raises what `open_contracts` does, and `Untrue`."""
    console.print("[bold]Set-up[/]")
    begun = time.monotonic()
    async with open_contracts(layout, folder, folder, console.print) as devnet, _opened(devnet) as cast:
        liar = Command(cast.liar.name, "validator", ("devnet.validators.liar", "--config", str(devnet.ground.config_of(cast.liar))))
        await devnet.processes.start(liar)
        for place in cast.honest:
            await start_node(devnet, place)
        await together(*(register(devnet.ground, place) for place in layout.of("provider")))
        for place in layout.of("validator"):
            await until_answers(devnet, place)
        setup = time.monotonic() - begun
        console.print(f"{setup:4.0f} s  Four validators run; {cast.liar.name} proposes false roots.")
        console.print(f"        RPC {devnet.rpc_url}, settlement {devnet.network.settlement}\n[bold]The story[/]")
        story = Story(console)
        facts = await _tell(cast, story)
        duration, checks = story.seconds, judge(facts)
        return Findings(checks, _report(facts, setup, duration), setup, duration)


@contextlib.asynccontextmanager
async def _opened(devnet: Devnet) -> AsyncIterator[Cast]:
    """The cast, and the evidence that is shown to validators in every epoch as long as it lasts."""
    places = sorted(devnet.layout.of("validator"), key=lambda place: devnet.address(place.name))
    count = len(places)
    epoch = next(e for e in range(1, 20) if proposer_index(e, 0, count) != proposer_index(e, 1, count))
    liar = places[proposer_index(epoch, 0, count)]
    backend, client = RpcBackend(devnet.rpc_url), Client(devnet.network.domain, timeout_s=3.0)
    honest = tuple(place for place in places if place is not liar)
    cast = Cast(devnet, RawChain(backend, devnet.network.settlement), client, liar, honest, epoch)
    showing = asyncio.create_task(_show_evidence(cast))
    try:
        yield cast
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
        await client.close()
        await backend.close()


async def _tell(cast: Cast, story: Story) -> Facts:
    say, timing, epoch = story.say, cast.timing, cast.false_epoch
    await _until_second(cast, timing.intake_end(epoch), f"the end of epoch {epoch}")
    say(f"Epoch {epoch} is to be closed; its first round is {cast.liar.name}'s.")
    lie = await _recorded(cast, epoch, 0)
    say(f"{cast.liar.name} has recorded a candidate: sound evidence, and another root than it gives.")
    root = await _posted_after(cast, epoch - 1, timing.post_end(epoch))
    said = await _signatures(cast, lie)
    say(f"Nobody has signed it; in round {root.round} {_name(cast, root.poster)} posts what {root.signers.bit_count()} have recomputed.")

    dead, killed = epoch + 1, [place.name for place in cast.honest[:2]]
    await _until_second(cast, timing.end_of(dead) - 1, f"the last second of epoch {dead}")
    for name in killed:
        cast.devnet.processes.signal(name, signal.SIGKILL)
        await cast.devnet.processes.ended(name, LATE_S)
    say(f"{' and '.join(killed)} are killed: half of the stake is left for epoch {dead}.")
    await _until_second(cast, timing.post_end(dead) + 1, f"the end of the window of epoch {dead}")
    for name in killed:
        await cast.devnet.processes.restart(name)
    say(f"Its window is over: epoch {dead} is dead. They are started again.")
    both = await _posted_after(cast, dead, timing.post_end(dead + 3))
    say(f"The root of epoch {both.epoch} covers {dead} to {both.through}, with {both.signers.bit_count()} signatures.")
    await _until_second(cast, both.active_at + 1, f"that the root of epoch {both.epoch} is active")

    say("Now every epoch is recomputed from outside, by the chain and any validator's files:")
    audits = {}
    for place in (cast.honest[0], cast.liar):
        audits[place.name] = await _audit(cast, place)
        say(f"    `dpn audit` with the files of {place.name} alone: exit code {audits[place.name].code}.")
    return await _facts(cast, dead, said, tuple(killed), audits)


async def _audit(cast: Cast, place: Place) -> Audit:
    settlement = cast.devnet.network.settlement
    where = ("--rpc", cast.devnet.rpc_url, "--settlement", settlement, "--validator", place.endpoint)
    result = await dpn("audit", "all", *where, "--json")
    try:
        found: Any = [json.loads(line) for line in result.out.splitlines()]
    except ValueError:
        found = None
    return Audit(result.code, found, result.out + result.err)


async def _facts(
    cast: Cast, dead: int, signed: Mapping[str, frozenset[Address]], killed: tuple[str, ...], audits: Mapping[str, Audit]
) -> Facts:
    posted, places = await cast.raw.posted(), cast.devnet.layout.of("validator")
    states: dict[int, dict[str, bool]] = {}
    newest: bytes = b""
    for log in posted:
        states[log.epoch] = {}
        for place in places:
            try:
                newest = await file(cast.client, place, log.state_digest)
            except NotServed:
                states[log.epoch][place.name] = False
            else:
                states[log.epoch][place.name] = True
    tree = tree_of_bytes(newest, cast.devnet.network.treasury)
    providers = [cast.devnet.address(place.name) for place in cast.devnet.layout.of("provider")]
    leaves = {account: tree.leaf(account) for account in providers}
    return Facts(
        false_epoch=cast.false_epoch,
        dead=dead,
        liar=cast.devnet.address(cast.liar.name),
        validators=cast.validators,
        recorded=await _all_recorded(cast),
        posted=posted,
        signed=signed,
        states=states,
        earned={account: 0 if leaf is None else leaf.earned for account, leaf in leaves.items()},
        killed=killed,
        alive=frozenset(cast.devnet.processes.alive()),
        audits=audits,
    )


def _report(facts: Facts, setup_s: float, duration_s: float) -> dict[str, Any]:
    return {
        "duration_s": round(duration_s, 1),
        "setup_s": round(setup_s, 1),
        "epochs": [{"epoch": log.epoch, "round": log.round, "through": log.through, "root": f"0x{log.root.hex()}"} for log in facts.posted],
        "false_epoch": facts.false_epoch,
        "dead_epoch": facts.dead,
        "audits": {name: one.found for name, one in facts.audits.items()},
        "checks": [{"name": check.name, "passed": check.passed, "detail": check.detail} for check in judge(facts)],
    }


# Waiting and looking


async def _until_second(cast: Cast, second: int, what: str) -> None:
    async def come() -> bool:
        return (await cast.raw.head())[1] >= second

    left = max(0, second - (await cast.raw.head())[1])
    await wait_for(cast.devnet.processes, what, come, left + LATE_S, LOOK_S)


async def _posted_after(cast: Cast, epoch: int, last: int) -> PostedLog:
    """The first root of a later epoch than this one; `Untrue` if a block after `last` (seconds) comes before it."""
    while (await cast.raw.head())[1] <= last:
        cast.devnet.processes.require_alive()
        log = next((log for log in await cast.raw.posted() if log.epoch > epoch), None)
        if log is not None:
            return log
        await asyncio.sleep(LOOK_S)
    raise Untrue(f"that a root after epoch {epoch} is posted has not come true in its window: is this machine very busy?")


async def _recorded(cast: Cast, epoch: int, round_: int) -> Recorded:
    end = cast.timing.intake_end(epoch) + (round_ + 1) * cast.timing.round_length
    while (await cast.raw.head())[1] <= end:
        found = next((one for one in await _all_recorded(cast) if (one.epoch, one.round) == (epoch, round_)), None)
        if found is not None:
            return found
        await asyncio.sleep(LOOK_S)
    raise Untrue(f"that a candidate is recorded in round {round_} of epoch {epoch} has not come true in that round")


async def _all_recorded(cast: Cast) -> tuple[Recorded, ...]:
    found = []
    for log in await cast.raw.logs(cast.devnet.network.settlement, PROPOSED):
        (epoch, round_), proposer = (int(entry, 16) for entry in log["topics"][1:3]), Address("0x" + log["topics"][3][-40:].lower())
        (digest,) = decode_abi(["bytes32"], bytes.fromhex(log["data"][2:]))
        found.append(Recorded(epoch, round_, proposer, Digest(digest)))
    return tuple(found)


async def _signatures(cast: Cast, lie: Recorded) -> dict[str, frozenset[Address]]:
    """Who signed the candidate, by what each validator knows."""
    found = {}
    for place in cast.devnet.layout.of("validator"):
        raw = await cast.client.get(place.endpoint, f"/v1/attestations/{lie.epoch}/{lie.round}")
        held: tuple[Signed[EpochAttestation], ...] = decode(tuple[Signed[EpochAttestation], ...], raw)
        domain = cast.devnet.network.domain
        found[place.name] = frozenset(signer_of(one, domain) for one in held if digest_of(one.message, domain) == lie.digest)
    return found


async def _show_evidence(cast: Cast) -> None:
    """In every epoch, in its last slot, both providers' proofs to every validator that answers."""
    layout, keys, network, timing = cast.devnet.layout, cast.devnet.ground.keys, cast.devnet.network, cast.timing
    (resolver, master), providers = (layout.of(role)[0] for role in ("resolver", "master")), layout.of("provider")
    slots = ((1 << (timing.slots_per_epoch - 1)) - 1).to_bytes(-(-timing.slots_per_epoch // 8), "little")
    shown: set[tuple[int, str, str]] = set()
    while True:
        second = (await cast.raw.head())[1]
        epoch = timing.epoch_at(second)
        is_time = epoch >= 1 and second >= timing.slot_start(epoch, timing.slots_per_epoch - 1)
        for place in layout.of("validator"):
            for provider in providers:
                if not is_time or (epoch, provider.name, place.name) in shown:
                    continue
                prefix = group_prefix(parse_ip(provider.public_host))
                proof = proof_of(keys[provider.name], keys[resolver.name], keys[master.name], network.domain, epoch, slots, prefix)
                with contextlib.suppress(PeerError):
                    await cast.client.post(place.endpoint, "/v1/proofs", proof)
                    shown.add((epoch, provider.name, place.name))
        await asyncio.sleep(LOOK_S)


def _name(cast: Cast, account: Address) -> str:
    return cast.validators.get(account, account)
