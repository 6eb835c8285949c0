"""What the chain says, folded from its events: pure, so that everyone who reads the same logs sees the same network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from chain import events as ev
from chain.types import Address, Digest, Wei


@dataclass(frozen=True, slots=True)
class BlockStamp:
    """A block that reads are pinned to. timestamp: UTC seconds."""

    number: int
    hash: Digest
    timestamp: int


@dataclass(frozen=True, slots=True)
class Listing:
    """A node in a role. endpoint: host:port. max_stake, stake: wei."""

    account: Address
    role: str
    endpoint: str
    max_stake: Wei
    stake: Wei = Wei(0)


@dataclass(frozen=True, slots=True)
class Registration:
    """A provider that is registered and bonded (bond in wei); referrer is the zero address for none."""

    provider: Address
    recipient: Address
    referrer: Address
    bond: Wei


@dataclass(frozen=True, slots=True)
class ChainView:
    """The network at a block: listings in listing order, registered providers, the Vault's funds, candidates and posted roots so far."""

    block: BlockStamp
    listings: tuple[Listing, ...] = ()
    registrations: Mapping[Address, Registration] = field(default_factory=lambda: MappingProxyType({}))
    funded: Wei = Wei(0)
    proposed: tuple[ev.Proposed, ...] = ()
    posted: tuple[ev.Posted, ...] = ()

    def validators(self) -> tuple[Listing, ...]:
        """Validators with stake, in listing order: those among whom rounds are drawn."""
        return tuple(listing for listing in self.listings if listing.role == "validator" and listing.stake > 0)

    def resolvers(self) -> tuple[Listing, ...]:
        return tuple(listing for listing in self.listings if listing.role == "resolver")

    def masters(self) -> tuple[Listing, ...]:
        return tuple(listing for listing in self.listings if listing.role == "master")

    def listing(self, account: Address) -> Listing | None:
        return next((listing for listing in self.listings if listing.account == account), None)


def fold(view: ChainView, events: Iterable[ev.Event], block: BlockStamp) -> ChainView:
    """The view at `block`, given the events after `view.block` up to and including it, in the order of the chain."""
    listings = {listing.account: listing for listing in view.listings}
    registrations = dict(view.registrations)
    funded, proposed, posted = view.funded, list(view.proposed), list(view.posted)
    for event in events:
        match event:
            case ev.Listed():
                listings[event.account] = Listing(event.account, event.role, event.endpoint, event.max_stake)
            case ev.EndpointSet():
                listings[event.account] = replace(listings[event.account], endpoint=event.endpoint)
            case ev.Bonded():
                listings[event.account] = replace(listings[event.account], stake=event.stake)
            case ev.ProviderRegistered():
                registrations[event.provider] = Registration(event.provider, event.recipient, event.referrer, event.bond)
            case ev.ProviderUnregistered():
                registrations.pop(event.provider, None)
            case ev.RecipientSet() if event.account in registrations:
                registrations[event.account] = replace(registrations[event.account], recipient=event.recipient)
            case ev.Funded():
                funded = event.funded
            case ev.Proposed():
                proposed.append(event)
            case ev.Posted():
                posted.append(event)
            case _:
                pass
    return ChainView(block, tuple(listings.values()), MappingProxyType(registrations), funded, tuple(proposed), tuple(posted))
