"""Deployment, the folded view, anchors and a provider's registration, on the in-process chain."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import Any

import pytest
from eth_utils.crypto import keccak

from chain.abi import ContractRefused, decode_revert
from chain.backend import Reverted
from chain.client import ChainClient
from chain.deploy import bond, deploy
from chain.errors import DeploymentError
from chain.inprocess import InProcessBackend
from chain.inspection import code_of, verify_deployment
from chain.messages import NewListing
from chain.parameters import AMOUNTS, LENGTHS, ParameterError
from chain.rules import Rules
from chain.sender import Sender
from chain.types import ZERO_ADDRESS, Address, Digest, Wei
from chain.view import BlockStamp
from provider.errors import NothingToDo
from provider.wallet import Wallet
from runtime.terminal import CommandFailed
from tests.deployments import COLD, DEPLOYER, ETHER, PROVIDER, RESOLVER, VALIDATOR, deployed, listed, parameters
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
            assert (registration.referrer, registration.bond) == (ZERO_ADDRESS, 10 * ETHER)
            assert (await chain.view()).recipient_of(PROVIDER.address) == COLD.address
            with pytest.raises(NothingToDo):
                await wallet.register(PROVIDER, COLD.address)
            with pytest.raises(Reverted):  # the node key gave the right away
                await wallet.set_recipient(PROVIDER, PROVIDER.address, PROVIDER.address)
            await wallet.set_recipient(COLD, PROVIDER.address, DEPLOYER.address)
            assert await chain.settlement.recipient_of(PROVIDER.address) == DEPLOYER.address
            assert await wallet.unregister(PROVIDER) > (await chain.latest()).timestamp
            assert PROVIDER.address not in (await chain.view()).registrations
            with pytest.raises(NothingToDo, match="No root is active"):
                await wallet.rewards(PROVIDER.address)
        finally:
            await client.close()

    asyncio.run(run())


STRANGERS = tuple(Address(f"0x{number:040x}") for number in range(1, 34))


def listings(*changed: NewListing) -> tuple[NewListing, ...]:
    """The smallest network's, with more."""
    return (*parameters().listings, *changed)


def one_more(**changes: Any) -> dict[str, Any]:
    return {"listings": listings(replace(listed("master", COLD, ""), **changes))}


LONG = {"epoch_length": 200_000, "post_window": 65_538, "intake": 3, "round_length": 1, "unbond_delay": 400_005, "exit_delay": 500_000}
"""As many rounds as are too many."""
CROWD = tuple(NewListing(account, "validator", "", Wei(1)) for account in STRANGERS)
TOKEN: dict[str, Any] = {"token": DEPLOYER.address, "token_code_hash": b"\x01" * 32, "supply": Wei(0)}
NONSENSE: list[tuple[dict[str, Any], str, str | None]] = [
    ({"challenge": 6}, "post_window + challenge + margin must fit", "InvalidWindows"),
    ({"challenge": 0}, "challenge must be positive", "InvalidWindows"),
    ({"margin": 0}, "margin must be positive", "InvalidWindows"),
    ({"intake": 11}, "intake must be positive and end", "InvalidWindows"),
    ({"intake": 0}, "intake must be positive and end", None),
    ({"round_length": 0}, "round_length must be positive", "InvalidWindows"),
    (LONG, "at most 65535 rounds", "InvalidWindows"),
    ({"slots_per_epoch": 3}, "slots_per_epoch must", "InvalidWindows"),
    ({"slots_per_epoch": 0}, "slots_per_epoch must", "InvalidWindows"),
    ({"epoch_length": 4 * 1025, "slots_per_epoch": 1025, "unbond_delay": 9_000, "exit_delay": 9_000}, "slots_per_epoch must", None),
    ({"rules": Rules()}, "at least one heartbeat", None),
    ({"genesis_delay": 0}, "genesis_delay must be positive", "GenesisInPast"),
    ({"unbond_delay": 44}, "unbond_delay must be at least", "DelayTooShort"),
    ({"exit_delay": 55}, "exit_delay must be at least", "DelayTooShort"),
    ({"listings": parameters().listings[1:]}, "at least one validator", "NoValidators"),
    ({"listings": listings(*CROWD), "min_total": Wei(60 * ETHER)}, "at most 32 nodes", "ListFull"),
    ({"listings": listings(listed("resolver", RESOLVER, ""))}, "listed once", "AlreadyListed"),
    (one_more(account=ZERO_ADDRESS), "the zero address not", "ZeroAddress"),
    (one_more(max_stake=Wei(0)), "max_stake must be positive", "ZeroAmount"),
    (one_more(max_stake=Wei(2**96)), "max_stake must be positive and below", None),
    (one_more(endpoint="e" * 257), "at most 256 bytes", "EndpointTooLong"),
    ({"min_total": Wei(50 * ETHER - 1)}, "min_total must lie between 1/2", "MinTotalOutOfBounds"),
    ({"min_total": Wei(200 * ETHER // 3 + 1)}, "min_total must lie between 1/2", "MinTotalOutOfBounds"),
    ({"rate": Wei(10**8 * ETHER + 1)}, "rate must be within funding", None),
    ({"funding": Wei(10**9 * ETHER + 1)}, "funding must not exceed supply", None),
    ({"supply": Wei(2**96)}, "supply must be below", None),
    ({"token_code_hash": b"\x01" * 32}, "token_code_hash is for a token", None),
    (TOKEN | {"token": ZERO_ADDRESS}, "token must not be the zero", None),
    (TOKEN | {"supply": Wei(1)}, "leave supply out", None),
    (TOKEN | {"token_code_hash": bytes(32)}, "must come with its token_code_hash", None),
    ({"treasury": ZERO_ADDRESS}, "treasury must not be the zero", "ZeroAddress"),
    *(({name: 2**32 + 1}, f"{name} must lie between 0 and 2", None) for name in LENGTHS),
    *(({name: Wei(2**96)}, f"{name} must be positive and below", None) for name in AMOUNTS),
    *(({name: Wei(0)}, f"{name} must be positive and below", "ZeroAmount") for name in ("rate", "min_deposit", "provider_bond")),
]
"""What is changed of the smallest network, the sentence that refuses it before anything is sent, the error of the contracts that know."""


@pytest.mark.parametrize(("changes", "sentence", "_"), NONSENSE)
def test_nonsense_is_refused_before_anything_is_sent(changes: dict[str, Any], sentence: str, _: str | None) -> None:
    with pytest.raises(ParameterError, match=re.escape(sentence)):
        parameters(**changes)


def test_there_is_nonsense_for_every_sentence() -> None:
    foreign = parameters(**TOKEN)
    sentences = {sentence for one in (parameters(), foreign) for sentence, _ in one._requirements()}
    assert [one for one in sentences if not any(sentence in one for _, sentence, _ in NONSENSE)] == []


@pytest.mark.parametrize(("changes", "error"), [(changes, error) for changes, _, error in NONSENSE if error])
def test_the_contracts_refuse_it_too(changes: dict[str, Any], error: str) -> None:
    unchecked = parameters()
    for name, value in changes.items():
        object.__setattr__(unchecked, name, value)

    async def run() -> None:
        backend = InProcessBackend(balances={DEPLOYER.address: 1_000 * ETHER})
        with pytest.raises(Reverted) as refused:
            await deploy(backend, Sender(backend, DEPLOYER, 31337, poll_s=0.01), unchecked)
        assert decode_revert(refused.value.data).name == error

    asyncio.run(run())


def test_another_token_than_was_said_is_refused_before_anything_is_sent() -> None:
    async def run() -> None:
        backend, chain, sender = await deployed()
        before = await chain.latest()
        code_hash = Digest(keccak(await code_of(backend, chain.network.token)))
        for token, said, sentence in (
            (chain.network.token, Digest(b"\x01" * 32), "hashes to"),
            (chain.network.vault, code_hash, "hashes to"),
            (STRANGERS[0], code_hash, "there is no contract at"),
        ):
            with pytest.raises(DeploymentError, match=sentence):
                await deploy(backend, sender, parameters(token=token, token_code_hash=said, supply=Wei(0)))
        chosen = parameters(token=chain.network.token, token_code_hash=code_hash, supply=Wei(0))
        with pytest.raises(DeploymentError, match="send it the rest first"):
            await deploy(backend, Sender(backend, COLD, 31337), chosen)
        assert await chain.latest() == before
        again = await deploy(backend, sender, chosen)
        assert (again.token, again.settlement) != (chain.network.token, chain.network.settlement)

    asyncio.run(run())


def test_addresses_of_contracts_are_computed_as_the_chain_does() -> None:
    from chain.deploy import create_address

    # The first contracts of the well-known test account of development chains.
    deployer = Address("0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266")
    assert create_address(deployer, 0) == "0x5fbdb2315678afecb367f032d93f642f64180aa3"
    assert create_address(deployer, 1) == "0xe7f1725e7734ce288f8367e1bb143e90bb3f0512"
