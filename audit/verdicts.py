"""What an audit says of an epoch, and of what it has looked at. Pure.

States:

    confirmed     the own recomputation from verified bytes is what stands on chain
    differs       it is not, or what was signed is not as it has to be: `findings` say in what
    unproven      bytes are missing, so nothing can be said: `findings` say which, and who failed to serve them
    cancelled     its root was cancelled; findings say what is wrong with it, if anything is
    dead          no root was posted in time; a later root covers it
    open          its root can still be posted
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from chain.epochs import Timing
from chain.events import Posted
from chain.rules import Rules
from chain.typed import Signed
from chain.types import Address, Digest
from validator.epoch import Outcome
from validator.state import State
from wire.agreement import Manifest
from wire.messages import ActivityProof

MOST_SHOWN = 400
"""Characters of one detail."""
MISSING = ("not_served", "not_final", "parent_not_audited")
"""Codes of findings that only say that something could not be looked at."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it has to be.

    code: `not_served`, `not_final`, `parent_not_audited` (see `MISSING`); `parent_differs`, `parent_state` (its file is no state, or makes
    another root), `manifest_malformed`, `manifest_differs` (from the chain), `inventory`, `index`, `proof` (one that is counted does not
    verify), `recomputation` (nothing can be recomputed from it), `root_differs`, `state_differs`, `earned_differs`, `spent_differs`,
    `through_differs`, `attestation_differs` (what was signed says other things than the own recomputation), `no_quorum`, `signers_differ`
    (from the contract's record).
    """

    code: str
    detail: str

    @property
    def is_missing(self) -> bool:
        return self.code in MISSING


@dataclass(frozen=True, slots=True)
class Looked:
    """What was verified. signatures: of proofs with all that is in them, inventories, and the posting. received: bytes over the network, or
    read from files. unread: why the posting's own signatures could not be read from its transaction, empty if they were; the contract has
    required them."""

    proofs: int = 0
    signatures: int = 0
    inventories: int = 0
    received: int = 0
    signers: tuple[Address, ...] = ()
    validators: int = 0
    unread: str = ""


@dataclass(frozen=True, slots=True)
class Recomputed:
    """All that went into an own recomputation, verified, and what came out of it. state_digest: of the outcome's state as a file."""

    parent: State
    manifest: Manifest
    evidence: Mapping[int, tuple[Signed[ActivityProof], ...]]
    timing: Timing
    rules: Rules
    outcome: Outcome
    state_digest: Digest


@dataclass(frozen=True, slots=True)
class Audit:
    """state: see the module. posted: the epoch's own root, None without one. covered: the epochs that it covers. note: a sentence about a
    dead, open or cancelled one. recomputed: None as far as it did not come to that."""

    epoch: int
    state: str
    findings: tuple[Finding, ...] = ()
    looked: Looked = field(default_factory=Looked)
    posted: Posted | None = None
    covered: tuple[int, ...] = ()
    note: str = ""
    recomputed: Recomputed | None = None

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong, and nothing that should be there is missing."""
        return self.state in ("confirmed", "cancelled", "dead")


def state_of(findings: tuple[Finding, ...]) -> str:
    """The state of a root that was not cancelled."""
    if not findings:
        return "confirmed"
    return "unproven" if all(one.is_missing for one in findings) else "differs"


def printable(text: str) -> str:
    """Words that may be somebody else's, cut short, without what would begin another line or move a terminal's cursor."""
    return "".join(one if one.isprintable() else "?" for one in text[:MOST_SHOWN])
