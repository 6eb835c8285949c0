"""`dpn chain bundle` and `dpn chain guard`: what the stake decides together, and what the guardian may do alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime.terminal import AsJson, CommandFailed, UsageError, address_from, guarded, show

if TYPE_CHECKING:
    from chain.client import ChainClient
    from chain.contracts import Call
    from chain.messages import Bundle
    from chain.typed import Signed

bundle = typer.Typer(
    help="Change lists, rules, parameters or the guardian, by signatures of two thirds of the stake.", no_args_is_help=True
)
guard = typer.Typer(help="Cancel a pending root, pause, hand the guard over.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="The bundle as TOML; see chain/bundles.py and docs/operating.md.")]
Rpc = Annotated[str, typer.Option("--rpc", help="JSON-RPC URL of the chain.")]
Settlement = Annotated[str, typer.Option("--settlement", help="Address of the settlement contract.")]
Keystore = Annotated[Path, typer.Option("--keystore", help="V3 keystore of the account that signs.")]
PassphraseFile = Annotated[Path | None, typer.Option("--passphrase-file", help="Its first line is the pass phrase.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before signing or sending.")]


@bundle.command("show")
def show_bundle(file: File, settlement: Settlement, rpc: Rpc, as_json: AsJson = False) -> None:
    """What a bundle would change, read against the chain as it is."""
    show(_with_chain(rpc, settlement, lambda chain: _described(chain, file)), as_json)


@bundle.command("sign")
def sign_bundle(
    file: File,
    to: Annotated[Path, typer.Option("--to", help="The file to write the signature to.", dir_okay=False)],
    settlement: Settlement,
    rpc: Rpc,
    keystore: Keystore,
    passphrase_file: PassphraseFile = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Sign a bundle as a validator, after showing what it changes."""
    from chain.bundles import load_draft
    from chain.canonical import encode
    from chain.keys import load
    from chain.typed import sign
    from runtime.passphrase import read_passphrase

    async def work(chain: ChainClient) -> Mapping[str, Any]:
        view = await chain.view()
        draft = load_draft(file, view)
        key = load(keystore, read_passphrase(passphrase_file))
        if key.address not in [listing.account for listing in view.validators()]:
            raise CommandFailed(f"{key.address} is no validator with stake, so its signature would not count. Sign with a validator's key.")
        show(await _described(chain, file), as_json=False)
        if not yes and not typer.confirm("Sign it?", err=True):
            raise typer.Exit(7)
        to.write_bytes(encode(sign(draft.bundle, chain.network.domain, key)))
        return {"signer": key.address, "changes": "0x" + draft.bundle.changes.hex(), "written": str(to)}

    show(_with_chain(rpc, settlement, work), as_json)


@bundle.command("apply")
def apply_bundle(
    file: File,
    signatures: Annotated[list[Path], typer.Argument(help="Files written by `sign`.")],
    settlement: Settlement,
    rpc: Rpc,
    keystore: Keystore,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Carry a signed bundle to the chain. Anyone may, in quiet time."""
    from chain.amounts import tokens
    from chain.bundles import load_draft, signers_of, stake_of

    async def work(chain: ChainClient) -> Mapping[str, Any]:
        view = await chain.view()
        draft = load_draft(file, view)
        signers = signers_of(draft, map(_signature, signatures), chain.network.domain)
        held, total = stake_of(tuple(signers), view)
        if 3 * held < 2 * total:
            raise CommandFailed(
                f"The signers hold {tokens(held)} of {tokens(total)} DPN of stake, and two thirds are needed. Collect more."
            )
        call = chain.registry.change(draft.changes, draft.bundle.deadline, [one.signature for one in signers.values()])
        return {"nonce": draft.bundle.nonce, "signers": list(signers), "transaction": await _send(chain, call, keystore, passphrase_file)}

    show(_with_chain(rpc, settlement, work), as_json)


@guard.command()
def status(settlement: Settlement, rpc: Rpc, as_json: AsJson = False) -> None:
    """Who guards, since when, and what is pending or paused."""

    async def work(chain: ChainClient) -> Mapping[str, Any]:
        latest = await chain.latest()
        found, pending = await chain.settlement.guard(latest), await chain.settlement.pending_record(latest)
        return {
            "guardian": found.guardian,
            "powers_begin": _time(found.since),
            "nominee": found.nominee,
            "paused_until": _time(found.paused_until) if found.paused_until > latest.timestamp else "not paused",
            "may_pause_from": _time(max(found.pausable_from, found.since)),
            "pending_root": "0x" + pending.root.hex() if any(pending.root) else "none",
            "active_at": _time(pending.active_at) if any(pending.root) else "",
        }

    show(_with_chain(rpc, settlement, work), as_json)


@guard.command()
def cancel(settlement: Settlement, rpc: Rpc, keystore: Keystore, passphrase_file: PassphraseFile = None, as_json: AsJson = False) -> None:
    """Cancel the pending root: its epoch is dead, the next root covers it. Who signed it can still be convicted."""
    _guard_call(lambda chain: chain.settlement.cancel(), settlement, rpc, keystore, passphrase_file, as_json)


@guard.command()
def pause(settlement: Settlement, rpc: Rpc, keystore: Keystore, passphrase_file: PassphraseFile = None, as_json: AsJson = False) -> None:
    """For 72 hours nothing is posted and nobody claims; not again for 14 days after."""
    _guard_call(lambda chain: chain.settlement.pause(), settlement, rpc, keystore, passphrase_file, as_json)


@guard.command()
def unpause(settlement: Settlement, rpc: Rpc, keystore: Keystore, passphrase_file: PassphraseFile = None, as_json: AsJson = False) -> None:
    """End a pause early."""
    _guard_call(lambda chain: chain.settlement.unpause(), settlement, rpc, keystore, passphrase_file, as_json)


@guard.command()
def nominate(
    nominee: Annotated[str, typer.Argument(help="Who may take over; the zero address withdraws a nomination.")],
    settlement: Settlement,
    rpc: Rpc,
    keystore: Keystore,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Name who may take over the guard. Nothing changes until it accepts."""
    _guard_call(
        lambda chain: chain.settlement.nominate_guardian(address_from(nominee)), settlement, rpc, keystore, passphrase_file, as_json
    )


@guard.command()
def accept(settlement: Settlement, rpc: Rpc, keystore: Keystore, passphrase_file: PassphraseFile = None, as_json: AsJson = False) -> None:
    """Take over the guard, as its nominee."""
    _guard_call(lambda chain: chain.settlement.accept_guard(), settlement, rpc, keystore, passphrase_file, as_json)


def _guard_call(
    call: Callable[[ChainClient], Call], settlement: str, rpc: str, keystore: Path, passphrase_file: Path | None, as_json: bool
) -> None:
    async def work(chain: ChainClient) -> Mapping[str, Any]:
        return {"transaction": await _send(chain, call(chain), keystore, passphrase_file)}

    show(_with_chain(rpc, settlement, work), as_json)


async def _described(chain: ChainClient, file: Path) -> Mapping[str, Any]:
    """The bundle in words: each change with what it replaces."""
    from chain.amounts import tokens
    from chain.bundles import load_draft
    from chain.canonical import decode
    from chain.rules import Rules

    view = await chain.view()
    draft = load_draft(file, view)
    changes = draft.changes
    old, new = asdict(decode(Rules, view.rules)), asdict(decode(Rules, changes.rules or view.rules))
    found: dict[str, Any] = {
        "nonce": draft.bundle.nonce,
        "deadline": _time(draft.bundle.deadline),
        "changes": "0x" + draft.bundle.changes.hex(),
    }
    for name, before, after in (
        ("min_total", view.min_total, changes.min_total),
        ("provider_bond", view.provider_bond, changes.provider_bond),
    ):
        found |= {} if before == after else {name: f"{tokens(before)} -> {tokens(after)} DPN"}
    found |= {f"rules {name}": f"{old[name]} -> {value}" for name, value in new.items() if old[name] != value}
    found |= {f"delisted {account}": getattr(view.listing(account), "role", "is not listed") for account in changes.delisted}
    found |= {f"listed {one.account}": f"{one.role} at {one.endpoint}, at most {tokens(one.max_stake)} DPN" for one in changes.listed}
    return found | ({"guardian": f"{view.guard.guardian} -> {changes.guardian}"} if changes.replace_guardian else {})


def _signature(file: Path) -> Signed[Bundle]:
    from chain.canonical import decode
    from chain.errors import CodecError
    from chain.messages import Bundle
    from chain.typed import Signed

    try:
        found: Signed[Bundle] = decode(Signed[Bundle], file.read_bytes())
    except CodecError as error:
        raise UsageError(f"{file} is no signature written by `dpn chain bundle sign`: {error}.") from error
    return found


async def _send(chain: ChainClient, call: Call, keystore: Path, passphrase_file: Path | None) -> str:
    from chain.keys import load
    from chain.sender import Sender
    from runtime.passphrase import read_passphrase

    sender = Sender(chain.backend, load(keystore, read_passphrase(passphrase_file)), chain.network.chain_id)
    return str((await sender.wait(await sender.send(call.to, call.data)))["transactionHash"])


def _with_chain(rpc: str, settlement: str, work: Callable[[ChainClient], Awaitable[Mapping[str, Any]]]) -> Mapping[str, Any]:
    from chain.client import open_chain

    async def opened() -> Mapping[str, Any]:
        async with open_chain(rpc, address_from(settlement)) as chain:
            return await work(chain)

    return guarded(lambda: asyncio.run(opened()))


def _time(second: int) -> str:
    """Local time with its zone."""
    return datetime.fromtimestamp(second).astimezone().isoformat(sep=" ") if second else "-"
