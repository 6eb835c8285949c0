"""What holds of every recomputation, whatever the evidence, the registry and the parent."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from hypothesis import assume, given
from hypothesis import strategies as st

from chain.epochs import Timing
from chain.rules import Rules
from chain.typed import Signed
from chain.types import PPM, ZERO_ADDRESS, ZERO_DIGEST, Address, Digest, Signature
from validator.epoch import Outcome, recompute
from validator.pay import Member, rank_weights
from validator.reputation import reputation, with_bucket
from validator.state import AccountState, State, decode_state, encode_state, genesis_state
from wire.agreement import ChainSection, CoveredEpoch, ListedNode, Manifest, RegisteredProvider
from wire.messages import ActivityProof, LatencyReport, UptimeTicket

TIMING = Timing(1_000, 20, 3, 11, 5, 4, 4, 5)
RULES = Rules()
TREASURY = Address("0x" + "fe" * 20)
PROVIDERS = tuple(Address(f"0x{n:02x}" + "a0" * 19) for n in range(1, 6))
MASTERS = tuple(Address(f"0x{n:02x}" + "b0" * 19) for n in range(1, 5))
RESOLVERS = tuple(Address(f"0x{n:02x}" + "c0" * 19) for n in range(1, 3))
STRANGER = Address("0x" + "dd" * 20)
PREFIXES = ("198.51.100.0/24", "203.0.113.0/24", "2001:db8:1::/48", "2001:db8:2::/48")
LAST = 2

M = TypeVar("M")
Statement = UptimeTicket | LatencyReport
Evidence = dict[int, tuple[Signed[ActivityProof], ...]]


def unsigned(message: M, filler: int = 0) -> Signed[M]:
    """Recomputation reads no signature: what it is given has been verified."""
    return Signed(message, Signature(bytes([filler]) * 65))


@dataclass(frozen=True)
class World:
    """What the manifest and the proofs of two epochs say. statements: (epoch, statement about anyone), each once."""

    registered: Mapping[int, tuple[Address, ...]]
    statements: tuple[Statement, ...]
    rate: int
    funded: int
    masters: int

    def section(self, epoch: int) -> ChainSection:
        listed = [ListedNode(a, "master", 1) for a in MASTERS[: self.masters]] + [ListedNode(a, "resolver", 1) for a in RESOLVERS]
        providers = tuple(RegisteredProvider(a, ZERO_ADDRESS, 1) for a in self.registered[epoch])
        return ChainSection(epoch, epoch, Digest(bytes(32)), tuple(listed), (), providers, self.funded, self.rate, TREASURY)

    def evidence(self, statements: Sequence[Statement] | None = None) -> Evidence:
        """One proof a provider and epoch."""
        told = self.statements if statements is None else statements
        return {
            epoch: tuple(
                envelope(provider, epoch, [s for s in told if (s.provider, s.epoch) == (provider, epoch)]) for provider in PROVIDERS
            )
            for epoch in range(1, LAST + 1)
        }

    def recompute(
        self, evidence: Evidence | None = None, parent: State | None = None, through: int = LAST, rules: Rules = RULES
    ) -> Outcome:
        state = parent or genesis_state()
        epochs = range(state.through + 1, through + 1)
        sections = tuple(self.section(epoch) for epoch in epochs)
        covered = tuple(CoveredEpoch(epoch, ()) for epoch in epochs)
        manifest = Manifest(through, through, ZERO_DIGEST, ZERO_DIGEST, rules.digest(), (), sections, covered)
        return recompute(state, manifest, self.evidence() if evidence is None else evidence, TIMING, rules)


def envelope(provider: Address, epoch: int, statements: Sequence[Statement], sequence: int = 1, filler: int = 0) -> Signed[ActivityProof]:
    tickets = tuple(unsigned(s, filler) for s in statements if isinstance(s, UptimeTicket))
    reports = tuple(unsigned(s, filler) for s in statements if isinstance(s, LatencyReport))
    return unsigned(ActivityProof(provider, epoch, sequence, tickets, reports, (), (), ZERO_DIGEST), filler)


Word = tuple[int, int, int, int, int, int]
FIGURES = ((0, 0, 0), (40_000, 9_000, 0), (260_000, 1_000, 400_000), (600_000, 200_000, PPM))

words = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(1, LAST), st.integers(1, 3), st.integers(0, 31), st.integers(0, 3)),
    max_size=12,
)
"""What signers say of providers: signer, provider, epoch, sequence, slots and figures, numbers that `said` makes statements of."""


def said(
    word: Word, prefixes: Sequence[str], masters: Sequence[Address], resolvers: Sequence[Address], provider: Address | None = None
) -> Statement:
    """A word as a statement by one of these signers; about `provider` if one is given."""
    by, about, epoch, sequence, slots, figures = word
    subject, prefix = provider or PROVIDERS[about], prefixes[about]
    if by >= 4:
        return UptimeTicket(resolvers[by % len(resolvers)], subject, epoch, sequence, bytes([slots]), figures, prefix)
    return LatencyReport(masters[by % len(masters)], subject, epoch, sequence, bytes([slots]), 1, *FIGURES[figures], prefix, True)


def present(provider: Address, epoch: int, slots: int, prefix: str, masters: int) -> list[Statement]:
    """Evidence of a provider that everyone saw in these slots."""
    by_masters: list[Statement] = [
        LatencyReport(master, provider, epoch, 9, bytes([slots]), 1, 50_000, 5_000, 1_000, prefix, True) for master in MASTERS[:masters]
    ]
    return [UptimeTicket(RESOLVERS[0], provider, epoch, 9, bytes([slots]), 0, prefix), *by_masters]


def world_of(
    masters: int, rate: int, funded: int, rows: Sequence[tuple[str, tuple[int, int], tuple[bool, bool]]], told: Sequence[Word]
) -> World:
    """rows: each provider's prefix, and for each epoch the slots that everyone saw it in and whether it is registered."""
    prefixes = [prefix for prefix, _, _ in rows]
    statements = {said(word, prefixes, MASTERS[:masters], RESOLVERS) for word in told}
    for provider, (prefix, slots, _) in zip(PROVIDERS, rows, strict=True):
        for epoch in range(1, LAST + 1):
            statements.update(present(provider, epoch, slots[epoch - 1], prefix, masters) if slots[epoch - 1] else ())
    registered = {
        epoch: tuple(provider for provider, row in zip(PROVIDERS, rows, strict=True) if row[2][epoch - 1]) for epoch in range(1, LAST + 1)
    }
    return World(registered, tuple(sorted(statements, key=repr)), rate, funded, masters)


row = st.tuples(st.sampled_from(PREFIXES), st.tuples(st.integers(0, 31), st.integers(0, 31)), st.tuples(st.booleans(), st.booleans()))
worlds = st.builds(
    world_of,
    st.integers(1, len(MASTERS)),
    st.sampled_from([1, 1_000, 10**15, 10**16, 10**18]),
    st.sampled_from([0, 1_000, 10**15, 10**24]),
    st.lists(row, min_size=len(PROVIDERS), max_size=len(PROVIDERS)),
    words,
)


def of(outcome: Outcome, provider: Address) -> AccountState | None:
    return next((account for account in outcome.state.accounts if account.account == provider), None)


@given(worlds, st.randoms(use_true_random=False))
def test_order_duplicates_and_envelopes_make_no_difference(world: World, chance: random.Random) -> None:
    shuffled: Evidence = {}
    for epoch, proofs in world.evidence().items():
        torn: list[Signed[ActivityProof]] = []
        for signed in proofs:
            message = signed.message
            statements: list[Statement] = [*(t.message for t in message.tickets), *(r.message for r in message.reports)]
            chance.shuffle(statements)
            cut = chance.randint(0, len(statements))
            parts = (statements[:cut], statements[cut:], statements[: chance.randint(0, len(statements))])
            torn.extend(envelope(message.provider, epoch, part, chance.randint(0, 99), chance.randint(0, 255)) for part in parts)
        chance.shuffle(torn)
        shuffled[epoch] = tuple(torn + torn[:2])
    one, other = world.recompute(), world.recompute(shuffled)
    assert (encode_state(other.state), other.leaves, other.root) == (encode_state(one.state), one.leaves, one.root)


@given(worlds)
def test_the_state_is_a_file_that_reads_back(world: World) -> None:
    state = world.recompute().state
    assert decode_state(encode_state(state)) == state


@given(worlds)
def test_no_epoch_pays_more_than_its_parts_of_the_budget_or_than_the_funds(world: World) -> None:
    before = by_role = 0
    for epoch in range(1, LAST + 1):
        outcome = world.recompute(through=epoch)
        roles = sum(leaf.earned for leaf in outcome.leaves if leaf.account in (*MASTERS, *RESOLVERS))
        drawn = outcome.total_earned - before
        assert roles - by_role <= world.rate * RULES.role_share_ppm // PPM
        assert drawn - (roles - by_role) <= world.rate * RULES.availability_share_ppm // PPM
        assert outcome.total_earned <= world.funded
        assert outcome.total_earned == sum(leaf.earned for leaf in outcome.leaves)
        before, by_role = outcome.total_earned, roles


@given(worlds)
def test_what_roles_are_paid_makes_nobody_else_s_pay_of_the_epoch_smaller(world: World) -> None:
    with_roles, without = (world.recompute(through=1, rules=rules) for rules in (RULES, replace(RULES, role_share_ppm=0)))
    assert without.state.accounts == tuple(one for one in with_roles.state.accounts if one.account in PROVIDERS)


@given(worlds, st.integers(0, 10**16))
def test_a_parent_that_drew_more_than_the_funds_is_followed_by_no_pay(world: World, earned: int) -> None:
    parent = State(1, (AccountState(STRANGER, world.funded + earned, 0, 0, 0, 1, "", 0, ()),))
    assert world.recompute(parent=parent).total_earned == world.funded + earned


@given(worlds)
def test_nothing_that_was_earned_falls_or_vanishes(world: World) -> None:
    first, second = world.recompute(through=1), world.recompute()
    assert second.total_earned >= first.total_earned
    for account in first.state.accounts:
        later = of(second, account.account)
        if later is None:
            assert (account.earned, account.spent, account.points) == (0, 0, 0)
        else:
            assert (later.earned, later.spent, later.points) >= (account.earned, account.spent, account.points)
            assert later.earned >= account.earned
            assert later.points >= account.points
            assert later.first_epoch == account.first_epoch


@given(worlds, st.sampled_from(PROVIDERS), st.lists(st.sampled_from([31, 31, 31, 0, 0b00111, 0b10101]), min_size=8, max_size=8))
def test_evidence_left_out_or_cut_never_gives_more(world: World, provider: Address, kept_slots: list[int]) -> None:
    cut: list[Statement] = []
    for number, statement in enumerate(world.statements):
        kept = kept_slots[number % 8] if statement.provider == provider else 31
        if kept:
            cut.append(replace(statement, slots=bytes([statement.slots[0] & kept])))
    for through in range(1, LAST + 1):
        less, more = (of(world.recompute(world.evidence(told), through=through), provider) for told in (cut, world.statements))
        if less is None:
            continue
        assert more is not None
        assert less.points <= more.points
        # the tenure of one who was seen later is shorter, so each bucket of the one who showed all is at least as high
        assert all(one <= other for one, other in zip(less.buckets, more.buckets, strict=False))
        if less.first_epoch == more.first_epoch:  # who was never seen has the prior, as any new address has
            assert less.reputation <= more.reputation
            assert less.earned <= more.earned


@given(worlds, st.sampled_from(PROVIDERS))
def test_silence_never_raises_a_score_and_pays_nothing(world: World, provider: Address) -> None:
    state = world.recompute(through=1).state
    before = of(Outcome(state, (), ZERO_DIGEST, 0, 0), provider)
    assume(before is not None)
    assert before is not None
    told = [s for s in world.statements if s.provider != provider]
    after = of(world.recompute(world.evidence(told), parent=state), provider)
    if after is not None:
        assert after.buckets == (0, *before.buckets)
        assert after.reputation <= before.reputation
        assert (after.earned, after.points) == (before.earned, before.points)


@given(st.lists(st.integers(0, PPM), max_size=40), st.integers(1, 40))
def test_a_silence_of_any_length_decays(buckets: list[int], epochs: int) -> None:
    found, score = tuple(buckets[: RULES.reputation_epochs]), reputation(buckets[: RULES.reputation_epochs], RULES)
    for _ in range(epochs):
        found = with_bucket(found, 0, RULES)
        assert reputation(found, RULES) <= score
        score = reputation(found, RULES)
    if epochs >= RULES.reputation_epochs:
        assert score < 50_000  # far below the prior, whatever it was before


MONTH_BOUND = 77_012
"""ppm: ceil(10^12 / (3 * 10^6 + the first 30 age weights, 9,985,138)), see docs/protocol.md, section 8."""
ANY_BOUND = 106_641
"""The same of a history of any length: three full buckets, then a silent one."""
scores = st.one_of(st.sampled_from([0, PPM]), st.integers(0, PPM))


@given(st.lists(scores, min_size=30, max_size=30), scores)
def test_one_bad_epoch_undoes_no_more_of_a_month_than_the_bound(month: list[int], day: int) -> None:
    before, after = reputation(month, RULES), reputation(with_bucket(month, day, RULES), RULES)
    assert before - after <= MONTH_BOUND
    if day >= max(month):
        assert after >= before


@given(st.lists(scores, max_size=30), scores, st.lists(scores, max_size=31))
def test_nor_does_it_of_any_past_and_what_it_undid_comes_back(past: list[int], day: int, later: list[int]) -> None:
    """Against the same epochs with a full one in its place: what is missing never grows again, and is gone once the epoch is too old."""
    assert reputation(past, RULES) - reputation(with_bucket(past, day, RULES), RULES) <= ANY_BOUND
    without, having = with_bucket(past, PPM, RULES), with_bucket(past, day, RULES)
    missing = PPM
    for score in later:
        without, having = with_bucket(without, score, RULES), with_bucket(having, score, RULES)
        gap = reputation(without, RULES) - reputation(having, RULES)
        assert 0 <= gap <= missing + 1  # either may be rounded
        missing = gap
    if len(later) >= RULES.reputation_epochs:
        assert missing == 0


members = st.builds(Member, st.integers(1, 4), st.integers(1, 2**32).map(lambda n: Address(f"0x{n:040x}")), st.sampled_from(PREFIXES))
crowds = st.lists(members, min_size=1, max_size=40, unique_by=lambda member: member.provider)


@given(crowds, members)
def test_who_comes_later_lowers_nobody(crowd: list[Member], newcomer: Member) -> None:
    assume(newcomer.provider not in {member.provider for member in crowd})
    tight = replace(RULES, site_weight_cap=3)
    before, after = rank_weights(crowd, tight), rank_weights([*crowd, replace(newcomer, since=5)], tight)
    assert {provider: after[provider] for provider in before} == before


@given(crowds)
def test_a_group_is_worth_little_more_than_its_first_and_a_site_at_most_its_cap(crowd: list[Member]) -> None:
    tight = replace(RULES, site_weight_cap=3)
    weights = rank_weights(crowd, tight)
    for prefix in PREFIXES:
        total = sum(weights[member.provider] for member in crowd if member.group == prefix)
        assert total <= 3 * PPM + sum(PPM // n for n in range(2, 40))
    assert sum(weights[member.provider] for member in crowd if ":" in member.group) <= 3 * PPM


@given(worlds, st.sampled_from(PROVIDERS), st.sampled_from(PREFIXES))
def test_a_newcomer_takes_nothing_from_its_seniors_while_the_budget_suffices(world: World, newcomer: Address, prefix: str) -> None:
    rich = replace(world, rate=10**24, funded=10**24, registered=dict.fromkeys(world.registered, PROVIDERS))
    others = [s for s in rich.statements if s.provider != newcomer]
    joined = others + present(newcomer, 2, 31, prefix, rich.masters)
    before, after = rich.recompute(rich.evidence(others)), rich.recompute(rich.evidence(joined))
    for account in before.state.accounts:
        if account.group_since < 2:
            assert of(after, account.account) == account


@given(worlds)
def test_who_is_not_registered_earns_nothing_and_changes_nobody_s_pay(world: World) -> None:
    ever = set(world.registered[1]) | set(world.registered[2])
    outcome = world.recompute()
    providing = tuple(account for account in outcome.state.accounts if account.account in PROVIDERS)
    for account in providing:
        if account.account not in ever:
            assert (account.earned, account.points, account.group) == (0, 0, "")
    told = [s for s in world.statements if s.provider in ever]
    alone = world.recompute(world.evidence(told))
    others = tuple(account for account in outcome.state.accounts if account.account not in PROVIDERS)
    assert alone.state.accounts == tuple(sorted((*(a for a in providing if a.account in ever), *others), key=lambda a: a.account))


@dataclass(frozen=True)
class Conflicted(World):
    """Where the first provider is listed as a master and as a resolver too."""

    def section(self, epoch: int) -> ChainSection:
        section = World.section(self, epoch)
        return replace(section, roles=(*section.roles, ListedNode(PROVIDERS[0], "master", 1), ListedNode(PROVIDERS[0], "resolver", 1)))


@given(worlds, words)
def test_a_provider_s_own_word_changes_nothing(world: World, told: list[Word]) -> None:
    """Not even if it is listed in the roles whose word counts."""
    me = PROVIDERS[0]
    conflicted = Conflicted(world.registered, world.statements, world.rate, world.funded, world.masters)
    own = [said(word, PREFIXES[:1] * 5, [me], [me], me) for word in told]
    assert conflicted.recompute(conflicted.evidence([*world.statements, *own])) == conflicted.recompute()


@given(worlds, words, words, words)
def test_words_of_strangers_or_about_others_change_nothing(
    world: World, by_strangers: list[Word], about_others: list[Word], of_another_epoch: list[Word]
) -> None:
    provider, prefixes = PROVIDERS[0], PREFIXES[:1] * 5
    foreign = [said((w[0], w[1], 1, *w[3:]), prefixes, [STRANGER, RESOLVERS[0]], [STRANGER, MASTERS[0]], provider) for w in by_strangers]
    foreign += [said(w, prefixes, MASTERS, RESOLVERS, STRANGER) for w in about_others]
    foreign += [said((w[0], w[1], 2, *w[3:]), prefixes, MASTERS, RESOLVERS, provider) for w in of_another_epoch]
    told = [s for s in world.statements if (s.provider, s.epoch) == (provider, 1)]
    evidence = world.evidence()
    others = tuple(p for p in evidence[1] if p.message.provider != provider)
    evidence[1] = (*others, envelope(provider, 1, [*told, *foreign]), envelope(provider, 2, foreign))
    assert world.recompute(evidence) == world.recompute()
