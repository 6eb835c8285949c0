"""From events to what they say together: the state of all contracts that can be read, rebuilt from their logs alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType

from chain import events as ev
from chain.types import ZERO_ADDRESS, Address, Wei
from chain.view import BlockStamp, ChainView, Conviction, Deposit, FormerProvider, Listing, Registration, Summed, Unbonding

EQUIVOCATION = "equivocates"
"""The one proof that is about a validator and no root."""


def fold(view: ChainView, events: Iterable[ev.Event], block: BlockStamp) -> ChainView:
    """The view at `block`, given the events after `view.block` up to and including it, in the order of the chain."""
    folding: _Folding | None = None
    for event in events:
        folding = folding or _Folding(view)
        folding.apply(event)
    return replace(view, block=block) if folding is None else folding.view(block)


class _Folding:
    """A view being changed."""

    def __init__(self, view: ChainView) -> None:
        self._listings = {listing.account: listing for listing in view.listings}
        self._unbonding, self._convictions, self._shares = dict(view.unbonding), dict(view.convictions), dict(view.shares)
        self._rules, self._rules_digest = view.rules, view.rules_digest
        self._min_total, self._provider_bond, self._bundle_nonce = view.min_total, view.provider_bond, view.bundle_nonce
        self._registrations, self._former, self._recipients = dict(view.registrations), dict(view.former), dict(view.recipients)
        self._funded, self._fed, self._deposits = view.funded, view.fed, dict(view.deposits)
        self._proposed, self._posted, self._signers = list(view.proposed), list(view.posted), dict(view.signers)
        self._activated, self._cancelled, self._proven = list(view.activated), dict(view.cancelled), dict(view.proven)
        self._claimed, self._scored, self._pot, self._guard = dict(view.claimed), dict(view.scored), view.pot, view.guard
        self._commitments, self._summed = dict(view.commitments), dict(view.summed)

    def apply(self, event: ev.Event) -> None:
        self._apply_lists(event)
        self._apply_stake(event)
        self._apply_providers(event)
        self._apply_vault(event)
        self._apply_roots(event)
        self._apply_claims(event)
        self._apply_guard(event)
        self._apply_proofs(event)

    def view(self, block: BlockStamp) -> ChainView:
        listed = self._listings.values()
        validators = sorted((one for one in listed if one.role == "validator"), key=lambda one: one.account)
        return ChainView(
            block=block,
            listings=(*validators, *(one for one in listed if one.role != "validator")),
            unbonding=MappingProxyType(self._unbonding),
            convictions=MappingProxyType(self._convictions),
            shares=MappingProxyType(self._shares),
            rules=self._rules,
            rules_digest=self._rules_digest,
            min_total=self._min_total,
            provider_bond=self._provider_bond,
            bundle_nonce=self._bundle_nonce,
            registrations=MappingProxyType(self._registrations),
            former=MappingProxyType(self._former),
            recipients=MappingProxyType(self._recipients),
            funded=self._funded,
            fed=self._fed,
            deposits=MappingProxyType(self._deposits),
            proposed=tuple(self._proposed),
            posted=tuple(self._posted),
            signers=MappingProxyType(self._signers),
            activated=tuple(self._activated),
            cancelled=MappingProxyType(self._cancelled),
            proven=MappingProxyType(self._proven),
            claimed=MappingProxyType(self._claimed),
            scored=MappingProxyType(self._scored),
            pot=self._pot,
            guard=self._guard,
            commitments=MappingProxyType(self._commitments),
            summed=MappingProxyType(self._summed),
        )

    def _apply_lists(self, event: ev.Event) -> None:
        match event:
            case ev.Listed(account=account):
                known = self._listings.get(account)
                stake = known.stake if known else Wei(0)
                self._listings[account] = Listing(account, event.role, event.endpoint, event.max_stake, stake)
            case ev.Delisted(account=account):
                del self._listings[account]
            case ev.EndpointSet(account=account):
                self._listings[account] = replace(self._listings[account], endpoint=event.endpoint)
            case ev.RulesSet():
                self._rules, self._rules_digest = event.rules, event.digest
            case ev.ParametersSet():
                self._min_total, self._provider_bond = event.min_total, event.provider_bond
            case ev.BundleApplied():
                self._bundle_nonce = event.nonce + 1
            case _:
                pass

    def _apply_stake(self, event: ev.Event) -> None:
        match event:
            case ev.Bonded(account=account):
                self._listings[account] = replace(self._listings[account], stake=event.stake)
            case ev.Unbonded(account=account):
                self._listings[account] = replace(self._listings[account], stake=event.stake)
                before = self._unbonding.get(account) or Unbonding(Wei(0), 0, False)
                of_validator = before.of_validator or event.role == "validator"
                self._unbonding[account] = Unbonding(Wei(before.amount + event.amount), event.release_at, of_validator)
            case ev.StakeWithdrawn(account=account):
                del self._unbonding[account]
            case ev.Convicted(account=account):
                self._convictions[account] = Conviction(event.reporter, slashed=False)
            case ev.Slashed(account=account):
                self._convictions[account] = Conviction(event.reporter, slashed=True)
                self._unbonding.pop(account, None)
                if account in self._listings:
                    self._listings[account] = replace(self._listings[account], stake=Wei(0))
                if event.share:
                    self._shares[event.reporter] = Wei(self._shares.get(event.reporter, 0) + event.share)
            case ev.ShareCollected():
                del self._shares[event.reporter]
            case _:
                pass

    def _apply_providers(self, event: ev.Event) -> None:
        match event:
            case ev.ProviderRegistered(provider=provider):
                self._former.pop(provider, None)
                self._registrations[provider] = Registration(provider, event.referrer, event.bond)
            case ev.ProviderUnregistered(provider=provider):
                was = self._registrations.pop(provider)
                self._former[provider] = FormerProvider(was.referrer, was.bond, event.release_at)
            case ev.BondWithdrawn(provider=provider):
                self._former[provider] = replace(self._former[provider], bond=Wei(0), release_at=0)
            case ev.RecipientSet():
                self._recipients[event.account] = event.recipient
            case _:
                pass

    def _apply_vault(self, event: ev.Event) -> None:
        match event:
            case ev.Funded():
                self._funded = event.funded
            case ev.Fed():
                self._fed = event.fed
            case ev.Deposited(account=account):
                self._deposits[account] = replace(self._deposit_of(account), deposited=event.deposited)
            case ev.Exited(account=account):
                self._deposits[account] = replace(self._deposit_of(account), exit_epoch=event.epoch, exit_at=event.exit_at)
            case ev.WithdrawalAnnounced(account=account):
                self._deposits[account] = replace(self._deposit_of(account), payable_at=event.payable_at)
            case ev.AnnouncementRefuted(account=account):
                self._deposits[account] = replace(self._deposit_of(account), payable_at=0)
            case ev.Withdrawn(account=account):
                self._deposits[account] = Deposit(self._deposit_of(account).deposited, event.withdrawn)
            case _:
                pass

    def _deposit_of(self, account: Address) -> Deposit:
        return self._deposits.get(account, Deposit())

    def _apply_roots(self, event: ev.Event) -> None:
        match event:
            case ev.Proposed():
                self._proposed.append(event)
            case ev.Posted():
                self._posted.append(event)
                # The list changes in quiet time only, so these are the positions that the bitmap means.
                listed = sorted(one.account for one in self._listings.values() if one.role == "validator")
                self._signers[event.epoch] = tuple(account for bit, account in enumerate(listed) if event.signers >> bit & 1)
            case ev.Activated():
                self._activated.append(event.epoch)
                self._pot = event.pot
            case ev.Cancelled():
                self._cancelled[event.epoch] = event
            case _:
                pass

    def _apply_claims(self, event: ev.Event) -> None:
        match event:
            case ev.Claimed(account=account):
                self._claimed[account] = Wei(self._claimed.get(account, 0) + event.amount)
                self._pot = Wei(self._pot - event.amount)
                # A claim keeps the reputation too, if its root is newer than what is kept; it is by the root activated last.
                self._scored[account] = max(self._scored.get(account, 0), self._activated[-1])
            case ev.ReputationPushed(account=account):
                self._scored[account] = event.epoch
            case _:
                pass

    def _apply_guard(self, event: ev.Event) -> None:
        match event:
            case ev.GuardianSet():
                self._guard = replace(self._guard, guardian=event.guardian, since=event.since, nominee=ZERO_ADDRESS)
            case ev.GuardianNominated():
                self._guard = replace(self._guard, nominee=event.nominee)
            case ev.Paused():
                self._guard = replace(self._guard, paused_until=event.until, pausable_from=event.pausable_from)
            case ev.Unpaused():
                self._guard = replace(self._guard, paused_until=0, pausable_from=event.pausable_from)
            case _:
                pass

    def _apply_proofs(self, event: ev.Event) -> None:
        match event:
            case ev.Committed():
                self._commitments[event.commitment] = event.at.block
            case ev.Summed():
                self._summed[event.root, event.reporter] = Summed(event.earned, event.leaves)
            case ev.Proven() if event.name != EQUIVOCATION:
                # Only the newest root is ever triable.
                self._proven[self._posted[-1].epoch] = event
            case _:
                pass
