"""A refusal that arrives when its proof is no longer open: the provider has stopped trying, and goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiohttp import web

from chain.canonical import encode
from chain.typed import digest_of, sign
from chain.types import ZERO_DIGEST, Wei
from chain.view import Listing
from provider.duties import Errands
from provider.equipment import Equipment
from provider.heartbeat import Offering
from provider.peers import Roster
from provider.proving import Proving
from provider.store import Store, StoredProof
from runtime.clock import ManualClock
from tests.deployments import PROVIDER, VALIDATOR, deployed
from wire.http import Client, application, serve
from wire.messages import ActivityProof
from wire.node import Node
from wire.refusals import Refused

HOST = "127.66.2.1"


def test_a_late_refusal_ends_nothing(tmp_path: Path) -> None:
    async def run() -> int:
        backend, chain, _ = await deployed()
        domain, clock = chain.network.domain, ManualClock(chain.network.timing.genesis + 5.0)
        asked, let_go = asyncio.Event(), asyncio.Event()

        async def refuse(_: web.Request) -> web.Response:
            asked.set()
            await let_go.wait()
            raise Refused("intake_closed", next_try=0)

        app = application(domain, VALIDATOR.address, clock)
        app.router.add_post("/v1/proofs", refuse)
        runner, client = await serve(app, HOST, 0), Client(domain, HOST)
        store = Store(tmp_path / "provider.sqlite", PROVIDER.address, domain)
        try:
            node = Node("provider", PROVIDER, backend, chain, client, clock)
            offering = Offering(HOST, 7_400, 1, 0, "", 0, 0, False)
            proving = Proving(Equipment(node, store, Roster(chain, clock, 1.0), offering, HOST, bytes), Errands())
            signed = sign(ActivityProof(PROVIDER.address, 1, 1, (), (), (), (), ZERO_DIGEST), domain, PROVIDER)
            proof = StoredProof(digest_of(signed.message, domain), signed, "", encode(signed))
            validator = Listing(VALIDATOR.address, "validator", f"{HOST}:{runner.addresses[0][1]}", Wei(1), Wei(1))
            trying = asyncio.create_task(proving._hand_in_to(validator, proof))
            await asked.wait()
            assert len(proving._tries) == 1
            await proving._hand_in_all()  # nothing is open any more, so the try is forgotten
            let_go.set()
            await trying
            return len(proving._tries)
        finally:
            await client.close()
            await runner.cleanup()
            store.close()

    assert asyncio.run(run()) == 0
