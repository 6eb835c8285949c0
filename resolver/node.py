"""The resolver's daemon: the pool over HTTP and DNS, kept in step with the chain and with time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

from aiohttp import web

from chain.client import ChainClient
from chain.types import Address
from resolver.api import build
from resolver.config import ResolverConfig
from resolver.directory import PoolDirectory
from resolver.dns import DnsProtocol, parse_zone, serve_dns
from resolver.places import places_of
from resolver.reputations import ReputationReader
from resolver.service import Resolver, Surroundings
from resolver.store import PoolStore
from resolver.terms import Master, Terms
from runtime.clock import Clock
from runtime.loop import every
from wire.http import serve
from wire.node import Node, open_node, status
from wire.relays import RelayFinder, RelayPlace

log = logging.getLogger(__name__)


async def run(config: ResolverConfig, stop: asyncio.Event, clock: Clock) -> None:
    """Serves until `stop` is set. `OSError` if an address cannot be bound, `ValueError` for a zone that is none; else as `open_node`."""
    zone = parse_zone(config.zone)
    async with open_node(config, "resolver", clock, stop) as node, contextlib.AsyncExitStack() as stack:
        store = PoolStore(config.data_dir / "pool.sqlite", node.domain)
        stack.callback(store.close)
        surroundings = await read_surroundings(node.chain)
        resolver = Resolver(node.key, node.domain, store, clock, surroundings, config.max_presences)
        reputations = ReputationReader(node.chain, node.client, clock, resolver)
        log.info("the pool holds %d providers from before", len(resolver.entries))

        async def follow_chain() -> None:
            found = await read_surroundings(node.chain)
            known = resolver.surroundings
            resolver.surroundings = replace(found, reputations=known.reputations, places=known.places)

        async def find_masters() -> None:
            masters = resolver.surroundings.terms.masters
            places = await places_of(node.client, masters, resolver.surroundings.places)
            resolver.surroundings = replace(resolver.surroundings, places=places)

        async def sweep() -> None:
            resolver.sweep()

        await stack.enter_async_context(_served(config, node, resolver, reputations, zone))
        async with asyncio.TaskGroup() as duties:
            duties.create_task(every(config.poll_s, follow_chain, stop, clock))
            duties.create_task(every(config.poll_s, reputations.read_some, stop, clock))
            duties.create_task(every(2 * node.network.rules.heartbeat_s, find_masters, stop, clock))
            duties.create_task(every(node.network.rules.heartbeat_s / 4, sweep, stop, clock))
        log.info("stopped as asked; the pool is on disk")


async def read_surroundings(chain: ChainClient) -> Surroundings:
    """Masters, registered providers and deposits at the newest final block; no reputations and no places of masters yet."""
    view = await chain.view()
    masters = tuple(Master(listing.account, listing.endpoint) for listing in view.masters())
    return Surroundings(Terms(chain.network.timing, chain.network.rules, masters), view.registrations, {}, view.deposits)


@contextlib.asynccontextmanager
async def _served(
    config: ResolverConfig, node: Node, resolver: Resolver, reputations: ReputationReader, zone: tuple[bytes, ...]
) -> AsyncIterator[None]:
    def state() -> web.Response:
        masters = len(resolver.surroundings.terms.masters)
        return status(
            node,
            pool=resolver.counts(),
            requests=resolver.pending.counts(),
            reputations=reputations.counts(),
            masters=masters,
            placedMasters=len(resolver.surroundings.places),
            zone=config.zone,
            dnsPort=config.dns_port,
        )

    finder = RelayFinder(node.client, node.clock, node.network.rules)

    async def find_relay(master: Address) -> RelayPlace | None:
        listed = next((one for one in resolver.surroundings.terms.masters if one.address == master), None)
        return await finder.find(listed.address, listed.endpoint) if listed is not None else None

    runner = await serve(build(resolver, node.domain, node.clock, state, find_relay), config.bind_host, config.port)
    try:
        transport = None
        if config.dns_port:
            protocol = DnsProtocol(zone, PoolDirectory(resolver, node.clock), node.clock, node.network.rules.heartbeat_s)
            transport = await serve_dns(config.dns_host or config.bind_host, config.dns_port, protocol)
        try:
            yield
        finally:
            if transport is not None:
                transport.close()
    finally:
        await runner.cleanup()
