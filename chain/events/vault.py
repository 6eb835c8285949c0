"""What the Vault logs. Amounts in wei; times in seconds of block time."""

from __future__ import annotations

from dataclasses import dataclass

from chain.events.log import LogPosition
from chain.types import Address, Wei


@dataclass(frozen=True, slots=True)
class Funded:
    """funded: the Vault's lifetime sum from now on."""

    at: LogPosition
    from_: Address
    amount: Wei
    funded: Wei


@dataclass(frozen=True, slots=True)
class Fed:
    """fed: the lifetime sum of what went to the Settlement, from now on."""

    at: LogPosition
    amount: Wei
    fed: Wei


@dataclass(frozen=True, slots=True)
class Deposited:
    """deposited: the account's lifetime sum from now on."""

    at: LogPosition
    account: Address
    amount: Wei
    deposited: Wei


@dataclass(frozen=True, slots=True)
class Exited:
    """epoch: that of the exit; no demand receipt from now on, no usage receipt after epoch + 1. exit_at: its second."""

    at: LogPosition
    account: Address
    epoch: int
    exit_at: int


@dataclass(frozen=True, slots=True)
class WithdrawalAnnounced:
    at: LogPosition
    account: Address
    payable_at: int


@dataclass(frozen=True, slots=True)
class AnnouncementRefuted:
    at: LogPosition
    account: Address
    by: Address


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """withdrawn: the account's lifetime sum from now on."""

    at: LogPosition
    account: Address
    amount: Wei
    withdrawn: Wei


VaultEvent = Funded | Fed | Deposited | Exited | WithdrawalAnnounced | AnnouncementRefuted | Withdrawn
