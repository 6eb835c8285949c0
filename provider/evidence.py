"""Whether a statement may be held: signed by a node listed for its role, about this provider, in an open epoch, and possible. Pure."""

from __future__ import annotations

from chain.epochs import Timing
from chain.errors import CodecError, SignatureError
from chain.typed import Domain, Signed, signer_of
from chain.types import Address
from chain.view import ChainView
from provider.errors import UnusableStatement
from wire.messages import LatencyReport, UptimeTicket
from wire.statements import fault_in, newest_slot


def check_ticket(signed: Signed[UptimeTicket], provider: Address, now: float, view: ChainView, timing: Timing, domain: Domain) -> None:
    """Raises `UnusableStatement` unless the ticket may be held. now: UTC seconds."""
    _check(signed, "resolver", provider, now, view, timing, domain)


def check_report(signed: Signed[LatencyReport], provider: Address, now: float, view: ChainView, timing: Timing, domain: Domain) -> None:
    """Raises `UnusableStatement` unless the report may be held. now: UTC seconds."""
    _check(signed, "master", provider, now, view, timing, domain)


def epoch_is_open(epoch: int, now: float, timing: Timing) -> bool:
    """Whether proofs of the epoch are taken now."""
    return epoch >= 1 and timing.start_of(epoch) <= now < timing.intake_end(epoch)


def _check(
    signed: Signed[UptimeTicket] | Signed[LatencyReport],
    role: str,
    provider: Address,
    now: float,
    view: ChainView,
    timing: Timing,
    domain: Domain,
) -> None:
    message = signed.message
    signer: Address = getattr(message, message.SIGNER)
    listing = view.listing(signer)
    if listing is None or listing.role != role:
        raise UnusableStatement("not_listed", f"{signer} is not listed as a {role}")
    if message.provider != provider or signer == provider:
        raise UnusableStatement("wrong_subject", f"a statement of {signer} is about {message.provider}")
    if not epoch_is_open(message.epoch, now, timing):
        raise UnusableStatement("unknown_epoch", f"a statement of {signer} is about epoch {message.epoch}, which is not open")
    if (fault := fault_in(message, timing)) is not None:
        raise UnusableStatement("bad_statement", f"a statement of {signer}: {fault}")
    if (last := newest_slot(message)) is not None and timing.slot_start(message.epoch, last) > now:
        raise UnusableStatement("bad_statement", f"{signer} speaks of a slot that has not begun")
    try:
        if (actual := signer_of(signed, domain)) != signer:
            raise SignatureError("wrong_signer", f"it is signed by {actual}")
    except CodecError as error:
        raise UnusableStatement(error.code, f"a statement that names {signer}: {error.detail}") from error
