"""Every function of every contract's wrapper, used for what it is for, on the in-process chain; a wrapper that no step uses fails."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chain.contracts import Contract, JudgeContract, RegistryContract, SettlementContract, TokenContract, VaultContract
from chain.frauds import Equivocation, ExcessiveSum, Fall, FraudProof, OutOfRange, Overspending, Repeat, commitment, running_hash
from chain.merkle import MerkleTree, leaf_hash
from chain.messages import Bundle, Changes, Leaf, NewListing
from chain.permit import Permit, sign_permit
from chain.typed import sign
from chain.types import ZERO_ADDRESS, ZERO_DIGEST, Address, Digest, Wei
from chain.view import Conviction, Deposit
from tests.histories.table import DEPLOYER, GUARDIAN, MASTER, MAXIMUM, PEOPLE, PURSE, RESOLVER, VALIDATORS, seated
from tests.histories.trees import AnyTree
from tests.scene import Scene

CONTRACTS: tuple[type[Contract], ...] = (RegistryContract, VaultContract, SettlementContract, JudgeContract, TokenContract)
ANNE, BOB, COLD, REPORTER = PEOPLE
SALT = Digest(b"\x07" * 32)


def functions(wrapper: type[Contract]) -> dict[str, Callable[..., Any]]:
    return {name: one for name, one in inspect.getmembers(wrapper, inspect.isfunction) if not name.startswith("_")}


def test_every_function_does_what_it_says_and_none_is_left_unused(monkeypatch: pytest.MonkeyPatch) -> None:
    used: set[tuple[str, str]] = set()

    def noted(wrapper: type[Contract], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            used.add((wrapper.NAME, name))
            return function(*arguments, **named)

        return call

    for wrapper in CONTRACTS:
        for name, function in functions(wrapper).items():
            monkeypatch.setattr(wrapper, name, noted(wrapper, name, function))

    async def run() -> None:
        backend, chain, _ = await seated()
        scene = Scene(backend, chain)
        for act in (tokens, stakes, a_bundle, providers, deposits, a_first_root, withdrawals, the_guard, frauds, what_was_waiting):
            await act(scene)

    asyncio.run(run())
    every = {(wrapper.NAME, name) for wrapper in CONTRACTS for name in functions(wrapper)} - {(one.NAME, "part") for one in CONTRACTS}
    every -= {(one.NAME, "number") for one in CONTRACTS}  # both read getters that have no function of their own
    assert every - used == set()


async def tokens(scene: Scene) -> None:
    token = scene.chain.token
    assert (await token.name(), await token.symbol(), await token.number("totalSupply")) == ("DPN Reward", "DPN", 2_000_000)
    await scene.send(ANNE, token.transfer(BOB.address, Wei(5)))
    await scene.send(BOB, token.transfer(ANNE.address, Wei(5)))
    assert await token.balance_of(BOB.address) == PURSE
    await scene.send(COLD, token.approve(scene.chain.network.vault, Wei(0)))
    assert await token.allowance(COLD.address, scene.chain.network.vault) == 0
    assert await scene.refused(COLD, scene.chain.vault.deposit(Wei(10))) == "ERC20InsufficientAllowance"


async def stakes(scene: Scene) -> None:
    registry, before = scene.chain.registry, await scene.chain.registry.roster()
    for key in VALIDATORS[:4]:
        await scene.send(key, registry.bond(key.address, Wei(MAXIMUM)))
    assert await registry.roster() != before
    assert await registry.part("token") == scene.chain.network.token
    await scene.send(ANNE, registry.bond(MASTER.address, Wei(300)))
    await scene.send(VALIDATORS[3], registry.unbond(VALIDATORS[3].address, Wei(400)))
    assert await registry.stake_of(VALIDATORS[3].address) == 600
    assert (await registry.validators())[VALIDATORS[3].address] == 600
    assert await registry.total_stake() == 3_600
    assert [await registry.draw(seed) for seed in (0, 4 * 5 + 3)] == [VALIDATORS[0].address, VALIDATORS[3].address]
    waiting = await registry.unbonding_of(VALIDATORS[3].address)
    assert (waiting.amount, waiting.release_at) == (400, await scene.now() + 216_000)
    assert await scene.refused(ANNE, registry.withdraw_stake(VALIDATORS[3].address)) == "StakeLocked"
    await scene.send(RESOLVER, registry.set_endpoint("127.2.0.9:1"))
    listing = await registry.listing_of(RESOLVER.address)
    assert (listing.role, listing.endpoint, listing.max_stake, listing.stake) == ("resolver", "127.2.0.9:1", 500, 0)
    assert await registry.listed("resolver") == (listing,)


async def a_bundle(scene: Scene) -> None:
    registry, domain = scene.chain.registry, scene.chain.network.domain
    joined = NewListing(VALIDATORS[4].address, "validator", "127.1.0.4:7000", Wei(MAXIMUM))
    changes = Changes(Wei(2_500), Wei(60), delisted=(MASTER.address,), listed=(joined,), rules=b"{}")
    deadline, nonce = await scene.now() + 100, await registry.bundle_nonce()
    signatures = [sign(Bundle(nonce, deadline, changes.digest()), domain, key).signature for key in VALIDATORS[:3]]
    assert await scene.chain.settlement.is_quiet()
    assert await scene.refused(ANNE, registry.change(changes, deadline, signatures[:2])) == "QuorumNotReached"
    await scene.send(ANNE, registry.change(changes, deadline, signatures))
    assert await registry.bundle_nonce() == nonce + 1
    assert (await registry.min_total(), await registry.provider_bond()) == (2_500, 60)
    assert await registry.listed("master") == ()
    assert len(await registry.listed("validator")) == 5
    assert await registry.rules_digest() == (await scene.view()).rules_digest
    assert await scene.refused(MASTER, registry.set_endpoint("")) == "NotListed"


async def providers(scene: Scene) -> None:
    registry, settlement = scene.chain.registry, scene.chain.settlement
    await scene.send(ANNE, registry.register(COLD.address))
    await scene.send(BOB, registry.register(BOB.address, ANNE.address))
    record = await registry.provider_of(BOB.address)
    assert (record.registered, record.bond, record.referrer, record.release_at) == (True, 60, ANNE.address, 0)
    assert await settlement.recipient_of(ANNE.address) == COLD.address
    await scene.send(BOB, registry.unregister())
    assert (await registry.provider_of(BOB.address)).release_at == await scene.now() + 100_000
    assert await scene.refused(BOB, registry.withdraw_bond()) == "BondLocked"
    assert await scene.refused(ANNE, settlement.set_recipient(ANNE.address, ANNE.address)) == "NotRecipient"
    await scene.send(COLD, settlement.set_recipient(ANNE.address, ANNE.address))
    assert await settlement.recipient_of(ANNE.address) == ANNE.address


async def deposits(scene: Scene) -> None:
    vault, token, network = scene.chain.vault, scene.chain.token, scene.chain.network
    await scene.send(ANNE, vault.fund(Wei(100)))
    await scene.send(ANNE, vault.deposit(Wei(1_000)))
    await scene.send(BOB, vault.deposit(Wei(500)))
    deadline = await scene.now() + 100
    permit = Permit(COLD.address, network.vault, Wei(200), await token.permit_nonce(COLD.address), deadline)
    await scene.send(COLD, vault.deposit_with_permit(Wei(200), deadline, sign_permit(permit, network.token, "DPN Reward", 31337, COLD)))
    assert await token.permit_nonce(COLD.address) == 1
    limits = await vault.limits()
    assert (limits.rate, limits.funded, limits.deposits) == (600, await vault.funded(), await vault.deposits()) == (600, 5_100, 1_700)
    for key in (BOB, COLD):
        await scene.send(key, vault.exit())
    left = await vault.deposit_of(COLD.address)
    assert left == Deposit(Wei(200), Wei(0), 0, await scene.now(), 0) == (await scene.view()).deposit_of(COLD.address)
    assert (left.held, (await vault.deposit_of(ANNE.address)).exit_epoch) == (200, None)


FIRST = MerkleTree(
    [
        Leaf(ANNE.address, 100, 50, 7, 500_000),
        Leaf(BOB.address, 200, 100, 0, 400_000),
        Leaf(DEPLOYER.address, 300, 0, 0, 0),
        Leaf(VALIDATORS[0].address, 40, 0, 0, 1),
        Leaf(RESOLVER.address, 0, 0, 0, 250_000),
    ]
)


async def a_first_root(scene: Scene) -> None:
    settlement = scene.chain.settlement
    posted = await scene.post(1, FIRST, 640, 150)
    record = await settlement.pending_record()
    assert (record.root, record.total_earned, record.total_spent, record.epoch, record.signers) == (FIRST.root, 640, 150, 1, 0b1111)
    assert record == await settlement.triable_record()
    assert await settlement.pending_root() == FIRST.root
    assert (await settlement.active_root(), await settlement.last_posted_epoch()) == (ZERO_DIGEST, 1)
    await scene.send(ANNE, settlement.post(posted, []))  # what is pending already
    await scene.until(record.active_at)
    assert await settlement.active_record() == record
    await scene.send(ANNE, settlement.activate())
    assert await settlement.active_record() == replace(record, active_at=0)
    assert (await settlement.pot(), await scene.chain.vault.fed()) == (640, 640)

    def item(account: Address) -> tuple[Leaf, tuple[Digest, ...]]:
        return FIRST.leaves[[leaf.account for leaf in FIRST.leaves].index(account)], FIRST.path(account)

    await scene.send(COLD, settlement.claim(*item(ANNE.address)))
    assert (await settlement.claimed_of(ANNE.address), await settlement.reputation_of(ANNE.address)) == (100, (500_000, 1))
    items = [item(ANNE.address), item(BOB.address)]
    await scene.send(COLD, settlement.claim_many([leaf for leaf, _ in items], [path for _, path in items]))
    await scene.send(COLD, settlement.claim_packed(FIRST.multiproof([BOB.address, DEPLOYER.address, VALIDATORS[0].address])))
    paid = [await settlement.claimed_of(leaf.account) for leaf in FIRST.leaves]
    assert (paid, await settlement.pot()) == ([100, 200, 300, 40, 0], 0)
    await scene.send(COLD, settlement.push(*item(RESOLVER.address)))
    assert await settlement.reputation_of(RESOLVER.address) == (250_000, 1)
    assert await scene.refused(COLD, settlement.push(*item(RESOLVER.address))) == "NotNewer"


async def withdrawals(scene: Scene) -> None:
    vault, bob = scene.chain.vault, FIRST.leaf(BOB.address)
    assert bob is not None
    before = await scene.chain.token.balance_of(BOB.address)
    await scene.send(BOB, vault.withdraw(bob, FIRST.path(BOB.address)))
    assert await scene.chain.token.balance_of(BOB.address) == before + 400
    assert await vault.deposit_of(BOB.address) == Deposit(Wei(500), Wei(400))
    assert await scene.refused(COLD, vault.announce_withdrawal()) == "TooEarly"
    await scene.send(ANNE, vault.exit())
    assert (await vault.deposit_of(ANNE.address)).exit_epoch == 2


async def the_guard(scene: Scene) -> None:
    settlement = scene.chain.settlement
    await scene.send(GUARDIAN, settlement.pause())
    assert (await settlement.guard()).paused_until == await scene.now() + 72 * 3_600
    anne = FIRST.leaf(ANNE.address)
    assert anne is not None
    assert await scene.refused(ANNE, settlement.claim(anne, FIRST.path(ANNE.address))) == "IsPaused"
    await scene.send(GUARDIAN, settlement.unpause())
    guard = await settlement.guard()
    assert (guard.paused_until, guard.pausable_from) == (0, await scene.now() + 14 * 86_400)
    await scene.send(GUARDIAN, settlement.nominate_guardian(BOB.address))
    assert (await settlement.guard()).nominee == BOB.address
    await scene.send(BOB, settlement.accept_guard())
    guard = await settlement.guard()
    assert (guard.guardian, guard.nominee) == (BOB.address, ZERO_ADDRESS)
    assert guard == (await scene.view()).guard
    assert await scene.refused(GUARDIAN, settlement.cancel()) == "NotGuardian"


async def frauds(scene: Scene) -> None:
    """A root with every fraud in it, cancelled by the guardian; each of its proofs by itself convicts all who signed."""
    chain, settlement, registry, judge = scene.chain, scene.chain.settlement, scene.chain.registry, scene.chain.judge
    fallen, over, beyond = Leaf(ANNE.address, 99, 50, 7, 0), Leaf(COLD.address, 0, 201, 0, 0), Leaf(REPORTER.address, 0, 0, 2**64, 0)
    twice = Leaf(BOB.address, 600, 100, 0, 0), Leaf(BOB.address, 700, 100, 0, 0)
    tree = AnyTree([fallen, over, beyond, *twice])
    posted = await scene.post(2, tree, 1_240, 351)
    await scene.send(BOB, settlement.cancel())
    assert (await settlement.pending_root(), (await settlement.triable_record()).root) == (ZERO_DIGEST, tree.root)
    assert not await settlement.is_quiet()
    first, other = sign(posted, chain.network.domain, VALIDATORS[1]), replace(posted, root=FIRST.root)
    parent = FIRST.leaf(ANNE.address)
    assert parent is not None
    hashes = [leaf_hash(leaf) for leaf in tree.ascending()]
    proofs: list[FraudProof] = [
        Fall(fallen, tree.path(fallen), parent, FIRST.path(ANNE.address)),
        Repeat(twice[0], tree.path(twice[0]), twice[1], tree.path(twice[1])),
        Overspending(over, tree.path(over)),
        OutOfRange(beyond, tree.path(beyond)),
        ExcessiveSum(tree.root, running_hash(hashes)),
        Equivocation(first, sign(other, chain.network.domain, VALIDATORS[1])),
    ]
    for proof in proofs:
        snapshot = await scene.backend.request("evm_snapshot", [])
        evidence = commitment(REPORTER.address, proof.digest(), SALT)
        assert await judge.commitment_of(REPORTER.address, proof.digest(), SALT) == evidence
        assert await scene.refused(REPORTER, judge.prove(proof, SALT)) == "NotCommitted"
        await scene.send(REPORTER, judge.commit(evidence))
        assert await judge.committed_at(evidence) == (await chain.latest()).number
        if isinstance(proof, ExcessiveSum):
            await scene.send(REPORTER, judge.sum(tree.ascending(), [tree.path(leaf) for leaf in tree.ascending()]))
            summed = await judge.summed(tree.root, REPORTER.address)
            assert (summed.last, summed.running, summed.earned, summed.leaves) == (hashes[-1], proof.running, 1_399, 5)
        else:
            # The sender's estimate is made in the newest block, which must not be the commitment's own.
            await scene.until(await scene.now() + 1)
        await scene.send(REPORTER, judge.prove(proof, SALT))
        guilty = VALIDATORS[1:2] if isinstance(proof, Equivocation) else VALIDATORS[:4]
        assert await registry.unslashed() == len(guilty)
        found = [await registry.conviction_of(key.address) for key in VALIDATORS]
        assert found == [Conviction(REPORTER.address, slashed=False) if key in guilty else None for key in VALIDATORS]
        await scene.send(COLD, registry.slash(VALIDATORS[1].address))
        assert await registry.conviction_of(VALIDATORS[1].address) == Conviction(REPORTER.address, slashed=True)
        assert (await registry.stake_of(VALIDATORS[1].address), await registry.share_of(REPORTER.address)) == (0, 100)
        await scene.send(REPORTER, registry.collect())
        assert (await registry.share_of(REPORTER.address), await chain.token.balance_of(REPORTER.address)) == (0, PURSE + 100)
        await scene.back_to(snapshot)


async def what_was_waiting(scene: Scene) -> None:
    """Delays are over: bonds, stake and a deposit that no leaf tells of come back."""
    registry, vault, token = scene.chain.registry, scene.chain.vault, scene.chain.token
    anne = FIRST.leaf(ANNE.address)
    assert anne is not None
    await scene.until((await vault.deposit_of(ANNE.address)).exit_at + 237_600)
    await scene.send(BOB, registry.withdraw_bond())
    assert (await registry.provider_of(BOB.address)).bond == 0
    await scene.send(ANNE, registry.withdraw_stake(VALIDATORS[3].address))
    assert await token.balance_of(VALIDATORS[3].address) == PURSE - 600
    for key in (ANNE, COLD):
        await scene.send(key, vault.announce_withdrawal())
        assert (await vault.deposit_of(key.address)).payable_at == await scene.now() + 2 * 86_400
    await scene.send(BOB, vault.refute_announcement(anne, FIRST.path(ANNE.address)))
    assert (await vault.deposit_of(ANNE.address)).payable_at == 0
    assert await scene.refused(ANNE, vault.withdraw_announced()) == "NothingAnnounced"
    await scene.until((await vault.deposit_of(COLD.address)).payable_at + 10_000)
    before = await token.balance_of(COLD.address)
    await scene.send(COLD, vault.withdraw_announced())
    assert await token.balance_of(COLD.address) == before + 200
