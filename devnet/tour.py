"""`dpn demo`: the scripted tour, from a first ping to a reward in a wallet, and what of it is true.

    1  providers join and are timed            5  three roots become active
    2  a stranger forges an announcement       6  every provider claims
    3  one falls silent and expires            7  one says goodbye
    4  the poster is killed and started again  8  everything is compared

`python -m devnet.tour` is the same with default options.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from devnet import gather, scenes
from devnet.archives import slots_proven
from devnet.checks import judge
from devnet.demos import TOUR
from devnet.facts import Facts, Kill
from devnet.layout import Layout, Place
from devnet.network import Devnet, open_devnet, together
from devnet.observer import Observer, observing
from devnet.report import report
from devnet.stage import Findings, perform
from devnet.story import Story, wait_for
from devnet.table import picture, tokens

ROOTS = 3
JOIN_S = 45.0
GOODBYE_S = 15.0
KILL_ATTEMPTS = 3
REPORTED_S = 20.0
CLAIM_ATTEMPTS = 3


class Tour:
    """One tour on one devnet, told to `story`."""

    def __init__(self, devnet: Devnet, eye: Observer, story: Story) -> None:
        self._devnet, self._eye, self.say = devnet, eye, story.say
        layout = devnet.layout
        *self._staying, self._leaver, self._silent = layout.of("provider")
        self._timing = devnet.network.timing

    async def run(self) -> Facts:
        """The scenes in order, then the facts. `Untrue` if something does not happen in time."""
        devnet, eye = self._devnet, self._eye
        providers = devnet.layout.of("provider")
        before = {place.name: await eye.balance(devnet.address(place.name)) for place in providers}
        joined = await scenes.join(devnet, eye, JOIN_S)
        rtt = {sight.node.name: sight.rtt_us(eye.masters) for sight in joined}
        self.say(f"{len(joined)} providers are connected, each timed by {len(eye.masters)} masters and dialled back.")
        for sight in joined:
            times = ", ".join(
                f"{devnet.layout.place(name).city.name} {us / 1000:.0f} ms" for name, us in sorted(rtt[sight.node.name].items())
            )
            self.say(f"    {sight.node.city:13} {times}")
        forgery = await scenes.forge(devnet, eye, self._staying[0])
        self.say(f"A stranger announces in {forgery.victim}'s name and is refused: [bold]{forgery.code or 'not at all'}[/].")
        await self._first_evidence()
        silent_status = await eye.status(self._silent)
        kill = await self._silence_and_kill()
        silent_view, offered = await scenes.view_of(devnet, eye, self._silent), await scenes.matched(devnet, eye)
        await scenes.until_roots(devnet, eye, ROOTS, (ROOTS + 2) * self._timing.epoch_length)
        self.say(f"{ROOTS} roots have become active.")
        restarted = await scenes.reported(devnet, eye, kill, REPORTED_S) if kill else None
        await self._claim(providers)
        leaver_status, open_files = await eye.status(self._leaver), scenes.foreign_files(devnet)
        devnet.processes.signal(self._leaver.name, signal.SIGTERM)
        left = await scenes.until_state(devnet, eye, self._leaver, "left", GOODBYE_S)
        self.say(f"{self._leaver.name} is told to stop, says goodbye and is [bold]left[/].")
        status = {place.name: await eye.status(place) for place in self._staying}
        status |= {self._silent.name: silent_status, self._leaver.name: leaver_status}
        self.say("Now everything is compared: raw RPC, the validators' archives, the providers' own stores.")
        posted = await eye.chain.posted()
        root, leaves = await gather.leaves(devnet, eye)
        return Facts(
            roles={place.name: place.role for place in devnet.layout.places},
            started=tuple(devnet.processes.started),
            alive=frozenset(devnet.processes.alive()),
            providers={place.name: devnet.address(place.name) for place in providers},
            masters=tuple(eye.masters.values()),
            validators={place.name: devnet.address(place.name) for place in devnet.layout.of("validator")},
            listed_validators=tuple(sorted(devnet.address(place.name) for place in devnet.layout.of("validator"))),
            prefixes=gather.prefixes(devnet),
            joined=joined,
            joined_rtt_us=rtt,
            least_rtt_us=gather.least_rtt_us(devnet),
            forgery=forgery,
            silent=(self._silent.name, silent_view),
            offered=offered,
            left=(self._leaver.name, left),
            pool=await eye.pool(),
            kill=kill,
            restarted=restarted,
            posted=posted,
            activated=await eye.chain.activated(),
            second=(await eye.chain.head())[1],
            active_root=root,
            manifests=await gather.manifests(devnet, eye, posted),
            evidence=await gather.evidence(devnet, eye, posted),
            trees=await gather.trees(devnet, eye, posted),
            leaves=leaves,
            status=status,
            proven={name: gather.proven(found) for name, found in status.items()},
            accounts={place.name: await gather.account(devnet, eye, place, before[place.name]) for place in providers},
            payments=await eye.chain.payments(),
            foreign_files=open_files,
            needed_roots=ROOTS,
        )

    async def _first_evidence(self) -> None:
        """Until every provider holds receipts for a proof with a slot up: whoever falls silent afterwards has something to claim."""
        devnet, eye = self._devnet, self._eye
        archive, masters = devnet.layout.of("validator")[0], len(eye.masters)

        async def proven(place: Place) -> bool:
            digests = gather.proven(await eye.status(place)).values()
            return any([await slots_proven(eye.client, archive, digest, masters) for digest in digests])

        async def all_proven() -> bool:
            return all(await asyncio.gather(*(proven(place) for place in devnet.layout.of("provider"))))

        await wait_for(devnet.processes, "that every provider holds a receipted proof", all_proven, 2 * self._timing.epoch_length)
        self.say("Every provider holds receipts of two thirds of the stake for a proof that will pay.")

    async def _silence_and_kill(self) -> Kill | None:
        """Two scenes at once, as epochs do not wait: one provider falls silent while the next epoch's poster is killed."""
        devnet, eye = self._devnet, self._eye
        devnet.processes.signal(self._silent.name, signal.SIGSTOP)
        self.say(f"{self._silent.name} falls silent.")

        async def expiry() -> None:
            ttl = devnet.network.rules.presence_ttl_s
            await scenes.until_state(devnet, eye, self._silent, "expired", 3 * ttl)
            self.say(f"{self._silent.name} is [bold]expired[/] after {ttl} s without a heartbeat.")

        killing: Kill | None
        _, killing = await together(expiry(), self._kill())
        return killing

    async def _kill(self) -> Kill | None:
        devnet, eye = self._devnet, self._eye
        for _ in range(KILL_ATTEMPTS):
            _, second = await eye.chain.head()
            ended = self._timing.epoch_at(second) - 1
            posted = {log.epoch for log in await eye.chain.posted()}
            epoch = ended if ended > 0 and ended not in posted and second < self._timing.post_end(ended) else ended + 1
            self.say(f"Waiting for whoever posts epoch {epoch}.")
            kill = await scenes.kill_poster(devnet, eye, epoch)
            if kill is None or kill.mined_before:
                self.say("Its transaction was mined first." if kill else f"Nobody was seen to post epoch {epoch}.")
                continue
            self.say(f"{kill.validator} has a quorum and has sent epoch {epoch}: [bold]SIGKILL[/] before it is mined. It is started again.")
            await scenes.until_posted(devnet, eye, epoch, self._timing.epoch_length)
            log = next(log for log in await eye.chain.posted() if log.epoch == epoch)
            self.say(f"Epoch {epoch} is posted, once, by {devnet.name_of(log.poster)}, with {log.signers.bit_count()} signatures.")
            return kill
        return None

    async def _claim(self, providers: tuple[Place, ...]) -> None:
        """All in parallel. A path leads to one root only: whoever was too slow for it is refused, and claims again from the next one."""
        waiting, said = providers, dict[str, str]()
        for _ in range(CLAIM_ATTEMPTS):
            await scenes.fresh_root(self._devnet, self._eye)
            said = await scenes.claim(self._devnet, waiting)
            waiting = tuple(place for place in waiting if place.name in said)
            if not waiting:
                break
            self.say(f"{', '.join(said)} claimed from a root that was no longer the active one, and will again.")
        for sentence in said.values():
            self.say(f"[red]{escape(sentence)}[/]")
        paid = [payment.transferred for payment in await self._eye.chain.payments()]
        self.say(f"{len(paid)} claims, in parallel, brought {tokens(sum(paid))} DPN.")


async def play(layout: Layout, folder: Path, console: Console) -> Findings:
    """Sets a devnet up, takes the tour, ends everything. Raises what `open_devnet` does, and `Untrue`."""
    console.print("[bold]Set-up[/]")
    async with open_devnet(layout, folder, folder, console.print) as devnet, observing(devnet) as eye:
        console.print(
            f"{devnet.setup_s:4.0f} s  The network runs. RPC {devnet.rpc_url}, settlement {devnet.network.settlement}\n[bold]The tour[/]"
        )
        story = Story(console)
        facts = await Tour(devnet, eye, story).run()
        duration = story.seconds
        if (sight := await eye.look()) is not None:
            console.print(picture(sight, eye.masters, "at the end"))
        checks = judge(facts)
        return Findings(checks, report(facts, checks, devnet.setup_s, duration), devnet.setup_s, duration)


if __name__ == "__main__":
    raise SystemExit(perform(TOUR))
