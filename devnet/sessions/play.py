"""`dpn demo sessions`: three consumers download real files through providers in three regions, and what of it is paid.

1  consumers deposit and connect         4  a provider is killed in mid-download
2  each downloads files                  5  sessions close, epochs are paid, providers claim
3  programs ask for what they must not   6  everything is compared, and searched for what must be nowhere
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from chain.types import Wei
from devnet import scenes as network_scenes
from devnet.archives import file as archived_file
from devnet.archives import tree_of_bytes
from devnet.layout import Layout
from devnet.network import open_devnet
from devnet.observer import Observer, observing
from devnet.rawchain import PostedLog
from devnet.sessions import programs, scenes
from devnet.sessions.checks import judge
from devnet.sessions.facts import Download, Facts, LeafSums
from devnet.sessions.ledger import served, sums
from devnet.sessions.origin import origin
from devnet.sessions.privacy import scan
from devnet.sessions.report import report
from devnet.sessions.scenes import ORIGIN_HOST, ORIGIN_PORT, Cast
from devnet.stage import Findings
from devnet.story import Story, wait_for
from devnet.table import tokens

DEPOSIT = 20
REGIONS = {"consumer-1": "FR", "consumer-2": "US", "consumer-3": "KR"}
KILLED = 1
"""Which consumer's provider is killed: there is another one in its region."""
MIB = 1 << 20
SIZES = {"consumer-1": (24 * MIB, 3 * MIB + 17), "consumer-2": (12 * MIB,), "consumer-3": (16 * MIB, MIB // 3)}
INTERRUPTED = 32 * MIB
JOIN_S = 60.0
SEED = 20


async def play(layout: Layout, folder: Path, console: Console) -> Findings:
    """Sets the network up, plays the story, ends everything. Raises what `open_devnet` does, and `Untrue`."""
    console.print("[bold]Set-up[/]")
    files = _files()
    async with (
        open_devnet(layout, folder, folder, console.print, registered=False) as devnet,
        observing(devnet) as eye,
        origin(ORIGIN_HOST, ORIGIN_PORT, files) as serving,
    ):
        downloads = folder / "downloads"
        downloads.mkdir()
        console.print(
            f"{devnet.setup_s:4.0f} s  The network runs; its providers are not registered, so that sessions alone pay them. "
            f"RPC {devnet.rpc_url}, settlement {devnet.network.settlement}\n[bold]The story[/]"
        )
        story = Story(console)
        facts = await _tell(Cast(devnet, serving, downloads), eye, story)
        duration = story.seconds
        checks = judge(facts)
        return Findings(checks, report(facts, checks, devnet.setup_s, duration), devnet.setup_s, duration)


async def _tell(cast: Cast, eye: Observer, story: Story) -> Facts:
    say, devnet, consumers = story.say, cast.devnet, cast.consumers
    providers = devnet.layout.of("provider")
    await asyncio.gather(network_scenes.join(devnet, eye, JOIN_S), scenes.deposit(cast, str(DEPOSIT)))
    say(f"{len(providers)} providers are connected; {len(consumers)} consumers have deposited {DEPOSIT} DPN each.")
    await scenes.connect(cast, REGIONS)
    for consumer in consumers:
        said = cast.connection(consumer)
        say(
            f"    {consumer.city.name:9} wants {REGIONS[consumer.name]}: {cast.via(consumer)} in "
            f"{devnet.layout.place(cast.via(consumer)).city.name}, {said['rtt_us'] / 1000:.1f} ms, {tokens(int(said['price']))} DPN per GiB"
        )
    found = await asyncio.gather(*(_downloads(cast, consumer.name) for consumer in consumers))
    downloads = [one for of_one in found for one in of_one]
    say(f"{len(downloads)} files, {sum(one.size for one in downloads) / MIB:.1f} MiB, by {programs.client()} through their SOCKS ports.")
    refused = await _refused(cast)
    say(f"What must not be reached is refused: {', '.join(refused)}.")

    unlucky = consumers[KILLED]
    interrupted, kill = await scenes.kill_in_mid_download(cast, unlucky, f"/files/{unlucky.name}/interrupted")
    say(f"{kill.before} is killed in mid-download. {unlucky.name} moves on to {kill.after}, and the program takes the rest from there.")
    say(f"{kill.before} is started again: it still holds what it was signed for.")
    await network_scenes.until_state(devnet, eye, devnet.layout.place(kill.before), "connected", JOIN_S)
    await scenes.disconnect(cast)
    signed = await scenes.sessions(cast)
    kill = replace(kill, receipted=sum(one.receipted for one in signed if (one.provider, one.consumer) == (kill.before, kill.consumer)))
    kill = replace(kill, carried=kill.carried + _whole_before(cast, unlucky.name))
    last = devnet.network.timing.epoch_at((await eye.chain.head())[1])
    say(f"All sessions are closed, each with a final receipt. Now epoch {last} has to end and be paid.")

    posting = await _paid(cast, eye, last)
    say(f"The root of epoch {posting.epoch} is active.")
    validator = devnet.layout.of("validator")[0]
    by_epoch = await served(eye.client, validator, [log.manifest_digest for log in await eye.chain.posted()], devnet.network.domain)
    state = await archived_file(eye.client, validator, posting.state_digest)
    tree = tree_of_bytes(state, devnet.network.treasury)
    by_hand = sums(by_epoch)
    owed = tuple(place for place in providers if by_hand.earned[devnet.address(place.name)])
    wrong = await network_scenes.claim(devnet, owed)
    for sentence in wrong.values():
        say(f"[red]{sentence}[/]")
    payments = await eye.chain.payments()
    claimed = {place.name: sum(one.transferred for one in payments if one.account == devnet.address(place.name)) for place in owed}
    say(f"{len(claimed)} providers claim {tokens(sum(claimed.values()))} DPN. Now everything is compared, and searched.")
    statuses = {place.name: await eye.status(place) for place in devnet.layout.places if place.role != "consumer"}
    searched = await asyncio.to_thread(scan, devnet, _needles(cast), statuses)
    leaves = {leaf.account: LeafSums(leaf.earned, leaf.spent) for leaf in tree.leaves}
    return Facts(
        started=tuple(devnet.processes.started),
        accounts={place.name: devnet.address(place.name) for place in devnet.layout.places},
        treasury=devnet.network.treasury,
        downloads=(*downloads, interrupted),
        origin_bytes={consumer.name: _origin_bytes(cast, consumer.name) for consumer in consumers},
        refused=refused,
        sessions=signed,
        kill=kill,
        epoch=posting.epoch,
        served=by_epoch,
        sums=by_hand,
        leaves=leaves,
        total_spent=sum(leaf.spent for leaf in leaves.values()),
        deposits={consumer.name: Wei(DEPOSIT * 10**18) for consumer in consumers},
        claimed=claimed,
        found=searched.found,
        scanned=searched.looked_at,
        unpacked=searched.unpacked,
    )


async def _downloads(cast: Cast, name: str) -> list[Download]:
    consumer = cast.devnet.layout.place(name)
    return [await scenes.download(cast, consumer, f"/files/{name}/{number}") for number in range(len(SIZES[name]))]


async def _refused(cast: Cast) -> dict[str, int]:
    socks = cast.socks(cast.consumers[0])
    (validator,) = cast.devnet.layout.of("validator")[:1]
    asked = {
        "the provider's own loopback": ("localhost", 80),
        "the same in hexadecimal": ("0x7f000001", 80),
        "a private network": ("10.0.0.1", 443),
        "a cloud's metadata": ("169.254.169.254", 80),
        "a validator": (validator.public_host, validator.port),
        "a mail port": (ORIGIN_HOST, 25),
    }
    return {what: await programs.reply(socks, *where) for what, where in asked.items()}


async def _paid(cast: Cast, eye: Observer, epoch: int) -> PostedLog:
    """The active root's posting once it covers the epoch."""
    found: list[PostedLog] = []

    async def active() -> bool:
        _, second = await eye.chain.head()
        found[:] = [log for log in await eye.chain.posted() if log.through >= epoch and log.is_active(second)]
        return bool(found)

    await wait_for(cast.devnet.processes, f"that epoch {epoch} is paid", active, 3 * cast.devnet.network.timing.epoch_length)
    return found[-1]


def _files() -> dict[str, bytes]:
    """Every consumer has files of its own, so that the origin can tell whose bytes are whose."""
    drawn = random.Random(SEED)
    files = {f"/files/{name}/{number}": drawn.randbytes(size) for name, sizes in SIZES.items() for number, size in enumerate(sizes)}
    files[f"/files/consumer-{KILLED + 1}/interrupted"] = drawn.randbytes(INTERRUPTED)
    return files


def _origin_bytes(cast: Cast, name: str) -> int:
    return sum(visit.received + visit.sent for visit in cast.origin.visits if visit.path.startswith(f"/files/{name}/"))


def _whole_before(cast: Cast, name: str) -> int:
    """What the killed provider had carried before the interrupted file."""
    mine = (visit for visit in cast.origin.visits if visit.path.startswith(f"/files/{name}/") and not visit.path.endswith("/interrupted"))
    return sum(visit.received + visit.sent for visit in mine)


def _needles(cast: Cast) -> dict[str, str]:
    """What must be nowhere, and what it stands for."""
    needles = {ORIGIN_HOST: "the origin's address", "/files/": "what was asked of the origin", "169.254.169.254": "a destination refused"}
    for consumer in cast.consumers:
        for host in {consumer.bind_host, consumer.public_host}:
            needles[host] = f"the address of {consumer.name}"
    return needles
