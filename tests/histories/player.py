"""Draws the steps of a history: who calls what when, mostly what the reference accepts, at and around every boundary of time and amount."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from chain.frauds import Equivocation, FraudProof
from chain.messages import Changes, EpochAttestation, Leaf, NewListing
from chain.typed import Signed, digest_of
from chain.types import ZERO_ADDRESS, ZERO_DIGEST, Address, Digest, Wei
from tests.histories.choices import Choices
from tests.histories.match import Step
from tests.histories.roots import EARNERS
from tests.histories.table import ACCOUNTS, GUARDIAN, KEYS, MASTER, MAXIMUM, PEOPLE, PURSE, RESOLVER, VALIDATORS
from tests.histories.trees import AnyTree

SALTS = (ZERO_DIGEST, Digest(b"\x01" * 32))
NODES = (*(key.address for key in VALIDATORS), RESOLVER.address, MASTER.address)
TRIES = 8
KEPT_REFUSALS = 0.06
"""How often a step is taken although it will be refused and there would be another."""
KINDS: dict[str, int] = {
    "propose": 12, "post": 24, "activate": 5, "claim": 8, "claim_many": 3, "claim_packed": 3, "push": 3, "set_recipient": 1,
    "bond": 5, "unbond": 4, "withdraw_stake": 8, "change": 6, "slash": 20, "collect": 8, "set_endpoint": 1,
    "register": 2, "unregister": 2, "withdraw_bond": 3,
    "fund": 1, "deposit": 2, "exit": 2, "withdraw": 12, "announce_withdrawal": 6, "refute_announcement": 6, "withdraw_announced": 12,
    "cancel": 5, "pause": 1, "unpause": 2, "nominate_guardian": 1, "accept_guard": 2,
    "commit": 4, "prove": 16, "sum": 8,
}  # fmt: skip
"""The weight of each kind of step."""
PARTS = {
    "vault": ("fund", "deposit", "exit", "withdraw", "announce_withdrawal", "refute_announcement", "withdraw_announced"),
    "judge": ("commit", "prove", "sum"),
}
LISTS = ("bond", "unbond", "withdraw_stake", "slash", "collect", "change", "set_endpoint", "register", "unregister", "withdraw_bond")
PART_OF = dict.fromkeys(LISTS, "registry") | {name: part for part, names in PARTS.items() for name in names}


class Player(Choices):
    """One history's."""

    def draw(self, seed: int) -> Step:
        """The step of this seed."""
        self.rng = Random(seed)
        for _ in range(TRIES):
            step = self.step(self.rng.choices(list(KINDS), list(KINDS.values()))[0])
            if self.world.refusal(step.part, step.name, step.caller, step.arguments, step.at) is None or self.rng.random() < KEPT_REFUSALS:
                break
        return step

    def step(self, kind: str, at: int | None = None) -> Step:
        """One of this kind, at a time or at one drawn."""
        since = self.world.now
        self.world.now = at = at if at is not None else self._window_time() if kind in ("propose", "post") else self._time()
        draw: Callable[[], tuple[Address, tuple[Any, ...]]] = getattr(self, "_" + kind)
        caller, arguments = draw()
        self.world.now = since
        return Step(at, PART_OF.get(kind, "settlement"), kind, caller, arguments)

    # Registry

    def _bond(self) -> tuple[Address, tuple[Any, ...]]:
        account = self.rng.choice(NODES)
        seat = self.world.registry.seats.get(account)
        room = seat.maximum - seat.stake if seat else 10
        return self._anyone(), (account, self._around(room))

    def _unbond(self) -> tuple[Address, tuple[Any, ...]]:
        account = self.rng.choice(NODES)
        seat = self.world.registry.seats.get(account)
        return self._owner(account), (account, self._around(seat.stake if seat else 1))

    def _withdraw_stake(self) -> tuple[Address, tuple[Any, ...]]:
        return self._anyone(), (self._one_of(self.world.registry.leaving),)

    def _change(self) -> tuple[Address, tuple[Any, ...]]:
        registry, rng = self.world.registry, self.rng
        delisted = (rng.choice(NODES),) if rng.random() < 0.2 else ()
        listed: tuple[NewListing, ...] = ()
        if rng.random() < 0.7:
            account = rng.choice(NODES)
            known = registry.seats.get(account) if rng.random() < 0.9 else None
            role, endpoint = known.role if known else rng.choice(("validator", "resolver")), "127.9.0.1:1" * rng.choice((1,) * 9 + (30,))
            listed = (NewListing(account, role, endpoint, Wei(rng.choice((MAXIMUM,) * 6 + (400, 1, 0)))),)
        after = {one: seat.maximum for one, seat in registry.seats.items() if seat.role == "validator" and one not in delisted}
        after |= {one.account: one.max_stake for one in listed if one.role == "validator"}
        most = sum(after.values())
        least = rng.choice((-(-most // 2), 2 * most // 3) * 4 + (-(-most // 2) - 1, 2 * most // 3 + 1))
        rules = rng.choice((b"", b"", rng.randbytes(3)))
        guardian = rng.choice((GUARDIAN.address, PEOPLE[0].address, ZERO_ADDRESS))
        bond = Wei(rng.choice((50, 60, 60, 0)) if rng.random() < 0.3 else registry.provider_bond)
        changes = Changes(Wei(max(0, least)), bond, delisted, listed, rules, rng.random() < 0.15, guardian)
        return self._anyone(), (changes, self.world.now + rng.choice((0, 0, 0, 100, 100, -1)), self._signers())

    def _slash(self) -> tuple[Address, tuple[Any, ...]]:
        return self._anyone(), (self._one_of(self.world.registry.convictions),)

    def _collect(self) -> tuple[Address, tuple[Any, ...]]:
        return self._one_of(self.world.registry.shares), ()

    def _set_endpoint(self) -> tuple[Address, tuple[Any, ...]]:
        return self.rng.choice((*NODES, PEOPLE[0].address)), ("é" * self.rng.choice((3, 128, 129)),)

    def _register(self) -> tuple[Address, tuple[Any, ...]]:
        caller = self.rng.choice(EARNERS)
        recipient = self.rng.choice((caller, self.world.settlement.recipient_of(caller), self._anyone(), ZERO_ADDRESS))
        return caller, (recipient, self.rng.choice((ZERO_ADDRESS, ZERO_ADDRESS, self._one_of(self.world.registry.providers))))

    def _unregister(self) -> tuple[Address, tuple[Any, ...]]:
        return self._one_of(self.world.registry.providers), ()

    def _withdraw_bond(self) -> tuple[Address, tuple[Any, ...]]:
        return self._one_of(self.world.registry.providers), ()

    # Vault

    def _fund(self) -> tuple[Address, tuple[Any, ...]]:
        return self._anyone(), (self.rng.choice((1, 500, 0, 2**96, PURSE + 1)),)

    def _deposit(self) -> tuple[Address, tuple[Any, ...]]:
        return self.rng.choice(PEOPLE).address, (self.rng.choice((10, 9, 100, 333, 2_000, 2**96)),)

    def _exit(self) -> tuple[Address, tuple[Any, ...]]:
        return self._depositor(), ()

    def _withdraw(self) -> tuple[Address, tuple[Any, ...]]:
        caller = self._depositor()
        leaf, tree = self._leaf(caller if self.rng.random() < 0.9 else None)
        return caller, (replace(leaf, account=caller), tree)

    def _announce_withdrawal(self) -> tuple[Address, tuple[Any, ...]]:
        return self._depositor(), ()

    def _refute_announcement(self) -> tuple[Address, tuple[Any, ...]]:
        announced = [account for account, one in self.world.vault.accounts.items() if one.payable_at]
        return self._anyone(), self._leaf(self.rng.choice(announced) if announced else None)

    def _withdraw_announced(self) -> tuple[Address, tuple[Any, ...]]:
        return self._depositor(), ()

    # Roots

    def _propose(self) -> tuple[Address, tuple[Any, ...]]:
        settlement, t, rng = self.world.settlement, self.world.timing, self.rng
        epoch = max(1, self.world.last_ended() + rng.choice((0,) * 20 + (-1, 1)))
        round_ = max(0, (self.world.now - t.intake_end(epoch)) // t.round_length + rng.choice((0,) * 20 + (-1, 1)))
        proposer = settlement.proposer_of(epoch, round_)
        caller = proposer if rng.random() < 0.95 and proposer in KEYS else self._anyone()
        attestation = self.drafts.draw(self.world, rng, epoch, round_).attestation if rng.random() < 0.97 else None
        return caller, (epoch, round_, attestation)

    def _post(self) -> tuple[Address, tuple[Any, ...]]:
        candidate = self.world.settlement.candidate
        attestation = candidate[2] if candidate else self.drafts.draw(self.world, self.rng, max(1, self.world.last_ended()), 0).attestation
        if self.rng.random() < 0.15:
            attestation = self._spoiled(attestation)
        return self._anyone(), (attestation, self._signers())

    def _spoiled(self, one: EpochAttestation) -> EpochAttestation:
        changes: tuple[dict[str, Any], ...] = (
            {"epoch": one.epoch + 1}, {"epoch": 0}, {"through": one.through + 1}, {"round": one.round + 1}, {"root": ZERO_DIGEST},
            {"parent_root": Digest(b"\x05" * 32)}, {"rules_digest": ZERO_DIGEST}, {"state_digest": ZERO_DIGEST},
            {"total_earned": one.total_earned + 1}, {"total_earned": 2**256 - 1}, {"total_earned": 0}, {"total_spent": 0},
            {"total_spent": self.world.vault.deposits() + 1}, {"total_earned": self.world.vault.funded + one.total_spent + 1},
        )  # fmt: skip
        return replace(one, **self.rng.choice(changes))

    def _activate(self) -> tuple[Address, tuple[Any, ...]]:
        return self._anyone(), ()

    def _claim(self) -> tuple[Address, tuple[Any, ...]]:
        return self._anyone(), self._leaf()

    def _claim_many(self) -> tuple[Address, tuple[Any, ...]]:
        items = [self._leaf() for _ in range(self.rng.randint(0, 5))]
        trees = [tree for _, tree in items]
        return self._anyone(), ([leaf for leaf, _ in items], trees[1:] if self.rng.random() < 0.05 else trees)

    def _claim_packed(self) -> tuple[Address, tuple[Any, ...]]:
        packable = [tree for tree in self._trees() if tree.is_packable()]
        tree = packable[0] if packable else AnyTree([Leaf(EARNERS[0], 1, 0, 0, 0)])
        accounts = self.rng.sample([leaf.account for leaf in tree.leaves], self.rng.randint(1, len(tree.leaves)))
        return self._anyone(), (tree.multiproof(accounts).leaves, tree)

    def _push(self) -> tuple[Address, tuple[Any, ...]]:
        return self._anyone(), self._leaf()

    def _set_recipient(self) -> tuple[Address, tuple[Any, ...]]:
        account = self._anyone()
        return self._owner(account), (account, self.rng.choice((account, self._anyone(), self._anyone(), ZERO_ADDRESS)))

    # The guard

    def _cancel(self) -> tuple[Address, tuple[Any, ...]]:
        return self._guardian(), ()

    def _pause(self) -> tuple[Address, tuple[Any, ...]]:
        return self._guardian(), ()

    def _unpause(self) -> tuple[Address, tuple[Any, ...]]:
        return self._guardian(), ()

    def _nominate_guardian(self) -> tuple[Address, tuple[Any, ...]]:
        return self._guardian(), (self.rng.choice((GUARDIAN.address, PEOPLE[1].address, ZERO_ADDRESS)),)

    def _accept_guard(self) -> tuple[Address, tuple[Any, ...]]:
        nominee = self.world.settlement.guard.nominee
        return nominee if nominee in KEYS and self.rng.random() < 0.9 else self._anyone(), ()

    # Frauds

    def _commit(self) -> tuple[Address, tuple[Any, ...]]:
        reporter, salt = self.rng.choice(PEOPLE).address, self.rng.choice(SALTS)
        draft = self.drafts.by_root.get(self.world.settlement.newest.root)
        if draft is not None and draft.proof is not None and self.rng.random() < 0.85:
            report: tuple[FraudProof, tuple[AnyTree, ...], tuple[Address, ...]] = (draft.proof, draft.trees, ())
        else:
            report = self._equivocation()
        self.reports.append((reporter, report[0], salt, report[1], report[2]))
        return self._anyone(), (reporter, report[0], salt)

    def _equivocation(self) -> tuple[FraudProof, tuple[AnyTree, ...], tuple[Address, ...]]:
        one = self.drafts.draw(self.world, self.rng, 1, 0).attestation
        two = replace(one, **self.rng.choice(({"state_digest": ZERO_DIGEST}, {"state_digest": ZERO_DIGEST}, {"round": 1}, {})))
        signer = self.rng.choice(NODES)
        signers = (signer, signer if self.rng.random() < 0.9 else self.rng.choice(NODES))
        domain = self.world.network.domain
        a, b = (Signed(said, KEYS[by].sign(digest_of(said, domain))) for said, by in zip((one, two), signers, strict=True))
        return Equivocation(a, b), (), signers

    def _prove(self) -> tuple[Address, tuple[Any, ...]]:
        if not self.reports:
            self._commit()  # a proof that was not committed to
        reporter, proof, salt, trees, signers = self.rng.choice(self.reports[-3:])
        return reporter if self.rng.random() < 0.95 else self._anyone(), (proof, salt, trees, signers)

    def _sum(self) -> tuple[Address, tuple[Any, ...]]:
        tree = self.drafts.tree(self.world.settlement.newest.root) or self._trees()[0]
        leaves = tree.ascending() if self.rng.random() < 0.8 else tree.ascending()[self.rng.randint(0, 2) :]
        return self.rng.choice([one[0] for one in self.reports] or list(ACCOUNTS)), (leaves, [tree] * len(leaves))
