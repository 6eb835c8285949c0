"""The provider's daemon: one page to read it from top to bottom."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Mapping

from chain.errors import Recoverable
from provider.config import ProviderConfig
from provider.duties import Duty, Errands
from provider.equipment import Equipment, ignore
from provider.measuring import Measuring
from provider.peers import Roster
from provider.presence import Presence
from provider.proving import Proving
from provider.reach.listener import Listener, listening
from provider.reach.mapping import PortMapping
from provider.reach.relayed import Relayed
from provider.sessions.attendance import Attendance
from provider.sessions.caps import Caps
from provider.sessions.covering import Covering
from provider.sessions.egress import Resolver
from provider.sessions.serving import Serving
from provider.sessions.streams import Streams
from provider.sessions.surroundings import Surroundings
from provider.status import status_server
from provider.store import Store
from runtime.clock import Clock
from wire.node import Node, open_node

log = logging.getLogger(__name__)


async def run(config: ProviderConfig, stop: asyncio.Event, clock: Clock) -> None:
    """Provides until `stop` is set, then says goodbye. Raises what `open_node` does, `ForeignStore`, and `OSError` for ports in use."""
    async with open_node(config, "provider", clock, stop) as node:
        with contextlib.suppress(Recoverable):
            if node.address not in (await node.chain.view()).registrations:
                log.warning("not registered on chain: it may serve, and is not paid for being available. See: dpn provider register")
        await provide(node, config, stop)


async def provide(
    node: Node,
    config: ProviderConfig,
    stop: asyncio.Event,
    entropy: Callable[[int], bytes] = os.urandom,
    reached: Callable[[str], None] = ignore,
) -> None:
    """The same with a node that is open. entropy: gives random bytes; reached: see `Equipment`."""
    terms, policy, limits, allowance = config.terms(), config.policy(), config.stream_limits(), config.allowance()
    async with contextlib.AsyncExitStack() as opened:
        store = Store(config.data_dir / "provider.sqlite", node.address, node.domain)
        opened.callback(store.close)
        caps = Caps(config.data_dir / "carried.sqlite", allowance, node.domain)
        opened.callback(caps.close)
        roster = Roster(node.chain, node.clock, config.poll_s, config.resolver)
        resolver = Resolver()
        opened.callback(resolver.close)
        surroundings = Surroundings(config.reachable_host, config.bind_host, roster.view, resolver)
        streams = Streams(policy, limits, surroundings.places, config.bind_host)
        opened.callback(streams.close)
        sessions = store.sessions(node.network.timing)
        coverage = Covering(roster, node.client, node.clock, node.domain, node.network.timing, sessions.add_demand)
        opened.push_async_callback(coverage.close)
        serving = Serving(node.key, node.network, node.clock, entropy, terms, sessions, caps, coverage, streams)
        serving.close_left_open()
        listener = await opened.enter_async_context(listening(config.bind_host, config.port, node.key, node.domain, node.clock))
        listener.attend = serving.serve
        offering = config.offering(listener.port)
        mapping = PortMapping(offering.port, listener.port, node.clock, config.bind_host) if config.port_mapping else None
        if mapping is not None:
            opened.push_async_callback(mapping.end)
            await mapping.step()  # before masters dial back
        equipment = Equipment(node, store, roster, offering, config.bind_host, entropy, reached)
        await _session(equipment, config, serving, caps, listener, mapping, stop)


async def _session(
    equipment: Equipment,
    config: ProviderConfig,
    serving: Serving,
    caps: Caps,
    listener: Listener,
    mapping: PortMapping | None,
    stop: asyncio.Event,
) -> None:
    clock, pause_s = equipment.node.clock, equipment.node.network.rules.heartbeat_s / 3
    checks, deliveries, lines = Errands(), Errands(), Errands()
    presence = Presence(equipment)
    measuring = Measuring(equipment, presence, checks)
    attendance = Attendance(presence, serving, caps, clock, pause_s)
    pool, measurements = Duty(attendance.step, clock, pause_s), Duty(measuring.step, clock, pause_s)
    proofs = Duty(Proving(equipment, deliveries).step, clock, pause_s)
    presence.woken, checks.woken, deliveries.woken = (measurements.wake, proofs.wake), measurements.wake, proofs.wake

    def moved() -> None:
        measuring.begin_anew()
        pool.wake()

    relayed = Relayed(equipment, presence, measuring, listener, lines, moved)
    presence.waits_for_a_place = config.relay == "always"
    if presence.waits_for_a_place:
        measuring.undialled.set()

    def figures() -> Mapping[str, object]:
        shown = {"portMapping": mapping.state} if mapping is not None else {}
        return {**serving.figures(), "relay": relayed.relay, "relayConnections": relayed.waiting, **shown}

    async with status_server(equipment, presence, measuring, config, figures):
        presence.begin()
        async with asyncio.TaskGroup() as duties:
            checks.group = deliveries.group = lines.group = duties
            tasks = [duties.create_task(duty.run()) for duty in (pool, measurements, proofs)]
            if mapping is not None:
                tasks.append(duties.create_task(Duty(mapping.step, clock, pause_s).run()))
            if config.relay != "never":
                tasks.append(duties.create_task(relayed.run(measuring.undialled)))
            await stop.wait()
            await attendance.leave()
            for task in tasks:
                task.cancel()
            checks.cancel()
            deliveries.cancel()
            lines.cancel()
        await presence.leave("shutdown")
