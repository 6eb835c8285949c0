"""The validator's daemon: takes proofs, closes epochs with the others, and watches them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from chain.epochs import Timing
from chain.flights import GWEI, FeeLimits
from chain.sender import Sender
from runtime.clock import Clock
from runtime.database import open_database
from runtime.loop import every
from validator.api import Api
from validator.archive import Archive
from validator.candidates import Candidates
from validator.closing import Closing
from validator.config import ValidatorConfig
from validator.demands import Demands
from validator.intake import Intake
from validator.investigation import Investigation
from validator.journal import Journal
from validator.ledger import Ledger
from validator.peers import Peers
from validator.poster import Poster
from validator.pruning import Pruning
from validator.reporting import Reporter
from validator.tables import TABLES
from validator.watcher import Watcher
from wire.http import serve
from wire.node import Node, open_node

log = logging.getLogger(__name__)

ROLE = "validator"
LONGEST_PEER_TIMEOUT_S = 8.0


@dataclass(frozen=True, slots=True)
class Validator:
    """The parts of a running validator."""

    node: Node
    archive: Archive
    journal: Journal
    intake: Intake
    demands: Demands
    closing: Closing
    watcher: Watcher
    pruning: Pruning
    app: web.Application


@asynccontextmanager
async def open_validator(
    node: Node, config: ValidatorConfig, reached: Callable[[str], None] = lambda _: None, candidates: type[Candidates] = Candidates
) -> AsyncIterator[Validator]:
    """The parts of a validator over its database, which is closed at the end. `reached` is told of each crash point, for tests.

    candidates: what builds and judges them; one that lies is for demos and tests.
    """
    engine = open_database(config.storage, TABLES, node.domain, alone=True)
    try:
        archive = Archive(engine, lambda: node.network.timing.epoch_at(node.clock.now()))
        journal = Journal(engine, node.domain)
        born = journal.begin(int(node.clock.now()))
        timeout_s = config.peer_timeout_s or peer_timeout_s(node.network.timing)
        peers = Peers(node.client, archive, journal, node.domain, node.clock, timeout_s)
        limits = FeeLimits(most=config.max_fee_gwei * GWEI)
        sender = Sender(node.backend, node.key, node.domain.chain_id, poll_s=min(0.5, config.poll_s), limits=limits, patient=True)
        poster = Poster(sender, transaction_wait_s(node.network.timing), node.network.rules.finality_blocks)
        intake = Intake(node.key, node.chain, archive, node.clock, reached)
        closing = Closing(
            node.key, node.chain, node.clock, archive, journal, peers, poster, candidates(node.network, archive, peers), born, reached
        )
        demands = Demands(node.key, node.chain, archive, Ledger(engine), closing, node.clock, born, reached)
        investigation = Investigation(node.address, node.chain, journal, peers)
        watcher = Watcher(node.chain, investigation, Reporter(node.address, node.chain, journal, poster, reached))
        timing, kept = node.network.timing, config.retention_epochs
        pruning = Pruning(engine, archive, node.address, timing, kept, lambda: closing.sight, reached)
        app = Api(node, archive, journal, intake, demands, closing, watcher).application()
        yield Validator(node, archive, journal, intake, demands, closing, watcher, pruning, app)
    finally:
        engine.dispose()


async def run(config: ValidatorConfig, stop: asyncio.Event, clock: Clock, candidates: type[Candidates] = Candidates) -> None:
    """A validator until `stop` is set."""
    async with open_node(config, ROLE, clock, stop) as node, open_validator(node, config, candidates=candidates) as validator:
        runner = await serve(validator.app, config.bind_host, config.port)
        try:
            async with asyncio.TaskGroup() as duties:
                duties.create_task(every(config.poll_s, validator.closing.step, stop, clock))
                duties.create_task(every(config.poll_s, validator.watcher.step, stop, clock))
                duties.create_task(every(config.poll_s, validator.pruning.step, stop, clock))
        finally:
            await runner.cleanup()


def peer_timeout_s(timing: Timing) -> float:
    """A quarter of a round, at most `LONGEST_PEER_TIMEOUT_S`: a peer that withholds costs no round."""
    return min(LONGEST_PEER_TIMEOUT_S, timing.round_length / 4)


def transaction_wait_s(timing: Timing) -> float:
    """How long a step waits for its transaction before it looks at the chain again."""
    return max(3.0, timing.round_length / 8)
