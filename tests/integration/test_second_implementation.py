"""The recomputation, written a second time in another language from docs/protocol.md, comes to the same bytes."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chain.canonical import decode
from chain.messages import Bundle, EpochAttestation
from chain.rules import Rules
from chain.typed import Domain, digest_of, members, struct_name
from chain.types import to_hex
from tests.second.random_epochs import roots_of
from validator.state import AccountState, OpenSession, State
from wire import agreement, answers, messages, tunnel
from wire.relay import RelayRegistration
from wire.sessions import Budget, DemandClaim

Json = dict[str, Any]
SEEDS = (28, 33, 34, 37, 38, 110, 119)


@pytest.fixture
def run(root: Path) -> Callable[[str, Any], Any]:
    """Runs one of the second implementation's programs: what it prints for what it is given."""
    if shutil.which("node") is None or not (root / "node_modules/@noble/curves").is_dir():
        pytest.skip("Node or node_modules is missing: run `make test` once, which installs them.")

    def ran(program: str, given: Any) -> Any:
        command = ("node", f"tests/second/{program}")
        done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, cwd=root, env=os.environ)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return ran


def vectors(root: Path, name: str) -> Json:
    found: Json = json.loads((root / "tests/vectors" / name).read_text())
    return found


def told(outcome: Json, domain: Json) -> Json:
    """As the vectors say it. The attestation's digest is compared here."""
    assert "refused" not in outcome, outcome
    attestation = decode(EpochAttestation, outcome["attestation"].encode())
    assert outcome["attestationDigest"] == to_hex(digest_of(attestation, Domain(domain["chainId"], domain["settlement"])))
    sums = {name: outcome[name] for name in ("stateSha256", "manifestSha256")}
    return sums | {name: json.loads(outcome[name]) for name in ("state", "leaves", "attestation")}


def test_the_vectors_come_out(root: Path, run: Callable[[str, Any], Any]) -> None:
    given = vectors(root, "recomputation.json")
    for outcome, one in zip(run("recompute.mjs", given), given["roots"], strict=True):
        assert told(outcome, one["domain"]) == one["expected"]


def test_roots_drawn_from_seeds_come_out_to_the_byte(run: Callable[[str, Any], Any]) -> None:
    roots = roots_of(SEEDS, each=2)
    for outcome, given in zip(run("recompute.mjs", {"roots": roots}), roots, strict=True):
        expected = dict(given["expected"])
        assert outcome.get("state") == expected.pop("stateText"), outcome.get("refused")
        assert told(outcome, given["domain"]) == expected


def test_hashes_digests_and_trees_come_out(root: Path, run: Callable[[str, Any], Any]) -> None:
    typed, merkle = vectors(root, "typed_attestation.json"), vectors(root, "merkle.json")
    found = run("hash_vectors.mjs", {"typed": typed, "merkle": merkle})
    assert {name: found[name] for name in ("type", "typehash")} == {name: typed[name] for name in ("type", "typehash")}
    for case, one in zip(found["cases"], typed["cases"], strict=True):
        assert case == {name: one[name] for name in ("domainSeparator", "structHash", "digest")} | {"signer": one["signer"].lower()}
    for tree, one in zip(found["trees"], merkle["trees"], strict=True):
        assert tree == {"root": one["root"], "hashes": [leaf["hash"] for leaf in one["leaves"]]}


def other_signature(one: Json) -> None:
    """A proof's, on a report in it."""
    proof = next(proof for proof in one["proofs"] if proof["message"]["reports"])
    proof["message"]["reports"][0]["signature"] = proof["signature"]


def one_more_byte(one: Json) -> None:
    shown = (session for proof in one["proofs"] for session in proof["message"]["sessions"])
    next(shown)["receipts"][0]["message"]["bytesDown"] += 1


def withheld_proof(one: Json) -> None:
    del one["proofs"][0]


def one_inventory(one: Json) -> None:
    del one["manifest"]["covered"][0]["inventories"][1:]


def inventory_without_stake(one: Json) -> None:
    validators = one["manifest"]["chain"][0]["validators"]
    del validators[0]


def other_parent(one: Json) -> None:
    one["parent"]["accounts"][0]["points"] += 1


def other_rules(one: Json) -> None:
    one["rules"]["protocolFeePpm"] += 1


def skipped_epoch(one: Json) -> None:
    del one["manifest"]["chain"][0]
    del one["manifest"]["covered"][0]


CHANGES: dict[Callable[[Json], None], str] = {
    other_signature: "index_entry",
    one_more_byte: "index_entry",
    withheld_proof: "index_entry",
    one_inventory: "inventories_too_few",
    inventory_without_stake: "inventory",
    other_parent: "parent_state",
    other_rules: "rules",
    skipped_epoch: "covered",
}


def test_what_is_not_as_it_is_said_to_be_is_refused(root: Path, run: Callable[[str, Any], Any]) -> None:
    second = vectors(root, "recomputation.json")["roots"][1]
    changed = []
    for change in CHANGES:
        changed.append(copy.deepcopy(second))
        change(changed[-1])
    assert run("recompute.mjs", {"roots": changed}) == [{"refused": code} for code in CHANGES.values()]


SIGNED = (
    *(messages.Announcement, messages.Heartbeat, messages.Leaving, messages.UptimeTicket, messages.LatencyReport),
    *(messages.SessionRequest, messages.Offer, messages.DemandReceipt, messages.UsageReceipt, messages.UsageReport),
    *(messages.ActivityProof, messages.SessionEvidence, messages.ActivityEntry, messages.ProofReceipt, messages.Inventory),
    *(messages.NodeCertificate, RelayRegistration, EpochAttestation, Bundle),
)
FILES = (
    *(agreement.FileIndex, agreement.InventoryIndex, agreement.InventoryEntry, agreement.Manifest, agreement.CoveredEpoch),
    *(agreement.ChainSection, agreement.ListedNode, agreement.RegisteredProvider, agreement.Depositor),
    *(State, AccountState, OpenSession, Rules),
)
BODIES = (
    *(answers.PoolAnswer, answers.MasterView, answers.ReportBatch, answers.PoolView, answers.ProviderView, answers.Refutation),
    *(answers.MatchQuery, answers.MasterRtt, answers.Matches, answers.Match, DemandClaim, Budget, agreement.LeafPath),
    *(tunnel.Beat, tunnel.Opened, tunnel.Reported, tunnel.Word, tunnel.Join, tunnel.Open, tunnel.Answered),
)


def test_the_types_are_those_of_the_document(root: Path) -> None:
    text = (root / "docs/protocol.md").read_text()
    section = text[text.index("\n## 3a. ") : text.index("\n## 4. ")]
    blocks = [block.strip().splitlines() for block in re.findall(r"```\n(.*?)```", section, re.DOTALL)]
    assert blocks == [[written(struct) for struct in group] for group in (SIGNED, FILES, BODIES)]
    assert {struct for struct in vars(messages).values() if hasattr(struct, "SIGNER")} <= set(SIGNED)
    theirs = re.search(r"const TEXTS = `\n(.*?)`", (root / "tests/second/types.mjs").read_text(), re.DOTALL)
    assert theirs is not None
    assert set(theirs[1].splitlines()) <= {line for block in blocks for line in block}


def written(struct: Any) -> str:
    return f"{struct_name(struct)}({','.join(f'{one.solidity_type} {one.wire_name}' for one in members(struct))})"
