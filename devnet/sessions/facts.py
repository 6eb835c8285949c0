"""What the sessions demo compares: numbers and words gathered once the story is over. Amounts in wei, sizes in payload bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chain.types import Address, Digest
from devnet.processes import Started
from devnet.sessions.ledger import Served, Sums


@dataclass(frozen=True, slots=True)
class Download:
    """A file that a consumer's program fetched through its SOCKS port. expected, found: sha-256. via: the place it came through."""

    consumer: str
    path: str
    size: int
    expected: Digest
    found: Digest
    via: tuple[str, ...]
    client: str


@dataclass(frozen=True, slots=True)
class Counted:
    """One consumer's session by three counts: those signed by consumer and provider, and what it costs by them. closed: why it ended."""

    consumer: str
    provider: str
    session: str
    price: int
    receipted: int
    reported: int
    fee: int
    closed: str


@dataclass(frozen=True, slots=True)
class Kill:
    """A provider killed in mid-download. before, after: places. carried: bytes of the connection by the origin's count; receipted: of the
    session; credit: the most that may be unreceipted."""

    consumer: str
    before: str
    after: str
    carried: int
    receipted: int
    credit: int


@dataclass(frozen=True, slots=True)
class LeafSums:
    """An account's leaf of the last root, wei."""

    earned: int
    spent: int


@dataclass(frozen=True, slots=True)
class Facts:
    """accounts: by place. origin_bytes: by consumer's name, both ways. refused: SOCKS replies to what must not be got.
    served: by epoch, from the archive; sums: by hand from it. leaves: by account, of the root `epoch`. claimed: what transfers brought, by
    place. found: where a destination or a consumer's address was found, which should be nowhere; scanned: files and answers looked at;
    unpacked: values of archives among them that had to be unpacked."""

    started: tuple[Started, ...]
    accounts: Mapping[str, Address]
    treasury: Address
    downloads: tuple[Download, ...]
    origin_bytes: Mapping[str, int]
    refused: Mapping[str, int]
    sessions: tuple[Counted, ...]
    kill: Kill
    epoch: int
    served: Mapping[int, tuple[Served, ...]]
    sums: Sums
    leaves: Mapping[Address, LeafSums]
    total_spent: int
    deposits: Mapping[str, int]
    claimed: Mapping[str, int]
    found: tuple[str, ...]
    scanned: int
    unpacked: int

    def name_of(self, account: Address) -> str:
        return next((name for name, one in self.accounts.items() if one == account), account)
