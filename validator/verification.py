"""Whether a proof is what it claims: at intake, and again by everyone who fetches it when its epoch is closed.

In the order of what a check costs: size, canonical bytes, the provider's signature; then limits, the log's links, and each
statement's subject, signer, map and signature. Everything a hostile sender can make large is counted before it is worked on.
Refusals carry the codes of `wire.refusals`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chain.canonical import decode
from chain.epochs import Timing
from chain.errors import CodecError
from chain.rules import Rules
from chain.typed import Domain, Signed, digest_of
from chain.types import Address, Digest, Signature, to_hex
from validator.session_evidence import check_session, check_session_limits, signed_parts
from wire.activity import broken_link, log_head
from wire.agreement import ListedNode
from wire.messages import ActivityProof, LatencyReport, UptimeTicket
from wire.refusals import Refused
from wire.statements import MOST_KEPT, fault_in, newest_slot

STRANGERS_QUOTA_BYTES = 64 * 1024 * 1024
"""What one validator takes in an epoch of all proofs of the unregistered or without one counter-signed statement: keys cost nothing, disks
do."""

Statement = UptimeTicket | LatencyReport


@dataclass(frozen=True, slots=True)
class ListedRoles:
    """Who may sign about an epoch. validators: their stakes, wei."""

    resolvers: frozenset[Address]
    masters: frozenset[Address]
    validators: Mapping[Address, int] = field(default_factory=dict)

    @classmethod
    def of(cls, nodes: Iterable[ListedNode]) -> ListedRoles:
        """Listed nodes by role; of validators those with stake."""
        listed = tuple(nodes)
        return cls(
            frozenset(node.account for node in listed if node.role == "resolver"),
            frozenset(node.account for node in listed if node.role == "master"),
            {node.account: node.stake for node in listed if node.role == "validator" and node.stake},
        )


@dataclass(frozen=True, slots=True)
class Envelope:
    """A proof whose bytes are canonical and whose provider signed it; what is inside has not been looked at."""

    signed: Signed[ActivityProof]
    digest: Digest
    raw: bytes


@dataclass(frozen=True, slots=True)
class VerifiedProof:
    """A proof every part of which verifies. digest: its identity. raw: the bytes as received, which are canonical."""

    signed: Signed[ActivityProof]
    digest: Digest
    raw: bytes


def verify_proof(raw: bytes, domain: Domain, timing: Timing, rules: Rules, roles: ListedRoles, now: int | None) -> VerifiedProof:
    """Both steps at once; `now` is a UTC second, or None once the epoch is over, when all its slots have begun.

    Raises `Refused`, see the steps.
    """
    return verify_contents(verify_envelope(raw, domain, rules), domain, timing, rules, roles, now)


def verify_envelope(raw: bytes, domain: Domain, rules: Rules) -> Envelope:
    """Size, bytes and the provider's signature.

    Raises `Refused`: `proof_too_large`, the codes of `chain.canonical.decode`, `bad_signature`, `wrong_signer`.
    """
    if len(raw) > rules.proof_max_bytes:
        found = {"bytes": str(len(raw)), "limit": str(rules.proof_max_bytes)}
        raise Refused("proof_too_large", f"{len(raw)} bytes, {rules.proof_max_bytes} at most", found)
    try:
        signed: Signed[ActivityProof] = decode(Signed[ActivityProof], raw)
        digest = digest_of(signed.message, domain)
        signer = _recover(digest, signed.signature)
    except CodecError as error:
        raise Refused(error.code, error.detail, {"at": error.path} if error.path else None) from error
    if signer != signed.message.provider:
        raise Refused("wrong_signer", "", {"signer": signer, "provider": signed.message.provider})
    return Envelope(signed, digest, raw)


def verify_contents(envelope: Envelope, domain: Domain, timing: Timing, rules: Rules, roles: ListedRoles, now: int | None) -> VerifiedProof:
    """Limits, links and statements.

    Raises `Refused`: `too_many_statements`, `wrong_subject`, `broken_log`, `not_listed`, `bad_statement`, `bad_offer`,
    `session_not_covered`.
    """
    proof = envelope.signed.message
    statements: tuple[Signed[UptimeTicket] | Signed[LatencyReport], ...] = (*proof.tickets, *proof.reports)
    _check_limits(proof, statements, rules, len(roles.validators))
    _check_log(proof, domain)
    for signed in statements:
        fault = fault_of(signed.message, proof.provider, proof.epoch, timing, roles, now)
        if fault is not None:
            raise fault
    for session in proof.sessions:
        check_session(session, proof.provider, proof.epoch, domain, timing, roles.validators)
    for signed in statements:
        check_signature(signed, domain)
    for session in proof.sessions:
        for part in signed_parts(session):
            check_signature(part, domain)
    return VerifiedProof(envelope.signed, envelope.digest, envelope.raw)


_UNSIGNED = re.compile(rb'.*"reports":\[\],"sequence":"?\d+"?,"sessions":\[\],"tickets":\[\]\},"signature":"0x[0-9a-f]{130}"\}', re.DOTALL)


def is_unsigned(raw: bytes) -> bool:
    """Whether nobody but the provider has signed anything in a verified proof: keys are free, so there can be any number of those."""
    return _UNSIGNED.fullmatch(raw, max(0, len(raw) - 512)) is not None


def fault_of(statement: Statement, provider: Address, epoch: int, timing: Timing, roles: ListedRoles, now: int | None) -> Refused | None:
    """Why a statement does not count for this provider and epoch, its signature aside; None if it does.

    `wrong_subject`; `not_listed` (in its role); `bad_statement`: by the provider itself, impossible (`wire.statements.fault_in`), or with
    a slot that has not begun at `now`.
    """
    signer: Address = getattr(statement, statement.SIGNER)
    evidence = {"signer": signer, "role": statement.SIGNER}
    if statement.provider != provider or statement.epoch != epoch:
        about = {"subject": statement.provider, "epoch": str(statement.epoch)}
        return Refused("wrong_subject", f"it is about {statement.provider} in epoch {statement.epoch}", evidence | about)
    if signer not in (roles.resolvers if isinstance(statement, UptimeTicket) else roles.masters):
        return Refused("not_listed", f"{signer} is no listed {statement.SIGNER}", evidence)
    if signer == provider:
        return Refused("bad_statement", "a provider's word about itself does not count", evidence)
    if (fault := fault_in(statement, timing)) is not None:
        return Refused("bad_statement", fault, evidence)
    last = newest_slot(statement)
    if now is not None and last is not None and (begins := timing.slot_start(epoch, last)) > now:
        return Refused("bad_statement", f"slot {last} has not begun", evidence | {"slot": str(last), "begins": str(begins)}, begins)
    return None


def _check_limits(
    proof: ActivityProof, statements: Iterable[Signed[UptimeTicket] | Signed[LatencyReport]], rules: Rules, validators: int
) -> None:
    if len(proof.log) > rules.proof_max_log_entries:
        found = {"logEntries": str(len(proof.log)), "limit": str(rules.proof_max_log_entries)}
        raise Refused("too_many_statements", f"{len(proof.log)} log entries, {rules.proof_max_log_entries} at most", found)
    of_one = Counter((s.message.SIGNER, getattr(s.message, s.message.SIGNER)) for s in statements)
    for (role, signer), count in sorted(of_one.items()):
        if count > MOST_KEPT:
            found = {"signer": signer, "role": role, "statements": str(count), "limit": str(MOST_KEPT)}
            raise Refused("too_many_statements", f"{count} of {role} {signer}, {MOST_KEPT} at most", found)
    check_session_limits(proof.sessions, rules, validators)


def _check_log(proof: ActivityProof, domain: Domain) -> None:
    if (broken := broken_link(proof.log, domain)) is not None:
        raise Refused("broken_log", broken.says, {"index": str(broken.index)})
    if proof.log_head != log_head(proof.log, domain):
        raise Refused("broken_log", "the head is not the last entry", {"logHead": to_hex(proof.log_head)})


def check_signature(signed: Signed[Any], domain: Domain) -> None:
    """Raises `Refused` (`bad_statement`) unless the account that a statement names as its signer signed it."""
    statement = signed.message
    claimed: Address = getattr(statement, statement.SIGNER)
    evidence = {"signer": claimed, "role": statement.SIGNER}
    try:
        actual = _recover(digest_of(statement, domain), signed.signature)
    except CodecError as error:
        raise Refused("bad_statement", error.detail, evidence) from error
    if actual != claimed:
        raise Refused("bad_statement", f"it is signed by {actual}, not by {claimed}", evidence | {"actual": actual})


def _recover(digest: Digest, signature: Signature) -> Address:
    from chain.keys import recover  # the curve's library: whoever recomputes what has been verified does without it

    return recover(digest, signature)
