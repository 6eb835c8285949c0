"""Whether a session in a proof is payable in the proof's epoch: that all of its parts go together, and two thirds of the stake cover it.

Pure, and without the signatures, which cost most and are looked at last. Refusals carry the codes of `wire.refusals`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from chain.epochs import Timing
from chain.rules import Rules
from chain.typed import Domain, Signed
from chain.types import Address, Digest, to_hex
from wire.messages import SessionEvidence, UsageReceipt, UsageReport
from wire.refusals import Refused
from wire.sessions import check_offer, counts_in, covers, is_usage_of, session_id


def check_session_limits(sessions: Sequence[SessionEvidence], rules: Rules, validators: int) -> None:
    """Raises `Refused` (`too_many_statements`) for more sessions, receipts, reports or demand receipts than count at most."""
    if len(sessions) > rules.proof_max_sessions:
        found = {"sessions": str(len(sessions)), "limit": str(rules.proof_max_sessions)}
        raise Refused("too_many_statements", f"{len(sessions)} sessions, {rules.proof_max_sessions} at most", found)
    for session in sessions:
        for name, parts, most in (
            ("demand receipts", session.demand, validators),
            ("receipts", session.receipts, 1),
            ("reports", session.reports, 1),
        ):
            if len(parts) > most:
                found = {name.replace(" r", "R"): str(len(parts)), "limit": str(most)}
                raise Refused("too_many_statements", f"{len(parts)} {name} of one session, {most} at most", found)
    of_one = [(session.request.message, session.offer.message) for session in sessions]
    if len(set(of_one)) < len(of_one):
        raise Refused("too_many_statements", "a session is shown twice")


def check_session(
    session: SessionEvidence, provider: Address, epoch: int, domain: Domain, timing: Timing, stakes: Mapping[Address, int]
) -> None:
    """Raises `Refused` unless the session is one of this provider, payable in this epoch.

    stakes: wei, of the validators at anchor(epoch - 1). `wrong_subject`: about another provider, consumer, session or epoch; `bad_offer`;
    `not_listed`: a demand receipt is of no validator; `bad_statement`: without a receipt, for another interval, or out of order;
    `session_not_covered`: by two thirds of the stake, in this epoch or the one before.
    """
    request, offer = session.request.message, session.offer.message
    if offer.provider != provider:
        raise Refused("wrong_subject", f"a session is of {offer.provider}", {"subject": offer.provider})
    check_offer(request, offer, domain)
    name = session_id(request, offer, domain)
    evidence = {"session": to_hex(name)}
    if not session.receipts:
        raise Refused("bad_statement", "a session is shown without the consumer's receipt", evidence)
    for receipt in session.receipts:
        _check_usage(receipt.message, request.consumer, name, epoch, timing, evidence)
    for report in session.reports:
        _check_usage(report.message, provider, name, epoch, timing, evidence)
    for signed in session.demand:
        demand = signed.message
        if demand.validator not in stakes:
            raise Refused("not_listed", f"{demand.validator} is no validator with stake", evidence | {"signer": demand.validator})
        if (demand.session_id, demand.consumer, demand.provider) != (name, request.consumer, provider):
            raise Refused("wrong_subject", "a demand receipt is about another session", evidence | {"signer": demand.validator})
        if (demand.budget_from, demand.budget_to) != (request.budget_from, request.budget_to):
            raise Refused("bad_statement", "a demand receipt is for another interval", evidence | {"signer": demand.validator})
    signers = [signed.message.validator for signed in session.demand]
    if any(one >= other for one, other in pairwise(signers)):
        raise Refused("bad_statement", "demand receipts ascend by validator, one of each", evidence)
    if not covers((signed.message for signed in session.demand), epoch, timing, stakes):
        counting = sum(stakes[signed.message.validator] for signed in session.demand if counts_in(signed.message, epoch, timing))
        found = evidence | {"stake": str(counting), "of": str(sum(stakes.values())), "epoch": str(epoch)}
        raise Refused("session_not_covered", "", found)


def signed_parts(session: SessionEvidence) -> tuple[Signed[Any], ...]:
    """Everything in it whose signature has to verify."""
    return (session.request, session.offer, *session.demand, *session.receipts, *session.reports)


def _check_usage(
    statement: UsageReceipt | UsageReport, signer: Address, name: Digest, epoch: int, timing: Timing, evidence: Mapping[str, str]
) -> None:
    said: Address = getattr(statement, statement.SIGNER)
    found = {**evidence, "signer": said}
    if said != signer or statement.session_id != name:
        raise Refused("wrong_subject", f"it is about another session, or not by its {statement.SIGNER}", found)
    if not is_usage_of(statement, epoch, timing):
        raise Refused("wrong_subject", f"it is of epoch {timing.epoch_at(statement.time)}", found | {"epoch": str(epoch)})
