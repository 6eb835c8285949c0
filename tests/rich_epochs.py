"""Writes tests/vectors/recomputation.json: two roots in which something of everything happens that a recomputation looks at, from signed
proofs of keys that are made here.

    python -m tests.rich_epochs
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from chain.canonical import encode
from chain.epochs import Timing
from chain.keys import NodeKey
from chain.rules import Rules
from chain.typed import Domain, Signed, digest_of, sign
from chain.types import ZERO_ADDRESS, ZERO_DIGEST, Address
from tests.recomputation import TIMING, VECTORS, told
from tests.session_parts import Parties, key
from validator.epoch import Outcome, recompute
from validator.manifests import check_inventories
from validator.state import State, encode_state, genesis_state
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

DOMAIN = Domain(31337, Address("0x" + "5e" * 20))
TIMES = Timing(1_000, 20, 3, 11, 5, 4, 4, 5)
RULES = Rules(finality_blocks=1, points_milli_per_hour=4 * 10**9, site_weight_cap=2)
ETHER, MIB = 10**18, 1 << 20
VALIDATORS = sorted((key(f"validator {n}") for n in range(4)), key=lambda one: one.address)
STAKES = (100 * ETHER, 100 * ETHER, 100 * ETHER, 60 * ETHER)
IDLE = key("a validator without stake")
RESOLVERS, MASTERS = [key(f"resolver {n}") for n in range(2)], [key(f"master {n}") for n in range(3)]
PROVIDERS = [*(key(f"provider {n}") for n in range(12)), MASTERS[2]]
CONSUMERS = [key(f"consumer {n}") for n in range(4)]
TREASURY = key("treasury")
SITES = ("203.0.113.0/24", "2001:db8:1::/48", "2001:db8:2::/48")
PRICE = ETHER // 10


@dataclass(frozen=True)
class Root:
    """A manifest with all that it names."""

    parent: State
    manifest: Manifest
    indices: tuple[InventoryIndex, ...]
    proofs: tuple[Signed[ActivityProof], ...]

    @property
    def outcome(self) -> Outcome:
        evidence = {one.epoch: [proof for proof in self.proofs if proof.message.epoch == one.epoch] for one in self.manifest.covered}
        return recompute(self.parent, self.manifest, evidence, TIMES, RULES)


def ascending(nodes: Iterable[ListedNode]) -> tuple[ListedNode, ...]:
    return tuple(sorted(nodes, key=lambda one: one.account))


def section(epoch: int, rate: int, registered: Iterable[NodeKey], gone: Sequence[NodeKey] = ()) -> ChainSection:
    """gone: validators that have no stake any more when the epoch ends. Two of three providers were referred by the one before."""
    bonded = [ListedNode(one.address, "validator", stake) for one, stake in zip(VALIDATORS, STAKES, strict=True)]
    others = [ListedNode(one.address, "resolver", 0) for one in RESOLVERS] + [ListedNode(one.address, "master", 0) for one in MASTERS]
    known = list(registered)
    providers = [
        RegisteredProvider(one.address, known[n - 1].address if n % 3 else ZERO_ADDRESS, 0 if n == 7 else ETHER)
        for n, one in enumerate(known)
    ]
    return ChainSection(
        epoch,
        100 * epoch,
        sha256(f"the anchor of {epoch}".encode()),
        ascending([*bonded, ListedNode(IDLE.address, "validator", 0), *others]),
        ascending(node for node in bonded if node.account not in {one.address for one in gone}),
        tuple(sorted(providers, key=lambda one: one.provider)),
        10**6 * ETHER,
        rate,
        TREASURY.address,
    )


def session(
    epoch: int,
    pair: tuple[NodeKey, NodeKey],
    interval: tuple[int, int],
    received: int,
    served: int | None = None,
    covered: int | None = None,
) -> SessionEvidence:
    """Between a consumer and a provider: bytes by its receipt and its report in the epoch, covered in that one or an earlier."""
    parties = Parties(DOMAIN, *pair, *interval, PRICE, interval[0] % 1_000)
    second = TIMES.start_of(epoch) + 5
    given = None if covered is None else TIMES.start_of(covered) + 5
    return parties.evidence(VALIDATORS[:3], received, second, served=served, covered=given)


def proof(epoch: int, number: int, sequence: int, sessions: Sequence[SessionEvidence] = ()) -> Signed[ActivityProof]:
    """What a provider shows: the more it is one of the later ones, the less was seen of it. A later sequence adds statements."""
    provider, prefix = PROVIDERS[number], SITES[number % 3]
    slots = bytes([0b11111 if number < 6 else (0b10111 << number % 3) & 0b11111])
    tickets = [
        sign(UptimeTicket(one.address, provider.address, epoch, seen, slots, number % 2, prefix), DOMAIN, one)
        for one, seen in zip(RESOLVERS[: 1 + number % 2], (sequence, 3), strict=False)
    ]
    reports = [
        sign(
            LatencyReport(
                one.address,
                provider.address,
                epoch,
                seen,
                bytes([slots[0] & (0b11111 >> (n + number) % 3)]),
                900,
                1_000 + 20_000 * n + 7_919 * number,
                100 * number,
                1_000 * n,
                prefix if n < 2 else SITES[0],
                address_ok=True,
            ),
            DOMAIN,
            one,
        )
        for n, one in enumerate(MASTERS)
        if one is not provider and (number + n) % 5
        for seen in range(1, sequence + 1)
    ]
    entry = ActivityEntry(0, TIMES.start_of(epoch), "announced", "", ZERO_DIGEST)
    log = (entry,) if number == 0 else ()
    message = ActivityProof(
        provider.address,
        epoch,
        sequence,
        tuple(tickets),
        tuple(reports),
        tuple(sessions),
        log,
        digest_of(entry, DOMAIN) if log else ZERO_DIGEST,
    )
    return sign(message, DOMAIN, provider)


def deposits(*withdrawn: int) -> tuple[Depositor, ...]:
    """What each consumer has withdrawn by now; the third has exited in epoch 1, the fourth's exit is in epoch 2."""
    held = [
        Depositor(one.address, ETHER if n < 3 else ETHER // 50, gone, n if n > 1 else 0)
        for n, (one, gone) in enumerate(zip(CONSUMERS, withdrawn, strict=True))
    ]
    paying = [Depositor(one.address, ETHER, 0, 0) for one in (PROVIDERS[0], TREASURY)]
    return tuple(sorted([*held, *paying], key=lambda one: one.account))


def covered(
    epoch: int, shown: Sequence[Sequence[Signed[ActivityProof]]], by: Sequence[NodeKey] = VALIDATORS
) -> tuple[CoveredEpoch, list[InventoryIndex]]:
    """Inventories of these validators, the first ones, each over what it was shown."""
    indices, inventories = [], []
    for one, proofs in zip(by, shown, strict=False):
        entries = (InventoryEntry(signed.message.provider, digest_of(signed.message, DOMAIN)) for signed in proofs)
        index = InventoryIndex(epoch, tuple(sorted(entries, key=lambda entry: entry.provider)))
        indices.append(index)
        inventories.append(sign(Inventory(one.address, epoch, len(index.entries), file_digest(encode(index))), DOMAIN, one))
    return CoveredEpoch(epoch, tuple(inventories)), indices


def first() -> Root:
    """Of epoch 1, upon nothing. Four validators were shown the same, but for one provider's newer proof."""
    one, two = PROVIDERS[0], PROVIDERS[1]
    sessions = {
        0: [session(1, (CONSUMERS[0], one), (0, ETHER // 10), 300 * MIB, 290 * MIB), session(1, (TREASURY, one), (0, ETHER), 500 * MIB)],
        1: [session(1, (CONSUMERS[0], two), (ETHER // 10, ETHER // 5), 200 * MIB), session(1, (one, two), (0, ETHER // 4), 7 * MIB + 1)],
        2: [session(1, (CONSUMERS[2], PROVIDERS[2]), (0, ETHER // 2), 4_000 * MIB, 5_000 * MIB)],
        3: [session(1, (CONSUMERS[3], PROVIDERS[3]), (0, ETHER), 1_000 * MIB)],
    }
    proofs = [proof(1, number, 1, sessions.get(number, ())) for number in range(len(PROVIDERS) - 2)]
    newer = [proof(1, 4, 2), *(one for one in proofs if one.message.provider != PROVIDERS[4].address)]
    of_epoch, indices = covered(1, [proofs, proofs[1:], newer, newer[:5]])
    manifest = Manifest(
        1, 1, ZERO_DIGEST, ZERO_DIGEST, RULES.digest(), deposits(0, 0, 0, 0), (section(1, ETHER // 100, PROVIDERS[:10]),), (of_epoch,)
    )
    return Root(genesis_state(), manifest, tuple(indices), (*proofs, newer[0]))


def second(before: Root) -> Root:
    """Of epochs 2 and 3 at once, in which sessions go on, end, or are too late, a deposit is gone, and a validator leaves."""
    one, two = PROVIDERS[0], PROVIDERS[1]
    sessions = {
        (2, 0): [session(2, (CONSUMERS[0], one), (0, ETHER // 10), 900 * MIB, 950 * MIB, covered=1)],
        (2, 1): [session(2, (CONSUMERS[1], two), (0, ETHER // 3), 20 * MIB)],
        (2, 2): [session(2, (CONSUMERS[2], PROVIDERS[2]), (ETHER // 2, ETHER), 10 * MIB)],
        (3, 1): [session(3, (CONSUMERS[1], two), (0, ETHER // 3), 40 * MIB, 30 * MIB, covered=2)],
        (3, 3): [session(3, (CONSUMERS[3], PROVIDERS[3]), (ETHER, 2 * ETHER), 40 * MIB)],
        (3, 11): [session(3, (CONSUMERS[1], PROVIDERS[11]), (ETHER // 3, ETHER // 2), 2_000 * MIB)],
    }
    shown = {
        epoch: [proof(epoch, number, epoch, sessions.get((epoch, number), ())) for number in range(epoch - 2, len(PROVIDERS))]
        for epoch in (2, 3)
    }
    staying = [*VALIDATORS[:2], *VALIDATORS[3:]]
    found = [covered(2, [shown[2][:8], shown[2][4:], shown[2]]), covered(3, [shown[3][:9], shown[3][::-1], shown[3][3:]], staying)]
    outcome = before.outcome
    sections = (section(2, 10 * ETHER, PROVIDERS), section(3, ETHER // 200, PROVIDERS[1:], VALIDATORS[2:3]))
    manifest = Manifest(
        3,
        3,
        outcome.root,
        file_digest(encode_state(outcome.state)),
        RULES.digest(),
        deposits(ETHER // 20, 0, ETHER, 0),
        sections,
        tuple(of_epoch for of_epoch, _ in found),
    )
    return Root(outcome.state, manifest, tuple(index for _, indices in found for index in indices), (*shown[2], *shown[3]))


def check(root: Root) -> None:
    """That all of it is what validators would have taken, and something of everything happens."""
    for part, of_epoch in zip(root.manifest.chain, root.manifest.covered, strict=True):
        stakes = {node.account: node.stake for node in part.validators}
        check_inventories(of_epoch, stakes, DOMAIN)  # type: ignore[arg-type]
        for signed in root.proofs:
            if signed.message.epoch == part.epoch:
                verify_proof(encode(signed), DOMAIN, TIMES, RULES, ListedRoles.of(part.roles), None)
    named = {entry.proof for index in root.indices for entry in index.entries}
    assert named == {digest_of(signed.message, DOMAIN) for signed in root.proofs}


def as_json(name: str, root: Root) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        return json.loads(encode(value))

    return {
        "name": name,
        "domain": {"chainId": DOMAIN.chain_id, "settlement": DOMAIN.settlement},
        "timing": {wire: getattr(TIMES, field) for field, wire in TIMING.items()},
        "rules": plain(RULES),
        "parent": plain(root.parent),
        "manifest": plain(root.manifest),
        "indices": plain(root.indices),
        "proofs": plain(root.proofs),
        "expected": told(root.manifest, root.outcome),
    }


def written() -> str:
    """What the file says."""
    one = first()
    two = second(one)
    for root in (one, two):
        check(root)
    roots = [as_json("the first root", one), as_json("a root of two epochs upon it", two)]
    return json.dumps({"roots": roots}, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    VECTORS.write_text(written())
