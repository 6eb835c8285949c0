"""Four whole validators on a chain's node that somebody else wrote, while it undoes blocks, raises its fees, loses what waits and falls
silent: each epoch is posted once, nobody pays for two posts of one, and nobody signs two statements for one round."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from chain.errors import Recoverable
from chain.flights import GWEI, Fees, Flight, signed
from chain.types import Address, Wei
from tests.integration.test_rpc_failover import nodes, refusing
from tests.nodes import CHAIN_ID, running
from tests.validators import FUNDED, RULES, SELECTORS, Seat, World, a_world

FINALITY = 3
ROUNDS = 4


@dataclass(frozen=True)
class Sent:
    """A transaction to the settlement contract that is on the chain. about: the epoch, 0 of `activate`. effect: whether it changed
    anything."""

    name: str
    about: int
    by: Address
    hash: str
    effect: bool


class Anvil:
    """The network, and the node that it is on."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def ask(self, method: str, *params: object) -> Any:
        return await self.world.backend.request(method, list(params))

    async def automine(self, on: bool) -> None:
        await self.ask("evm_setAutomine", on)

    async def waiting(self, seat: Seat) -> dict[int, Any]:
        """Its transactions in the pool by nonce, executable or not."""
        content = await self.ask("txpool_content")
        found: dict[int, Any] = {}
        for kind in ("pending", "queued"):
            for account, mine in content[kind].items():
                if account.lower() == seat.key.address:
                    found |= {int(nonce): one for nonce, one in mine.items()}
        return found

    async def until_waiting(self, seat: Seat, ready: Callable[[dict[int, Any]], bool] = bool) -> dict[int, Any]:
        """What is in the pool of a validator that is at work, as soon as it is so."""
        async with asyncio.timeout(20):
            while not ready(found := await self.waiting(seat)):  # noqa: ASYNC110 - the pool tells nobody
                await asyncio.sleep(0.01)
        return found

    async def sent(self) -> list[Sent]:
        """What the settlement contract was sent and took, in order."""
        found = []
        for number in range(self.world.network.deployed_block, (await self.world.chain.latest()).number + 1):
            for one in (await self.ask("eth_getBlockByNumber", hex(number), True))["transactions"]:
                if (one["to"] or "").lower() == self.world.network.settlement:
                    receipt = await self.ask("eth_getTransactionReceipt", one["hash"])
                    assert receipt["status"] == "0x1", "nobody pays for what is refused"
                    name = SELECTORS[one["input"][:10]]
                    about = int(one["input"][10:74], 16) if name != "activate" else 0
                    found.append(Sent(name, about, Address(one["from"].lower()), one["hash"], bool(receipt["logs"])))
        return found

    async def posts(self, epoch: int) -> list[Sent]:
        return [one for one in await self.sent() if (one.name, one.about) == ("post", epoch)]

    async def end(self, *epochs: int) -> None:
        """What has to be true in the end, some blocks later, of a chain on which these epochs were closed."""
        world = self.world
        for _ in range(FINALITY + 2):
            await world.step(world.seats)
        assert [posted.epoch for posted in (await world.chain.view()).posted] == list(epochs)
        sent = await self.sent()
        done = Counter((one.name, one.about) for one in sent if one.effect and one.name == "post")
        assert done == {("post", epoch): 1 for epoch in epochs}
        paid = Counter((one.name, one.about, one.by) for one in sent if one.name != "activate")
        assert set(paid.values()) == {1}, "nobody pays twice for the same"
        for seat in world.seats:
            assert await self.waiting(seat) == {}
            assert seat.running is not None
            journal = seat.running.journal
            assert journal.signed_twice() == {}
            for epoch in epochs:
                for round_ in range(ROUNDS):
                    bound, seen = journal.signed(epoch, round_), journal.attestations_of(epoch, round_)
                    assert len({one.message for one in seen}) <= 1
                    assert bound is None or all(one.message == bound for one in seen)

    # What one validator does

    async def act(self, seat: Seat) -> None:
        """A step of its closing, whatever hinders it."""
        assert seat.running is not None
        with contextlib.suppress(Recoverable):
            await seat.running.closing.step()

    @contextlib.asynccontextmanager
    async def acting(self, seat: Seat) -> AsyncIterator[asyncio.Task[None]]:
        """One that is in the middle of a step, with nothing mined unless the scene does; the step is over in the end."""
        await self.automine(False)
        task = asyncio.create_task(self.act(seat))
        try:
            yield task
            await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.automine(True)

    async def until(self, what: str) -> Seat:
        """This validator proposes or posts for epoch 1 as soon as it acts."""
        return await (self.until_signed(1) if what == "post" else self.until_open(1))

    async def until_open(self, epoch: int) -> Seat:
        """Everybody's inventory of the epoch is signed, and it is this validator's turn to propose."""
        world, proposer = self.world, self.world.proposer(epoch)
        await world.hand_in(epoch)
        await world.move_to(world.network.timing.intake_end(epoch))
        for _ in range(FINALITY):
            await world.step([seat for seat in world.seats if seat is not proposer])
        return proposer

    async def until_recorded(self, epoch: int) -> Seat:
        """The epoch's candidate has just been recorded, by this validator."""
        proposer = await self.until_open(epoch)
        await self.act(proposer)
        assert await self.recorded(epoch)
        return proposer

    async def recorded(self, epoch: int) -> bool:
        candidate = await self.world.chain.settlement.candidate()
        return candidate is not None and candidate.epoch == epoch

    async def until_signed(self, epoch: int) -> Seat:
        """All others have signed the candidate of this validator, and told it; it posts as soon as it acts."""
        proposer = self.world.proposer(epoch)
        if not await self.recorded(epoch):
            await self.until_recorded(epoch)
        others = [seat for seat in self.world.seats if seat is not proposer]

        async def all_signed() -> bool:
            return all(seat.running is not None and seat.running.journal.signed(epoch, 0) for seat in others)

        await self.world.run_until(all_signed, others)
        return proposer


def on_anvil(tmp_path: Path, scene: Callable[[Anvil], Awaitable[None]]) -> None:
    """Runs a scene on a new chain, on which a block is final with two more on top of it."""

    async def main() -> None:
        chain = connect()
        try:
            await chain.request("anvil_setBlockTimestampInterval", [1])
            for account, wei in FUNDED.items():
                await chain.request("anvil_setBalance", [account, hex(wei)])
            async with a_world(tmp_path, replace(RULES, finality_blocks=FINALITY), empty=chain) as world:
                await scene(Anvil(world))
        finally:
            await chain.close()

    with running("anvil") as connect:
        asyncio.run(main())


def test_epochs_are_closed(tmp_path: Path) -> None:
    async def scene(anvil: Anvil) -> None:
        for epoch in (1, 2):
            await anvil.world.hand_in(epoch)
            await anvil.world.until_posted(epoch)
        await anvil.end(1, 2)
        assert [one.name for one in await anvil.sent()] == ["propose", "post", "activate", "propose", "post"]

    on_anvil(tmp_path, scene)


UNDOING: dict[str, tuple[Any, ...]] = {"anvil_reorg": (FINALITY - 1, []), "anvil_rollback": (FINALITY - 1,)}
"""Undoes all blocks that are not final: by another branch of the same length, and by none yet. What was in them is in no pool."""


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("way", UNDOING)
def test_a_post_that_is_undone_is_made_again_and_not_anew(tmp_path: Path, way: str, restarted: bool) -> None:
    async def scene(anvil: Anvil) -> None:
        world, poster = anvil.world, await anvil.until_signed(1)
        await world.until_posted(1)
        (undone,) = await anvil.posts(1)
        await anvil.ask(way, *UNDOING[way])
        assert await anvil.posts(1) == []
        if restarted:
            await world.stop(poster)
            await world.start(poster)
        await world.until_posted(1)
        await anvil.end(1)
        (posted,) = await anvil.posts(1)
        assert posted.by == undone.by == poster.key.address
        assert restarted or posted == undone

    on_anvil(tmp_path, scene)


@pytest.mark.parametrize("way", UNDOING)
def test_a_candidate_that_is_undone_before_it_is_final_is_recorded_again(tmp_path: Path, way: str) -> None:
    async def scene(anvil: Anvil) -> None:
        world, proposer = anvil.world, await anvil.until_recorded(1)
        (undone,) = await anvil.sent()
        await world.step(world.seats)
        for seat in world.seats:
            assert seat.running is not None
            assert seat.running.journal.signed(1, 0) is None, "it is not final"
        await anvil.ask(way, *UNDOING[way])
        assert not await anvil.recorded(1)
        await world.until_posted(1)
        await anvil.end(1)
        recorded, posted = await anvil.sent()
        assert recorded == undone
        assert (recorded.by, posted.by) == (proposer.key.address, proposer.key.address)

    on_anvil(tmp_path, scene)


def test_a_post_that_is_undone_and_then_made_by_another_is_left_alone(tmp_path: Path) -> None:
    async def scene(anvil: Anvil) -> None:
        world, poster = anvil.world, await anvil.until_signed(1)
        other = next(seat for seat in world.seats if seat is not poster)
        await world.until_posted(1)
        (undone,) = await anvil.posts(1)
        raw = await _same_call(anvil, undone.hash, other)
        await anvil.ask("anvil_reorg", FINALITY - 1, [[raw, 0]])
        await anvil.end(1)
        (posted,) = await anvil.posts(1)
        assert posted.by == other.key.address

    on_anvil(tmp_path, scene)


async def _same_call(anvil: Anvil, one: str, other: Seat) -> str:
    """Signed bytes of another validator's transaction that does the same as the one with this hash, and offers more."""
    call = await anvil.ask("eth_getTransactionByHash", one)
    fees = Fees(*(2 * int(call[name], 16) for name in ("maxPriorityFeePerGas", "maxFeePerGas")))
    nonce = int(await anvil.ask("eth_getTransactionCount", other.key.address, "latest"), 16)
    flight = Flight(nonce, Address(call["to"].lower()), bytes.fromhex(call["input"][2:]), 0, 1_000_000, fees, "", ())
    return signed(flight, other.key, CHAIN_ID).raw


@pytest.mark.parametrize("what", ["propose", "post"])
def test_in_a_gas_spike_a_call_is_outbid_under_its_nonce(tmp_path: Path, what: str) -> None:
    async def scene(anvil: Anvil) -> None:
        world, proposer = anvil.world, await anvil.until(what)
        async with anvil.acting(proposer):
            ((nonce, first),) = (await anvil.until_waiting(proposer)).items()
            before = int(first["maxFeePerGas"], 16)
            await anvil.ask("anvil_setNextBlockBaseFeePerGas", hex(10 * before))
            await anvil.ask("evm_mine")
            more = await anvil.until_waiting(proposer, lambda pool: nonce in pool and int(pool[nonce]["maxFeePerGas"], 16) > 10 * before)
            assert (set(more), more[nonce]["input"], more[nonce]["hash"] != first["hash"]) == ({nonce}, first["input"], True)
            await anvil.ask("evm_mine")
        await world.until_posted(1)
        await anvil.end(1)
        assert [one.hash for one in await anvil.sent() if one.name == what] == [more[nonce]["hash"]]

    on_anvil(tmp_path, scene)


def test_one_whose_activation_is_too_dear_for_it_signs_all_the_same(tmp_path: Path) -> None:
    """What others pay for goes on without it; what costs nothing does not wait for its own transaction."""

    async def scene(anvil: Anvil) -> None:
        world, timing = anvil.world, anvil.world.network.timing
        poor = next(seat for seat in world.seats if seat not in (world.proposer(1), world.proposer(2)))
        others = [seat for seat in world.seats if seat is not poor]
        poor.max_fee_gwei = 5
        await world.stop(poor)
        await world.start(poor)
        await world.hand_in(1)
        await world.until_posted(1)
        await world.move_to((await world.chain.settlement.pending_record()).active_at + timing.round_length)
        assert poor.running is not None
        poor.running.closing._poster._wait_s = 0.1
        async with anvil.acting(poor):
            await anvil.until_waiting(poor)
            await anvil.ask("anvil_setNextBlockBaseFeePerGas", hex(100 * GWEI))
            await anvil.ask("evm_mine")
        await world.hand_in(2)
        await world.move_to(timing.intake_end(2))

        async def has_signed() -> bool:
            assert poor.running is not None
            return poor.running.journal.signed(2, 0) is not None

        await world.run_until(has_signed, [poor, *others])
        assert poor.running.closing._poster.is_waiting("activate", 1)
        await world.until_posted(2)
        assert poor.key.address in (await world.chain.view(await world.chain.latest())).signers[2]

    on_anvil(tmp_path, scene)


def test_what_the_pool_lost_is_handed_in_again(tmp_path: Path) -> None:
    async def scene(anvil: Anvil) -> None:
        poster = await anvil.until_signed(1)
        async with anvil.acting(poster):
            ((_, lost),) = (await anvil.until_waiting(poster)).items()
            await anvil.ask("anvil_dropTransaction", lost["hash"])
            ((_, again),) = (await anvil.until_waiting(poster)).items()
            assert again["hash"] == lost["hash"]
            await anvil.ask("evm_mine")
        await anvil.end(1)
        assert [one.hash for one in await anvil.posts(1)] == [lost["hash"]]

    on_anvil(tmp_path, scene)


def test_a_nonce_that_was_lost_with_what_another_process_sent_is_filled(tmp_path: Path) -> None:
    """The operator's own payment and the post behind it are undone; nobody hands in the payment again."""

    async def scene(anvil: Anvil) -> None:
        world, poster = anvil.world, await anvil.until_signed(1)
        await world.call(poster.key, world.chain.token.approve(world.network.registry, Wei(1)))
        await anvil.act(poster)
        (undone,) = await anvil.posts(1)
        await anvil.ask("anvil_rollback", 2)
        await world.until_posted(1)
        await anvil.end(1)
        assert await anvil.posts(1) == [undone]
        post = await anvil.ask("eth_getTransactionByHash", undone.hash)
        before = await anvil.ask("eth_getBlockByNumber", hex(int(post["blockNumber"], 16) - 1), True)
        (filling,) = before["transactions"]
        assert (filling["to"], filling["value"], int(filling["nonce"], 16)) == (post["from"], "0x0", int(post["nonce"], 16) - 1)

    on_anvil(tmp_path, scene)


@pytest.mark.parametrize("what", ["propose", "post"])
def test_restarted_while_its_call_waits_it_makes_no_other(tmp_path: Path, what: str) -> None:
    async def scene(anvil: Anvil) -> None:
        world, proposer = anvil.world, await anvil.until(what)
        await anvil.automine(False)
        step = asyncio.create_task(anvil.act(proposer))
        before = await anvil.until_waiting(proposer)
        step.cancel()
        await asyncio.gather(step, return_exceptions=True)
        await world.stop(proposer)
        await world.start(proposer)
        for _ in range(3):
            await anvil.act(proposer)
        assert await anvil.waiting(proposer) == before
        await anvil.ask("evm_mine")
        await anvil.automine(True)
        await world.until_posted(1)
        await anvil.end(1)
        assert [one.hash for one in await anvil.sent() if one.name == what] == [one["hash"] for one in before.values()]

    on_anvil(tmp_path, scene)


def test_a_root_that_another_posts_while_the_own_post_waits_is_enough(tmp_path: Path) -> None:
    async def scene(anvil: Anvil) -> None:
        poster = await anvil.until_signed(1)
        other = next(seat for seat in anvil.world.seats if seat is not poster)
        async with anvil.acting(poster):
            ((_, own),) = (await anvil.until_waiting(poster)).items()
            await anvil.ask("eth_sendRawTransaction", await _same_call(anvil, own["hash"], other))
            await anvil.ask("evm_mine")
        await anvil.end(1)
        assert [(one.by, one.effect) for one in await anvil.posts(1)] == [(other.key.address, True), (poster.key.address, False)]

    on_anvil(tmp_path, scene)


def test_with_nodes_that_die_in_the_middle_an_epoch_is_closed_through_those_that_are_left(tmp_path: Path) -> None:
    """Each validator has two. The first one dies once the candidate is recorded; the answer to the post is lost at the second."""

    async def scene(anvil: Anvil) -> None:
        world = anvil.world
        async with contextlib.AsyncExitStack() as lines:
            served = {}
            for seat in world.seats:
                seat.line, *served[seat.endpoint] = await lines.enter_async_context(nodes(world.backend, world.backend))
                await world.stop(seat)
                await world.start(seat)
            poster = await anvil.until_recorded(1)
            for dying, _ in served.values():
                dying.fault = refusing(503)
            await anvil.until_signed(1)
            _, left = served[poster.endpoint]
            await anvil.automine(False)
            left.cut = {"eth_sendRawTransaction"}
            await anvil.act(poster)
            lost = await anvil.waiting(poster)
            left.cut = set()
            async with anvil.acting(poster):
                asked = left.asked["eth_sendRawTransaction"]
                await anvil.until_waiting(poster, lambda _: left.asked["eth_sendRawTransaction"] > asked)
                assert await anvil.waiting(poster) == lost
                await anvil.ask("evm_mine")
            await world.until_posted(1)
            await anvil.end(1)
            assert [one.hash for one in await anvil.posts(1)] == [one["hash"] for one in lost.values()]
            for seat in world.seats:
                await world.stop(seat)

    on_anvil(tmp_path, scene)


@pytest.mark.parametrize("seed", [8, 11])
def test_whatever_befalls_them_in_whatever_order(tmp_path: Path, seed: int) -> None:
    """All four act at once, and before each block there is something that a seed has drawn: blocks are undone, the pool is emptied, the
    fee leaps, one is killed and begins again; what is sent is mined at once, or waits for the next block."""

    async def scene(anvil: Anvil) -> None:
        world, draw = anvil.world, random.Random(seed)

        async def befall() -> None:
            match draw.choice(("reorg", "reorg", "drop", "spike", "kill", "nothing", "nothing")):
                case "reorg":
                    await anvil.ask("anvil_reorg", draw.randrange(1, FINALITY), [])
                case "drop":
                    await anvil.ask("anvil_dropAllTransactions")
                case "spike":
                    await anvil.ask("anvil_setNextBlockBaseFeePerGas", hex(draw.randrange(1, 100) * GWEI))
                case "kill":
                    seat = draw.choice(world.seats)
                    await world.stop(seat)
                    await world.start(seat)

        async def act(seat: Seat) -> None:
            assert seat.running is not None
            seat.running.closing._poster._wait_s = 0.1
            await anvil.act(seat)

        await world.hand_in(1)
        for second in range(FINALITY):  # time itself is not undone
            await world.move_to(world.network.timing.intake_end(1) + second)
        for _ in range(80):
            await befall()
            await anvil.automine(draw.choice((True, False)))
            await asyncio.gather(*map(act, world.seats))
            await world.move_to((await world.chain.latest()).timestamp + 1)
            if (await world.chain.view()).posted:
                break
        await anvil.automine(True)
        await anvil.ask("evm_mine")
        await anvil.end(1)

    on_anvil(tmp_path, scene)
