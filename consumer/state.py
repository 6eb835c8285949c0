"""What a running connection knows of itself, as `consumer.status` writes it down."""

from __future__ import annotations

import os
from dataclasses import replace

from chain.types import Address
from consumer.carrying import Tunnel
from consumer.config import ConsumerConfig, Wishes
from consumer.connecting import Aside, Gone
from consumer.ledger import Spending
from consumer.status import CONNECTED, ENDED, LOOKING, WAITING, Connection, Left
from consumer.store import Store
from wire.node import Node
from wire.refusals import TABLE

REASONS = {"provider_failed": "it broke off", "done": "the session was closed in order"}


class State:
    """Changed by `consumer.node` alone. `tunnel`: the one that programs are served by, None while none stands."""

    def __init__(self, node: Node, config: ConsumerConfig, wishes: Wishes, spending: Spending, store: Store) -> None:
        self._node, self._config, self._wishes, self._spending, self._store = node, config, wishes, spending, store
        self.aside = Aside()
        self.socks_port = 0
        self.next_try = 0.0
        self._gone: Gone | None = None
        self._state, self._code, self._said, self._since = LOOKING, "ok", "", node.clock.now()
        self._last_left: Left | None = None

    @property
    def tunnel(self) -> Tunnel | None:
        return self._gone.tunnel if self._gone is not None and not self._gone.tunnel.closed.is_set() else None

    def looking(self) -> None:
        self._be(LOOKING, self._code if self._state == WAITING else "ok", self._said if self._state == WAITING else "")

    def waiting(self, code: str, said: str, next_try: float) -> None:
        """next_try: UTC seconds."""
        self._be(WAITING, code, said, next_try)

    def connected(self, gone: Gone) -> None:
        self._gone = gone
        self._be(CONNECTED, "ok", "")

    def left(self, provider: Address, code: str, said: str = "", tunnel: Tunnel | None = None) -> None:
        """A provider was left, with the tunnel that led through it, or turned out to be no use."""
        sentence = said or REASONS.get(code) or TABLE.get(code, (0, "it gave no reason"))[1]
        self._last_left = Left(provider, code, sentence, int(self._node.clock.now()))
        if self._gone is not None and self._gone.tunnel is tunnel:
            self._gone = None

    def ended(self) -> Connection:
        """The last word."""
        self._gone = None
        self._be(ENDED, self._code, self._said)
        return self.picture()

    def picture(self) -> Connection:
        """All of it at this moment."""
        node, spent = self._node, self._spending.spent(self._store)
        host, _, port = self._config.socks.rpartition(":")
        empty = Connection(
            pid=os.getpid(),
            account=node.address,
            network=str(node.domain),
            socks=f"{host}:{self.socks_port or port}",
            state=self._state,
            code=self._code,
            said=self._said,
            since=int(self._since),
            time=int(node.clock.now()),
            next_try=int(self.next_try) if self._state == WAITING else 0,
            provider="",
            region="",
            price="0",
            rtt_us=0,
            reputation=0,
            reputation_epoch=0,
            verified=False,
            bytes=0,
            receipted=0,
            reported=0,
            difference=0,
            budget=str(self._wishes.budget),
            spent=str(spent),
            left=str(max(0, self._wishes.budget - spent)),
            session="0",
            sessions=self._spending.sessions,
            aside=len(self.aside.at(node.clock.now())),
            last_left=self._last_left,
        )
        if self._gone is None:
            return empty
        tunnel, usage = self._gone.tunnel, self._gone.tunnel.usage
        return replace(
            empty,
            provider=tunnel.provider,
            region=self._gone.match.region,
            price=str(tunnel.price),
            rtt_us=self._gone.rtt_us,
            reputation=self._gone.standing.reputation.ppm,
            reputation_epoch=self._gone.standing.reputation.epoch,
            verified=self._gone.standing.verified,
            bytes=usage.total,
            receipted=usage.receipted,
            reported=usage.reported,
            difference=usage.reported - usage.receipted,
            session=str(tunnel.budget),
        )

    def _be(self, state: str, code: str, said: str, next_try: float = 0.0) -> None:
        self.next_try = next_try
        if state in (LOOKING, WAITING) and self.tunnel is not None:  # for the next one, while this one still serves
            return
        if state != self._state:
            self._since = self._node.clock.now()
        self._state, self._code, self._said = state, code, said
