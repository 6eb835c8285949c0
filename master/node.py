"""The master's daemon: UDP and TCP on one port number, and a memory that forgets by itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets

from aiohttp import web

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
from wire.http import serve
from wire.node import Node, open_node, status

log = logging.getLogger(__name__)

LISTS_S = 10.0
"""How old the list of masters on chain may be when one is looked up in it."""


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
                    relay = await open_sockets.enter_async_context(_relaying(node, config, responder))
                runner = await serve(app, config.bind_host, config.port)
                open_sockets.push_async_callback(runner.cleanup)
                port = open_sockets.enter_context(answering(responder, config.bind_host, runner.addresses[0][1], clock))
            except OSError as error:
                where = f"{config.bind_host}:{config.port}" + (f" or {config.relay_port}" if config.relay_port else "")
                raise ConfigError(f"{where} cannot be listened at: {error.strerror}. Set another bind_host or port.") from error
            if relay is not None:
                log.info("relaying for providers that nobody can dial at %s:%d, TCP", config.bind_host, relay.port)
            log.info("timing providers at %s:%d, UDP and TCP", config.bind_host, port)
            await stop.wait()


def _relaying(node: Node, config: MasterConfig, responder: Responder) -> contextlib.AbstractAsyncContextManager[Relay]:
    clock = node.clock
    return relaying(
        config.bind_host,
        config.relay_port,
        node.address,
        node.domain,
        node.network.rules,
        clock,
        lambda provider: responder.is_timed(provider, clock.now()),
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
