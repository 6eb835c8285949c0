"""The Registry's rules: lists and stakes, bundles, convicts, providers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from chain.messages import Changes, NewListing
from chain.parameters import DeploymentParameters
from chain.types import ZERO_ADDRESS, Address, Digest
from chain.view import Conviction
from tests.reference.values import Leaving, Provider, Refused, Seat, require

if TYPE_CHECKING:
    from tests.reference.network import Reference

MAX_PER_ROLE = 32
MAX_ENDPOINT = 256


class RegistryRules:
    def __init__(self, world: Reference, parameters: DeploymentParameters) -> None:
        self.world = world
        self.seats = {one.account: Seat(one.role, one.max_stake, one.endpoint) for one in parameters.listings}
        self.leaving: dict[Address, Leaving] = {}
        self.convictions: dict[Address, Conviction] = {}
        self.shares: dict[Address, int] = {}
        self.providers: dict[Address, Provider] = {}
        self.rules_digest: Digest = parameters.rules.digest()
        self.min_total, self.provider_bond = int(parameters.min_total), int(parameters.provider_bond)
        self.bond_delay, self.unbond_delay = parameters.bond_delay, parameters.unbond_delay
        self.bundle_nonce = 0

    # What others read

    def validators(self) -> tuple[Address, ...]:
        """By ascending address."""
        return tuple(sorted(account for account, seat in self.seats.items() if seat.role == "validator"))

    def staked(self) -> tuple[Address, ...]:
        return tuple(one for one in self.validators() if self.seats[one].stake)

    def total_stake(self) -> int:
        return sum(self.seats[one].stake for one in self.validators())

    def unslashed(self) -> int:
        return sum(not one.slashed for one in self.convictions.values())

    def quorum(self, signers: Sequence[Address | None]) -> int:
        """The signers' bitmap; None stands for bytes that are no signature."""
        require(self.total_stake() >= self.min_total, "StakeTooLow")
        listed, bitmap, previous, signed = self.validators(), 0, ZERO_ADDRESS, 0
        for signer in signers:
            if signer is None:
                raise Refused("InvalidSignature")
            require(signer > previous, "SignersNotAscending")
            require(signer in self.staked(), "NotAValidator")
            previous, bitmap, signed = signer, bitmap | 1 << listed.index(signer), signed + self.seats[signer].stake
        require(3 * signed >= 2 * self.total_stake(), "QuorumNotReached")
        return bitmap

    # Stake

    def bond(self, caller: Address, account: Address, amount: int) -> None:
        seat = self._seat(account)
        require(account not in self.convictions, "Barred")
        require(amount != 0, "ZeroAmount")
        require(self.world.is_quiet(), "NotQuiet")
        require(amount <= seat.maximum - seat.stake, "AboveMaxStake")
        self.seats[account] = replace(seat, stake=seat.stake + amount)
        self.world.move(caller, self.world.network.registry, amount)

    def unbond(self, caller: Address, account: Address, amount: int) -> None:
        seat = self._seat(account)
        require(caller in (account, self.world.settlement.recipient_of(account)), "NotOwner")
        require(amount != 0, "ZeroAmount")
        require(self.world.is_quiet(), "NotQuiet")
        require(amount <= seat.stake, "BelowStake")
        self._unbond(account, amount)

    def withdraw_stake(self, caller: Address, account: Address) -> None:
        del caller
        leaving = self.leaving.get(account, Leaving())
        require(leaving.amount != 0, "NothingUnbonding")
        require(self.world.now >= leaving.release_at, "StakeLocked")
        require(self.world.is_quiet(), "NotQuiet")
        del self.leaving[account]
        self._pay(self.world.settlement.recipient_of(account), leaving.amount)

    def convict(self, account: Address, reporter: Address) -> None:
        """For two statements of one round; called by the Judge."""
        require(account not in self.convictions, "AlreadyConvicted")
        seat = self.seats.get(account)
        staked = seat is not None and seat.role == "validator" and seat.stake != 0
        require(staked or self.leaving.get(account, Leaving()).of_validator, "NothingToSlash")
        self.convictions[account] = Conviction(reporter, slashed=False)

    def convict_signers(self, bitmap: int, reporter: Address) -> None:
        for bit, account in enumerate(self.validators()):
            if bitmap >> bit & 1 and account not in self.convictions:
                self.convictions[account] = Conviction(reporter, slashed=False)

    def slash(self, caller: Address, account: Address) -> None:
        del caller
        from tests.reference.network import DEAD

        conviction = self.convictions.get(account)
        if conviction is None:
            raise Refused("NotConvicted")
        require(not conviction.slashed, "AlreadySlashed")
        amount = self.leaving.pop(account, Leaving()).amount
        if account in self.seats:
            amount += self.seats[account].stake
            self.seats[account] = replace(self.seats[account], stake=0)
        share = amount // 10
        self.convictions[account] = replace(conviction, slashed=True)
        self.shares[conviction.reporter] = self.shares.get(conviction.reporter, 0) + share
        self._pay(DEAD, amount - share)

    def collect(self, caller: Address) -> None:
        amount = self.shares.pop(caller, 0)
        require(amount != 0, "NothingToCollect")
        self._pay(caller, amount)

    # Lists

    def change(self, caller: Address, changes: Changes, deadline: int, signers: Sequence[Address | None]) -> None:
        del caller
        require(self.world.is_quiet(), "NotQuiet")
        require(self.world.now <= deadline, "BundleExpired")
        self.quorum(signers)
        self.bundle_nonce += 1
        for account in changes.delisted:
            self._delist(account)
        for one in changes.listed:
            self._list(one)
        require(changes.provider_bond != 0, "ZeroAmount")
        validators = self.validators()
        require(bool(validators), "NoValidators")
        most = sum(self.seats[one].maximum for one in validators)
        require(most <= 2 * changes.min_total and 3 * changes.min_total <= 2 * most, "MinTotalOutOfBounds")
        self.min_total, self.provider_bond = changes.min_total, changes.provider_bond
        if changes.rules:
            from eth_utils.crypto import keccak

            self.rules_digest = Digest(keccak(changes.rules))
        if changes.replace_guardian:
            self.world.settlement.replace_guardian(changes.guardian)

    def set_endpoint(self, caller: Address, endpoint: str) -> None:
        seat = self._seat(caller)
        require(len(endpoint.encode()) <= MAX_ENDPOINT, "EndpointTooLong")
        self.seats[caller] = replace(seat, endpoint=endpoint)

    # Providers

    def register(self, caller: Address, recipient: Address, referrer: Address) -> None:
        known = self.providers.get(caller)
        was = known or Provider()
        require(not was.registered, "AlreadyRegistered")
        require(recipient != ZERO_ADDRESS, "ZeroAddress")
        current = self.world.settlement.recipient_of(caller)
        require(current in (recipient, caller), "NotRecipient")
        if known is not None:
            require(referrer in (ZERO_ADDRESS, was.referrer), "ReferrerFixed")
            referrer = was.referrer
        else:
            named = self.providers.get(referrer, Provider())
            require(referrer == ZERO_ADDRESS or named.registered, "ReferrerNotRegistered")
        bonded = max(was.bond, self.provider_bond)
        self.providers[caller] = Provider(registered=True, bond=bonded, referrer=referrer)
        if recipient != current:
            self.world.settlement.redirect(caller, recipient)
        self.world.move(caller, self.world.network.registry, bonded - was.bond)

    def unregister(self, caller: Address) -> None:
        was = self.providers.get(caller, Provider())
        require(was.registered, "NotRegistered")
        self.providers[caller] = replace(was, registered=False, release_at=self.world.now + self.bond_delay)

    def withdraw_bond(self, caller: Address) -> None:
        was = self.providers.get(caller, Provider())
        require(not was.registered and was.bond != 0, "NoBondWaiting")
        require(self.world.now >= was.release_at, "BondLocked")
        self.providers[caller] = replace(was, bond=0, release_at=0)
        self._pay(self.world.settlement.recipient_of(caller), was.bond)

    # Below

    def _seat(self, account: Address) -> Seat:
        require(account in self.seats, "NotListed")
        return self.seats[account]

    def _unbond(self, account: Address, amount: int) -> None:
        seat, before = self.seats[account], self.leaving.get(account, Leaving())
        self.seats[account] = replace(seat, stake=seat.stake - amount)
        of_validator = before.of_validator or seat.role == "validator"
        self.leaving[account] = Leaving(before.amount + amount, self.world.now + self.unbond_delay, of_validator)

    def _delist(self, account: Address) -> None:
        if stake := self._seat(account).stake:
            self._unbond(account, stake)
        del self.seats[account]

    def _list(self, one: NewListing) -> None:
        require(one.account != ZERO_ADDRESS, "ZeroAddress")
        require(one.max_stake != 0, "ZeroAmount")
        seat = self.seats.get(one.account)
        if seat is None:
            require(one.account not in self.convictions, "Barred")
            require(sum(other.role == one.role for other in self.seats.values()) < MAX_PER_ROLE, "ListFull")
        else:
            require(seat.role == one.role, "RoleFixed")
        require(len(one.endpoint.encode()) <= MAX_ENDPOINT, "EndpointTooLong")
        stake = seat.stake if seat else 0
        self.seats[one.account] = Seat(one.role, one.max_stake, one.endpoint, stake)
        if stake > one.max_stake:
            self._unbond(one.account, stake - one.max_stake)

    def _pay(self, to: Address, amount: int) -> None:
        self.world.move(self.world.network.registry, to, amount)
