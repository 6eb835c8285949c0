"""The master's daemon: UDP and TCP on one port number, and a memory that forgets by itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from dataclasses import dataclass

from aiohttp import web

from chain.types import Address
from master.api import api
from master.checks import Checks
from master.config import MasterConfig
from master.datagrams import answering
from master.dialback import Dialer
from master.echo import Responder, slot_of
from master.neighbours import Neighbours
from master.relay import Relay, relaying
from master.report import Ledger
from runtime.clock import Clock
from runtime.config import ConfigError
from runtime.files import allow_open_files
from runtime.loop import every
from wire.connections import MOST
from wire.http import serve
from wire.node import Node, open_node, status

log = logging.getLogger(__name__)

LISTS_S = 10.0
"""How old what the chain lists may be when somebody is looked up in it."""
OTHER_FILES = 64
"""Open files besides connections."""


@dataclass(frozen=True, slots=True)
class _Known:
    """See `master.relay.Known`."""

    responder: Responder
    neighbours: Neighbours
    clock: Clock

    def is_timed(self, provider: Address) -> bool:
        return self.responder.is_timed(provider, self.clock.now())

    def is_registered(self, provider: Address) -> bool:
        return self.neighbours.is_registered(provider)


async def run(config: MasterConfig, stop: asyncio.Event, clock: Clock) -> None:
    """Serves until `stop` is set. Raises what `open_node` does, and `ConfigError` if the port is taken."""
    async with open_node(config, "master", clock, stop) as node:
        network = node.network
        rounds = network.rules.echo_rounds
        responder = Responder(secrets.token_bytes(32), network.timing, rounds, config.max_exchanges)
        ledger = Ledger(node.address, network.timing, rounds, config.max_providers)
        dialer = Dialer(config.bind_host, node.domain, config.dial_timeout_s)
        relays = Neighbours(node.chain, node.client, clock, dialer, LISTS_S)
        checks = Checks(
            node.key, node.domain, network.timing, network.rules, clock, responder, ledger, dialer.dial, config.max_dials, relays
        )
        relay: Relay | None = None
        app = api(checks, ledger, lambda: _status(node, config, responder, checks, ledger, relay), node.domain, node.address, clock)
        async with contextlib.AsyncExitStack() as open_sockets:
            try:
                if config.relay_port:
                    relay = await open_sockets.enter_async_context(_relaying(node, config, _Known(responder, relays, clock)))
                runner = await serve(app, config.bind_host, config.port)
                open_sockets.push_async_callback(runner.cleanup)
                port = open_sockets.enter_context(answering(responder, config.bind_host, runner.addresses[0][1], clock))
            except OSError as error:
                where = f"{config.bind_host}:{config.port}" + (f" or {config.relay_port}" if config.relay_port else "")
                raise ConfigError(f"{where} cannot be listened at: {error.strerror}. Set another bind_host or port.") from error
            log.info("timing providers at %s:%d, UDP and TCP", config.bind_host, port)
            if relay is not None:
                log.info("relaying for providers that nobody can dial at %s:%d, TCP", config.bind_host, relay.port)
                await every(LISTS_S, relays.look, stop, clock)
            await stop.wait()


def _relaying(node: Node, config: MasterConfig, known: _Known) -> contextlib.AbstractAsyncContextManager[Relay]:
    needed = config.relay_limits.files + MOST + OTHER_FILES
    if (allowed := allow_open_files(needed)) < needed:
        log.warning(
            "this process may open %d files and a relay of %d pairs may need %d: raise the limit (ulimit -n), or set relay_pairs lower",
            allowed,
            config.relay_pairs,
            needed,
        )
    return relaying(
        config.bind_host,
        config.relay_port,
        node.address,
        node.domain,
        node.network.rules,
        node.clock,
        known,
        config.relay_limits,
        secrets.token_bytes,
    )


def _status(node: Node, config: MasterConfig, responder: Responder, checks: Checks, ledger: Ledger, relay: Relay | None) -> web.Response:
    shown: dict[str, object] = {"relay": relay.port, "relayed": relay.figures()} if relay is not None else {}
    at = slot_of(node.network.timing, node.clock.now())
    return status(
        node,
        epoch=at.epoch if at else 0,
        slot=at.slot if at else 0,
        records=len(ledger),
        datagrams=dict(responder.counts),
        checks=dict(checks.counts),
        **config.place,
        **shown,
    )
