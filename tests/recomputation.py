"""Recomputes the roots of tests/vectors/recomputation.json, their evidence in an order drawn from a seed, and prints what comes out.

    python -m tests.recomputation SEED

It imports the standard library, what the recomputation itself does, and a keccak, so any Python can run it.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from chain.canonical import build, encode
from chain.epochs import Timing
from chain.rules import Rules
from chain.typed import Domain, Signed
from chain.types import Address, to_hex
from validator.epoch import Outcome, attestation_of, recompute
from validator.state import State, encode_state
from wire.agreement import InventoryIndex, Manifest
from wire.files import file_digest, sha256
from wire.messages import ActivityProof

VECTORS = Path(__file__).resolve().parent / "vectors" / "recomputation.json"
T = TypeVar("T")


@dataclass(frozen=True)
class Vector:
    """One root's whole input. proofs: all that the inventories' indices name. expected: what comes out, as `told` says it."""

    name: str
    domain: Domain
    timing: Timing
    rules: Rules
    parent: State
    manifest: Manifest
    indices: tuple[InventoryIndex, ...]
    proofs: tuple[Signed[ActivityProof], ...]
    expected: Mapping[str, Any]

    def evidence(self, order: random.Random | None = None) -> dict[int, list[Signed[ActivityProof]]]:
        """By covered epoch. order: shuffles them, and hands some of them in twice."""
        found: dict[int, list[Signed[ActivityProof]]] = {}
        for proof in self.proofs:
            found.setdefault(proof.message.epoch, []).append(proof)
        if order is not None:
            found = {epoch: [*some, *order.sample(some, len(some) // 2)] for epoch, some in found.items()}
            for some in found.values():
                order.shuffle(some)
            found = dict(order.sample(sorted(found.items()), len(found)))
        return found

    def recompute(self, evidence: Mapping[int, Iterable[Signed[ActivityProof]]]) -> dict[str, Any]:
        return told(self.manifest, recompute(self.parent, self.manifest, evidence, self.timing, self.rules))


def told(manifest: Manifest, outcome: Outcome) -> dict[str, Any]:
    """What a second implementation compares: sums of bytes, the root and its leaves, and what is signed about them in round 0."""
    data, state = encode(manifest), encode_state(outcome.state)
    attestation = attestation_of(manifest, file_digest(data), outcome, file_digest(state), 0)
    return {
        "manifestSha256": to_hex(sha256(data)),
        "stateSha256": to_hex(sha256(state)),
        "state": json.loads(state),
        "leaves": json.loads(encode(outcome.leaves)),
        "attestation": json.loads(encode(attestation)),
    }


def vectors(file: Path = VECTORS) -> list[Vector]:
    return [_read(one) for one in json.loads(file.read_text())["roots"]]


def _read(one: Mapping[str, Any]) -> Vector:
    def of(struct: type[T], value: Any) -> T:
        found: T = build(struct, value)
        return found

    domain = Domain(one["domain"]["chainId"], Address(one["domain"]["settlement"]))
    timing = {name: one["timing"][wire] for name, wire in TIMING.items()}
    return Vector(
        one["name"],
        domain,
        Timing(**timing),
        of(Rules, one["rules"]),
        of(State, one["parent"]),
        of(Manifest, one["manifest"]),
        tuple(of(InventoryIndex, index) for index in one["indices"]),
        tuple(of(Signed[ActivityProof], proof) for proof in one["proofs"]),
        one["expected"],
    )


TIMING = {
    "genesis": "genesis",
    "epoch_length": "epochLength",
    "intake": "intake",
    "post_window": "postWindow",
    "challenge": "challenge",
    "margin": "margin",
    "round_length": "roundLength",
    "slots_per_epoch": "slotsPerEpoch",
}
"""How the file names the fields of a `Timing`."""


def main(seed: int) -> None:
    order = random.Random(seed)
    found = [vector.recompute(vector.evidence(order)) for vector in vectors()]
    print(json.dumps({"python": sys.version.split()[0], "roots": found}, sort_keys=True))


if __name__ == "__main__":
    main(int(sys.argv[1]))
