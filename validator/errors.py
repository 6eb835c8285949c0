"""What can go wrong in a validator, cut by what a caller can do.

ValidatorError
├── Wrong              what a candidate, a manifest or an inventory says is not so: it is never signed
├── Defect             the own outcome can be proven wrong, by a mistake of this program: it is not proposed or signed; `code` says how
├── ManifestError      a manifest nothing can be recomputed from: it is neither proposed nor signed; `code` says why
└── JournalConflict    something else was signed for this epoch and round: the new thing is never signed

What the chain's node fails in is `Recoverable` already (`chain.errors`), what a peer does wrong is a `PeerError` (`wire.http`),
what a request asks for in vain is `Refused` (`wire.refusals`).
"""

from __future__ import annotations

from chain.messages import EpochAttestation


class ValidatorError(Exception):
    """Base of everything this package raises on purpose."""


class Wrong(ValidatorError):
    """The text says what."""


class Defect(ValidatorError):
    """`code`: the name of the proof that would convict whoever signs."""

    def __init__(self, code: str, detail: str) -> None:
        self.code, self.detail = code, detail
        super().__init__(f"{code}: {detail}")


class ManifestError(ValidatorError):
    """`code`: `wrong_epochs`, `wrong_rules` or `wrong_treasury`."""

    def __init__(self, code: str, detail: str) -> None:
        self.code, self.detail = code, detail
        super().__init__(f"{code}: {detail}")


class JournalConflict(ValidatorError):
    """held: the attestation that the journal holds for this epoch and round."""

    def __init__(self, held: EpochAttestation) -> None:
        self.held = held
        super().__init__(f"an attestation for epoch {held.epoch}, round {held.round} was journaled before and it says something else")
