"""`dpn wallet referrals` against a network of four validators: from two registrations to what one brought the other."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from chain.canonical import encode
from chain.keys import NodeKey
from chain.types import ZERO_ADDRESS, Digest, Wei
from provider.referrals import Shared
from provider.wallet import Wallet
from tests.validators import CONSUMER, DEPLOYER, ETHER, HOSTS, PORT, PROVIDERS, RESOLVER, RULES, VALIDATORS, World, a_world
from wire.agreement import FileIndex
from wire.archived import NotServed, archived_file
from wire.files import file_digest, sha256
from wire.http import Client
from wire.tiers import Tier, tier_of

REFERRER, REFERRED = PROVIDERS[0], CONSUMER  # the latter has coins to register with
GENEROUS = replace(RULES, points_milli_per_hour=20_000_000)  # 2,222 points in a whole epoch
ONE_EPOCH = 400 * 20_000_000 // 3600


async def register(world: World, key: NodeKey, referrer: NodeKey) -> None:
    chain = world.chain
    await world.call(DEPLOYER, chain.token.transfer(key.address, Wei(ETHER)))
    await world.call(key, chain.token.approve(world.network.registry, Wei(ETHER)), chain.registry.register(key.address, referrer.address))


async def epoch(world: World, number: int, *also: NodeKey) -> None:
    """Everyone was there, the root is posted and becomes active."""
    await world.hand_in(number)
    for key in also:
        proof = world.proof(key, number)
        for seat in world.seats:
            await world.client.post(seat.endpoint, "/v1/proofs", proof)
    await world.until_posted(number)
    record = await world.chain.settlement.pending_record()
    await world.move_to(record.active_at + 1)
    await world.step(world.seats)


def test_from_a_name_to_what_it_brings(tmp_path: Path) -> None:
    async def run() -> None:
        async with a_world(tmp_path, GENEROUS) as world:
            wallet = Wallet(world.backend, world.chain, world.client)
            await register(world, REFERRED, REFERRER)
            await world.step(world.seats)
            before = await wallet.referrals(REFERRER.address)
            assert (before.points, before.tier.name, before.epochs, before.shared) == (0, "", (0, 0), {})
            assert "No root is active yet" in before.unknown
            assert before.referred == {REFERRED.address: True}

            await epoch(world, 1, REFERRED)
            first = await wallet.referrals(REFERRER.address)
            assert (first.registered, first.referrer, first.unknown) == (True, ZERO_ADDRESS, "")
            assert first.points == ONE_EPOCH == 2_222_222
            assert (first.tier, first.following) == (Tier("Member", 2_000, 30_000), Tier("VIP", 20_000, 50_000))
            assert first.missing == 20_000_000 - ONE_EPOCH
            assert (first.epochs, first.came) == ((1, 1), Shared(0, 0))  # its points count from the next epoch on

            await epoch(world, 2, REFERRED)
            second = await wallet.referrals(REFERRER.address)
            own = await wallet.referrals(REFERRED.address)
            # all five slots, by the reputation after the first epoch, whose marks are 0.958, 0.996 and 1
            reputation = (3 * 200_000 + (500_000 + 984_666 // 4 + 50_000)) // 4
            reward = 5 * (500_000 + reputation // 2) * ETHER // 10**6
            part = reward * 3 // 100
            assert second.came == second.of(REFERRED.address) == own.of(REFERRED.address) == Shared(part, part)
            assert (own.referrer, own.referred, own.came) == (REFERRER.address, {}, Shared(0, 0))
            assert own.tier == tier_of(2 * ONE_EPOCH, GENEROUS)
            leaves = [await world.leaf(world.seats[0], one.address) for one in (REFERRER, PROVIDERS[1])]
            assert leaves[0].earned - leaves[1].earned == part  # two providers alike but for it
            rewards = await wallet.rewards(REFERRER.address)
            assert (rewards.tier.name, rewards.leaf.earned) == ("Member", leaves[0].earned)

            await world.call(REFERRER, world.chain.registry.unregister())
            await epoch(world, 3, REFERRED)
            third = await wallet.referrals(REFERRER.address)
            assert (third.registered, third.came) == (False, Shared(0, part))
            role = await world.leaf(world.seats[0], RESOLVER.address)
            assert role.earned == 3 * ETHER  # a fifth of 5 % of the rate, in each epoch
            assert (await world.leaf(world.seats[0], VALIDATORS[0].address)).earned == 3 * 625 * ETHER // 1_000

    asyncio.run(run())


def test_a_file_is_taken_from_whoever_serves_it_as_named(tmp_path: Path) -> None:
    """Others' bytes, a size that is a lie and silence cost the next endpoint's answer, and nothing more."""
    data = bytes(range(256)) * 5_000
    chunks = [data[: 1 << 20], data[1 << 20 :]]
    honest = {sha256(chunk): chunk for chunk in chunks}
    index = encode(FileIndex(len(data), tuple(honest)))
    honest[sha256(index)] = index
    short = encode(FileIndex(len(data) - 1, tuple(sha256(chunk) for chunk in chunks)))

    async def run() -> None:
        async with a_world(tmp_path) as world:
            served: dict[str, dict[Digest, bytes]] = {}

            async def blob(request: web.Request) -> web.Response:
                found = served[request.host].get(Digest(bytes.fromhex(request.match_info["digest"][2:])))
                headers = {"DPN-Network": str(world.network.domain)}
                return web.Response(body=found, headers=headers) if found is not None else web.Response(status=404, headers=headers)

            endpoints, runners = [], []
            for number, blobs in enumerate(({}, honest | {sha256(chunks[1]): b"other"}, honest)):
                app = web.Application()
                app.router.add_get("/v1/blobs/{digest}", blob)
                runner = web.AppRunner(app)
                await runner.setup()
                await web.TCPSite(runner, HOSTS[number], PORT + 1).start()
                runners.append(runner)
                endpoints.append(f"{HOSTS[number]}:{PORT + 1}")
                served[endpoints[-1]] = blobs
            client = Client(world.network.domain, "127.0.0.1")
            try:
                assert await archived_file(client, endpoints, file_digest(data)) == data
                with pytest.raises(NotServed, match="other bytes come under the name"):
                    await archived_file(client, endpoints[:2], file_digest(data))
                served[endpoints[2]] = honest | {sha256(short): short}
                with pytest.raises(NotServed, match=f"answers with more than {len(chunks[-1]) - 1} bytes"):
                    await archived_file(client, endpoints[2:], sha256(short))
            finally:
                await client.close()
                for runner in runners:
                    await runner.cleanup()

    asyncio.run(run())
