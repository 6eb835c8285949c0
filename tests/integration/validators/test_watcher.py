"""Validators watch each other: whatever can be proven is found and reported by an honest one on its own, wherever it is stopped."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from chain import events as ev
from chain.abi import decode_revert
from chain.backend import Reverted
from chain.canonical import encode, parse
from chain.keys import NodeKey
from chain.messages import EpochAttestation, Leaf
from chain.typed import digest_of, sign
from chain.types import ZERO_DIGEST, Address, Digest, Wei, to_hex
from cli.app import app
from tests.validators import CONSUMER, DEPLOYER, ETHER, GUARDIAN, PORT, PROVIDERS, STAKE, VALIDATORS, Seat, World, a_world
from validator.accusation import accuser
from validator.agreement import proposer_of
from validator.epoch import Outcome, recompute
from validator.frauds import LeafTree
from validator.state import AccountState, _SignedAccount, _SignedState, decode_state, signed_leaves
from wire.http import PeerRefused

Accounts = list[_SignedAccount]
SHARE = STAKE // 10


def marked(attestation: EpochAttestation, mark: int = 7) -> EpochAttestation:
    """Another statement about the same epoch and round."""
    return replace(attestation, manifest_digest=Digest(bytes([mark]) * 32))


async def judged(world: World) -> list[str]:
    """What the Judge and the Registry have logged about frauds, in order."""
    kinds = (ev.Committed, ev.Summed, ev.Proven, ev.Convicted, ev.Slashed, ev.ShareCollected)
    found = await world.chain.events(0, (await world.chain.latest()).number)
    return [type(one).__name__ for one in found if isinstance(one, kinds)]


async def until_collected(world: World, seat: Seat, steps: int = 40) -> None:
    """Steps of these duties until the seat has been paid its shares of all that was slashed."""

    async def collected() -> bool:
        return (await judged(world))[-1:] == ["ShareCollected"] and not (await world.chain.view()).unslashed()

    await world.run_until(collected, [seat], steps)


# Signing twice


async def _bound(seat: Seat, epoch: int = 1) -> EpochAttestation:
    assert seat.running is not None
    bound = seat.running.journal.signed(epoch, 0)
    assert bound is not None
    return bound


def test_who_signs_twice_is_found_convicted_and_slashed_and_the_reporter_paid(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The second statement comes when the epoch is over; the convict says why and signs nothing any more."""

    async def scene() -> None:
        async with a_world(tmp_path, watching=True) as world:
            honest, cheat = world.seats[0], world.seats[1]
            await world.hand_in(1)
            await world.until_posted(1)
            await world.move_to(world.network.timing.post_end(1) + 1)
            await world.step(world.seats)
            second = sign(marked(await _bound(cheat)), world.network.domain, cheat.key)
            await world.client.post(honest.endpoint, "/v1/attestations", second)
            await until_collected(world, honest)
            view = await world.chain.view()
            assert set(view.convictions) == {cheat.key.address}
            assert view.convictions[cheat.key.address].reporter == honest.key.address
            assert await world.chain.token.balance_of(honest.key.address) == SHARE
            assert view.cancelled == {}

            caplog.clear()
            for _ in range(3):
                await world.step(world.seats)
            (said,) = [record.message for record in caplog.records if record.message.startswith(cheat.key.address)]
            assert "signed two different statements about epoch 1, round 0" in said
            assert honest.key.address in said
            assert "1000 DPN of stake are taken" in said
            told = parse(await world.client.get(cheat.endpoint, "/v1/status"))["conviction"]
            assert (told["proof"], told["epoch"], told["round"], told["amount"]) == ("equivocates", 1, 0, str(STAKE))
            assert parse(await world.client.get(honest.endpoint, "/v1/status"))["conviction"] == {}
            shown = await _status(world, cheat, tmp_path)
            assert "stake: 0 of at most 1000 DPN" in shown
            assert "convicted (equivocates): it signed two different statements about epoch 1, round 0." in shown
            assert "stake: 1000 of at most 1000 DPN" in await _status(world, honest, tmp_path)

            await world.hand_in(2)
            await world.until_posted(2)
            assert cheat.key.address not in (await world.chain.view()).signers[2]

    asyncio.run(scene())


async def _status(world: World, seat: Seat, folder: Path) -> str:
    """What `dpn validator status` says of a running one, as one line."""
    file = folder / "status.toml"
    settings = f'rpc_urls = ["http://127.0.0.1:1"]\nsettlement = "{world.network.settlement}"\nkeystore = "none"\ndata_dir = "data"\n'
    file.write_text(f'{settings}bind_host = "{seat.host}"\nport = {PORT}\n')
    found = await asyncio.to_thread(CliRunner().invoke, app, ["validator", "status", "--config", str(file)])
    assert found.exit_code == 0, found.stderr
    return " ".join(found.stdout.split())


def test_evidence_is_read_from_the_posting_and_fetched_from_others(tmp_path: Path) -> None:
    """A validator that has slept through the epoch finds one statement on chain and the other with a peer, which reports nothing."""

    async def scene() -> None:
        async with a_world(tmp_path, watching=True) as world:
            sleeper, keeper, cheat = world.seats[0], world.seats[1], world.seats[2]
            await world.hand_in(1, world.seats[1:])
            await world.stop(sleeper)
            await world.until_posted(1)
            assert cheat.key.address in (await world.chain.view()).signers[1]
            posted = (await world.chain.view()).posting(1)
            assert posted is not None
            assert keeper.running is not None
            bound = keeper.running.journal.signed(1, posted.round)
            assert bound is not None
            await world.client.post(keeper.endpoint, "/v1/attestations", sign(marked(bound), world.network.domain, cheat.key))
            await world.start(sleeper)
            await until_collected(world, sleeper)
            assert set((await world.chain.view()).convictions) == {cheat.key.address}

    asyncio.run(scene())


def test_what_proves_nothing_is_not_reported_and_the_far_is_not_kept(tmp_path: Path) -> None:
    async def scene() -> None:
        async with a_world(tmp_path, watching=True) as world:
            honest, other, timing = world.seats[0], world.seats[1], world.network.timing
            await world.hand_in(1)
            await world.until_posted(1)
            bound = await _bound(honest)
            await world.move_to(timing.post_end(1) + 1)
            await world.step(world.seats)
            for mark in range(1, 4):  # one's own word twice, by a stranger or by oneself, is nobody else's fraud
                mine = sign(marked(bound, mark), world.network.domain, honest.key)
                await world.client.post(honest.endpoint, "/v1/attestations", mine)
                again = sign(replace(bound, round=mark), world.network.domain, other.key)
                await world.client.post(honest.endpoint, "/v1/attestations", again)
            rounds = (timing.post_window - timing.intake) // timing.round_length
            for far in (replace(bound, round=rounds + 1), replace(bound, epoch=2), replace(bound, epoch=2**255), replace(bound, epoch=0)):
                with pytest.raises(PeerRefused) as refused:
                    await world.client.post(honest.endpoint, "/v1/attestations", sign(far, world.network.domain, other.key))
                assert refused.value.code == "unknown_candidate"
            for _ in range(6):
                await world.step([honest])
            assert await judged(world) == []
            # Who else holds both reports them.
            await world.run_until(lambda: _is_convicted(world, honest.key.address), [other])

    asyncio.run(scene())


async def _is_convicted(world: World, account: Address) -> bool:
    return account in (await world.chain.view()).convictions


# Fraudulent roots


def _first(accounts: Accounts, **changes: Any) -> Accounts:
    """The first provider's record changed."""
    return [replace(one, **changes) if one.account == PROVIDERS[0].address else one for one in accounts]


def _of(accounts: Accounts) -> _SignedAccount:
    return next(one for one in accounts if one.account == PROVIDERS[0].address)


FORGERIES: dict[str, Callable[[Accounts], Accounts]] = {
    "falls": lambda accounts: _first(accounts, points=_of(accounts).points - 1),
    "repeats": lambda accounts: [*accounts, replace(_of(accounts), earned=_of(accounts).earned + 1)],
    "overspends": lambda accounts: _first(accounts, spent=1),
    "exceedsTotal": lambda accounts: _first(accounts, earned=_of(accounts).earned + 1),
    "outOfRange": lambda accounts: _first(accounts, reputation=1_000_001),
}


@dataclass
class Court:
    """An honest validator, and three that post whatever they like and serve the files of it."""

    world: World
    honest: Seat
    hostile: list[Seat]

    async def forge(self, change: Callable[[Accounts], Accounts], *, served: bool = True, root: Digest | None = None) -> EpochAttestation:
        """Posts a root of epoch 2 made from the active root's state by a change, or `root`; the totals stay the active root's."""
        world, timing = self.world, self.world.network.timing
        await world.move_to(timing.intake_end(2) + 1)
        active = (await world.chain.view()).active_posting((await world.chain.latest()).timestamp)
        assert active is not None
        assert self.honest.running is not None
        data = self.honest.running.archive.file(active.state_digest)
        assert data is not None
        decode_state(data)
        before = [_SignedAccount(**{n: getattr(one, n) for n in _SignedAccount.__slots__}) for one in decode_state(data).accounts]
        state = encode(_SignedState(2, tuple(change(before))))
        digests = set()
        for seat in self.hostile[: len(self.hostile) if served else 1]:
            assert seat.running is not None
            digests.add(seat.running.archive.keep_file(state))
        (digest,) = digests
        if not served:
            await world.stop(self.hostile[0])
        root = root or LeafTree(signed_leaves(state, world.network.treasury)).root
        accounts = sorted(one.address for one in VALIDATORS)
        round_ = next(r for r in range(5) if proposer_of(2, r, accounts) != self.honest.key.address)
        await world.move_to(timing.intake_end(2) + round_ * timing.round_length + 1)
        rules = world.network.rules.digest()
        totals = active.total_earned, active.total_spent
        lie = EpochAttestation(
            2, 2, round_, active.root, active.state_digest, digest, root, *totals, Digest(bytes([9]) * 32), rules, ZERO_DIGEST
        )
        await self.post(lie, self.key_of(proposer_of(2, round_, accounts)))
        return lie

    async def post(self, lie: EpochAttestation, proposer: NodeKey) -> None:
        domain, settlement = self.world.network.domain, self.world.chain.settlement
        keys = sorted((seat.key for seat in self.hostile), key=lambda one: one.address)
        await self.world.call(proposer, settlement.propose(2, lie.round, digest_of(lie, domain)))
        await self.world.call(proposer, settlement.post(lie, [sign(lie, domain, one).signature for one in keys]))

    def key_of(self, account: Address) -> NodeKey:
        return next(one for one in VALIDATORS if one.address == account)

    async def sentence_of(self, name: str) -> None:
        """All three hostile ones are convicted by this proof of the honest one's, slashed, their root is gone and the share is paid."""
        view = await self.world.chain.view()
        assert set(view.convictions) == {seat.key.address for seat in self.hostile}
        assert {(one.reporter, one.slashed) for one in view.convictions.values()} == {(self.honest.key.address, True)}
        assert (view.proven[2].name, 2 in view.cancelled) == (name, True)
        assert await self.world.chain.token.balance_of(self.honest.key.address) == 3 * SHARE
        assert await self.world.chain.settlement.is_quiet()


@asynccontextmanager
async def a_court(tmp_path: Path) -> AsyncIterator[Court]:
    """Epoch 1 is closed by all and its root active; the last second of epoch 2's intake."""
    async with a_world(tmp_path, watching=True) as world:
        await world.hand_in(1)
        await world.until_posted(1)
        await world.move_to(world.network.timing.end_of(2))
        for _ in range(2):
            await world.step(world.seats)
        yield Court(world, world.seats[0], world.seats[1:])


@pytest.mark.parametrize("name", sorted(FORGERIES))
def test_a_root_that_can_be_proven_wrong_is_cancelled(tmp_path: Path, name: str) -> None:
    async def scene() -> None:
        async with a_court(tmp_path) as court:
            await court.forge(FORGERIES[name])
            await until_collected(court.world, court.honest)
            await court.sentence_of(name)

    asyncio.run(scene())


def test_a_guardian_that_cancels_first_saves_no_signer(tmp_path: Path) -> None:
    async def scene() -> None:
        async with a_court(tmp_path) as court:
            await court.forge(FORGERIES["falls"])
            await court.world.call(GUARDIAN, court.world.chain.settlement.cancel())
            await until_collected(court.world, court.honest)
            await court.sentence_of("falls")
            assert (await court.world.chain.view()).cancelled[2].by == GUARDIAN.address

    asyncio.run(scene())


POINTS = ("report_stored", "committed", "summed", "proven", "slashed", "collected")
STOPS = [(point,) for point in POINTS]
CHANCE = random.Random(os.environ.get("PYTEST_XDIST_TESTRUNUID"))
"""Processes that share the tests must collect the same ones."""
SAMPLE = STOPS if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else [CHANCE.choice(STOPS)]
"""Each point alone takes long: one of them here, another one each time, and all in the long run."""


async def _tried(tmp_path: Path, points: tuple[str, ...]) -> tuple[list[str], int]:
    async with a_court(tmp_path) as court:
        court.honest.stop_at = set(points)
        await court.forge(FORGERIES["exceedsTotal"])
        await until_collected(court.world, court.honest)
        assert not court.honest.stop_at, f"never came to {court.honest.stop_at}"
        await court.sentence_of("exceedsTotal")
        for _ in range(3):
            await court.world.step([court.honest])
        return await judged(court.world), await court.world.chain.token.balance_of(court.honest.key.address)


@pytest.fixture(scope="module")
def unstopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], int]:
    return asyncio.run(_tried(tmp_path_factory.mktemp("whole"), ()))


def test_a_report_takes_each_step_once(unstopped: tuple[list[str], int]) -> None:
    calls, balance = unstopped
    assert calls == ["Committed", "Summed", "Proven", *["Convicted"] * 3, *["Slashed"] * 3, "ShareCollected"]
    assert balance == 3 * SHARE


@pytest.mark.parametrize("points", [*SAMPLE, POINTS], ids=[*(point for (point,) in SAMPLE), "everywhere"])
def test_stopped_anywhere_a_report_ends_the_same(tmp_path: Path, unstopped: tuple[list[str], int], points: tuple[str, ...]) -> None:
    assert asyncio.run(_tried(tmp_path, points)) == unstopped


def test_anothers_report_that_comes_first_is_as_good(tmp_path: Path) -> None:
    """Two honest validators commit; the second one's proof comes too late, and it helps to slash and goes on."""

    async def scene() -> None:
        async with a_court(tmp_path) as court:
            world, late = court.world, court.honest
            late.stop_at = {"committed"}
            await court.forge(FORGERIES["falls"])
            assert late.running is not None
            while late.stop_at:
                await world.step([late])
            sleeping = late.running
            late.running = None
            # A stranger with the same evidence, as `report-fraud` reports it.
            async with accuser(CONSUMER.address, world.chain) as stranger:
                (accusation,) = await stranger.of_epoch(2)
                ticking = asyncio.create_task(_tick(world))
                done = await stranger.report(accusation, CONSUMER)
                ticking.cancel()
                await asyncio.gather(ticking, return_exceptions=True)
            assert done["reported"] == "by this account"
            assert await world.chain.token.balance_of(CONSUMER.address) == 3 * SHARE
            late.running = sleeping
            for _ in range(3):
                await world.step([late])
            assert set((await world.chain.view()).convictions) == {seat.key.address for seat in court.hostile}

    asyncio.run(scene())


async def _tick(world: World) -> None:
    """A block now and then, as a real chain has them."""
    while True:
        await asyncio.sleep(0.1)
        await world.move_to((await world.chain.latest()).timestamp + 1)


def test_bytes_that_are_withheld_are_asked_for_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        async with a_court(tmp_path) as court:
            lie = await court.forge(FORGERIES["falls"], served=False)
            for _ in range(12):
                await court.world.step([court.honest])
            assert await judged(court.world) == []
            (said,) = [one.message for one in caplog.records if "cannot be judged" in one.message]
            assert "nobody serves its state" in said
            told = parse(await court.world.client.get(court.honest.endpoint, "/v1/status"))["watch"]
            assert told == {"proven": 0, "withheld": to_hex(lie.root)}
            await court.world.start(court.hostile[0])
            await until_collected(court.world, court.honest)
            await court.sentence_of("falls")
            assert parse(await court.world.client.get(court.honest.endpoint, "/v1/status"))["watch"]["withheld"] == ""

    caplog.set_level(logging.WARNING)
    asyncio.run(scene())


def test_a_state_that_makes_another_root_is_no_evidence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that was signed as the state and makes another root shows nothing about the root, however wrong it looks."""

    async def scene() -> None:
        async with a_court(tmp_path) as court:
            await court.forge(FORGERIES["falls"], root=Digest(bytes([3]) * 32))
            for _ in range(8):
                await court.world.step([court.honest])
            assert await judged(court.world) == []
            (said,) = [one.message for one in caplog.records if "cannot be judged" in one.message]
            assert "its state makes the root" in said

    caplog.set_level(logging.WARNING)
    asyncio.run(scene())


# A validator's own outcome


def overspent(*arguments: Any) -> Outcome:
    """The recomputation with a mistake in it: the first provider has spent what it never deposited."""
    outcome = recompute(*arguments)
    leaves = tuple(replace(leaf, spent=1) if leaf.account == PROVIDERS[0].address else leaf for leaf in outcome.leaves)
    return replace(outcome, leaves=leaves, root=LeafTree(leaves).root)


def test_an_own_outcome_that_could_be_proven_wrong_is_not_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The same mistake in every validator's recomputation: nobody proposes, and nobody is convicted."""

    async def scene() -> None:
        async with a_world(tmp_path, watching=True) as world:
            await world.hand_in(1)
            await world.move_to(world.network.timing.intake_end(1))
            with monkeypatch.context() as patched:
                patched.setattr("validator.candidates.recompute", overspent)
                await world.move_to(world.network.timing.intake_end(1) + world.network.timing.round_length // 4)
                for _ in range(3):
                    await world.step(world.seats)
            assert (await world.chain.view()).proposed == ()
            said = [one.message for one in caplog.records if "by a defect of this program" in one.message]
            assert said
            assert all("overspends" in one for one in said)
            for seat in world.seats:
                assert seat.running is not None
                assert seat.running.journal.signed(1, 0) is None
            await world.until_posted(1)  # the mistake corrected, it goes on

    asyncio.run(scene())


def test_a_wrong_outcome_that_is_proposed_is_signed_by_nobody_who_makes_the_same_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its proposer has lost the check as well."""

    async def scene() -> None:
        async with a_world(tmp_path, watching=True) as world:
            await world.hand_in(1)
            await world.move_to(world.network.timing.intake_end(1) + world.network.timing.round_length // 4)
            proposer = world.proposer(1)
            others = [seat for seat in world.seats if seat is not proposer]
            await world.step(others)

            async def proposed() -> bool:
                return (await world.chain.view()).proposed != ()

            with monkeypatch.context() as patched:
                patched.setattr("validator.candidates.recompute", overspent)
                patched.setattr("validator.candidates._first_fraud", lambda *_: None)
                await world.run_until(proposed, [proposer])
            with monkeypatch.context() as patched:
                patched.setattr("validator.candidates.recompute", overspent)
                for _ in range(2):
                    await world.step(others)
            said = [one.message for one in caplog.records if "nothing is signed, by a defect" in one.message]
            assert len(said) == len(others)
            for seat in others:
                assert seat.running is not None
                assert seat.running.journal.signed(1, 0) is None

    asyncio.run(scene())


# Deposits


def test_a_depositor_withdraws_with_its_leaf(tmp_path: Path) -> None:
    async def scene() -> None:
        async with a_world(tmp_path, watching=True) as world:
            chain, timing, amount = world.chain, world.network.timing, Wei(5 * ETHER)
            await world.call(DEPLOYER, chain.token.transfer(CONSUMER.address, amount))
            await world.call(CONSUMER, chain.token.approve(world.network.vault, amount), chain.vault.deposit(amount))
            await world.call(CONSUMER, chain.vault.exit())
            for epoch in (1, 2):
                await world.hand_in(epoch)
                await world.until_posted(epoch)
            await world.move_to(timing.post_end(2) + timing.challenge)
            for _ in range(2):
                await world.step(world.seats)
            told = await world.leaf(world.seats[2], CONSUMER.address)
            assert (told.earned, told.spent, told.points) == (0, 0, 0)
            leaf = Leaf(told.account, told.earned, told.spent, told.points, told.reputation)
            await world.call(CONSUMER, chain.vault.withdraw(leaf, told.path))
            assert await chain.token.balance_of(CONSUMER.address) == amount
            await world.hand_in(3)
            await world.until_posted(3)
            assert (await chain.view()).convictions == {}
            await world.move_to(timing.end_of(4))
            assert (await world.leaf(world.seats[2], CONSUMER.address)).epoch == 3

    asyncio.run(scene())


def test_who_announces_a_withdrawal_and_has_a_leaf_is_refuted(tmp_path: Path) -> None:
    async def scene() -> None:
        async with a_world(tmp_path, watching=True) as world:
            chain, timing, amount = world.chain, world.network.timing, Wei(5 * ETHER)
            await world.call(DEPLOYER, chain.token.transfer(CONSUMER.address, amount))
            await world.call(CONSUMER, chain.token.approve(world.network.vault, amount), chain.vault.deposit(amount))
            await world.call(CONSUMER, chain.vault.exit())
            await world.hand_in(1)
            await world.until_posted(1)
            await world.move_to((await chain.latest()).timestamp + await chain.vault.number("exitDelay"))
            await world.call(CONSUMER, chain.vault.announce_withdrawal())
            payable = (await chain.view()).deposits[CONSUMER.address].payable_at
            assert payable == (await chain.latest()).timestamp + 2 * timing.epoch_length

            async def refuted() -> bool:
                return (await chain.view()).deposits[CONSUMER.address].payable_at == 0

            await world.run_until(refuted)
            assert (await chain.latest()).timestamp < payable
            await world.move_to(timing.end_of(timing.epoch_at(payable)) + timing.post_window + 1)
            for _ in range(2):
                await world.step(world.seats)
            told = await world.leaf(world.seats[2], CONSUMER.address)
            with pytest.raises(Reverted) as refused:
                await world.call(CONSUMER, chain.vault.withdraw_announced())
            assert decode_revert(refused.value.data).name == "NothingAnnounced"
            leaf = Leaf(told.account, told.earned, told.spent, told.points, told.reputation)
            await world.call(CONSUMER, chain.vault.withdraw(leaf, told.path))
            assert await chain.token.balance_of(CONSUMER.address) == amount

    asyncio.run(scene())


def test_the_loose_reading_of_a_state_knows_the_same_fields() -> None:
    assert _SignedAccount.__slots__ == AccountState.__slots__
