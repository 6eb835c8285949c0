"""The poster sends what several tasks give it side by side, each name once, with one account's nonces."""

from __future__ import annotations

import asyncio

from chain.abi import ContractRefused
from chain.failover import MOST_LAG
from chain.sender import Sender
from chain.types import Wei
from tests.deployments import COLD, DEPLOYER, deployed
from validator.poster import NOT_SENT, Poster


def test_calls_of_two_tasks_go_out_side_by_side() -> None:
    async def run() -> None:
        backend, chain, _ = await deployed()
        poster = Poster(Sender(backend, DEPLOYER, 31337, poll_s=0.01), 5.0)
        calls = [chain.token.transfer(COLD.address, Wei(amount)) for amount in range(1, 9)]
        sent = await asyncio.gather(
            *(poster.send("post" if number % 2 else "prove", (number, "x"), call) for number, call in enumerate(calls))
        )
        assert all(one.done for one in sent)
        assert len({one.transaction for one in sent}) == len(calls)
        assert await chain.token.balance_of(COLD.address) == sum(range(1, 9))
        assert not poster.is_waiting("post", 1)

    asyncio.run(run())


def test_a_refusal_of_one_leaves_the_others_alone() -> None:
    async def run() -> None:
        backend, chain, _ = await deployed()
        poster = Poster(Sender(backend, DEPLOYER, 31337, poll_s=0.01), 5.0)
        wrong, right = await asyncio.gather(
            poster.send("collect", (DEPLOYER.address,), chain.registry.collect()),
            poster.send("pay", (1,), chain.token.transfer(COLD.address, Wei(7))),
        )
        assert isinstance(wrong.refusal, ContractRefused)
        assert wrong.refusal.name == "NothingToCollect"
        assert right.done
        broke = Poster(Sender(backend, type(COLD)(bytes([99]) * 32), 31337, poll_s=0.01), 5.0)
        poor = await broke.send("commit", ("0x00",), chain.judge.commit(chain.network.rules.digest()))
        assert poor.refusal is not None
        assert poor.refusal.name == NOT_SENT

    asyncio.run(run())


def test_what_is_done_once_is_one_transaction_until_it_is_deep_and_what_was_undone_is_the_same_again() -> None:
    async def run() -> None:
        backend, chain, _ = await deployed()
        poster = Poster(Sender(backend, DEPLOYER, 31337, poll_s=0.01), 5.0)

        async def send(what: str, number: int) -> str:
            sent = await poster.send(what, (number,), chain.token.transfer(COLD.address, Wei(10**number)))
            assert sent.done
            return sent.transaction

        post = await send("post", 1)
        assert await send("post", 1) == post
        assert await send("collect", 2) != await send("collect", 2)
        before = await backend.request("evm_snapshot", [])
        undone = [await send("post", 3), await send("collect", 4)]
        assert await backend.request("evm_revert", [before])
        assert [await send("post", 3), await send("collect", 4)] == undone
        assert await chain.token.balance_of(COLD.address) == 10 + 2 * 100 + 1_000 + 10_000
        await backend.request("evm_mine", [{"blocks": MOST_LAG}])
        assert await send("post", 1) != post

    asyncio.run(run())
