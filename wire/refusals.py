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
    "not_found": (404, "There is nothing under this name here."),
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
    "address_mismatch": (422, "The observed address is not the announced one."),
    "rtt_too_high": (422, "The round trip to this master takes longer than the network allows."),
    # proofs
    "proof_too_large": (413, "The proof is larger than the network takes."),
    "quota_exceeded": (429, "This provider has used its quota of this epoch here."),
    "wrong_subject": (400, "A statement in the proof is about somebody else or another epoch."),
    "bad_statement": (400, "A statement in the proof does not verify."),
    "too_many_statements": (400, "The proof holds more statements than are allowed."),
    "broken_log": (400, "The activity log's entries do not link to each other."),
    "sessions_not_accepted": (400, "Session evidence is not accepted under these rules."),
    # agreement
    "unknown_candidate": (404, "No such candidate is recorded on chain."),
    # service
    "busy": (503, "The node is at its limit: try again shortly."),
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
