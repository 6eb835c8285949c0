"""What a validator proposed and signed about epochs, what others signed, and what it reports: written before it leaves, read after every
restart."""

from __future__ import annotations

from sqlalchemy import Engine, func
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from chain.canonical import decode, encode
from chain.messages import EpochAttestation
from chain.typed import Domain, Signed, digest_of
from chain.types import Address, Digest
from runtime.database import put_new
from validator.errors import JournalConflict
from validator.tables import AttestationRow, BeginningRow, CandidateRow, JournalRow, ReportRow

KEPT_EPOCHS = 32
"""Epochs, the newest, of which attestations are taken and kept: what was signed for a round that is over still proves that it was signed
twice."""
MOST_OF_ONE = 2
"""Different attestations of one validator for one round that are kept of what others say: two prove that it signed twice."""


class Journal:
    """Candidates and attestations of one validator's database."""

    def __init__(self, engine: Engine, domain: Domain) -> None:
        self._engine, self._domain = engine, domain

    def begin(self, second: int) -> int:
        """The second in which this database was first begun with, which is this one if it is new: what was signed or accepted before is not
        in it."""
        with Session(self._engine) as session:
            put_new(session, BeginningRow(second=second))
            session.commit()
            return session.get_one(BeginningRow, 1).second

    def candidate(self, epoch: int, round_: int) -> EpochAttestation | None:
        """The candidate known for a round: built here, or fetched and seen to have the recorded digest."""
        with Session(self._engine) as session:
            row = session.get(CandidateRow, (epoch, round_))
            return decode(EpochAttestation, row.attestation) if row is not None else None

    def keep_candidate(self, attestation: EpochAttestation) -> EpochAttestation:
        """Stores a candidate unless the round has one; the one that is stored now."""
        with Session(self._engine) as session:
            put_new(session, CandidateRow(epoch=attestation.epoch, round=attestation.round, attestation=encode(attestation)))
            session.commit()
            return decode(EpochAttestation, session.get_one(CandidateRow, (attestation.epoch, attestation.round)).attestation)

    def replace_candidate(self, attestation: EpochAttestation) -> None:
        """Stores the candidate that the chain has recorded in place of one it has not."""
        with Session(self._engine) as session:
            session.merge(CandidateRow(epoch=attestation.epoch, round=attestation.round, attestation=encode(attestation)))
            session.commit()

    def signed(self, epoch: int, round_: int) -> EpochAttestation | None:
        """What this validator has bound itself to for an epoch and round."""
        with Session(self._engine) as session:
            row = session.get(JournalRow, (epoch, round_))
            return decode(EpochAttestation, row.attestation) if row is not None else None

    def bind(self, attestation: EpochAttestation) -> None:
        """Writes down what is about to be signed. `JournalConflict` if something else was written for the epoch and round."""
        row = JournalRow(epoch=attestation.epoch, round=attestation.round, attestation=encode(attestation))
        with Session(self._engine) as session:
            session.add(row)
            try:
                session.commit()
            except IntegrityError:
                session.rollback()
            else:
                return
        held = self.signed(attestation.epoch, attestation.round)
        if held is not None and held != attestation:
            raise JournalConflict(held)

    def keep_attestation(self, validator: Address, attestation: Signed[EpochAttestation]) -> bool:
        """Stores a verified attestation; whether it is new here."""
        message = attestation.message
        digest = digest_of(message, self._domain)
        row = AttestationRow(epoch=message.epoch, round=message.round, validator=validator, digest=digest, raw=encode(attestation))
        with Session(self._engine) as session:
            is_new = put_new(session, row)
            session.commit()
        return is_new

    def keep_evidence(self, validator: Address, attestation: Signed[EpochAttestation]) -> bool:
        """Stores a verified attestation unless two of the validator are held for its round; whether it is new here."""
        message = attestation.message
        query = select(func.count()).where(
            AttestationRow.epoch == message.epoch, AttestationRow.round == message.round, AttestationRow.validator == validator
        )
        with Session(self._engine) as session:
            held: int = session.exec(query).one()
        return held < MOST_OF_ONE and self.keep_attestation(validator, attestation)

    def signed_twice(self) -> dict[Address, tuple[Signed[EpochAttestation], ...]]:
        """By validator, all its attestations for rounds in which it signed several."""
        key = (AttestationRow.epoch, AttestationRow.round, AttestationRow.validator)
        several = select(*key).group_by(*map(col, key)).having(func.count() > 1)
        found: dict[Address, tuple[Signed[EpochAttestation], ...]] = {}
        with Session(self._engine) as session:
            for epoch, round_, validator in session.exec(several).all():
                query = select(AttestationRow.raw).where(
                    AttestationRow.epoch == epoch, AttestationRow.round == round_, AttestationRow.validator == validator
                )
                ordered = session.exec(query.order_by(col(AttestationRow.digest)))
                signed = tuple(decode(Signed[EpochAttestation], raw) for raw in ordered)
                found[Address(validator)] = (*found.get(Address(validator), ()), *signed)
        return found

    def salt(self, evidence: Digest) -> Digest | None:
        """The secret drawn for the report of this evidence."""
        with Session(self._engine) as session:
            row = session.get(ReportRow, evidence)
            return Digest(row.salt) if row is not None else None

    def keep_salt(self, evidence: Digest, name: str, salt: Digest) -> Digest:
        """Stores the secret of a report before it is committed to; the one that is stored now, which is the first."""
        with Session(self._engine) as session:
            put_new(session, ReportRow(evidence=evidence, name=name, salt=salt))
            session.commit()
            return Digest(session.get_one(ReportRow, evidence).salt)

    def attestations_of(self, epoch: int, round_: int) -> tuple[Signed[EpochAttestation], ...]:
        """All that is known to be signed for a round, whatever it says, ascending by signer."""
        query = select(AttestationRow.raw).where(AttestationRow.epoch == epoch, AttestationRow.round == round_)
        with Session(self._engine) as session:
            ordered = session.exec(query.order_by(col(AttestationRow.validator), col(AttestationRow.digest)))
            return tuple(decode(Signed[EpochAttestation], raw) for raw in ordered)

    def attestations(self, epoch: int, round_: int, digest: Digest) -> dict[Address, Signed[EpochAttestation]]:
        """Who signed the attestation with this digest."""
        query = select(AttestationRow).where(AttestationRow.epoch == epoch, AttestationRow.round == round_, AttestationRow.digest == digest)
        with Session(self._engine) as session:
            rows = session.exec(query.order_by(col(AttestationRow.validator))).all()
            return {Address(row.validator): decode(Signed[EpochAttestation], row.raw) for row in rows}
