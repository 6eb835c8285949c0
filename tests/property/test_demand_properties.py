"""No set of payable sessions exceeds a deposit: a network of validators of whom less than a third of the stake signs anything, sees roots
sooner or later than others, covers what it is asked to, and pays what a consumer and its providers choose to show.

The rules are the program's own; what is made here is who asks whom, and when which root is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from chain.epochs import Timing
from chain.rules import Rules
from chain.types import Address, Digest
from validator.demand import ROOTS_BACK, Interval, Standing, check_interval, limit, merged
from validator.session_pay import Deposits, Shown, charge, settled_by
from validator.state import AccountState, State
from wire.agreement import Depositor
from wire.messages import DemandReceipt, Offer, SessionRequest
from wire.refusals import Refused
from wire.sessions import GIB, covers

TIMING = Timing(1_000, 20, 3, 11, 5, 4, 4, 5)
RULES = Rules()
CONSUMER, PROVIDER, TREASURY = Address("0x" + "c1" * 20), Address("0x" + "a1" * 20), Address("0x" + "fe" * 20)
HELD = 12


@dataclass
class Signer:
    """One validator: what it promised, which root it sees. loyal: whether it keeps to the rules."""

    account: Address
    loyal: bool
    next_from: int = 0
    promises: list[tuple[int, Interval]] = field(default_factory=list)
    sees: int = 0


@dataclass
class Case:
    """A session that was claimed, and who covered it when (epochs)."""

    name: Digest
    interval: Interval
    covered: dict[Address, int] = field(default_factory=dict)

    def receipts(self) -> list[DemandReceipt]:
        return [
            DemandReceipt(who, CONSUMER, PROVIDER, self.name, self.interval.start, self.interval.end, TIMING.start_of(epoch))
            for who, epoch in self.covered.items()
        ]

    def shown(self, payload: int) -> Shown:
        interval, nonce = self.interval, int.from_bytes(self.name)
        request = SessionRequest(CONSUMER, "", 0, 0, GIB, interval.start, interval.end, nonce, 0)
        return Shown(self.name, request, Offer(PROVIDER, self.name, GIB, 0), payload)


class Network:
    """Validators of equal stake; those that are not loyal are less than a third."""

    def __init__(self, size: int, roots_back: int = ROOTS_BACK) -> None:
        disloyal = (size - 1) // 3
        self.signers = [Signer(Address(f"0x{n + 1:040x}"), n >= disloyal) for n in range(size)]
        self.stakes = {signer.account: 1 for signer in self.signers}
        self.roots_back = roots_back
        self.epoch = 1
        self.roots = [State(0, ())]
        """States of the roots that were active, in order."""
        self.cases: list[Case] = []
        self.pending: list[tuple[int, dict[int, int]]] = []
        """Ended epochs without a root, and what was shown in each."""
        self.short = 0
        """Wei that payable sessions were not paid for want of deposit."""

    def standing(self, signer: Signer) -> Standing:
        state = self.roots[signer.sees]
        account = next((one for one in state.accounts if one.account == CONSUMER), None)
        before = self.roots[signer.sees - self.roots_back].through if signer.sees >= self.roots_back else 0
        return Standing(HELD, account.spent if account else 0, account.settled if account else 0, leaving=False, released_before=before)

    def claim(self, case: Case, asked: Sequence[int]) -> None:
        for n in sorted(set(asked)):
            signer = self.signers[n % len(self.signers)]
            if signer.account in case.covered:
                continue
            standing = self.standing(signer)
            released = merged((), [one for epoch, one in signer.promises if epoch < standing.released_before], standing.settled)
            if signer.loyal:
                try:
                    check_interval(case.interval, signer.next_from, limit(standing, released), standing)
                except Refused:
                    continue
                signer.next_from = case.interval.end
                signer.promises.append((self.epoch, case.interval))
            case.covered[signer.account] = self.epoch

    def open(self, start: int, width: int, asked: Sequence[int]) -> None:
        """A new session; its interval begins `start` above the least that any of those asked would take."""
        least = min((self.signers[n % len(self.signers)].next_from for n in asked), default=0)
        case = Case(Digest((len(self.cases) + 1).to_bytes(32)), Interval(least + start, least + start + width))
        self.cases.append(case)
        self.claim(case, asked)

    def look(self, n: int) -> None:
        """A validator sees the newest root that is active."""
        self.signers[n % len(self.signers)].sees = len(self.roots) - 1

    def end_epoch(self, shows: Sequence[int], posted: bool) -> None:
        """The epoch's sessions are shown: of each case what the consumer received since it began. Its root is active in the next epoch, in
        which everyone has seen all roots of the one before at the latest."""
        state, deposits = self.roots[-1], Deposits.of([Depositor(CONSUMER, HELD, 0, 0)])
        shown = {} if not shows else {n: shows[n % len(shows)] for n in range(len(self.cases))}
        self.pending.append((self.epoch, shown))
        behind = len(self.roots) - 1
        if posted:
            for epoch, payloads in self.pending:
                sessions = [
                    case.shown(payloads[n])
                    for n, case in enumerate(self.cases)
                    if n in payloads and covers(case.receipts(), epoch, TIMING, self.stakes)
                ]
                state = self._account(state, deposits, epoch, sessions)
            self.roots.append(state)
            self.pending = []
        self.epoch += 1
        for signer in self.signers:
            signer.sees = max(signer.sees, behind)

    def _account(self, state: State, deposits: Deposits, epoch: int, sessions: list[Shown]) -> State:
        charges = charge(sessions, state, deposits, epoch, TREASURY, frozenset(), RULES)
        known = next((one for one in state.accounts if one.account == CONSUMER), AccountState(CONSUMER, 0, 0, 0, 0, 0, "", 0, ()))
        free = Deposits({CONSUMER: 10**9}, {CONSUMER: 0})
        self.short += sum(charge(sessions, state, free, epoch, TREASURY, frozenset(), RULES).spent.values()) - sum(charges.spent.values())
        settled = max(known.settled, settled_by(state).get(CONSUMER, 0))
        account = AccountState(CONSUMER, 0, known.spent + charges.spent.get(CONSUMER, 0), 0, 0, 0, "", 0, (), settled)
        return State(epoch, (account,), tuple(charges.open))


asked = st.lists(st.integers(0, 6), min_size=1, max_size=7)
acts: st.SearchStrategy[tuple[str, int, int, Sequence[int]]] = st.one_of(
    st.tuples(st.just("open"), st.integers(0, 6), st.integers(0, HELD), asked),
    st.tuples(st.just("open"), st.just(0), st.sampled_from([HELD, HELD // 2]), asked),
    st.tuples(st.just("claim"), st.integers(0, 40), st.just(0), asked),
    st.tuples(st.just("look"), st.integers(0, 6), st.just(0), st.just([])),
    st.tuples(st.just("end"), st.integers(0, 3), st.just(0), st.lists(st.integers(0, HELD), max_size=5)),
)


def play(network: Network, story: Sequence[tuple[str, int, int, Sequence[int]]]) -> Network:
    for act, number, width, several in story:
        if act == "open":
            network.open(number, width, several)
        elif act == "claim" and network.cases:
            network.claim(network.cases[number % len(network.cases)], several)
        elif act == "look":
            network.look(number)
        elif act == "end":
            network.end_epoch(several, posted=number > 0)
    return network


@given(st.sampled_from([3, 4, 6, 7]), st.lists(acts, max_size=60))
def test_no_set_of_payable_sessions_exceeds_what_is_held(size: int, story: list[tuple[str, int, int, Sequence[int]]]) -> None:
    network = play(Network(size), [*story, *[("end", 1, 0, [HELD])] * 2])
    assert network.short == 0
    assert all(account.spent <= HELD for account in network.roots[-1].accounts)


def test_three_sessions_that_share_signers_only_in_pairs_do_not_exceed_it_either() -> None:
    """One of four signs anything. Two of the others hold a promise of their own below another session, and see different roots: were own
    promises released as soon as a root covers them, each would take the other session's interval for free."""
    rogue, a, b, d = range(4)
    half = HELD // 2
    short = {}
    for roots_back in (0, ROOTS_BACK):
        network = Network(4, roots_back)
        network.open(0, half, [a])  # only a covers it, so it is not payable
        network.end_epoch([], posted=True)
        network.open(0, half, [rogue, b, d])  # payable
        network.open(0, half, [b])  # not payable
        network.end_epoch([], posted=True)
        network.look(a)
        network.open(half, half, [rogue, a, d])  # payable
        network.open(HELD, half, [rogue, a])
        network.end_epoch([0, half, 0, 0, 0], posted=True)
        network.look(b)
        network.claim(network.cases[-1], [b])  # payable as well, if b agrees under the newer root
        network.end_epoch([0, half, 0, half, half], posted=True)
        short[roots_back] = network.short
    assert short == {0: half, ROOTS_BACK: 0}
