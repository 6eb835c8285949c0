"""The consumer's daemon: a SOCKS port, and behind it one provider after the other until the budget is spent or somebody says stop."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from chain.backend import RpcError
from chain.errors import Recoverable
from consumer.budgets import Room, ask_budgets, room_in, session_budget
from consumer.config import ConsumerConfig, Wishes
from consumer.connecting import NEARLY_SPENT_PERCENT, Caller, Failure, Gone, go_through_best, had_its_end
from consumer.finding import ask_resolvers, drawn, make_request, measure_masters
from consumer.ledger import STORE, Spending
from consumer.reputations import Reputations
from consumer.socks import SocksServer
from consumer.state import State
from consumer.status import held, write
from consumer.store import ForeignStore, Store
from runtime.clock import Clock, SystemClock
from runtime.log import start as start_log
from runtime.loop import run as run_loop
from runtime.loop import stop_on_signals, wait_for_either
from runtime.storage import DatabaseMismatch
from runtime.terminal import CommandFailed, UsageError
from wire.answers import MasterRtt, MatchQuery
from wire.http import PeerRefused
from wire.node import Node, open_node
from wire.sessions import affordable_bytes

log = logging.getLogger(__name__)
T = TypeVar("T")

MEASURE_EVERY_S = 600.0
POLL_S = 2.0
"""Between two questions to a resolver that has nobody yet."""
PAUSE_S, MOST_PAUSE_S = 5.0, 120.0
"""Before another attempt; the most is what a peer may ask for."""
MOST_IN_VAIN = 3
"""Requests in a row of which nobody was any use, one after the other at once: then there is a pause before each."""
LOOK_S = 0.1
WRITE_EVERY_S = 1.0
ENOUGH = 1 << 256
"""Room without an end."""


class BudgetSpent(Exception):
    """All that this run may spend is spent."""


def main(config: ConsumerConfig) -> None:
    """Connects until SIGTERM, SIGINT or the end of the budget. Raises what `open_node` does, `CommandFailed`, and `ConfigError`."""
    start_log(config.log_level, "consumer")
    try:
        run_loop(_until_stopped(config))
    except (DatabaseMismatch, ForeignStore) as error:
        raise UsageError(str(error)) from error


async def _until_stopped(config: ConsumerConfig) -> None:
    """Other rules in force make it start anew within the process, with the same budget."""
    wishes = config.wishes()
    spending = Spending(wishes.budget, wishes.max_price)
    with stop_on_signals() as stop, held(config.data_dir):
        while not stop.is_set():
            ended = asyncio.Event()
            passing = asyncio.create_task(_pass_on(stop, ended))
            try:
                await run(config, wishes, spending, ended, SystemClock())
            except BudgetSpent:
                log.info("the budget is spent; another run has another one")
                return
            finally:
                passing.cancel()
                await asyncio.gather(passing, return_exceptions=True)


async def _pass_on(stop: asyncio.Event, ended: asyncio.Event) -> None:
    await stop.wait()
    ended.set()


async def run(config: ConsumerConfig, wishes: Wishes, spending: Spending, stop: asyncio.Event, clock: Clock) -> None:
    """Serves until `stop` is set, then closes the session with its final receipt. `BudgetSpent` once nothing is left."""
    async with open_node(config, "consumer", clock, stop) as node:
        await consume(node, config, wishes, spending, stop)


async def consume(
    node: Node,
    config: ConsumerConfig,
    wishes: Wishes,
    spending: Spending,
    stop: asyncio.Event,
    entropy: Callable[[int], bytes] = os.urandom,
) -> None:
    """The same with a node that is open. entropy: gives random bytes."""
    store = Store(config.data_dir / STORE, node.address, node.domain)
    try:
        for known in store.end_left_open(node.clock.now()):
            log.info("a session with %s was left open by a crash; its newest receipt is what it is settled by", known.provider)
        state = State(node, config, wishes, spending, store)
        async with SocksServer(*config.socks_address, lambda: state.tunnel) as socks:
            state.socks_port = socks.port
            log.info("programs are served at the SOCKS5 port %d; while no tunnel stands it refuses", socks.port)
            writing = asyncio.create_task(_keep_writing(config, state, node.clock))
            try:
                await Journey(node, config, wishes, spending, store, state, entropy).travel(stop)
            finally:
                writing.cancel()
                await asyncio.gather(writing, return_exceptions=True)
                write(config.data_dir, state.ended())
    finally:
        store.close()


async def _keep_writing(config: ConsumerConfig, state: State, clock: Clock) -> None:
    while True:
        await asyncio.to_thread(write, config.data_dir, state.picture())
        await clock.sleep(WRITE_EVERY_S)


class Journey:
    """From provider to provider."""

    def __init__(
        self,
        node: Node,
        config: ConsumerConfig,
        wishes: Wishes,
        spending: Spending,
        store: Store,
        state: State,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._node, self._config, self._wishes, self._spending = node, config, wishes, spending
        self._store, self._state, self._entropy = store, state, entropy
        verifier = Reputations(node.chain, node.client, node.clock)
        self._caller = Caller(node.key, node.domain, node.network.rules, node.clock, store, config.local_host, verifier)
        self._vector: tuple[MasterRtt, ...] = ()
        self._measured_at = -MEASURE_EVERY_S
        self._aside, self._in_vain = state.aside, 0
        self._retiring: set[asyncio.Task[None]] = set()

    async def travel(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. Raises `BudgetSpent`, and `CommandFailed` where waiting would not help."""
        gone: Gone | None = None
        try:
            while not stop.is_set():
                if gone is not None:
                    here, gone = gone, None
                    gone = await self._stay(here, stop)
                elif self._spending.left(self._store) == 0:
                    if not self._retiring:
                        raise BudgetSpent
                    await self._or_stop(asyncio.wait(tuple(self._retiring), return_when=asyncio.FIRST_COMPLETED), stop)
                else:
                    gone = await self._or_stop(self._find(), stop)
                    if gone is None:
                        await self._pause(stop)
        finally:
            if gone is not None:
                await self._leave(gone)
            for task in self._retiring:
                task.cancel()
            await asyncio.gather(*self._retiring, return_exceptions=True)

    async def _stay(self, gone: Gone, stop: asyncio.Event) -> Gone | None:
        """With one provider until the tunnel ends, `stop` is set, or the next one stands: it is looked for once most of the session's
        budget is spent, so that new connections of programs meet no gap, while those of old go on to their end."""
        tunnel = gone.tunnel
        self._state.connected(gone)
        place, ms = gone.match.region or "no region", gone.rtt_us / 1000
        log.info("connected to provider %s, %s, %.1f ms, %d wei a GiB", tunnel.provider, place, ms, tunnel.price)
        enough = affordable_bytes(tunnel.price, tunnel.budget) * NEARLY_SPENT_PERCENT // 100
        refused = False
        try:
            while not (stop.is_set() or tunnel.closed.is_set()):
                await self._or_stop(wait_for_either(tunnel.closed, LOOK_S, self._node.clock), stop)
                due = tunnel.usage.total >= enough and self._node.clock.now() >= self._state.next_try
                if due and not refused and not tunnel.closed.is_set() and self._spending.left(self._store):
                    try:
                        following = await self._or_stop(self._find(), stop)
                    except CommandFailed as error:  # said again once this tunnel has ended
                        log.warning("there will be no further session: %s", error)
                        refused, following = True, None
                    if following is not None:
                        retiring = asyncio.create_task(self._retire(gone))
                        self._retiring.add(retiring)
                        retiring.add_done_callback(self._retiring.discard)
                        gone = following
                        return following
        finally:
            if gone.tunnel is tunnel:
                await self._leave(gone)
        return None

    async def _retire(self, gone: Gone) -> None:
        """Lets a tunnel's last streams come to their end."""
        try:
            while gone.tunnel.streams and not gone.tunnel.closed.is_set():
                await wait_for_either(gone.tunnel.closed, LOOK_S, self._node.clock)
        finally:
            await self._leave(gone)

    async def _leave(self, gone: Gone) -> None:
        """Closes a tunnel, with its last receipt, and draws the conclusions."""
        tunnel, ours = gone.tunnel, not gone.tunnel.closed.is_set()
        await tunnel.close(tunnel.reason or "done")
        self._spending.end(tunnel.session_id)
        known, now = self._store.session(tunnel.session_id), self._node.clock.now()
        most, timing = affordable_bytes(tunnel.price, tunnel.budget), self._node.network.timing
        in_time = ours or known is None or had_its_end(tunnel.usage.receipted, most, known.opened, timing, now)
        self._aside.ended(tunnel.provider, tunnel.reason, now, in_time=in_time)
        self._state.left(tunnel.provider, tunnel.reason, tunnel=tunnel)
        log.info("the session with provider %s has ended: %s", tunnel.provider, tunnel.reason)

    async def _pause(self, stop: asyncio.Event) -> None:
        await wait_for_either(stop, max(0.0, self._state.next_try - self._node.clock.now()), self._node.clock)

    async def _find(self) -> Gone | None:
        """A tunnel, or none and `state.next_try`."""
        try:
            return await self._try_to_find()
        except PeerRefused as refused:
            now = self._node.clock.now()
            self._state.waiting(refused.code, refused.message, min(max(refused.next_try, now + PAUSE_S), now + MOST_PAUSE_S))
        except (Recoverable, RpcError) as error:
            self._state.waiting("no_answer", str(error), self._node.clock.now() + PAUSE_S)
        return None

    async def _try_to_find(self) -> Gone | None:
        node, now = self._node, self._node.clock.now()
        self._state.looking()
        view = await node.chain.view()
        if now - self._measured_at >= MEASURE_EVERY_S:
            self._vector = await measure_masters(view.masters(), self._config.bind_host, node.clock, self._entropy)
            self._measured_at = now
        left = self._spending.left(self._store)
        room = await self._room(left)
        wei = session_budget(left, self._wishes.budget, self._wishes.max_price, room.wei)
        if wei <= 0:
            said = "the deposit covers no further session before those that ran are settled: deposit more, or wait"
            self._state.waiting("budget_not_covered", said, now + PAUSE_S)
            return None
        nonce = int.from_bytes(self._entropy(32))
        request = make_request(self._wishes, room, wei, node.network.rules, node.key, node.domain, now, nonce)
        while node.clock.now() < request.message.expiry - POLL_S:
            without = self._aside.at(node.clock.now())
            found = await ask_resolvers(node.client, drawn(view.resolvers(), nonce), MatchQuery(request, self._vector, without))
            # A resolver that lies sends nobody back to whom it has left, nor to itself.
            if candidates := [one for one in found.matches if one.provider not in (*without, node.address)]:
                gone, failures = await go_through_best(request, candidates, self._caller)
                return self._judged(gone, failures)
            self._state.waiting("no_match", "nobody within these limits is connected at the moment", node.clock.now() + POLL_S)
            await node.clock.sleep(POLL_S)
        return None

    async def _room(self, left: int) -> Room:
        node = self._node
        view = await node.chain.view()
        deposit = view.deposit_of(node.address)
        if deposit.held == 0:
            raise CommandFailed(f"{node.address} has no deposit: make one with `dpn consumer deposit AMOUNT`.")
        if deposit.exit_epoch is not None:
            raise CommandFailed(f"{node.address} has exited: withdraw the rest with `dpn consumer withdraw`, then deposit again.")
        stakes = {listing.account: int(listing.stake) for listing in view.validators()}
        wanted = session_budget(left, self._wishes.budget, self._wishes.max_price, ENOUGH)
        budgets = await ask_budgets(node.client, view.validators(), node.address)
        return room_in(budgets, stakes, self._store.reserved_until(), wanted)

    def _judged(self, gone: Gone | None, failures: tuple[Failure, ...]) -> Gone | None:
        now = self._node.clock.now()
        for failure in failures:
            self._aside.put(failure.provider, failure.code, now)
            self._state.left(failure.provider, failure.code, failure.said)
        if gone is not None:
            self._in_vain = 0
            self._spending.add(gone.tunnel.session_id, gone.tunnel.budget)
            return gone
        self._in_vain += 1
        last = failures[-1]
        pause = PAUSE_S if self._in_vain >= MOST_IN_VAIN else 0.0
        self._state.waiting(last.code, f"provider {last.provider}: {last.said}", now + pause)
        return None

    async def _or_stop(self, work: Coroutine[Any, Any, T], stop: asyncio.Event) -> T | None:
        """What `work` gives; None once `stop` is set, which ends it."""
        task, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            for one in (task, stopping):
                one.cancel()
            await asyncio.gather(task, stopping, return_exceptions=True)
