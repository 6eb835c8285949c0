"""What the Judge logs."""

from __future__ import annotations

from dataclasses import dataclass

from chain.events.log import LogPosition
from chain.types import Address, Digest, Wei


@dataclass(frozen=True, slots=True)
class Committed:
    at: LogPosition
    commitment: Digest
    by: Address


@dataclass(frozen=True, slots=True)
class Proven:
    """name: the proof, by the name of its function. subject: the root, or a validator's address in its last 20 bytes."""

    at: LogPosition
    name: str
    subject: Digest
    reporter: Address


@dataclass(frozen=True, slots=True)
class Summed:
    """earned: the leaves' sum so far, wei. leaves: their number."""

    at: LogPosition
    root: Digest
    reporter: Address
    earned: Wei
    leaves: int


JudgeEvent = Committed | Proven | Summed
