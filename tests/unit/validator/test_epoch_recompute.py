"""One root recomputed: sums worked out by hand, several epochs at once, manifests that do not fit, and every hash seed."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from chain.epochs import Timing, covered_epochs
from chain.merkle import MerkleTree
from chain.messages import EpochAttestation, Leaf
from chain.rules import Rules
from chain.typed import Signed
from chain.types import PPM, ZERO_ADDRESS, ZERO_DIGEST, Address, Digest, Signature
from validator.epoch import attestation_of, recompute
from validator.errors import ManifestError
from validator.state import AccountState, State, genesis_state
from wire.agreement import ChainSection, CoveredEpoch, Depositor, ListedNode, Manifest, RegisteredProvider
from wire.messages import ActivityProof, LatencyReport, UptimeTicket

TIMING = Timing(1_000, 20, 3, 11, 5, 4, 4, 5)
RULES = Rules(role_share_ppm=0)  # what roles are paid is in the first test here, and in a file of its own
WITH_ROLES = Rules()
TREASURY = Address("0x" + "fe" * 20)
A, B, C = (Address("0x" + digit * 40) for digit in "abc")
RESOLVER = Address("0x" + "11" * 20)
MASTERS = tuple(Address("0x" + f"2{n}" * 20) for n in range(3))
GROUP = "203.0.113.0/24"
Proof = Signed[ActivityProof]
M = TypeVar("M")


def section(epoch: int, *providers: Address, rate: int = 10**16, funded: int = 10**20) -> ChainSection:
    roles = (ListedNode(RESOLVER, "resolver", 1), *(ListedNode(master, "master", 1) for master in MASTERS))
    registered = tuple(RegisteredProvider(provider, ZERO_ADDRESS, 10**18) for provider in providers)
    return ChainSection(epoch, 100 + epoch, Digest(bytes([epoch]) * 32), roles, (), registered, funded, rate, TREASURY)


def manifest(*sections: ChainSection, epoch: int | None = None, deposits: tuple[Depositor, ...] = ()) -> Manifest:
    epochs = [section.epoch for section in sections]
    covered = tuple(CoveredEpoch(e, ()) for e in epochs)
    return Manifest(epoch or epochs[-1], epochs[-1], ZERO_DIGEST, ZERO_DIGEST, RULES.digest(), deposits, sections, covered)


def proof(provider: Address, epoch: int, slots: int, by_master: tuple[int, ...], *, group: str = GROUP, fair: bool = True) -> Proof:
    """Evidence as a provider shows it; fair figures are 0.8 in each mark, others perfect."""
    median, jitter, loss = (100_000, 25_000, 200_000) if fair else (0, 0, 0)
    ticket = UptimeTicket(RESOLVER, provider, epoch, 1, bytes([slots]), 0, group)
    reports = tuple(
        LatencyReport(master, provider, epoch, 1, bytes([map_]), 0, median, jitter, loss, group, True)
        for master, map_ in zip(MASTERS, by_master, strict=False)
    )
    return unsigned(ActivityProof(provider, epoch, 1, (unsigned(ticket),), tuple(unsigned(r) for r in reports), (), (), ZERO_DIGEST))


def unsigned(message: M) -> Signed[M]:
    """Recomputation reads no signature: what it is given has been verified."""
    return Signed(message, Signature(bytes(65)))


def accounts(state: State) -> dict[Address, AccountState]:
    return {account.account: account for account in state.accounts}


ALL = (31, 31, 31)


def test_an_epoch_by_hand() -> None:
    evidence = {
        1: (
            proof(A, 1, 31, ALL),  # 5 slots up, marks 0.8
            proof(B, 1, 0b00111, (31, 31, 0), fair=False),  # 3 slots up; marks 1, 1 and 0, so the median is 1
            proof(C, 1, 31, ALL),  # not registered
        )
    }
    named = replace(manifest(section(1, A, B)), rules_digest=WITH_ROLES.digest())
    outcome = recompute(genesis_state(), named, evidence, TIMING, WITH_ROLES)
    # Weights 5 * 600,000 and 3 * 600,000, at 10^15 a slot within a budget of 7 * 10^15. Points: slots * 4 s * 10,000 / 3,600.
    # Scores: A .5 + .25 * .8 + .1 * .5; B .5 * .6 + .25 * 1 + .1 * .5; C .5 + .25 * .8. Reputation: (3 * .2 + score) / 4.
    # Roles: of 5 * 10^14 a fifth to the resolver, three tenths to three masters; no validator has stake.
    roles = ((RESOLVER, 10**14), *((master, 5 * 10**13) for master in MASTERS))
    assert outcome.state == State(
        1,
        (
            *(AccountState(account, pay, 0, 0, 200_000, 0, "", 0, ()) for account, pay in roles),
            AccountState(A, 3 * 10**15, 0, 55, 337_500, 1, GROUP, 1, (750_000,)),
            AccountState(B, 18 * 10**14, 0, 33, 300_000, 1, GROUP, 1, (600_000,)),
            AccountState(C, 0, 0, 0, 325_000, 1, "", 0, (700_000,)),
        ),
    )
    assert outcome.leaves == (
        *(Leaf(account, pay, 0, 0, 200_000) for account, pay in roles),
        Leaf(A, 3 * 10**15, 0, 55, 337_500),
        Leaf(B, 18 * 10**14, 0, 33, 300_000),
        Leaf(C, 0, 0, 0, 325_000),
        Leaf(TREASURY, 0, 0, 0, 0),
    )
    assert (outcome.total_earned, outcome.total_spent) == (48 * 10**14 + 25 * 10**13, 0)
    assert outcome.root == MerkleTree(outcome.leaves).root


def test_the_next_epoch_pays_by_the_reputation_of_the_one_before() -> None:
    first = recompute(genesis_state(), manifest(section(1, A, B)), {1: (proof(A, 1, 31, ALL),)}, TIMING, RULES)
    evidence = {2: (proof(A, 2, 31, ALL), proof(B, 2, 31, ALL))}
    second = accounts(recompute(first.state, manifest(section(2, A, B)), evidence, TIMING, RULES).state)
    # A: 5 * (500,000 + 337,500 / 2); B, a newcomer: 5 * (500,000 + 100,000).
    assert second[A].earned == 3 * 10**15 + 3_343_750 * 10**9
    assert second[B].earned == 3 * 10**15
    # A's second score has a tenure of 1: standing (1/31 + 1) / 2 = 516,129, so 0.5 + 0.2 + 0.0516129.
    assert second[A].buckets == (751_612, 750_000)
    assert second[A].reputation == (600_000 * PPM + 751_612 * PPM + 750_000 * 904_837) // 4_904_837


def test_several_epochs_at_once_are_as_one_after_the_other() -> None:
    evidence = {e: (proof(A, e, 31, ALL), proof(B, e, e, (31, 31, 0))) for e in (1, 2, 3)}
    sections = [section(1, A), section(2, A, B), section(3, B)]
    one_by_one = genesis_state()
    for each in sections:
        one_by_one = recompute(one_by_one, manifest(each), evidence, TIMING, RULES).state
    at_once = recompute(genesis_state(), manifest(*sections), evidence, TIMING, RULES)
    assert at_once.state == one_by_one


def test_a_short_budget_is_one_epoch_s_only() -> None:
    evidence = {e: (proof(A, e, 31, ALL),) for e in (1, 2)}
    outcome = recompute(genesis_state(), manifest(section(1, A, rate=1_000), section(2, A, rate=1_000)), evidence, TIMING, RULES)
    assert outcome.total_earned == 2 * 700


def test_the_funds_are_the_end_of_all_pay() -> None:
    evidence = {e: (proof(A, e, 31, ALL),) for e in (1, 2, 3)}
    sections = [section(e, A, rate=1_000, funded=1_000) for e in (1, 2, 3)]
    outcome = recompute(genesis_state(), manifest(*sections), evidence, TIMING, RULES)
    assert outcome.total_earned == 1_000


class TestDeposits:
    D = Address("0x" + "d" * 40)
    PRIOR = AccountState(D, 0, 0, 0, RULES.reputation_prior_ppm, 0, "", 0, ())

    def of(self, *accounts: Address, withdrawn: int = 0) -> tuple[Depositor, ...]:
        return tuple(Depositor(account, 10**18, withdrawn, 0) for account in accounts)

    def test_whoever_has_ever_deposited_has_a_leaf_for_good(self) -> None:
        for upto, withdrawn in ((1, 0), (2, 10**18)):
            sections = (section(1), section(2))[:upto]
            outcome = recompute(genesis_state(), manifest(*sections, deposits=self.of(self.D, withdrawn=withdrawn)), {}, TIMING, RULES)
            assert outcome.state.accounts == (self.PRIOR,)
            assert outcome.leaves == (Leaf(self.D, 0, 0, 0, RULES.reputation_prior_ppm), Leaf(TREASURY, 0, 0, 0, 0))
            assert outcome.total_spent == 0

    def test_a_deposit_changes_nothing_about_pay_and_standing(self) -> None:
        """Neither seniority nor a past without evidence comes from having deposited first."""
        evidence = {2: (proof(A, 2, 31, ALL),), 3: (proof(A, 3, 31, ALL), proof(B, 3, 7, ALL))}
        plain = [section(1, B), section(2, A, B), section(3, A)]
        deposits = self.of(A, B, self.D)
        without = accounts(recompute(genesis_state(), manifest(*plain), evidence, TIMING, RULES).state)
        having = accounts(recompute(genesis_state(), manifest(*plain, deposits=deposits), evidence, TIMING, RULES).state)
        assert having.pop(self.D) == self.PRIOR
        assert having == without

    def test_who_is_forgotten_keeps_the_leaf_of_its_deposit(self) -> None:
        idle = AccountState(self.D, 0, 0, 0, 150_000, 1, GROUP, 1, (0, 0))
        parent = State(3, (idle,))
        assert recompute(parent, manifest(section(4)), {}, TIMING, RULES).state.accounts == ()
        assert recompute(parent, manifest(section(4), deposits=self.of(self.D)), {}, TIMING, RULES).state.accounts == (self.PRIOR,)

    def test_what_was_spent_stays_spent(self) -> None:
        parent = State(3, (replace(self.PRIOR, spent=5),))
        seen = {4: (proof(self.D, 4, 31, ALL),)}
        for evidence, providers in ((seen, (self.D,)), (seen, ()), ({}, ())):
            outcome = recompute(parent, manifest(section(4, *providers), deposits=self.of(self.D)), evidence, TIMING, RULES)
            assert [account.spent for account in outcome.state.accounts] == [5]
            assert outcome.total_spent == 5


class TestGroups:
    FOUR = tuple(Address(f"0x{n:040x}") for n in range(1, 5))

    def test_the_fourth_of_a_group_weighs_a_half(self) -> None:
        evidence = {1: tuple(proof(p, 1, 31, ALL) for p in self.FOUR)}
        state = recompute(genesis_state(), manifest(section(1, *self.FOUR)), evidence, TIMING, RULES).state
        # Weights 3, 3, 3 and 1.5 million share 7 * 10^15.
        assert [account.earned for account in state.accounts] == [2 * 10**15] * 3 + [10**15]

    def test_who_is_silent_takes_no_rank_and_keeps_its_place(self) -> None:
        evidence = {
            1: tuple(proof(p, 1, 31, ALL) for p in self.FOUR[1:]),
            2: tuple(proof(p, 2, 31, ALL) for p in (*self.FOUR[:1], *self.FOUR[2:])),
            3: tuple(proof(p, 3, 31, ALL) for p in self.FOUR),
        }
        sections = [section(e, *self.FOUR, rate=10**20) for e in (1, 2, 3)]
        states = [recompute(genesis_state(), manifest(*sections[:e]), evidence, TIMING, RULES).state for e in (1, 2, 3)]
        # In epoch 2 the newcomer has the third rank; in epoch 3 the second one is back before it, and it has the fourth.
        earned = [accounts(state).get(self.FOUR[0]) for state in states]
        assert earned[0] is None
        assert earned[1] is not None
        assert earned[2] is not None
        assert earned[1].earned == 5 * 600_000 * 10**9
        assert earned[2].earned - earned[1].earned == 5 * (500_000 + earned[1].reputation // 2) * 10**9 // 2
        assert [account.group_since for account in states[2].accounts] == [2, 1, 1, 1]

    def test_who_moves_is_the_newest_where_it_comes_to_and_when_it_comes_back(self) -> None:
        groups = {1: GROUP, 2: "198.51.100.0/24", 3: GROUP}
        evidence = {e: (proof(A, e, 31, ALL, group=group),) for e, group in groups.items()}
        found = []
        for e in (1, 2, 3):
            outcome = recompute(genesis_state(), manifest(*(section(n, A) for n in range(1, e + 1))), evidence, TIMING, RULES)
            found.append((outcome.state.accounts[0].group, outcome.state.accounts[0].group_since))
        assert found == [(GROUP, 1), ("198.51.100.0/24", 2), (GROUP, 3)]

    def test_seniority_is_held_by_a_bond_alone(self) -> None:
        evidence = {e: (proof(A, e, 31, ALL),) for e in (1, 2, 3, 4)}
        sections = [section(1), section(2, A), section(3), section(4, A)]
        since = []
        for e in (1, 2, 3, 4):
            account = recompute(genesis_state(), manifest(*sections[:e]), evidence, TIMING, RULES).state.accounts[0]
            since.append((account.group, account.group_since, account.first_epoch))
        assert since == [("", 0, 1), (GROUP, 2, 1), ("", 0, 1), (GROUP, 4, 1)]


class TestWhoIsInTheState:
    def test_evidence_without_weight_makes_no_account(self) -> None:
        evidence = {1: (proof(A, 1, 31, (31, 0, 0)), proof(B, 1, 0, (0, 0, 0)))}
        assert recompute(genesis_state(), manifest(section(1, A, B)), evidence, TIMING, RULES).state == State(1, ())

    def test_masters_alone_make_a_score_and_no_pay(self) -> None:
        evidence = {1: (proof(A, 1, 0, ALL),)}
        (account,) = recompute(genesis_state(), manifest(section(1, A)), evidence, TIMING, RULES).state.accounts
        assert account == AccountState(A, 0, 0, 0, 200_000, 1, "", 0, (200_000,))

    def test_one_that_never_earned_is_forgotten_once_its_buckets_are_silent(self) -> None:
        rules = replace(RULES, reputation_epochs=2)
        evidence = {1: (proof(A, 1, 31, ALL), proof(B, 1, 31, ALL))}
        state, held = genesis_state(), []
        for e in (1, 2, 3):
            named = replace(manifest(section(e, B) if e == 1 else section(e)), rules_digest=rules.digest())
            state = recompute(state, named, evidence, TIMING, rules).state
            held.append([account.account for account in state.accounts])
        assert held == [[A, B], [A, B], [B]]  # A is not registered, B has earned

    def test_a_registered_one_is_not_forgotten(self) -> None:
        silent = AccountState(A, 0, 0, 0, 50_000, 1, "", 0, (0, 0))
        assert recompute(State(4, (silent,)), manifest(section(5, A)), {}, TIMING, RULES).state.accounts[0].buckets == (0, 0, 0)
        assert recompute(State(4, (silent,)), manifest(section(5)), {}, TIMING, RULES).state.accounts == ()

    def test_a_bond_of_nothing_is_none(self) -> None:
        unbonded = replace(section(1), providers=(RegisteredProvider(A, ZERO_ADDRESS, 0),))
        outcome = recompute(genesis_state(), manifest(unbonded), {1: (proof(A, 1, 31, ALL),)}, TIMING, RULES)
        assert outcome.total_earned == 0

    def test_nobody_at_all_leaves_the_treasury_s_leaf(self) -> None:
        outcome = recompute(genesis_state(), manifest(section(1)), {}, TIMING, RULES)
        assert outcome.leaves == (Leaf(TREASURY, 0, 0, 0, 0),)
        assert outcome.root != ZERO_DIGEST


class TestManifests:
    @pytest.mark.parametrize(
        ("through", "epoch", "expected"),
        [(0, 1, [1]), (0, 3, [1, 2, 3]), (3, 5, [4, 5]), (0, 9, [1, 2, 3, 4, 5, 6, 7]), (7, 9, [8, 9]), (4, 4, []), (4, 3, [])],
    )
    def test_a_root_covers_the_oldest_uncovered_epochs(self, through: int, epoch: int, expected: list[int]) -> None:
        assert list(covered_epochs(through, epoch)) == expected

    def test_at_most_seven_at_once(self) -> None:
        long = manifest(*(section(e) for e in range(1, 8)), epoch=9)
        assert recompute(genesis_state(), long, {}, TIMING, RULES).state.through == 7
        with pytest.raises(ManifestError, match="wrong_epochs"):
            recompute(genesis_state(), manifest(*(section(e) for e in range(1, 9))), {}, TIMING, RULES)

    @pytest.mark.parametrize(
        ("parent", "named", "code"),
        [
            (0, manifest(section(2)), "wrong_epochs"),
            (1, manifest(section(1)), "wrong_epochs"),
            (0, manifest(section(1), section(1)), "wrong_epochs"),
            (0, manifest(section(1), epoch=2), "wrong_epochs"),
            (0, replace(manifest(section(1)), covered=()), "wrong_epochs"),
            (0, replace(manifest(section(1)), through=2), "wrong_epochs"),
            (0, replace(manifest(section(1)), rules_digest=ZERO_DIGEST), "wrong_rules"),
            (0, manifest(section(1), replace(section(2), treasury=A)), "wrong_treasury"),
        ],
    )
    def test_one_that_does_not_fit_is_refused(self, parent: int, named: Manifest, code: str) -> None:
        with pytest.raises(ManifestError) as refused:
            recompute(State(parent, ()), named, {}, TIMING, RULES)
        assert refused.value.code == code

    def test_the_attestation_says_what_was_recomputed(self) -> None:
        covered = manifest(section(4), section(5), epoch=5, deposits=(Depositor(A, 40, 0, 0),))
        named = replace(covered, parent_root=Digest(b"p" * 32), parent_state_digest=Digest(b"s" * 32))
        parent = State(3, (AccountState(A, 900, 40, 0, 0, 1, "", 0, ()),))
        outcome = recompute(parent, named, {}, TIMING, RULES)
        assert attestation_of(named, Digest(b"m" * 32), outcome, Digest(b"t" * 32), 3) == EpochAttestation(
            epoch=5,
            through=5,
            round=3,
            parent_root=Digest(b"p" * 32),
            parent_state_digest=Digest(b"s" * 32),
            state_digest=Digest(b"t" * 32),
            root=outcome.root,
            total_earned=900,
            total_spent=40,
            anchor_block_hash=Digest(b"\x05" * 32),
            rules_digest=RULES.digest(),
            manifest_digest=Digest(b"m" * 32),
        )


FIXTURE = """
from dataclasses import replace
from chain.epochs import Timing, covered_epochs
from chain.rules import Rules
from chain.typed import Signed
from chain.types import ZERO_ADDRESS, ZERO_DIGEST, Address, Digest, Signature
from validator.epoch import recompute
from validator.state import encode_state, genesis_state
from wire.agreement import ChainSection, CoveredEpoch, ListedNode, Manifest, RegisteredProvider
from wire.messages import ActivityProof, LatencyReport, UptimeTicket

def address(kind, n):
    return Address(f"0x{kind:02x}{n * 0x9E3779B97F4A7C15 % 2**152:038x}")

def signed(message):
    return Signed(message, Signature(bytes(65)))

rules, epochs = Rules(slot_cap_wei=10**18, points_milli_per_hour=10**9), (1, 2)
providers = [address(1, n) for n in range(40)]
masters = [address(2, n) for n in range(5)]
roles = tuple(ListedNode(a, "master", 1) for a in masters) + (ListedNode(address(3, 0), "resolver", 1),)
registered = tuple(RegisteredProvider(a, providers[i - 1] if i % 3 else ZERO_ADDRESS, 1) for i, a in enumerate(providers[:35]))
evidence = {}
for e in epochs:
    proofs = []
    for i, p in enumerate(providers):
        group = f"203.0.{i % 7}.0/24" if i % 2 else f"2001:db8:{i % 3}::/48"
        ticket = signed(UptimeTicket(address(3, 0), p, e, 1, bytes([31]), 0, group))
        for again in range(2):
            reports = tuple(
                signed(LatencyReport(m, p, e, 1, bytes([map_ % 32]), 1, 900 * (i + 3 * again), 30 * j, 10 * i, group, True))
                for j, m in enumerate(masters)
                for map_ in (i * 7 + j * 3 + again,)
            )
            proofs.append(signed(ActivityProof(p, e, again, (ticket,), reports, (), (), ZERO_DIGEST)))
    evidence[e] = tuple(proofs)
sections = tuple(
    ChainSection(e, e, Digest(bytes(32)), roles, (), registered, 10**18, 10**15 + 7, Address("0x" + "fe" * 20)) for e in epochs
)
covered = tuple(CoveredEpoch(e, ()) for e in epochs)
manifest = Manifest(2, 2, ZERO_DIGEST, ZERO_DIGEST, rules.digest(), (), sections, covered)
outcome = recompute(genesis_state(), manifest, evidence, Timing(1_000, 20, 3, 11, 5, 4, 4, 5), rules)
assert outcome.total_earned > 10**14 and len({a.earned for a in outcome.state.accounts}) > 20
assert any(a.shared for a in outcome.state.accounts) and any(a.earned and not a.first_epoch for a in outcome.state.accounts)
print(encode_state(outcome.state).decode(), outcome.root.hex())
"""


def test_every_hash_seed_gives_the_same_bytes(root: Path) -> None:
    printed = set()
    for seed in ("0", "1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}
        run = subprocess.run([sys.executable, "-c", FIXTURE], env=environment, capture_output=True, text=True, timeout=60)
        assert run.returncode == 0, run.stderr
        printed.add(run.stdout)
    assert len(printed) == 1
