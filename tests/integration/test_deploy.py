"""Deployment, the folded view, anchors and a provider's registration, on the in-process chain."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from chain.abi import ContractRefused
from chain.backend import Reverted
from chain.client import ChainClient
from chain.deploy import bond, verify_deployment
from chain.errors import DeploymentError
from chain.parameters import ParameterError
from chain.rules import Rules
from chain.types import ZERO_ADDRESS, Address, Wei
from chain.view import BlockStamp
from provider.errors import NothingToDo
from provider.wallet import Wallet
from runtime.terminal import CommandFailed
from tests.deployments import COLD, DEPLOYER, ETHER, PROVIDER, VALIDATOR, deployed, parameters
from wire.http import Client


def test_what_stands_is_what_was_asked_for() -> None:
    async def run() -> None:
        _, chain, sender = await deployed()
        view = await chain.view()
        assert [listing.endpoint for listing in view.masters()] == ["127.3.0.1:7000"]
        assert view.validators() == ()
        assert view.funded == 10**8 * ETHER
        await bond(chain, sender, VALIDATOR.address, Wei(100 * ETHER))
        assert [(v.account, v.stake) for v in (await chain.view()).validators()] == [(VALIDATOR.address, 100 * ETHER)]
        with pytest.raises(DeploymentError, match="rate"):
            await verify_deployment(chain, parameters(rate=Wei(1)), chain.network.timing.genesis)

    asyncio.run(run())


def test_bonding_above_the_listed_maximum_is_refused_by_name() -> None:
    async def run() -> None:
        from chain.abi import decode_revert

        _, chain, sender = await deployed()
        with pytest.raises(Reverted) as refused:
            await bond(chain, sender, VALIDATOR.address, Wei(101 * ETHER))
        decoded = decode_revert(refused.value.data)
        assert isinstance(decoded, ContractRefused)
        assert decoded.name == "AboveMaxStake"
        assert decoded.facts["maxStake"] == 100 * ETHER

    asyncio.run(run())


def test_an_anchor_is_the_parent_of_the_first_block_after_the_end() -> None:
    async def run() -> None:
        backend, chain, _ = await deployed()
        timing = chain.network.timing
        assert await chain.anchor(0) is None
        stamps = [timing.genesis - 2, timing.genesis, timing.end_of(1) - 1, timing.end_of(1) + 3, timing.end_of(2) + 1]
        blocks: list[BlockStamp] = []
        for stamp in stamps:
            await backend.request("evm_setNextBlockTimestamp", [stamp])
            await backend.request("evm_mine", [])
            blocks.append(await chain.latest())
        assert [await chain.anchor(epoch) for epoch in (0, 1, 2, 3)] == [blocks[0], blocks[2], blocks[3], None]

    asyncio.run(run())


def test_the_view_at_a_block_does_not_know_what_came_later() -> None:
    async def run() -> None:
        _, chain, sender = await deployed()
        before = await chain.latest()
        await bond(chain, sender, VALIDATOR.address, Wei(ETHER))
        after = await chain.view()
        assert after.validators()
        assert not (await chain.view(before)).validators()
        fresh = ChainClient(chain.backend, chain.network)
        assert await fresh.view(after.block) == after

    asyncio.run(run())


def test_a_reorganisation_is_seen() -> None:
    async def run() -> None:
        backend, chain, sender = await deployed()
        snapshot = await backend.request("evm_snapshot", [])
        await bond(chain, sender, VALIDATOR.address, Wei(ETHER))
        assert (await chain.view()).validators()
        await backend.request("evm_revert", [snapshot])
        for _ in range(3):
            await backend.request("evm_mine", [])
        assert not (await chain.view()).validators()

    asyncio.run(run())


def test_a_provider_registers_is_paid_elsewhere_and_leaves() -> None:
    async def run() -> None:
        backend, chain, sender = await deployed()
        client = Client(chain.network.domain)
        try:
            wallet = Wallet(backend, chain, client)
            with pytest.raises(CommandFailed, match="bond is 10 DPN"):
                await wallet.register(PROVIDER, COLD.address)
            transfer = chain.token.transfer(PROVIDER.address, Wei(10 * ETHER))
            await sender.wait(await sender.send(transfer.to, transfer.data))
            await wallet.register(PROVIDER, COLD.address)
            registration = (await chain.view()).registrations[PROVIDER.address]
            assert (registration.recipient, registration.referrer, registration.bond) == (COLD.address, ZERO_ADDRESS, 10 * ETHER)
            with pytest.raises(NothingToDo):
                await wallet.register(PROVIDER, COLD.address)
            with pytest.raises(Reverted):  # the node key gave the right away
                await wallet.set_recipient(PROVIDER, PROVIDER.address, PROVIDER.address)
            await wallet.set_recipient(COLD, PROVIDER.address, DEPLOYER.address)
            assert await chain.registry.recipient_of(PROVIDER.address) == DEPLOYER.address
            assert await wallet.unregister(PROVIDER) > (await chain.latest()).timestamp
            assert PROVIDER.address not in (await chain.view()).registrations
            with pytest.raises(NothingToDo, match="No root is active"):
                await wallet.rewards(PROVIDER.address)
        finally:
            await client.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"challenge": 6}, "fit in epoch_length"),
        ({"intake": 11}, "intake must end"),
        ({"min_total": Wei(49 * ETHER)}, "min_total"),
        ({"min_total": Wei(67 * ETHER)}, "min_total"),
        ({"rate": Wei(0)}, "rate"),
        ({"funding": Wei(10**10 * ETHER)}, "funding"),
        ({"listings": ()}, "min_total|validators"),
        ({"slots_per_epoch": 3}, "slots_per_epoch"),
        ({"slots_per_epoch": 0}, "slots_per_epoch"),
        ({"epoch_length": 4 * 1025, "slots_per_epoch": 1025}, "slots_per_epoch"),
        ({"rules": Rules()}, "heartbeat"),
    ],
)
def test_parameters_that_contradict_one_another_are_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ParameterError, match=sentence):
        parameters(**changes)


def test_addresses_of_contracts_are_computed_as_the_chain_does() -> None:
    from chain.deploy import create_address

    # The first contracts of the well-known test account of development chains.
    deployer = Address("0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266")
    assert create_address(deployer, 0) == "0x5fbdb2315678afecb367f032d93f642f64180aa3"
    assert create_address(deployer, 1) == "0xe7f1725e7734ce288f8367e1bb143e90bb3f0512"
