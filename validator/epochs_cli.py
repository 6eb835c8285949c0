"""The commands of `dpn validator` that look at epochs and at the others. Whatever is heavy is imported by the command that needs it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from runtime.terminal import AsJson, CommandFailed, NodeFile, ask, guarded, own_endpoint, show

if TYPE_CHECKING:
    from chain.client import ChainClient
    from validator.books import Entry
    from validator.neighbours import Neighbour
    from wire.http import Client

T = TypeVar("T")

LONGEST_BOOKS_S = 20.0
"""For the books to be read; what else there is to show does not wait for longer."""

app = typer.Typer()


@app.command()
def epochs(config: NodeFile, as_json: AsJson = False) -> None:
    """The newest epochs: state, root, who posted it; what this validator spent on them, and what they brought it."""
    from validator.config import ValidatorConfig

    def work() -> tuple[list[dict[str, Any]], dict[str, Any]]:
        told = ask(ValidatorConfig, config, "validator")
        found = _books(config, told)
        return [{**one, **_entry(found[one["epoch"]])} for one in told["epochs"]], _sum(found)

    found, summed = guarded(work)
    if as_json:
        show({"epochs": found}, as_json)
    else:
        _show_epochs(found, summed)


@app.command()
def peers(config: NodeFile, as_json: AsJson = False) -> None:
    """Every listed validator: whether it answers and how fast, its stake, its inventories and signatures of the newest epochs."""
    from validator.neighbours import neighbours

    found = guarded(lambda: _on_chain(config, lambda chain, client, _: neighbours(chain, client)))
    shown = [_neighbour(one) for one in found]
    if as_json:
        show({"validators": shown}, as_json)
    else:
        _show_peers(shown)


@app.command()
def export(
    epoch: Annotated[int, typer.Argument(min=1, help="Which epoch's root.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write; further epochs may be added to the same folder.")],
    config: NodeFile,
    as_json: AsJson = False,
) -> None:
    """Write every file behind an epoch's root from the running validator, for `dpn audit EPOCH --files DIR` anywhere."""
    from validator.export import export as export_epoch

    found = guarded(lambda: _on_chain(config, lambda chain, client, own: export_epoch(chain, client, own, epoch, folder)))
    show({"epoch": epoch, "folder": str(folder), "blobs": found.blobs, "proofs": found.proofs, "bytes_written": found.bytes}, as_json)


def books_of(config: Path, told: Mapping[str, Any]) -> dict[str, Any]:
    """What the newest epochs brought a running validator that has `told` its status, and cost it, in sum; or, as `error`, why that cannot
    be said."""
    from chain.errors import ChainError

    try:
        return _sum(_books(config, told))
    except (ChainError, CommandFailed) as error:
        return {"error": str(error)}


def sentence(found: Mapping[str, Any]) -> str:
    """The books in words; the two sums are of different coins, so nothing is said of what is left."""
    from chain.amounts import tokens

    if "error" in found:
        return f"income and gas cannot be told now: {found['error']}"
    came, spent = tokens(int(found["income_wei"])), tokens(int(found["gas_wei"]))
    return (
        f"of these epochs: income {came} DPN by {found['roots']} roots, "
        f"gas of {found['calls']} calls that changed something {spent} of the chain's coin"
    )


def _sum(found: Mapping[int, Entry]) -> dict[str, Any]:
    """roots: how many the income is of."""
    from validator.books import total

    roots = sum(one.income is not None for one in found.values())
    return {"epochs": len(found), "roots": roots, **_entry(total(found.values()))}


def _books(config: Path, told: Mapping[str, Any]) -> Mapping[int, Entry]:
    from chain.types import Address
    from validator.books import books

    numbers = [one["epoch"] for one in told["epochs"]]

    async def read(chain: ChainClient, client: Client, own: str) -> Mapping[int, Entry]:
        return await books(chain, client, [own], Address(told["address"]), numbers)

    try:
        return _on_chain(config, read, LONGEST_BOOKS_S)
    except TimeoutError:
        slow = f"Reading the chain takes longer than {LONGEST_BOOKS_S:g} s: try again, or give a quicker node in rpc_urls."
        raise CommandFailed(slow) from None


def _on_chain(config: Path, work: Callable[[ChainClient, Client, str], Awaitable[T]], longest_s: float | None = None) -> T:
    """Work with the chain and a client, and the running validator's own endpoint. `TimeoutError` if it takes longer than it may."""
    from chain.client import open_chain
    from runtime.config import load
    from validator.config import ValidatorConfig
    from wire.http import Client

    async def opened() -> T:
        settings = load(ValidatorConfig, config, {})
        async with open_chain(settings.rpc_urls, settings.settlement) as chain:
            client = Client(chain.network.domain)
            try:
                return await work(chain, client, own_endpoint(settings, settings.port))
            finally:
                await client.close()

    return asyncio.run(asyncio.wait_for(opened(), longest_s))


def _entry(entry: Entry) -> Mapping[str, Any]:
    return {"calls": entry.calls, "gas_wei": str(entry.gas), "income_wei": None if entry.income is None else str(entry.income)}


def _neighbour(found: Neighbour) -> Mapping[str, Any]:
    return {
        "validator": found.listing.account,
        "endpoint": found.listing.endpoint,
        "stake_wei": str(found.stake),
        "answers": not found.fault,
        "fault": found.fault,
        "latency_ms": round(found.latency_ms, 1),
        "inventories": {str(epoch): said for epoch, said in found.inventories.items()},
        "attested": {str(epoch): said for epoch, said in found.attested.items()},
    }


def _show_epochs(found: list[dict[str, Any]], summed: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from chain.amounts import tokens

    table = Table("epoch", "state", "round", "root", "posted by", "calls", "gas, coins", "income, DPN")
    for one in found:
        income = "" if one["income_wei"] is None else tokens(int(one["income_wei"]))
        cells = (
            one.get("round", ""),
            str(one.get("root", ""))[:18],
            one.get("postedBy", ""),
            one["calls"],
            tokens(int(one["gas_wei"])),
            income,
        )
        table.add_row(str(one["epoch"]), one["state"], *map(str, cells))
    console = Console()
    console.print(table)
    console.print(sentence(summed))


def _show_peers(found: list[Mapping[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    from chain.amounts import tokens

    table = Table("validator", "endpoint", "stake, DPN", "latency, ms", "inventories", "signed")
    for one in found:
        said = [", ".join(f"{epoch}: {what}" for epoch, what in one[name].items() if what) for name in ("inventories", "attested")]
        answered = (str(one["latency_ms"]), *said) if one["answers"] else (one["fault"], "", "")
        table.add_row(one["validator"], one["endpoint"], tokens(int(one["stake_wei"])), *answered)
    Console().print(table)
