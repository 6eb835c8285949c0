"""How every role starts: its key, its chain, one line that says who and where it is; and how its process ends.

A bundle may change the rules while a node runs. It then ends what it does in good order and starts anew within the same process: whatever a
role is killed and started again by, it goes on where it was, so this is no case of its own.

Exit codes: 0 stopped as asked, 2 configuration, 3 the chain, the deployment or the database's server is not usable, 1 everything else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from chain.backend import Backend
from chain.client import ChainClient, open_chain
from chain.errors import ChainError
from chain.keys import KeyFileError, NodeKey
from chain.keys import load as load_key
from chain.network import Network
from chain.typed import PROTOCOL_VERSION, Domain
from chain.types import Address
from runtime.clock import Clock, SystemClock
from runtime.config import ConfigError, NodeConfig, load
from runtime.log import start as start_log
from runtime.loop import every, stop_on_signals
from runtime.passphrase import read_passphrase
from runtime.storage import DatabaseUnavailable, DatabaseUnusable
from wire.http import Client, answer

log = logging.getLogger(__name__)

C = TypeVar("C", bound=NodeConfig)

LOOK_AT_RULES = 5
"""Looks at the chain (`poll_s`) between two at its rules."""


@dataclass(frozen=True, slots=True)
class Node:
    """What a role's daemon works with."""

    role: str
    key: NodeKey
    backend: Backend
    chain: ChainClient
    client: Client
    clock: Clock

    @property
    def address(self) -> Address:
        return self.key.address

    @property
    def network(self) -> Network:
        return self.chain.network

    @property
    def domain(self) -> Domain:
        return self.chain.network.domain


@contextlib.asynccontextmanager
async def open_node(config: NodeConfig, role: str, clock: Clock, stop: asyncio.Event) -> AsyncIterator[Node]:
    """Key, chain and client of a node, closed at the end. Sets `stop` once other rules are in force than those it was opened with.

    Raises `KeyFileError`, `ConfigError` or `ChainError`.
    """
    key = load_key(config.keystore, read_passphrase(config.passphrase_file))
    async with open_chain(config.rpc_urls, config.settlement) as chain:
        domain = chain.network.domain
        client = Client(domain, config.bind_host)
        following = asyncio.create_task(every(LOOK_AT_RULES * config.poll_s, partial(_look_at_rules, chain, stop), stop, clock))
        following.add_done_callback(lambda _: stop.set())
        try:
            log.info("%s %s on chain %d, contract %s, protocol %s", role, key.address, domain.chain_id, domain.settlement, PROTOCOL_VERSION)
            yield Node(role, key, chain.backend, chain, client, clock)
            if following.done():
                await following  # ended by an error, if there was one
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await client.close()


async def _look_at_rules(chain: ChainClient, stop: asyncio.Event) -> None:
    if await chain.registry.rules_digest() != chain.network.rules.digest():
        log.info("the network's rules have changed; this node starts anew with them")
        stop.set()


def status(node: Node, **counters: object) -> web.Response:
    """The answer to `GET /v1/status`: who this is, on which network, and the role's own figures."""
    network = str(node.domain)
    return answer({"role": node.role, "address": node.address, "network": network, "time": int(node.clock.now()), **counters})


def main(
    role: str,
    config_type: type[C],
    run: Callable[[C, asyncio.Event, Clock], Awaitable[None]],
    file: Path,
    start: Callable[[Coroutine[Any, Any, None]], None] = asyncio.run,
) -> int:
    """Runs a role's daemon until SIGTERM or SIGINT; the exit code. start: the event loop to run on."""
    try:
        config = load(config_type, file, {})
        start_log(config.log_level, role)
        start(_until_stopped(run, config))
    except (ConfigError, KeyFileError, DatabaseUnusable, ValueError) as error:
        print(f"{role}: {error}", file=sys.stderr)
        return 2
    except (ChainError, DatabaseUnavailable) as error:
        print(f"{role}: {error}", file=sys.stderr)
        return 3
    except OSError as error:
        print(f"{role}: {error.strerror or error}. Check the addresses, ports and files in {file}.", file=sys.stderr)
        return 2
    return 0


async def _until_stopped(run: Callable[[C, asyncio.Event, Clock], Awaitable[None]], config: C) -> None:
    with stop_on_signals() as stop:
        while not stop.is_set():
            ended = asyncio.Event()  # set by `stop`, and by `open_node`
            relay = asyncio.create_task(_pass_on(stop, ended))
            try:
                await run(config, ended, SystemClock())
            finally:
                relay.cancel()
                await asyncio.gather(relay, return_exceptions=True)


async def _pass_on(stop: asyncio.Event, ended: asyncio.Event) -> None:
    await stop.wait()
    ended.set()
