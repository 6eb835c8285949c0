"""Every refusal of every HTTP interface: one table of codes, one JSON envelope.

    {"error": {"code", "message", "observer", "time", "evidence": {…}, "nextTry"}}

`observer` is the address of the node that refuses, `time` its UTC second, `evidence` the compared values, `nextTry` the UTC second
from which on the same request may succeed, 0 if it never will unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping

TABLE: Mapping[str, tuple[int, str]] = {
    # what is wrong with the bytes
    "malformed_json": (400, "The body is not JSON as this network writes it: UTF-8, no floats, no key twice."),
    "not_canonical": (400, "The body is not in canonical form: sort keys, leave out white space, use lower-case hexadecimal."),
    "wrong_type": (400, "A field has the wrong type."),
    "missing_field": (400, "A field is missing."),
    "unknown_field": (400, "A field is not known here."),
    "out_of_range": (400, "A value is out of its range."),
    "bad_parameter": (400, "A part of the URL is not what this path takes."),
    "body_too_slow": (408, "The body did not arrive in time."),
    "body_too_large": (413, "The body is larger than this path takes."),
    "bad_encoding": (400, "A request is not packed, and an answer only as its headers say and as this network packs: one Zstandard frame."),
    "not_found": (404, "There is nothing under this name here."),
    "pruned": (410, "This is older than what this node keeps: ask a validator that keeps more; its digest stays on chain."),
    "method_not_allowed": (405, "This path takes another method."),
    # who signed it, for which network
    "bad_signature": (401, "The signature is malformed: 65 bytes r, s, v with a low s are expected."),
    "wrong_signer": (401, "The signature is not by the account the message names; it may be for another chain or contract."),
    "wrong_network": (421, "This node serves another chain, contract or protocol version."),
    "not_listed": (403, "The signer is not listed on chain in the role this takes."),
    # when
    "stale_time": (400, "The message's time is too far in the past: check the clock and sign again."),
    "future_time": (400, "The message's time is too far in the future: check the clock and sign again."),
    "reused_sequence": (409, "A message with this or a higher sequence was seen before: sign again with a higher one."),
    "unknown_epoch": (400, "This epoch is not open here: it has not begun, or its intake has closed."),
    "intake_closed": (409, "The intake of this epoch has closed."),
    "not_yet": (425, "This is not available yet: ask again later."),
    # pool
    "private_address": (400, "The address is not a public one: announce the address that others reach you at."),
    "absurd_value": (400, "A value is outside what a provider can have: see docs/protocol.md for the bounds."),
    "unknown_presence": (404, "No such presence is in the pool: announce again."),
    "presence_expired": (409, "The presence has expired: announce again."),
    # latency
    "no_echo": (409, "No echo of this provider has been timed in this slot: run the UDP exchange first."),
    "too_few_rounds": (409, "Too few echoes of this provider have been timed in this slot."),
    "dial_back_failed": (422, "The announced endpoint could not be dialled back: open the port and check the public address."),
    "dial_back_wrong_key": (422, "The announced endpoint answered with a certificate of another node."),
    "dial_back_limit": (429, "The endpoint was dialled back as often as is allowed in this slot."),
    "not_a_relay": (422, "The announced endpoint is not the relay of the listed master it names."),
    "address_mismatch": (422, "The observed address is not the announced one."),
    "rtt_too_high": (422, "The round trip to this master takes longer than the network allows."),
    # proofs
    "proof_too_large": (413, "The proof is larger than the network takes."),
    "quota_exceeded": (429, "This provider has used its quota of this epoch here."),
    "wrong_subject": (400, "A statement in the proof is about somebody else or another epoch."),
    "bad_statement": (400, "A statement in the proof does not verify."),
    "too_many_statements": (400, "The proof holds more statements than are allowed."),
    "broken_log": (400, "The activity log's entries do not link to each other."),
    "session_not_covered": (400, "A session is not covered by demand receipts of two thirds of the stake for this epoch."),
    # sessions
    "bad_offer": (400, "The offer is not for this request, or asks for more than it allows."),
    "not_accepted": (400, "The consumer has not accepted this offer: its first, empty receipt is missing."),
    "no_deposit": (402, "The consumer has no deposit, or it is on its way out: deposit first."),
    "budget_not_covered": (402, "The deposit does not cover this interval: deposit more, or wait until sessions are settled."),
    "budget_used": (409, "This interval of the budget, or one above it, is promised already: ask with one above all before it."),
    "bad_receipt": (400, "The receipt is not for this session, or says less than one before it."),
    "receipt_overdue": (402, "More was served than receipts were signed for."),
    "budget_spent": (402, "The session's budget is spent: open another session."),
    "not_covered": (503, "Validators with two thirds of the stake have not covered the session in time."),
    "unknown_session": (404, "No such session is open here."),
    "session_closed": (410, "The session has been closed."),
    "too_many_streams": (429, "The session has as many connections as are allowed at once."),
    "destination_refused": (403, "The destination is not a public address: private, local and own ones are not reached from here."),
    "port_refused": (403, "This port is not reached from here."),
    "destination_blocked": (403, "The operator does not reach this destination."),
    "name_not_found": (502, "The name has no address."),
    "host_unreachable": (502, "There is no way to the destination."),
    "connection_refused": (502, "The destination refuses the connection."),
    "connect_timed_out": (504, "The destination does not answer in time."),
    "cap_reached": (503, "The provider has carried as much as its operator allows for now."),
    "outside_hours": (503, "The provider does not serve at this hour."),
    "leaving": (503, "The provider is about to leave."),
    # agreement
    "unknown_candidate": (404, "No such candidate is recorded on chain."),
    # service
    "busy": (503, "The node is at its limit: try again shortly."),
    "database_unavailable": (503, "The node's database does not answer at the moment: try again shortly."),
    "chain_unavailable": (503, "The node cannot read the chain at the moment: try again shortly."),
    "internal": (500, "The node failed to answer; it has logged why."),
}


class Refused(Exception):
    """Raised by a handler to refuse a request; `evidence` holds the compared values as text."""

    def __init__(self, code: str, detail: str = "", evidence: Mapping[str, str] | None = None, next_try: int = 0) -> None:
        if code not in TABLE:
            raise KeyError(f"{code} is not in the table of refusals")
        self.code, self.detail, self.evidence, self.next_try = code, detail, dict(evidence or {}), next_try
        super().__init__(code, detail)

    @property
    def status(self) -> int:
        return TABLE[self.code][0]

    @property
    def message(self) -> str:
        sentence = TABLE[self.code][1]
        return f"{sentence} ({self.detail})" if self.detail else sentence

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"
