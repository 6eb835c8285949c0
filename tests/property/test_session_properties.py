"""What sessions pay, to providers and those who referred them: by a set, never more than was paid in, nothing by the payee's own word, and
a loss to who pays himself."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from hypothesis import assume, given
from hypothesis import strategies as st

from chain.epochs import Timing
from chain.rules import Rules
from chain.typed import Signed
from chain.types import PPM, ZERO_ADDRESS, ZERO_DIGEST, Address, Digest, Signature
from validator.epoch import Outcome, recompute
from validator.frauds import LeafTree, frauds_in
from validator.state import AccountState, State, leaves_of
from wire.agreement import ChainSection, CoveredEpoch, Depositor, ListedNode, Manifest, RegisteredProvider
from wire.messages import ActivityProof, DemandReceipt, Offer, SessionEvidence, SessionRequest, UsageReceipt, UsageReport
from wire.sessions import GIB, fee_of

TIMING = Timing(1_000, 20, 3, 11, 5, 4, 4, 5)
RULES = Rules()
TREASURY = Address("0x" + "fe" * 20)
PROVIDERS = tuple(Address(f"0x{0xA0 + n:040x}") for n in range(3))
CONSUMERS = tuple(Address(f"0x{0xC0 + n:040x}") for n in range(3))
VALIDATORS = tuple(Address(f"0x{n:040x}") for n in range(1, 5))
STRANGER = Address("0x" + "dd" * 20)
NOBODY = (ZERO_ADDRESS,) * len(PROVIDERS)
EXCLUSIVE = RULES.tier_points[-1] * 1_000
LAST = 3
M = TypeVar("M")


def unsigned(message: M, filler: int = 0) -> Signed[M]:
    """Recomputation reads no signature: what it is given has been verified."""
    return Signed(message, Signature(bytes([filler]) * 65))


@dataclass(frozen=True)
class Word:
    """What one proof of one epoch says of one session."""

    number: int
    epoch: int
    received: int
    served: int | None
    covered: int

    @property
    def consumer(self) -> Address:
        return CONSUMERS[self.number % len(CONSUMERS)]

    @property
    def provider(self) -> Address:
        return PROVIDERS[self.number // len(CONSUMERS) % len(PROVIDERS)]

    def evidence(self) -> SessionEvidence:
        """Sessions lie side by side, 1,000 wei each, in the order of their numbers."""
        name, interval = Digest(self.number.to_bytes(32)), (1_000 * self.number, 1_000 * self.number + 1_000)
        at, given = TIMING.start_of(self.epoch), TIMING.start_of(self.covered)
        demand = tuple(unsigned(DemandReceipt(one, self.consumer, self.provider, name, *interval, given)) for one in VALIDATORS[:3])
        request = SessionRequest(self.consumer, "", 0, 0, GIB, *interval, self.number, 9**9)
        receipt = unsigned(UsageReceipt(self.consumer, name, 1, 0, self.received, 0, 0, at))
        reports = () if self.served is None else (unsigned(UsageReport(self.provider, name, 1, 0, self.served, 0, 0, at)),)
        return SessionEvidence(unsigned(request), unsigned(Offer(self.provider, name, GIB, 9**9)), demand, (receipt,), reports)


words = st.lists(
    st.builds(
        Word,
        st.integers(1, 12),
        st.integers(1, LAST),
        st.integers(0, 1_500),
        st.one_of(st.none(), st.integers(0, 1_500)),
        st.integers(1, LAST),
    ),
    max_size=20,
)


@dataclass(frozen=True)
class World:
    """Who holds what, what an epoch may draw, who referred each provider, and the points (thousandths) that each has before; everyone is
    registered, and the validators have their stake throughout."""

    held: tuple[int, ...]
    rate: int
    funded: int
    referrers: tuple[Address, ...] = NOBODY
    points: tuple[int, ...] = (0, 0, 0)

    def section(self, epoch: int) -> ChainSection:
        roles = tuple(ListedNode(one, "validator", 100) for one in VALIDATORS)
        providers = tuple(RegisteredProvider(*one, 1) for one in zip(PROVIDERS, self.referrers, strict=True))
        return ChainSection(epoch, epoch, Digest(bytes(32)), roles, roles, providers, self.funded, self.rate, TREASURY)

    def before(self) -> State:
        """With nothing but points."""
        found = zip(PROVIDERS, self.points, strict=True)
        return State(0, tuple(AccountState(one, 0, 0, points, 200_000, 0, "", 0, ()) for one, points in found if points))

    def deposits(self) -> dict[Address, int]:
        return dict(zip(CONSUMERS, self.held, strict=True))

    def root(self, parent: State, told: Sequence[tuple[int, Signed[ActivityProof]]], upto: int) -> Outcome:
        epochs = range(parent.through + 1, upto + 1)
        evidence = {epoch: tuple(proof for of, proof in told if of == epoch) for epoch in epochs}
        depositors = tuple(Depositor(account, amount, 0, 0) for account, amount in sorted(self.deposits().items()))
        covered = tuple(CoveredEpoch(epoch, ()) for epoch in epochs)
        sections = tuple(self.section(epoch) for epoch in epochs)
        manifest = Manifest(upto, upto, ZERO_DIGEST, ZERO_DIGEST, RULES.digest(), depositors, sections, covered)
        return recompute(parent, manifest, evidence, TIMING, RULES)


worlds = st.builds(
    World,
    st.tuples(*(st.sampled_from([0, 1_000, 2_500, 10**6]) for _ in CONSUMERS)),
    st.sampled_from([1, 100, 10**18]),
    st.sampled_from([0, 50, 10**24]),
    st.tuples(*(st.sampled_from([ZERO_ADDRESS, STRANGER, *PROVIDERS]) for _ in PROVIDERS)),
    st.tuples(*(st.sampled_from([0, *(points * 1_000 for points in RULES.tier_points)]) for _ in PROVIDERS)),
)


def proofs(told: Sequence[Word]) -> list[tuple[int, Signed[ActivityProof]]]:
    """One a provider and epoch."""
    found = []
    for epoch in range(1, LAST + 1):
        for provider in PROVIDERS:
            shown = tuple(word.evidence() for word in told if (word.provider, word.epoch) == (provider, epoch))
            found.append((epoch, unsigned(ActivityProof(provider, epoch, 1, (), (), shown, (), ZERO_DIGEST))))
    return found


@given(worlds, words, st.randoms(use_true_random=False))
def test_order_doubles_and_envelopes_make_no_difference(world: World, told: list[Word], chance: random.Random) -> None:
    torn = []
    for word in [*told, *told[:5]]:
        proof = ActivityProof(word.provider, word.epoch, chance.randint(0, 9), (), (), (word.evidence(),), (), ZERO_DIGEST)
        torn.append((word.epoch, unsigned(proof, chance.randint(0, 255))))
    chance.shuffle(torn)
    assert world.root(world.before(), torn, LAST) == world.root(world.before(), proofs(told), LAST)


@given(worlds, words)
def test_every_root_is_one_that_the_contracts_take_and_nobody_can_refute(world: World, told: list[Word]) -> None:
    parent, parent_tree = world.before(), None
    for epoch in range(1, LAST + 1):
        outcome = world.root(parent, proofs(told), epoch)
        grown, spent = outcome.total_earned - parent.total_earned, outcome.total_spent - parent.total_spent
        assert spent >= 0
        assert spent <= grown <= spent + world.rate * (RULES.session_share_ppm + RULES.role_share_ppm) // PPM
        assert outcome.total_earned <= world.funded + outcome.total_spent
        assert outcome.total_spent <= sum(world.held)
        assert outcome.total_earned == sum(leaf.earned for leaf in outcome.leaves)
        tree = LeafTree(leaves_of(outcome.state, TREASURY))
        assert list(frauds_in(tree, outcome.total_earned, parent_tree, world.deposits())) == []
        parent, parent_tree = outcome.state, tree


@given(worlds, words)
def test_several_epochs_at_once_are_as_one_after_the_other(world: World, told: list[Word]) -> None:
    state = world.before()
    for epoch in range(1, LAST + 1):
        state = world.root(state, proofs(told), epoch).state
    assert world.root(world.before(), proofs(told), LAST).state == state


def earned(outcome: Outcome, account: Address) -> int:
    return next((leaf.earned for leaf in outcome.leaves if leaf.account == account), 0)


def shared(outcome: Outcome) -> dict[Address, int]:
    """What of each provider's rewards went to its referrer, wei."""
    return {account.account: account.shared for account in outcome.state.accounts if account.shared}


def by_providing(world: World, outcome: Outcome) -> dict[Address, int]:
    """What each provider earned by its sessions, with what went to its referrer, and without what came from those it referred."""
    gave, by_referrer = shared(outcome), dict(zip(PROVIDERS, world.referrers, strict=True))
    came = {one: sum(amount for provider, amount in gave.items() if by_referrer[provider] == one) for one in PROVIDERS}
    return {one: earned(outcome, one) + gave.get(one, 0) - came[one] for one in PROVIDERS}


@given(worlds, words)
def test_a_referrer_s_part_is_of_its_provider_s_and_nothing_is_added(world: World, told: list[Word]) -> None:
    """All others, and both together, have what they would have if nobody had been referred."""
    alone = replace(world, referrers=NOBODY)
    split, whole = (one.root(one.before(), proofs(told), LAST) for one in (world, alone))
    assert by_providing(world, split) == by_providing(alone, whole)
    assert (split.total_earned, split.total_spent) == (whole.total_earned, whole.total_spent)
    others = {leaf for leaf in whole.leaves if leaf.account not in PROVIDERS}
    assert others == {leaf for leaf in split.leaves if leaf.account not in PROVIDERS}
    assert {one.account: replace(one, earned=0, shared=0) for one in split.state.accounts} == {
        one.account: replace(one, earned=0, shared=0) for one in whole.state.accounts
    }
    assert all(amount <= earned(whole, one) * 120_000 // PPM for one, amount in shared(split).items())


@given(worlds, words, st.integers(0, 19), st.integers(0, 3_000))
def test_a_provider_s_own_figures_never_raise_what_it_is_paid(world: World, told: list[Word], which: int, served: int) -> None:
    """Whatever it reports, more or less than before, of a session for which it showed the receipt alone. Between it and its referrer they
    may move how an epoch is rounded: less than a wei an epoch."""
    rich = replace(world, held=(10**6, 10**6, 10**6), rate=10**18, funded=10**24)
    assume(told)
    plain = [replace(word, served=None) for word in told]
    boasted = [replace(word, served=served) if n == which % len(plain) else word for n, word in enumerate(plain)]
    before, after = (rich.root(rich.before(), proofs(one), LAST) for one in (plain, boasted))
    was, is_ = by_providing(rich, before), by_providing(rich, after)
    assert all(is_[provider] <= was[provider] for provider in PROVIDERS)
    boaster = boasted[which % len(plain)].provider
    gave = [shared(outcome).get(boaster, 0) for outcome in (before, after)]
    assert is_[boaster] - gave[1] < was[boaster] - gave[0] + LAST
    by_consumer = {leaf.account: leaf.spent for leaf in before.leaves}
    assert all(leaf.spent <= by_consumer[leaf.account] for leaf in after.leaves)


@given(worlds, words)
def test_no_session_costs_more_than_it_was_receipted_for_or_than_its_interval(world: World, told: list[Word]) -> None:
    shown: dict[tuple[int, int], list[Word]] = {}
    for word in told:
        shown.setdefault((word.number, word.epoch), []).append(word)
    most: dict[int, int] = {}
    for (number, epoch), together in shown.items():  # whoever covers it, all of an epoch is one set
        if {word.covered for word in together} & {epoch - 1, epoch}:
            received = max(word.received for word in together)
            most[number] = max(most.get(number, 0), min(1_000, fee_of(GIB, received)))
    outcome = world.root(world.before(), proofs(told), LAST)
    for consumer in CONSUMERS:
        spent = next((leaf.spent for leaf in outcome.leaves if leaf.account == consumer), 0)
        assert spent <= sum(fee for number, fee in most.items() if CONSUMERS[number % len(CONSUMERS)] == consumer)


def loss(world: World, told: Sequence[Word], ring: frozenset[Address]) -> tuple[int, int]:
    """What the ring's members together lost, and the protocol fee that they paid, wei."""
    outcome = world.root(world.before(), proofs(told), LAST)
    spent = sum(leaf.spent for leaf in outcome.leaves if leaf.account in ring)
    return spent - sum(leaf.earned for leaf in outcome.leaves if leaf.account in ring), earned(outcome, TREASURY)


@given(worlds, words)
def test_who_pays_himself_loses_at_least_a_tenth_of_the_protocol_fee(world: World, told: list[Word]) -> None:
    """All consumers and all providers are one, in a ring, whoever of them referred whom."""
    lost, protocol_fee = loss(world, told, frozenset((*CONSUMERS, *PROVIDERS)))
    assert lost * PPM >= protocol_fee * (PPM - RULES.session_subsidy_ppm)
    assert 10 * lost >= protocol_fee


@given(worlds, words, st.sampled_from(PROVIDERS), st.sampled_from(PROVIDERS))
def test_nor_does_it_help_to_be_ones_own_referrer(world: World, told: list[Word], provider: Address, referrer: Address) -> None:
    """One consumer and one provider of a person's, and the referrer as well: what it gets, the provider goes without."""
    chosen = replace(world, referrers=tuple(referrer if one == provider else ZERO_ADDRESS for one in PROVIDERS), points=(EXCLUSIVE,) * 3)
    own = [word for word in told if (word.consumer, word.provider) == (CONSUMERS[0], provider)]
    lost, protocol_fee = loss(chosen, own, frozenset((CONSUMERS[0], provider, referrer)))
    assert 10 * lost >= protocol_fee
    without, _ = loss(replace(chosen, referrers=NOBODY), own, frozenset((CONSUMERS[0], provider)))
    assert lost == without


def test_by_how_much_he_loses() -> None:
    """A tenth of the protocol fee, with a referrer of his own too; with another's, what that one gets comes on top."""
    rich = World((10**6, 10**6, 10**6), 10**18, 10**24)
    alone = [Word(3, 1, 1_000, None, 1)]
    assert loss(rich, alone, frozenset({CONSUMERS[0], PROVIDERS[1]})) == (5, 50)
    ring = [Word(number, 1, 1_000, 1_000, 1) for number in range(1, 10)]
    assert loss(rich, ring, frozenset((*CONSUMERS, *PROVIDERS))) == (45, 450)
    referred = replace(rich, referrers=(ZERO_ADDRESS, PROVIDERS[2], ZERO_ADDRESS), points=(0, 0, EXCLUSIVE))
    assert loss(referred, alone, frozenset({CONSUMERS[0], PROVIDERS[1], PROVIDERS[2]})) == (5, 50)
    assert loss(referred, alone, frozenset({CONSUMERS[0], PROVIDERS[1]})) == (5 + 45 * 12 // 100, 50)
    circle = replace(rich, referrers=(PROVIDERS[1], PROVIDERS[2], PROVIDERS[0]), points=(EXCLUSIVE,) * 3)
    assert loss(circle, ring, frozenset((*CONSUMERS, *PROVIDERS))) == (45, 450)


def test_what_it_buys_in_standing_costs_more_than_it_draws() -> None:
    """The whole of the sessions' part of reputation, bought by as many purses as it takes, against what it adds to an epoch's pay at most:
    half of its weight, in every slot, at the slot's cap."""
    cost = RULES.session_target_wei * RULES.protocol_fee_ppm // PPM * (PPM - RULES.session_subsidy_ppm) // PPM
    gain = 144 * RULES.slot_cap_wei * RULES.sessions_weight_ppm // PPM // 2
    assert cost > gain
