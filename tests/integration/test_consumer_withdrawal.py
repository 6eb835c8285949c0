"""A consumer's money from the wallet and back: deposited by a permit, spent in a session, frozen by an exit, and the rest withdrawn."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from chain.abi import ContractRefused
from chain.types import Wei
from consumer.wallet import Wallet
from runtime.terminal import CommandFailed, NothingToDo
from tests.integration.test_demand_receipts import cover, evidence, hand_in, parties, until_active
from tests.validators import CONSUMER, DEPLOYER, ETHER, World, a_world
from wire.leaves import NoVerifiedLeaf

HELD = 10 * ETHER
ME = CONSUMER.address


async def wallet_with_tokens(world: World) -> Wallet:
    await world.call(DEPLOYER, world.chain.token.transfer(ME, Wei(HELD)))
    return Wallet(world.chain, world.client)


def test_what_is_not_spent_comes_back_and_may_be_deposited_again(tmp_path: Path) -> None:
    async def run() -> None:
        async with a_world(tmp_path) as world:
            wallet = await wallet_with_tokens(world)
            with pytest.raises(CommandFailed, match="send it the rest first"):
                await wallet.deposit(CONSUMER, Wei(HELD + 1))
            with pytest.raises(NothingToDo, match="nothing to exit with"):
                await wallet.exit(CONSUMER)
            with pytest.raises(NothingToDo, match="has no deposit"):
                await wallet.offer_withdrawal(ME)
            await wallet.deposit(CONSUMER, Wei(HELD))
            await world.step(world.seats)
            with pytest.raises(CommandFailed, match="has not exited"):
                await wallet.offer_withdrawal(ME)

            made = parties(world, 0, 4 * ETHER)
            demand = [await cover(world, seat, made.claim()) for seat in world.seats[:3]]
            _, when = await wallet.exit(CONSUMER)
            assert when.startswith("The exit was in epoch 1. The rest can be withdrawn once a root that covers epoch 2 is active")
            with pytest.raises(NothingToDo, match="has exited already"):
                await wallet.exit(CONSUMER)
            with pytest.raises(ContractRefused):
                await wallet.deposit(CONSUMER, Wei(ETHER))
            await hand_in(world, 1, evidence(made, demand, 1, int(world.clock.now())))
            await until_active(world, 1)
            with pytest.raises(CommandFailed, match="once a root that covers epoch 2 is active"):
                await wallet.offer_withdrawal(ME)

            await hand_in(world, 2, evidence(made, demand, 3, world.network.timing.start_of(2) + 5))
            await world.until_posted(2)
            with pytest.raises(CommandFailed, match="once a root that covers epoch 2 is active"):
                await wallet.offer_withdrawal(ME)
            await until_active(world, 2)
            offer = await wallet.offer_withdrawal(ME)
            assert (offer.amount, offer.spent, offer.announces) == (7 * ETHER, 3 * ETHER, False)
            await wallet.withdraw(CONSUMER, offer)
            found = await wallet.account(ME)
            assert (found.wallet, found.deposit.held, found.spent, found.deposit.exit_epoch) == (7 * ETHER, 3 * ETHER, 3 * ETHER, None)

            await wallet.deposit(CONSUMER, Wei(5 * ETHER))
            await world.step(world.seats)
            again = parties(world, 4 * ETHER, 9 * ETHER, nonce=1)
            await cover(world, world.seats[0], again.claim())

    asyncio.run(run())


def test_while_a_root_is_pending_it_waits(tmp_path: Path) -> None:
    async def run() -> None:
        async with a_world(tmp_path) as world:
            wallet = await wallet_with_tokens(world)
            await wallet.deposit(CONSUMER, Wei(HELD))
            await wallet.exit(CONSUMER)
            for epoch in (1, 2):
                await world.hand_in(epoch)
                await until_active(world, epoch)
            await world.hand_in(3)
            await world.until_posted(3)
            with pytest.raises(CommandFailed, match="A root is pending"):
                await wallet.offer_withdrawal(ME)
            assert (await wallet.account(ME)).deposit.held == HELD

    asyncio.run(run())


def test_a_deposit_that_no_root_knows_of_is_announced_and_then_paid(tmp_path: Path) -> None:
    """Nobody posts: after the exit delay the account announces, and two epochs later it has everything back."""

    async def run() -> None:
        async with a_world(tmp_path) as world:
            wallet, chain, timing = await wallet_with_tokens(world), world.chain, world.network.timing
            await wallet.deposit(CONSUMER, Wei(HELD))
            await wallet.exit(CONSUMER)
            freed = (await chain.vault.deposit_of(ME)).exit_at + await chain.vault.number("exitDelay")
            await world.move_to(freed - 10)
            with pytest.raises(CommandFailed, match="by any root from"):
                await wallet.offer_withdrawal(ME)
            await world.move_to(freed)
            offer = await wallet.offer_withdrawal(ME)
            assert (offer.amount, offer.announces) == (HELD, True)
            await wallet.withdraw(CONSUMER, offer)
            payable_at = (await chain.vault.deposit_of(ME)).payable_at
            with pytest.raises(CommandFailed, match="is announced, and can be paid from"):
                await wallet.offer_withdrawal(ME)
            await world.move_to(timing.end_of(timing.epoch_at(payable_at)) + timing.post_window + 1)
            offer = await wallet.offer_withdrawal(ME)
            assert (offer.amount, offer.announces) == (HELD, False)
            await wallet.withdraw(CONSUMER, offer)
            found = await wallet.account(ME)
            assert (found.wallet, found.deposit.held, found.deposit.payable_at) == (HELD, 0, 0)

    asyncio.run(run())


def test_validators_that_do_not_answer_are_no_reason_to_announce(tmp_path: Path) -> None:
    """The root may well have a record, with which the announcement would be refuted."""

    async def run() -> None:
        async with a_world(tmp_path) as world:
            wallet = await wallet_with_tokens(world)
            await wallet.deposit(CONSUMER, Wei(HELD))
            await wallet.exit(CONSUMER)
            for epoch in (1, 2):
                await world.hand_in(epoch)
                await until_active(world, epoch)
            await world.move_to((await world.chain.latest()).timestamp + await world.chain.vault.number("exitDelay"))
            for seat in world.seats:
                await world.stop(seat)
            with pytest.raises(NoVerifiedLeaf) as missing:
                await wallet.offer_withdrawal(ME)
            assert not missing.value.absent

    asyncio.run(run())
