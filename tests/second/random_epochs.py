"""Roots drawn from a seed, one upon the other, with all that they name, signed: what two implementations have to agree about.

Everything is small, so that what is rare in a network is frequent: groups and sites that are full, budgets and deposits that run out,
accounts that are lost, sessions that go on, overlap or come too late, referrers in several tiers, roles that are providers, scores that
grow too old to count.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from chain.canonical import encode
from chain.epochs import Timing
from chain.keys import NodeKey
from chain.merkle import MerkleTree
from chain.rules import Rules
from chain.typed import Domain, Signed, digest_of, sign
from chain.types import PPM, ZERO_ADDRESS, ZERO_DIGEST, Address, Digest, Wei
from tests.recomputation import TIMING, told
from tests.session_parts import Parties, key
from validator.epoch import Outcome, recompute
from validator.manifests import check_inventories
from validator.state import AccountState, State, encode_state, genesis_state, leaves_of
from validator.verification import ListedRoles, verify_proof
from wire.agreement import (
    ChainSection,
    CoveredEpoch,
    Depositor,
    InventoryEntry,
    InventoryIndex,
    ListedNode,
    Manifest,
    RegisteredProvider,
)
from wire.files import file_digest, sha256
from wire.messages import ActivityEntry, ActivityProof, Inventory, LatencyReport, SessionEvidence, UptimeTicket

BEGUN = 4
"""Through which epoch a parent accounts that is drawn."""
DOMAIN = Domain(31337, Address("0x" + "5e" * 20))
TOKEN, GIB = 10**18, 1 << 30
PREFIXES = ("203.0.113.0/24", "198.51.100.0/24", "2001:db8::/48", "2001:db8:1::/48", "2001:db8:a::/48", "2001::/48", "2001:0:1::/48")
TREASURY = key("treasury")
VALIDATORS = [key(f"validator {n}") for n in range(4)]
RESOLVERS = [key(f"resolver {n}") for n in range(2)]
MASTERS = [key(f"master {n}") for n in range(4)]
PROVIDERS = [*(key(f"provider {n}") for n in range(7)), MASTERS[0], RESOLVERS[0], TREASURY]
CONSUMERS = [key("consumer"), *PROVIDERS[:2], MASTERS[0], TREASURY]


@dataclass(frozen=True)
class Covered:
    """One covered epoch: its part of the manifest and the bytes that it names."""

    section: ChainSection
    inventories: CoveredEpoch
    indices: tuple[InventoryIndex, ...]
    proofs: tuple[Signed[ActivityProof], ...]


class History:
    """Roots of one network, each upon the last."""

    def __init__(self, seed: int) -> None:
        self._source = random.Random(seed)
        draw = self._source.choice
        slots, seconds = draw((5, 9, 12)), draw((4, 7))
        self.timing = Timing(1_000, slots * seconds, 3, 11, 5, 4, 4, slots)
        self.rules = self._rules()
        depositors = [one for one in CONSUMERS if self._source.random() < (0.4 if one is TREASURY else 0.9)]
        self._deposits = {one.address: (draw((0, TOKEN // 100, TOKEN)), 0, 0) for one in depositors}
        self._sessions: list[tuple[Parties, int]] = []
        self._reached: dict[str, int] = {}
        self._stakes = [draw((0, TOKEN, 2 * TOKEN, 3 * TOKEN)) for _ in VALIDATORS[1:]] + [TOKEN]
        self._providers = self._source.sample(PROVIDERS, draw((4, 6, 8)))
        self._prefixes = self._source.sample(PREFIXES, draw((1, 2, 4)))
        self._homes = {one.address: draw(self._prefixes) for one in PROVIDERS}
        self._masters = MASTERS[: draw((1, 2, 3, 4))]
        self._parent = self._begun() if self._source.random() < 0.7 else (genesis_state(), ZERO_DIGEST)

    def _begun(self) -> tuple[State, Digest]:
        """A state as if there had been roots before, and its root."""
        known = sorted({one.address for one in (*PROVIDERS, *CONSUMERS) if self._source.random() < 0.5})
        draw = self._source.choice
        state = State(
            BEGUN,
            tuple(self._known(account) for account in known),
            lost_earned=draw((0, TOKEN // 1_000)),
            lost_spent=draw((0, TOKEN // 100, sum(held for held, _, _ in self._deposits.values()))),
        )
        return state, MerkleTree(leaves_of(state, TREASURY.address)).root

    def _known(self, account: Address) -> AccountState:
        some, draw = self._source.randrange, self._source.choice
        held, _, _ = self._deposits.get(account, (0, 0, 0))
        spent = 0 if account == TREASURY.address else draw((0, held // 2, held))  # it never pays
        sums = (draw((0, 1, TOKEN // 1_000)), spent, draw((0, some(400_000))))
        own = AccountState(account, *sums, self.rules.reputation_prior_ppm, 0, "", 0, (), draw((0, 1)), draw((0, 1)))
        first = draw((0, 1, BEGUN - 1))
        if not first:
            return own
        buckets = tuple(draw((0, some(PPM))) for _ in range(BEGUN - first + 1))
        group, since = draw(self._prefixes), first + some(2)
        return replace(own, reputation=some(PPM), first_epoch=first, group=group, group_since=since, buckets=buckets)

    def _rules(self) -> Rules:
        draw = self._source.choice
        marks = sorted(self._source.sample(range(1, 400), 5))
        return Rules(
            finality_blocks=1,
            max_rtt_us=draw((500_000, 99_999)),
            slot_cap_wei=draw((10**12, 10**15, 10**18, 10**18)),
            group_full_ranks=draw((0, 1, 3)),
            site_weight_cap=draw((0, 1, 2, 64)),
            points_milli_per_hour=draw((10_000, 4 * 10**9, 4 * 10**9)),
            points_milli_per_token=draw((100_000, 4 * 10**9)),
            protocol_fee_ppm=draw((0, 50_000, 333_333)),
            session_target_wei=draw((10**15, 3 * TOKEN)),
            consumer_weight_ppm=draw((50_000, 400_001)),
            tier_points=tuple(marks),
            tier_share_ppm=tuple(sorted(self._source.randrange(PPM) for _ in marks)),
            reputation_epochs=draw((0, 1, 3, 30)),
            reputation_prior_ppm=draw((0, 200_000, 333_333)),
            reputation_prior_weight_ppm=draw((1, 3_000_000)),
        )

    def root(self) -> dict[str, Any]:
        """The next root in the form of the vectors. `expected` has the state's bytes as text, too."""
        state, root = self._parent
        first = state.through + 1
        epoch = first + self._source.choice((0, 0, 1, 2))
        covered = [self._covered(one) for one in range(first, epoch + 1)]
        manifest = Manifest(
            epoch,
            epoch,
            root,
            file_digest(encode_state(state)) if state.through else ZERO_DIGEST,
            self.rules.digest(),
            self._depositors(epoch),
            tuple(one.section for one in covered),
            tuple(one.inventories for one in covered),
        )
        proofs = {one.section.epoch: one.proofs for one in covered}
        outcome: Outcome = recompute(state, manifest, proofs, self.timing, self.rules)
        self._parent = (outcome.state, outcome.root)
        plain = {
            "domain": {"chainId": DOMAIN.chain_id, "settlement": DOMAIN.settlement},
            "timing": {wire: getattr(self.timing, name) for name, wire in TIMING.items()},
            "rules": self.rules,
            "parent": state,
            "manifest": manifest,
            "indices": [index for one in covered for index in one.indices],
            "proofs": [signed for one in covered for signed in one.proofs],
        }
        expected = told(manifest, outcome) | {"stateText": encode_state(outcome.state).decode()}
        return {name: json.loads(encode(value)) for name, value in plain.items()} | {"expected": expected}

    def _depositors(self, epoch: int) -> tuple[Depositor, ...]:
        """More comes in, something leaves, what is spent as well, and now and then an account exits."""
        spent = {one.account for one in self._parent[0].accounts if one.spent}
        for account, (deposited, withdrawn, exited) in self._deposits.items():
            more = self._source.choice((0, 0, TOKEN // 100, TOKEN, TOKEN))
            less = deposited + more - withdrawn if self._source.random() < (0.4 if account in spent else 0.1) else 0
            leaves = self._source.random() < 0.04
            self._deposits[account] = (deposited + more, withdrawn + less, exited or (epoch + self._source.randrange(2) if leaves else 0))
        return tuple(sorted((Depositor(account, *sums) for account, sums in self._deposits.items()), key=lambda one: one.account))

    def _covered(self, epoch: int) -> Covered:
        section = self._section(epoch)
        proofs = [signed for provider in self._providers for signed in self._proofs(section, provider)]
        roles = ListedRoles.of(section.roles)
        for signed in proofs:
            verify_proof(encode(signed), DOMAIN, self.timing, self.rules, roles, None)
        stakes = {one.account: Wei(one.stake) for one in section.validators}
        signers = sorted((one for one in VALIDATORS if one.address in stakes), key=lambda one: one.address)
        indices, inventories, named = [], [], set()
        for one in signers:
            shown = {signed.message.provider: signed for signed in self._source.sample(proofs, len(proofs))}
            kept = [signed for signed in shown.values() if self._source.random() < 0.9]
            entries = [InventoryEntry(signed.message.provider, digest_of(signed.message, DOMAIN)) for signed in kept]
            index = InventoryIndex(epoch, tuple(sorted(entries, key=lambda entry: entry.provider)))
            named |= {entry.proof for entry in entries}
            indices.append(index)
            inventories.append(sign(Inventory(one.address, epoch, len(entries), file_digest(encode(index))), DOMAIN, one))
        found = CoveredEpoch(epoch, tuple(inventories))
        check_inventories(found, stakes, DOMAIN)
        return Covered(section, found, tuple(indices), tuple(one for one in proofs if digest_of(one.message, DOMAIN) in named))

    def _section(self, epoch: int) -> ChainSection:
        draw = self._source.choice
        staked = [ListedNode(one.address, "validator", stake) for one, stake in zip(VALIDATORS, self._stakes, strict=True)]
        others = [("resolver", one) for one in RESOLVERS] + [("master", one) for one in self._masters]
        roles = staked + [ListedNode(one.address, role, 0) for role, one in others]
        if self._source.random() < 0.3:
            self._stakes[0] = draw((0, TOKEN))
        left = [ListedNode(one.address, "validator", stake) for one, stake in zip(VALIDATORS, self._stakes, strict=True) if stake]
        registered = [one.address for one in self._providers if self._source.random() < 0.8]
        referrers = (ZERO_ADDRESS, *registered, *registered, VALIDATORS[0].address)
        providers = [RegisteredProvider(one, draw(referrers), draw((0, TOKEN, TOKEN, TOKEN))) for one in registered]
        return ChainSection(
            epoch,
            100 * epoch,
            sha256(f"the anchor of {epoch}".encode()),
            tuple(sorted(roles, key=lambda one: (one.account, one.role))),
            tuple(sorted(left, key=lambda one: one.account)),
            tuple(sorted(providers, key=lambda one: one.provider)),
            self._funded(),
            draw((0, 10**12, 10**13, 10**15, TOKEN // 100, 10 * TOKEN)),
            TREASURY.address,
        )

    def _funded(self) -> int:
        """Enough for everything, or about what the parent has drawn of it."""
        state, _ = self._parent
        drawn = max(0, state.total_earned - state.total_spent)
        return self._source.choice((0, drawn, drawn + 10**12, drawn + 10**15, drawn + TOKEN, 10**6 * TOKEN, 10**6 * TOKEN))

    def _proofs(self, section: ChainSection, provider: NodeKey) -> Iterable[Signed[ActivityProof]]:
        for sequence in range(1, self._source.choice((0, 1, 1, 2)) + 1):
            yield self._proof(section, provider, sequence)

    def _proof(self, section: ChainSection, provider: NodeKey, sequence: int) -> Signed[ActivityProof]:
        epoch, some = section.epoch, self._source.randrange
        if self._source.random() < 0.2:
            self._homes[provider.address] = self._source.choice(self._prefixes)
        prefix = self._homes[provider.address]
        tickets = [
            sign(UptimeTicket(one.address, provider.address, epoch, some(4), self._map(), some(3), prefix), DOMAIN, one)
            for one in RESOLVERS
            if one is not provider
            for _ in range(some(3))
        ]
        reports = [self._report(one, provider, epoch, prefix) for one in self._masters if one is not provider for _ in range(some(3))]
        log: list[ActivityEntry] = []
        for index in range(some(3)):
            previous = digest_of(log[-1], DOMAIN) if log else ZERO_DIGEST
            log.append(ActivityEntry(index, self.timing.start_of(epoch), "announced", 'a "word" \\ é\n\x1f', previous))
        sessions = tuple(self._shown(section, provider))
        head = digest_of(log[-1], DOMAIN) if log else ZERO_DIGEST
        proof = ActivityProof(provider.address, epoch, sequence, tuple(tickets), tuple(reports), sessions, tuple(log), head)
        return sign(proof, DOMAIN, provider)

    def _map(self) -> bytes:
        slots = self.timing.slots_per_epoch
        seen = sum(1 << slot for slot in range(slots) if self._source.random() < 0.8)
        return self._source.choice((0, seen, seen, seen, (1 << slots) - 1)).to_bytes((slots + 7) // 8, "little")

    def _report(self, master: NodeKey, provider: NodeKey, epoch: int, prefix: str) -> Signed[LatencyReport]:
        some, draw = self._source.randrange, self._source.choice
        least = draw((0, 900, 99_999, 500_000, 500_001))
        elsewhere = draw((prefix, prefix, draw(self._prefixes)))
        figures = (least, least + some(120_000), draw((0, 7_919, 24_998, 125_000)), draw((0, some(PPM), PPM)))
        named = draw((ZERO_ADDRESS, MASTERS[1].address))
        said = LatencyReport(
            master.address, provider.address, epoch, some(4), self._map(), *figures, elsewhere, self._source.random() < 0.9, named
        )
        return sign(said, DOMAIN, master)

    def _shown(self, section: ChainSection, provider: NodeKey) -> Iterable[SessionEvidence]:
        """Of the provider's sessions, each with what was received and served by some time of this epoch or the one before."""
        epoch, draw = section.epoch, self._source.choice
        while self._source.random() < 0.4:
            self._sessions.append((self._opened(provider), epoch))
        stakes = {one.account: one.stake for one in section.roles if one.role == "validator" and one.stake}
        signers = [one for one in VALIDATORS if one.address in stakes]
        for parties, covered in self._sessions:
            if parties.provider is provider and covered >= epoch - 1 and self._source.random() < 0.8:
                received = draw((0, 1, 7_000_001, GIB // 3, 5 * GIB))
                served = draw((None, received, received // 2, 2 * received))
                time, given = (self.timing.start_of(max(1, one)) + 3 for one in (epoch - draw((0, 0, 1)), covered))
                yield parties.evidence(signers, received, time, served=served, covered=given)

    def _opened(self, provider: NodeKey) -> Parties:
        consumer = self._source.choice([one for one in (*CONSUMERS[:-1], *CONSUMERS) if one is not provider])
        start = max(0, self._reached.get(consumer.address, 0) - self._source.choice((0, 0, 0, 0, TOKEN // 100)))
        end = start + self._source.choice((0, 1, TOKEN // 1_000, TOKEN // 10, TOKEN // 10))
        self._reached[consumer.address] = end
        return Parties(DOMAIN, consumer, provider, start, end, self._source.choice((0, 7, TOKEN // 10, TOKEN // 10)), len(self._sessions))


def roots_of(seeds: Iterable[int], each: int) -> list[dict[str, Any]]:
    """So many roots of each seed's network."""
    histories = [History(seed) for seed in seeds]
    return [history.root() for history in histories for _ in range(each)]
