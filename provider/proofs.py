"""When a proof is due, and what goes into it. Pure.

A proof only carries what others signed. If it would be too large it loses old log entries first, then what older statements of a
signer add to its newest one, then the sessions with the least fee outstanding, then the statements with fewest slots: one session takes as
much room as several statements, on which all pay for availability rests, and while it goes on the next epoch makes good what this one lost.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from chain.canonical import encode
from chain.rules import Rules
from chain.typed import Domain, Signed
from chain.types import Address, Signature
from wire.activity import log_head
from wire.messages import ActivityEntry, ActivityProof, LatencyReport, SessionEvidence, UptimeTicket
from wire.slots import count
from wire.statements import slots_up

_UNSIGNED = Signature(bytes(65))


@dataclass(frozen=True, slots=True)
class Held:
    """Statements of one epoch, as many of a signer as are worth holding (`wire.statements.newest`)."""

    tickets: tuple[Signed[UptimeTicket], ...] = ()
    reports: tuple[Signed[LatencyReport], ...] = ()

    def of(self, resolvers: Container[Address], masters: Container[Address]) -> Held:
        """Those whose signers are listed."""
        tickets = tuple(signed for signed in self.tickets if signed.message.resolver in resolvers)
        return Held(tickets, tuple(signed for signed in self.reports if signed.message.master in masters))

    def slots_up(self, masters: int, slots: int) -> int:
        """How many of the epoch's `slots` are up by these statements, with `masters` listed: what the epoch is worth so far."""
        tickets, reports = (signed.message for signed in self.tickets), (signed.message for signed in self.reports)
        return count(slots_up(tickets, reports, masters, slots))


@dataclass(frozen=True, slots=True)
class Progress:
    """Accepted heartbeats of an epoch, and how many of them its newest proof came after."""

    heartbeats: int = 0
    proven: int = 0


def is_due(progress: Progress, every: int) -> bool:
    """Whether a proof is due during its epoch: after `every` accepted heartbeats, 1 included."""
    return progress.heartbeats - progress.proven >= every


def says_more(candidate: ActivityProof, newest: ActivityProof | None) -> bool:
    """Whether an ended epoch's candidate is worth sending: it holds another set of statements than the newest proof, or is the first."""
    if newest is None:
        return bool(candidate.tickets or candidate.reports or candidate.sessions)
    return _said(candidate) != _said(newest)


def build_proof(
    provider: Address,
    epoch: int,
    sequence: int,
    held: Held,
    entries: Sequence[ActivityEntry],
    rules: Rules,
    domain: Domain,
    sessions: Sequence[SessionEvidence] = (),
) -> ActivityProof:
    """The proof of an epoch within the limits of `rules`. entries: the newest of the log, oldest first, linked. sessions: those payable in
    the epoch, the highest fee outstanding first.

    `ValueError` if not even an empty proof fits, which is a mistake in the rules.
    """
    log = tuple(entries[-rules.proof_max_log_entries :])
    proof = ActivityProof(provider, epoch, sequence, (), (), (), log, log_head(log, domain))
    chosen, newest = _by_worth(held)
    proof = _with(proof, chosen)
    sizes = [len(encode(session)) + 1 for session in sessions[: rules.proof_max_sessions]]
    while _size(proof) + sum(sizes) > rules.proof_max_bytes:
        if len(proof.log) > 1:
            proof = replace(proof, log=proof.log[len(proof.log) // 2 :])
        elif sizes and len(chosen) <= newest:
            room = rules.proof_max_bytes - _size(proof)
            while sizes and sum(sizes) > room:
                sizes.pop()
        elif chosen:
            chosen.pop()
            proof = _with(proof, chosen)
        else:
            raise ValueError(f"a proof of {_size(proof)} bytes holds nothing and is larger than proof_max_bytes, {rules.proof_max_bytes}")
    return replace(proof, sessions=tuple(sessions[: len(sizes)]))


def _size(proof: ActivityProof) -> int:
    return len(encode(Signed(proof, _UNSIGNED)))


def _signer(signed: Signed[Any]) -> Address:
    signer: Address = getattr(signed.message, signed.message.SIGNER)
    return signer


def _newest_first(statements: Iterable[Signed[Any]]) -> list[Signed[Any]]:
    return sorted(statements, key=lambda signed: (_signer(signed), -signed.message.sequence, signed.signature))


def _said(proof: ActivityProof) -> frozenset[Any]:
    return frozenset((*proof.tickets, *proof.reports, *proof.sessions))


def _by_worth(held: Held) -> tuple[list[Signed[Any]], int]:
    """All statements, those that a proof can do without last; and how many of them are the newest of their signers, which come first."""
    ranked: list[tuple[int, int, Signed[Any]]] = []
    for kind in (held.tickets, held.reports):
        for _, group in groupby(_newest_first(kind), key=_signer):
            ranked += [(rank, -count(signed.message.slots), signed) for rank, signed in enumerate(group)]
    return [signed for *_, signed in sorted(ranked, key=lambda item: item[:2])], sum(rank == 0 for rank, *_ in ranked)


def _with(proof: ActivityProof, chosen: list[Signed[Any]]) -> ActivityProof:
    tickets = [signed for signed in chosen if isinstance(signed.message, UptimeTicket)]
    reports = [signed for signed in chosen if isinstance(signed.message, LatencyReport)]
    return replace(proof, tickets=tuple(_newest_first(tickets)), reports=tuple(_newest_first(reports)))
