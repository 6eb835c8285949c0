"""The scenes of the tour: each makes something happen and says what came of it. What is true is judged later, by `devnet.checks`."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import time
from pathlib import Path

from chain.canonical import decode
from chain.keys import NodeKey
from chain.typed import sign
from chain.types import Address, Digest
from devnet.facts import Forgery, Kill
from devnet.layout import Place
from devnet.network import Devnet, dpn
from devnet.observer import NodeSight, Observer, ProviderSight
from devnet.rawchain import POST, Waiting, selector
from devnet.story import LOOK_S, Untrue, wait_for
from wire.answers import Matches, MatchQuery, ProviderView
from wire.http import PeerError
from wire.messages import Announcement, SessionRequest

POOL_LOOK_S = 0.02
END_S = 10.0


async def join(devnet: Devnet, eye: Observer, seconds: float) -> tuple[ProviderSight, ...]:
    """All providers, once each is connected and has an RTT from every master."""
    places = devnet.layout.of("provider")
    pool: dict[Address, ProviderView] = {}

    async def connected() -> bool:
        nonlocal pool
        pool = await eye.pool()
        views = [pool.get(devnet.address(place.name)) for place in places]
        return all(view is not None and view.state == "connected" and all(m.rtt_min_us for m in view.masters) for view in views)

    await wait_for(devnet.processes, "that every provider is connected and timed by every master", connected, seconds)
    return tuple(await asyncio.gather(*(eye.provider(place, pool) for place in places)))


async def forge(devnet: Devnet, eye: Observer, victim: Place) -> Forgery:
    """A stranger announces in the victim's name, as well as it can: right network, right time, a sequence above the victim's."""
    account, now = devnet.address(victim.name), int(time.time())
    message = Announcement(account, Digest(secrets.token_bytes(32)), (now + 60) * 1000, now, "127.66.6.6", 6666, 10**9, 1, "XX", 0, 0, True)
    before = await view_of(devnet, eye, victim)
    body = sign(message, devnet.network.domain, NodeKey.create())
    (resolver,) = devnet.layout.of("resolver")[:1]
    code = await eye.refusal(resolver.endpoint, "/v1/announcements", body)
    return Forgery(victim.name, code, before, await view_of(devnet, eye, victim))


async def view_of(devnet: Devnet, eye: Observer, place: Place) -> ProviderView | None:
    return (await eye.pool()).get(devnet.address(place.name))


async def until_state(devnet: Devnet, eye: Observer, place: Place, state: str, seconds: float) -> ProviderView | None:
    """The pool's view of a provider once it is in this state; `Untrue` if it does not get there."""

    async def reached() -> bool:
        view = await view_of(devnet, eye, place)
        return view is not None and view.state == state

    await wait_for(devnet.processes, f"that {place.name} is {state}", reached, seconds)
    return await view_of(devnet, eye, place)


async def matched(devnet: Devnet, eye: Observer) -> tuple[Address, ...]:
    """The providers that matchmaking shows to a consumer who takes anyone and reserves nothing yet, best first."""
    key, now = NodeKey.create(), int(time.time())
    request = SessionRequest(key.address, "", 0, 10**6, 10**24, 0, 0, now, now + devnet.network.rules.request_life_s)
    (resolver,) = devnet.layout.of("resolver")[:1]
    try:
        query = MatchQuery(sign(request, devnet.network.domain, key), (), ())
        answer: Matches = decode(Matches, await eye.client.post(resolver.endpoint, "/v1/matches", query))
    except PeerError as error:
        raise Untrue(f"matchmaking does not answer: {error}") from error
    return tuple(match.provider for match in answer.matches)


async def kill_poster(devnet: Devnet, eye: Observer, epoch: int) -> Kill | None:
    """Watches the epoch's posting window; SIGKILLs whoever has sent `post` while that waits to be mined, and starts it again.

    None if nobody was caught. If the block came first (`mined_before`), another epoch has to serve.
    """
    timing, by_account = devnet.network.timing, {devnet.address(place.name): place.name for place in devnet.layout.of("validator")}
    while time.time() <= timing.post_end(epoch):
        caught = next((tx for tx in await eye.chain.waiting() if _is_post(tx, devnet, epoch) and tx.sender in by_account), None)
        if caught is not None:
            name, pid = by_account[caught.sender], devnet.processes.pid_of(by_account[caught.sender])
            devnet.processes.signal(name, signal.SIGKILL)
            exit_code = await devnet.processes.ended(name, END_S)
            mined = await eye.chain.is_mined(caught.hash)
            started = await devnet.processes.restart(name)
            return Kill(name, caught.sender, epoch, caught.hash, mined, exit_code, pid, started.pid)
        await asyncio.sleep(POOL_LOOK_S)
    return None


async def reported(devnet: Devnet, eye: Observer, kill: Kill, seconds: float) -> NodeSight:
    """The restarted validator once it reports the epoch's root, or as it is after `seconds`: it may still be on its way."""
    place, deadline = devnet.layout.place(kill.validator), time.monotonic() + seconds
    while True:
        sight = await eye.node(place)
        known = any(one.get("epoch") == kill.epoch and "root" in one for one in sight.status.get("epochs", ()))
        if known or time.monotonic() > deadline:
            return sight
        await asyncio.sleep(LOOK_S)


async def until_posted(devnet: Devnet, eye: Observer, epoch: int, seconds: float) -> None:
    async def posted() -> bool:
        return any(log.epoch == epoch for log in await eye.chain.posted())

    await wait_for(devnet.processes, f"that epoch {epoch} is posted", posted, seconds)


async def until_roots(devnet: Devnet, eye: Observer, roots: int, seconds: float) -> None:
    """Returns once that many roots have come to be the active one."""

    async def active() -> bool:
        _, second = await eye.chain.head()
        return sum(log.is_active(second) for log in await eye.chain.posted()) >= roots

    await wait_for(devnet.processes, f"that {roots} roots became active", active, seconds)


async def fresh_root(devnet: Devnet, eye: Observer) -> None:
    """Returns once the active root has most of its time before it: another one follows an epoch later."""
    epoch_length = devnet.network.timing.epoch_length

    async def fresh() -> bool:
        _, second = await eye.chain.head()
        since = max((log.active_at for log in await eye.chain.posted() if log.is_active(second)), default=0)
        return second - since <= epoch_length // 4

    await wait_for(devnet.processes, "that a new root is active", fresh, 3 * epoch_length)


async def claim(devnet: Devnet, places: tuple[Place, ...]) -> dict[str, str]:
    """Every provider claims by `dpn wallet claim`, in parallel; what went wrong by name, empty if all is well."""
    results = await asyncio.gather(
        *(dpn("wallet", "claim", "--config", str(devnet.ground.config_of(place)), "--yes", "--json") for place in places)
    )
    return {
        place.name: f"`dpn wallet claim` ended with {result.code}: {(result.err or result.out).strip()[-300:]}"
        for place, result in zip(places, results, strict=True)
        if result.code != 0
    }


def foreign_files(devnet: Devnet) -> dict[str, tuple[str, ...]]:
    """Per running process the files of other nodes that it has open, as the kernel lists them (Linux)."""
    homes = {place.name: str(devnet.ground.home(place).resolve()) for place in devnet.layout.places}
    found = {}
    for name in sorted(devnet.processes.alive()):
        others = tuple(home + "/" for other, home in homes.items() if other != name)
        found[name] = tuple(file for file in open_files(devnet.processes.pid_of(name)) if file.startswith(others))
    return found


def open_files(pid: int) -> tuple[str, ...]:
    """The paths that a process has open; none if it is gone."""
    paths = []
    try:
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return ()
    for descriptor in descriptors:
        try:
            paths.append(os.readlink(descriptor))  # noqa: PTH115 - the target need not be a path
        except OSError:
            continue
    return tuple(paths)


def _is_post(tx: Waiting, devnet: Devnet, epoch: int) -> bool:
    """Whether it posts this epoch's root: the epoch is the first word of the attestation."""
    return tx.to == devnet.network.settlement and tx.data[:4] == selector(POST) and int.from_bytes(tx.data[4:36]) == epoch
