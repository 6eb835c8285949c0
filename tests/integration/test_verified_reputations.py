"""Reputations as the active root has them: what resolvers and consumers believe, whatever the validators that show leaves are like."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from aiohttp import web

from chain.keys import NodeKey
from chain.merkle import MerkleTree
from chain.messages import Leaf
from chain.typed import sign
from chain.types import Address, Wei
from consumer.reputations import Reputations
from resolver.reputations import AGAIN_S, MOST_LEAVES, ReputationReader
from resolver.service import Resolver
from runtime.clock import ManualClock
from tests.histories.table import DEPLOYER, MAXIMUM, PEOPLE, VALIDATORS, seated
from tests.scene import Scene
from tests.unit.resolver.pool_world import DOMAIN, OTHER, PROVIDER, START, TERMS, announcement, open_resolver, signed_reports
from wire import active, paths
from wire.active import SILENT_S
from wire.agreement import LeafPath
from wire.answers import ReportBatch
from wire.http import Client, answer, application, serve
from wire.ranking import Reputation
from wire.refusals import Refused

PRIOR = Reputation(200_000, 0)
Show = Callable[[LeafPath], LeafPath]


def tree_of(**reputations: int) -> MerkleTree:
    """A root with a leaf for the provider, one for the treasury, and one for whom a withdrawal is about."""
    leaves = [Leaf(DEPLOYER.address, 0, 0, 0, 0), Leaf(PEOPLE[0].address, 0, 0, 0, 1)]
    accounts = {"provider": PROVIDER.address, "other": OTHER.address}
    return MerkleTree([*leaves, *(Leaf(accounts[name], 0, 0, 0, ppm) for name, ppm in reputations.items())])


def honest(path: LeafPath) -> LeafPath:
    return path


def flattering(path: LeafPath) -> LeafPath:
    return replace(path, reputation=1_000_000)


def of_another(path: LeafPath) -> LeafPath:
    return replace(path, account=PEOPLE[0].address)


def without_path(path: LeafPath) -> LeafPath:
    return replace(path, path=())


def denying(path: LeafPath) -> LeafPath:
    raise Refused("not_found")


def late(path: LeafPath) -> LeafPath:
    raise Refused("not_yet")


@dataclass
class Stage:
    """A chain with a root, and validators that show its leaves each in its own way, once the gate is open. asked: leaves, by account."""

    scene: Scene
    clock: ManualClock
    resolver: Resolver
    reader: ReputationReader
    client: Client
    tree: MerkleTree
    epoch: int = 1
    shows: list[Show | None] = field(default_factory=list)
    asked: Counter[Address] = field(default_factory=Counter)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def be_active(self, tree: MerkleTree, epoch: int) -> None:
        """Posts and activates a root; validators show it from then on."""
        await self.scene.post(epoch, tree, 0, 0)
        await self.scene.until((await self.scene.chain.settlement.pending_record()).active_at)
        await self.scene.send(PEOPLE[0], self.scene.chain.settlement.activate())
        await self.be_final()
        self.tree, self.epoch = tree, epoch

    async def be_final(self) -> None:
        """What is on chain now."""
        await self.scene.backend.request("evm_mine", [{"blocks": self.scene.chain.network.rules.finality_blocks}])

    async def leaf(self, show: Show, account: Address) -> web.Response:
        self.asked[account] += 1
        known = self.tree.leaf(account)
        if known is None and show is honest:
            raise Refused("not_found")
        path = self.tree.path(account) if known is not None else ()
        known = known or Leaf(account, 0, 0, 0, 0)
        said = LeafPath(self.epoch, self.tree.root, account, known.earned, known.spent, known.points, known.reputation, path)
        return answer(show(said))

    @property
    def found(self) -> dict[Address, Reputation]:
        return dict(self.resolver.surroundings.reputations)

    def join(self, key: NodeKey) -> None:
        self.resolver.announce(sign(announcement(key=key), DOMAIN, key))
        self.resolver.take_reports(ReportBatch(signed_reports(key=key)))


@asynccontextmanager
async def stage(folder: Path, *shows: Show | None, tree: MerkleTree | None = None) -> AsyncIterator[Stage]:
    """Four validators that show leaves so (None: nobody is there), with an active root if there is a tree, and one connected provider."""
    async with AsyncExitStack() as stack:
        backend, chain, _ = await seated()
        scene, clock = Scene(backend, chain), ManualClock(START)
        for key in VALIDATORS[:4]:
            await scene.send(key, chain.registry.bond(key.address, Wei(MAXIMUM)))
        resolver, store = open_resolver(folder, clock)
        stack.callback(store.close)
        resolver.surroundings = replace(resolver.surroundings, terms=TERMS)
        client = Client(chain.network.domain)
        stack.push_async_callback(client.close)
        made = Stage(scene, clock, resolver, ReputationReader(chain, client, clock, resolver), client, tree or tree_of())
        made.shows.extend(shows)
        made.gate.set()
        for number, key in enumerate(VALIDATORS[:4]):
            runner = await serve(peer(made, number, key), f"127.1.0.{number}", 7000)
            stack.push_async_callback(runner.cleanup)
        if tree is not None:
            await made.be_active(tree, 1)
        await made.be_final()
        made.join(PROVIDER)
        yield made


def peer(made: Stage, number: int, key: NodeKey) -> web.Application:
    async def leaf(request: web.Request) -> web.Response:
        await made.gate.wait()
        show = made.shows[number]
        if show is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return await made.leaf(show, paths.address(request.match_info["address"]))

    app = application(made.scene.chain.network.domain, key.address, made.clock)
    app.add_routes([web.get("/v1/leaves/{address}", leaf)])
    return app


def test_what_leads_to_the_root_is_believed_whoever_shows_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path, flattering, of_another, None, honest, tree=tree_of(provider=640_000)) as it:
            await it.reader.read_some()
            assert it.found == {PROVIDER.address: Reputation(640_000, 1)}
            assert it.reader.counts() == {"verified": 1, "waiting": 0}
            asked = it.asked.total()
            await it.reader.read_some()
            assert it.asked.total() == asked, "it is known until another root is active"

    asyncio.run(main())


def test_nobody_is_believed_who_has_no_path(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path, flattering, without_path, of_another, denying, tree=tree_of(provider=640_000)) as it:
            await it.reader.read_some()
            assert it.found == {}, "so the prior holds"
            it.join(OTHER)
            it.shows[:] = [denying, denying, denying, honest]
            await it.clock.advance(SILENT_S + 1)
            await it.reader.read_some()
            assert it.found[PROVIDER.address] == Reputation(640_000, 1), "who denies a leaf does not remove it"
            assert it.found[OTHER.address] == PRIOR, "none of four has one"

    asyncio.run(main())


def test_no_root_no_reputation(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path, honest, honest, honest, honest) as it:
            await it.reader.read_some()
            assert (it.found, it.asked.total()) == ({}, 0)

    asyncio.run(main())


def test_what_cannot_be_verified_stays_with_its_epoch_or_is_what_was_pushed(tmp_path: Path) -> None:
    async def main() -> None:
        first, second = tree_of(provider=640_000, other=300_000), tree_of(provider=700_000, other=400_000)
        async with stage(tmp_path, honest, late, late, late, tree=first) as it:
            await it.reader.read_some()
            assert it.found == {PROVIDER.address: Reputation(640_000, 1)}
            leaf = first.leaf(OTHER.address)
            assert leaf is not None
            await it.scene.send(PEOPLE[0], it.scene.chain.settlement.push(leaf, first.path(OTHER.address)))
            await it.be_active(second, 2)
            it.shows[:] = [None, None, flattering, late]
            it.join(OTHER)
            await it.reader.read_some()
            assert it.found == {PROVIDER.address: Reputation(640_000, 1), OTHER.address: Reputation(300_000, 1)}
            assert it.reader.counts() == {"verified": 0, "waiting": 2}
            it.shows[:] = [honest] * 4
            asked = it.asked.total()
            await it.reader.read_some()
            assert it.asked.total() == asked, "not again at once"
            await it.clock.advance(max(SILENT_S, AGAIN_S) + 1)
            await it.reader.read_some()
            assert it.found == {PROVIDER.address: Reputation(700_000, 2), OTHER.address: Reputation(400_000, 2)}

    asyncio.run(main())


def test_a_few_a_step_and_those_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path, *[honest] * 4, tree=tree_of(provider=640_000)) as it:
            for number in range(MOST_LEAVES + 1):
                it.join(NodeKey(bytes([9] * 31 + [number + 1])))
            await it.reader.read_some()
            assert len(it.asked) == MOST_LEAVES
            await it.reader.read_some()
            assert len(it.asked) == len(it.found) == MOST_LEAVES + 2
            assert it.found[PROVIDER.address] == Reputation(640_000, 1)
            await it.clock.advance(400)
            await it.reader.read_some()
            assert (it.found, it.reader.counts()) == ({}, {"verified": 0, "waiting": 0})

    asyncio.run(main())


def test_a_consumer_verifies_for_itself_and_does_not_wait_for_the_last(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path, flattering, honest, flattering, honest, tree=tree_of(provider=640_000)) as it:
            mine = Reputations(it.scene.chain, it.client, it.clock)
            await mine.verify([PROVIDER.address, OTHER.address])
            assert mine.verified[PROVIDER.address] == Reputation(640_000, 1)
            assert OTHER.address not in mine.verified, "two of four show something that proves nothing"
            asked = it.asked[PROVIDER.address]
            await mine.verify([PROVIDER.address])
            assert it.asked[PROVIDER.address] == asked
            await it.be_active(tree_of(provider=700_000), 2)
            await it.clock.advance(SILENT_S + 1)
            await mine.verify([PROVIDER.address])
            assert mine.verified == {PROVIDER.address: Reputation(700_000, 2)}

    asyncio.run(main())


def test_a_long_list_of_validators_is_not_asked_whole(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path, denying, denying, denying, denying, tree=tree_of(provider=640_000)) as it:
            record, validators = await active.ActiveReputations(it.scene.chain, it.client, it.clock).root()
            many = [replace(one, account=Address(f"0x{number:040x}")) for number in range(10) for one in validators]
            found = await active.ActiveReputations(it.scene.chain, it.client, it.clock).of(OTHER.address, record, many)
            assert found == PRIOR
            assert it.asked.total() == active.MOST_ASKED

    asyncio.run(main())
