"""`dpn demo settlement`: what three of four validators can do once they turn, and what becomes of it.

    1  a consumer deposits with a permit, and exits        4  one hostile validator contradicts itself, and loses its stake
    2  evidence pays: the first root, signed by all        5  the others post a root that takes what was earned, and lose theirs
    3  the guardian pauses; a claim pays                   6  the consumer withdraws; everything is compared

The honest validator is a process of its own, as its operator would run it; nobody tells it what to report. The demo holds the other keys.
Amounts within the totals are for the stake to say: the hostile quorum charges the consumer without a receipt, the honest validator refuses
to sign that, and no proof of it exists (docs/contracts.md). A leaf that falls is another matter.
"""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from chain.types import Wei
from devnet.archives import file, tree_of_bytes
from devnet.layout import Layout
from devnet.network import open_contracts, register, start_node, until_answers
from devnet.settlement import gather, scenes
from devnet.settlement.cast import DEPOSIT, Cast, open_cast
from devnet.settlement.checks import judge
from devnet.settlement.drafts import edited
from devnet.settlement.facts import Facts, Refusals
from devnet.settlement.report import report
from devnet.settlement.scenes import leaf_of
from devnet.stage import Findings
from devnet.story import Story
from devnet.table import tokens

CHARGED = Wei(4 * 10**18)
"""What the hostile quorum says that the consumer has spent."""


async def play(layout: Layout, folder: Path, console: Console) -> Findings:
    """Sets the network up, plays the story, ends everything. Raises what `open_contracts` does, and `Untrue`."""
    console.print("[bold]Set-up[/]")
    begun = time.monotonic()
    async with open_contracts(layout, folder, folder, console.print) as devnet, open_cast(devnet) as cast:
        await start_node(devnet, cast.honest)
        await register(devnet.ground, layout.of("provider")[0])
        await until_answers(devnet, cast.honest)
        setup = time.monotonic() - begun
        console.print(f"{setup:4.0f} s  {cast.honest.name} runs; the keys of the other {len(cast.hostile.members)} are the demo's.")
        console.print(f"        RPC {devnet.rpc_url}, settlement {devnet.network.settlement}\n[bold]The story[/]")
        story = Story(console)
        facts = await _tell(cast, story)
        duration = story.seconds
        checks = judge(facts)
        return Findings(checks, report(facts, checks, setup, duration), setup, duration)


async def _tell(cast: Cast, story: Story) -> Facts:
    """The scenes in order, then the facts. `Untrue` if something does not happen in time."""
    say, treasury = story.say, cast.devnet.network.treasury
    consumer, provider = cast.consumer.address, cast.provider.address

    transactions = await scenes.deposit(cast)
    say(f"A consumer deposits {tokens(DEPOSIT)} DPN, by one transaction with a permit.")
    begun = await scenes.until_slots(cast)
    await cast.consumer.do(cast.chain.vault.exit())
    say(f"It exits in epoch {begun}: it is paid back once a root covers the epoch after, less what it has spent.")
    await scenes.show_evidence(cast, begun)
    say(f"A provider shows {cast.honest.name} what resolver and master have signed about it.")

    log = await scenes.first_root(cast, begun)
    first = log.epoch
    say(f"{cast.honest.name} proposes, {log.signers.bit_count()} of 4 sign: the root of epoch {first} is pending.")
    say("From now on all but one are hostile.")
    cast.hostile.turn()
    state = await file(cast.client, cast.honest, log.state_digest)
    tree_1 = tree_of_bytes(state, treasury)
    await scenes.until_second(cast, log.active_at, f"that the root of epoch {first} is active")
    earned = leaf_of(tree_1, provider)[0].earned
    paused = await scenes.pause_refuses(cast, tree_1)
    say(f"The guardian pauses: a claim is refused with [bold]{paused or 'nothing'}[/]. It ends the pause.")
    await cast.provider.do(cast.chain.settlement.claim(*leaf_of(tree_1, provider)))
    say(f"The provider claims {tokens(earned)} DPN.")

    second = first + 1
    equivocator, *others = cast.hostile.members
    draft_2 = edited(state, second, {consumer: (leaf_of(tree_1, consumer)[0].earned, CHARGED), provider: (earned + CHARGED, 0)}, treasury)
    await cast.hostile.post(draft_2, second, cast.hostile.members, twice=equivocator)
    say(f"The hostile quorum posts epoch {second}: the consumer has spent {tokens(CHARGED)} DPN, it says. No proof can tell.")
    say(f"{equivocator.place.name} has signed another struct for the same round, and hands both out. {cast.honest.name} reports it:")
    await scenes.until_punished(cast, [equivocator], say)

    third = second + 1
    by_role = leaf_of(tree_1, others[0].address)[0].earned
    bad = edited(draft_2.state, third, {provider: (0, 0), others[0].address: (by_role + earned + CHARGED, 0)}, treasury)
    await cast.hostile.post(bad, third, others)
    theirs = " and ".join(member.place.name for member in others)
    say(f"{theirs}, two thirds of what is left, post epoch {third}: what the provider earned is {others[0].place.name}'s now.")
    meanwhile = await scenes.while_pending(cast, draft_2.tree, bad.tree)
    say(f"While it is pending the provider claims from the root before; a withdrawal is refused: [bold]{meanwhile.withdrawal or 'not'}[/].")
    say(f"{cast.honest.name} reports it:")
    await scenes.until_punished(cast, others, say)
    late = await scenes.report_late(cast, meanwhile.stranger)
    say(f"The root is cancelled. A stranger with the same proof comes too late: [bold]{late or 'not refused'}[/].")

    await scenes.until_quiet(cast)
    old = await scenes.withdraw(cast, tree_1, draft_2.tree)
    say(
        f"In quiet time the consumer withdraws {tokens(DEPOSIT - CHARGED)} DPN; by its leaf of the first root it could not: [bold]{old}[/]."
    )
    say("With one stake of four nothing can be posted any more; claims and withdrawals go on (docs/contracts.md, Migration).")
    if (fraud := await scenes.posting_of(cast, third)) is not None:
        await scenes.until_second(cast, fraud.active_at + 1, "that the cancelled root's time is over")
    say("Now everything is compared: raw RPC, the token's own log, the state files.")
    who = gather.accounts(cast, equivocator.address)
    refusals = Refusals(while_paused=paused, while_pending=meanwhile.withdrawal, old_leaf=old, late=late)
    return await gather.facts(cast, who, (first, second, third), transactions, meanwhile, refusals)
