"""A listed account's stake as its owner moves it: each offer is what would be sent, what it would cost, and what that means.

What cannot be offered raises `NothingToDo`, or what the contracts would refuse as their own refusal (`chain.abi.ContractRefused`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chain.abi import ContractRefused
from chain.amounts import tokens
from chain.client import ChainClient
from chain.contracts import Call
from chain.types import Address, Wei
from runtime.account import gas_of, gas_price
from runtime.terminal import CommandFailed, NothingToDo, local_time

BOND_GAS = 150_000
BOND_GAS_A_VALIDATOR = 12_000
"""What bonding takes, the roster of stakes being written anew: it cannot be estimated before the approval it needs is mined."""


@dataclass(frozen=True, slots=True)
class Offer:
    """sentence: what happens. fee: about what the calls cost, wei of the chain's coin. facts: shown once they are sent."""

    sentence: str
    calls: tuple[Call, ...]
    fee: int
    facts: dict[str, Any]


async def bonding(chain: ChainClient, payer: Address, account: Address, amount: Wei) -> Offer:
    """Tokens of `payer` as stake of a listed account."""
    block = await chain.latest()
    listing = await chain.registry.listing_of(account, block)
    if listing.stake + amount > listing.max_stake:
        facts: dict[str, object] = {"account": account, "stake": listing.stake, "maxStake": listing.max_stake}
        raise ContractRefused("AboveMaxStake", facts)
    if not await chain.settlement.is_quiet(block):
        raise ContractRefused("NotQuiet", {})
    held = await chain.token.balance_of(payer, block)
    if held < amount:
        raise CommandFailed(f"{payer} holds {tokens(held)} DPN and needs {tokens(amount)} DPN: send it the rest first.")
    bond, price = chain.registry.bond(account, amount), await gas_price(chain.backend)
    if await chain.token.allowance(payer, chain.network.registry, block) >= amount:
        calls: tuple[Call, ...] = (bond,)
        gas = await gas_of(chain.backend, payer, bond)
    else:
        approve = chain.token.approve(chain.network.registry, amount)
        listed = len(await chain.registry.listed("validator", block))
        calls = approve, bond
        gas = await gas_of(chain.backend, payer, approve) + BOND_GAS + BOND_GAS_A_VALIDATOR * listed
    sentence = (
        f"Bond {tokens(amount)} DPN for {account}, which has bonded {tokens(listing.stake)} of at most {tokens(listing.max_stake)} DPN."
    )
    return Offer(sentence, calls, gas * price, {"account": account, "amount_wei": str(amount), "stake_wei": str(listing.stake + amount)})


async def unbonding(chain: ChainClient, payer: Address, account: Address, amount: Wei) -> Offer:
    """Stake that stops counting at once, and can be withdrawn after the delay."""
    call = chain.registry.unbond(account, amount)
    fee = await gas_of(chain.backend, payer, call) * await gas_price(chain.backend)
    delay = await chain.registry.number("unbondDelay")
    free = (await chain.latest()).timestamp + delay
    waiting = (await chain.registry.unbonding_of(account)).amount
    more = f" with the {tokens(waiting)} DPN that wait already" if waiting else ""
    sentence = (
        f"Unbond {tokens(amount)} DPN of {account}: they stop counting at once, can be slashed, and are free{more} at {local_time(free)}."
    )
    return Offer(
        sentence, (call,), fee, {"account": account, "amount_wei": str(amount), "free_at": free, "free_at_local": local_time(free)}
    )


async def withdrawal(chain: ChainClient, payer: Address, account: Address) -> Offer:
    """Stake whose delay is over, to the account's recipient."""
    waiting = await chain.registry.unbonding_of(account)
    if waiting.amount == 0:
        raise NothingToDo(f"No stake of {account} is on its way out: unbond first.")
    if waiting.release_at > (await chain.latest()).timestamp:
        raise CommandFailed(
            f"{tokens(waiting.amount)} DPN of {account} can be withdrawn from {local_time(waiting.release_at)} on; try again then."
        )
    call = chain.registry.withdraw_stake(account)
    fee = await gas_of(chain.backend, payer, call) * await gas_price(chain.backend)
    recipient = await chain.settlement.recipient_of(account)
    facts = {"account": account, "amount_wei": str(waiting.amount), "recipient": recipient}
    return Offer(f"Withdraw {tokens(waiting.amount)} DPN of {account} to {recipient}.", (call,), fee, facts)


async def slashing(chain: ChainClient, payer: Address, account: Address) -> Offer:
    """All stake of a convict: 10 % for its reporter, the rest for nobody."""
    conviction = await chain.registry.conviction_of(account)
    if conviction is None:
        raise ContractRefused("NotConvicted", {"account": account})
    if conviction.slashed:
        raise NothingToDo(f"The stake of {account} has been taken already.")
    stake = await chain.registry.stake_of(account) + (await chain.registry.unbonding_of(account)).amount
    call = chain.registry.slash(account)
    fee = await gas_of(chain.backend, payer, call) * await gas_price(chain.backend)
    sentence = f"Take all {tokens(stake)} DPN of {account}'s stake, 10 % of it for {conviction.reporter}, who reported it."
    return Offer(sentence, (call,), fee, {"account": account, "amount_wei": str(stake), "reporter": conviction.reporter})


async def collecting(chain: ChainClient, reporter: Address) -> Offer:
    """A reporter's shares of what was slashed."""
    share = await chain.registry.share_of(reporter)
    if share == 0:
        raise NothingToDo(f"No share of slashed stake waits for {reporter}.")
    call = chain.registry.collect()
    fee = await gas_of(chain.backend, reporter, call) * await gas_price(chain.backend)
    return Offer(f"Collect {tokens(share)} DPN for {reporter}.", (call,), fee, {"reporter": reporter, "amount_wei": str(share)})
