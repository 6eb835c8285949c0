"""Every check that the network runs on a provider, run here and explained: what is wrong, and what to do about it.

While the provider runs, masters judge its own port; otherwise the doctor opens the port for the time of the visit. It announces nothing to
the resolver: whether the resolver would take the announcement is judged by the same functions that it uses.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from chain.amounts import tokens
from chain.canonical import decode, parse
from chain.client import open_chain
from chain.errors import ChainError, CodecError
from chain.keys import NodeKey
from chain.typed import sign
from chain.types import Digest
from chain.view import ChainView, Listing
from provider.config import ProviderConfig
from provider.doctor.findings import Finding, check_disk, check_files
from provider.doctor.outward import check_egress
from provider.doctor.remedies import remedy
from provider.heartbeat import Offering, announcement
from provider.peers import ask_for_check
from provider.picture import show_finding
from provider.reach.listener import listening
from provider.store import Store
from runtime.clock import Clock, SystemClock
from runtime.terminal import UsageError, local_time
from wire.announcements import check_figures, check_location, check_place
from wire.answers import ProviderView
from wire.http import Client, PeerError, PeerRefused
from wire.node import Node
from wire.refusals import Refused
from wire.relays import RelayFinder
from wire.timing import Unreachable, be_timed, split_endpoint

OLDEST_BLOCK_S = 300
GOOD_CLOCK_S = 2.0


async def examine(
    config: ProviderConfig, key: NodeKey, clock: Clock, try_egress: Callable[[], Awaitable[Finding]]
) -> AsyncIterator[Finding]:
    """All findings, as they come. try_egress: makes the one about connections out."""
    for finding in (*check_files(config), *check_disk(config.data_dir)):
        yield finding
    try:
        async with open_chain(config.rpc_urls, config.settlement) as chain:
            client = Client(chain.network.domain, config.bind_host)
            try:
                visit = Visit(config, Node("provider", key, chain.backend, chain, client, clock))
                async for finding in visit.findings():
                    yield finding
            finally:
                await client.close()
    except ChainError as error:
        yield Finding(
            "chain", "chain_unavailable", f"{error}", "check rpc_urls and settlement; without the chain nothing else can be checked"
        )
    yield await try_egress()


def run_doctor(config: ProviderConfig, key: NodeKey, target: str, as_json: bool) -> bool:
    """Prints each finding as it comes; whether nothing is wrong."""
    try:
        host, port = split_endpoint(target)
    except Unreachable as error:
        raise UsageError(f"--egress is {target[:80]!r}: host:port is expected.") from error
    clock = SystemClock()

    async def run() -> bool:
        well = True
        async for finding in examine(config, key, clock, partial(check_egress, config, config.policy(), host, port)):
            well &= not finding.is_wrong
            show_finding(finding, as_json)
        return well

    return asyncio.run(run())


class Visit:
    """The checks that need the network."""

    def __init__(self, config: ProviderConfig, node: Node) -> None:
        self._config, self._node = config, node
        self._offsets: list[float] = []

    async def findings(self) -> AsyncIterator[Finding]:
        view = await self._node.chain.view()
        yield await self._check_chain()
        yield self._check_registration(view)
        offering: Offering | None = None
        async for found in self._check_announcement():
            if isinstance(found, Offering):
                offering = found
            else:
                yield found
        for role in ("resolver", "validator"):
            yield await self._check_role(role, view.validators() if role == "validator" else view.listed(role))
        if offering is not None:
            async for finding in self._check_masters(view.masters(), offering):
                yield finding
        yield self._check_clock()
        yield await self._check_pool(view.resolvers())

    async def _check_chain(self) -> Finding:
        domain, block = self._node.domain, await self._node.chain.latest()
        age = int(self._node.clock.now() - block.timestamp)
        said = f"network {domain}, block {block.number}, {age} s old"
        if age > OLDEST_BLOCK_S:
            return Finding("chain", "chain_lags", said, "the RPC node lags behind, or this machine's clock is ahead: use another rpc_urls")
        return Finding("chain", "ok", said)

    def _check_registration(self, view: ChainView) -> Finding:
        found = view.registrations.get(self._node.address)
        if found is None:
            do = "to be paid for being available: dpn provider register (what consumers pay for is paid without)"
            return Finding("registration", "note", f"{self._node.address} is not registered on chain", do)
        if found.bond < view.provider_bond:
            said = f"the bond is {tokens(found.bond)} DPN, asked are {tokens(view.provider_bond)} DPN"
            return Finding("registration", "bond_too_low", said, "unregister and register again with the bond of today")
        recipient = view.recipient_of(self._node.address)
        return Finding("registration", "ok", f"registered with a bond of {tokens(found.bond)} DPN, paid to {recipient}")

    async def _check_announcement(self) -> AsyncIterator[Finding | Offering]:
        offering = self._config.offering(self._config.port)
        if self._config.relay == "always":
            yield Finding("announcement", "note", "a master's relay is announced, as set: this machine need not be dialled")
            return
        try:
            check_place(offering.host, offering.port, self._node.network.rules)
            check_figures(offering.bandwidth, offering.price)
            check_location(offering.region, offering.latitude, offering.longitude)
        except Refused as refused:
            yield Finding("announcement", refused.code, refused.message, remedy(refused.code))
            return
        place = f"region {offering.region}" if offering.region else "no region"
        yield Finding("announcement", "ok", f"port {offering.port}, {offering.bandwidth} bit/s, {offering.price} wei per GiB, {place}")
        yield offering

    async def _check_role(self, role: str, listed: Sequence[Listing]) -> Finding:
        answers = await asyncio.gather(*(self._status(listing) for listing in listed))
        silent = [f"{one.endpoint} ({reason})" for one, reason in zip(listed, answers, strict=True) if reason]
        said = f"{len(listed) - len(silent)} of {len(listed)} answer" + (f"; not: {', '.join(silent)}" if silent else "")
        stake = [one.stake if role == "validator" else 1 for one in listed]
        answering = sum(weight for weight, reason in zip(stake, answers, strict=True) if not reason)
        needed = 2 * sum(stake) / 3 if role == "validator" else 1
        if not listed or answering < needed:
            many = "two thirds of their stake" if role == "validator" else "one"
            return Finding(f"{role}s", "no_answer", said, f"{many} is needed: check the way out of this network, then try again later")
        return Finding(f"{role}s", "note" if silent else "ok", said)

    async def _status(self, listing: Listing) -> str:
        """Why a node does not count as answering; empty if it does."""
        loop = asyncio.get_running_loop()
        began, sent = loop.time(), self._node.clock.now()
        try:
            said: Any = parse(await self._node.client.get(listing.endpoint, "/v1/status"))
        except PeerError as error:
            return type(error).__name__.removeprefix("Peer").lower()
        except CodecError:
            return "not an answer"
        if not isinstance(said, dict) or said.get("address") != listing.account:
            return "another node"
        if isinstance(said.get("time"), int):
            self._offsets.append(said["time"] + 0.5 - (sent + (loop.time() - began) / 2))
        return ""

    async def _check_masters(self, masters: Sequence[Listing], offering: Offering) -> AsyncIterator[Finding]:
        """The exchange by UDP and the dial-back, by each; from genesis on, as masters answer nobody before."""
        genesis = self._node.network.timing.genesis
        if self._node.clock.now() < genesis:
            yield Finding(
                "masters", "note", f"the first epoch begins at {local_time(genesis)}, before that none is timed", "ask again then"
            )
            return
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self._port_open())
            store = Store(self._config.data_dir / "provider.sqlite", self._node.address, self._node.domain)
            stack.callback(store.close)
            found = await asyncio.gather(*(self._check_master(master, offering, store) for master in masters))
            passed = sum(finding.code == "ok" for finding in found)
            shut = sum(finding.code == "dial_back_failed" for finding in found)
            relays = await self._relays(masters) if self._config.relay != "never" and 2 * shut > len(masters) else 0
            for finding in found:
                yield replace(finding, code="note") if relays and finding.code == "dial_back_failed" else finding
            if relays:
                said = f"nobody can dial this provider: it is reached through the relay of one of {relays} masters, at a cost in ranking"
                yield Finding("relay", "note", said, "forward the announced port to be ranked as others are")
            elif masters and 2 * passed <= len(masters):
                said = f"{passed} of {len(masters)} masters see this provider well; more than half are needed to be connected"
                yield Finding("masters", "not_confirmed", said, "see the lines above")

    async def _relays(self, masters: Sequence[Listing]) -> int:
        """How many masters run one."""
        finder = RelayFinder(self._node.client, self._node.clock, self._node.network.rules)
        return sum([await finder.find(master.account, master.endpoint) is not None for master in masters])

    @contextlib.asynccontextmanager
    async def _port_open(self) -> AsyncIterator[None]:
        """The announced port answers: by the provider that runs, or by the doctor itself."""
        async with contextlib.AsyncExitStack() as stack:
            with contextlib.suppress(OSError):  # somebody listens there already: the provider, one hopes, and masters will tell
                config, node = self._config, self._node
                await stack.enter_async_context(listening(config.bind_host, config.port, node.key, node.domain, node.clock))
            yield

    async def _check_master(self, master: Listing, offering: Offering, store: Store) -> Finding:
        node, check = self._node, f"master {master.endpoint}"
        try:
            rounds = node.network.rules.echo_rounds
            echoed = await be_timed(master.endpoint, node.address, rounds, self._config.bind_host, node.clock, os.urandom)
            if echoed == 0:
                return Finding(check, "no_echo", "no cookie came back by UDP", remedy("no_echo"))
            now = node.clock.now()
            message = announcement(node.address, Digest(os.urandom(32)), store.next_sequence(now), now, offering)
            report = (await ask_for_check(node.client, master, sign(message, node.domain, node.key))).message
        except PeerRefused as refused:
            self._offsets += [refused.time + 0.5 - node.clock.now()] if refused.time else []
            if refused.code == "dial_back_limit":
                return Finding(check, "note", "it has dialled back as often as it may in this slot", "ask again in the next slot")
            return Finding(check, refused.code, refused.message, remedy(refused.code))
        except (PeerError, Unreachable) as error:
            return Finding(check, "no_answer", str(error), remedy("no_answer"))
        if not report.address_ok:
            return Finding(check, "address_mismatch", "it sees another address than the announced one", remedy("address_mismatch"))
        if report.rtt_min_us > node.network.rules.max_rtt_us:
            return Finding(check, "rtt_too_high", f"the round trip takes {report.rtt_min_us / 1000:.1f} ms", remedy("rtt_too_high"))
        return Finding(check, "ok", f"{echoed} of {rounds} echoes, {report.rtt_min_us / 1000:.1f} ms, the port proves the node key")

    def _check_clock(self) -> Finding:
        if not self._offsets:
            return Finding("clock", "note", "nobody has told the time")
        offset = statistics.median(self._offsets)
        said = f"{abs(offset):.1f} s {'behind' if offset > 0 else 'ahead of'} the network, by {len(self._offsets)} answers"
        tolerance = self._node.network.rules.tolerance_s
        if abs(offset) > tolerance:
            return Finding("clock", "stale_time" if offset > 0 else "future_time", said, remedy("stale_time"))
        if abs(offset) > GOOD_CLOCK_S:
            return Finding("clock", "note", said, f"set this machine's clock by NTP; beyond {tolerance} s everything it signs is refused")
        return Finding("clock", "ok", said)

    async def _check_pool(self, resolvers: Sequence[Listing]) -> Finding:
        for resolver in resolvers:
            try:
                view: ProviderView = decode(
                    ProviderView, await self._node.client.get(resolver.endpoint, f"/v1/providers/{self._node.address}")
                )
            except (PeerError, CodecError):
                continue
            said = f"resolver {resolver.endpoint} has it as {view.state} ({view.code})"
            if view.location == "location_refuted":
                by = ", ".join(f"{one.rtt_min_us / 1000:.1f} ms where {one.least_us / 1000:.1f} is least" for one in view.refutations)
                return Finding("pool", "location_refuted", f"{said}; masters measure {by}", remedy("location_refuted"))
            if view.state == "connected":
                return Finding("pool", "ok", said)
            return Finding("pool", "note", said, remedy(view.code))
        return Finding("pool", "note", "no resolver has it in its pool", "start it with: dpn provider run")
