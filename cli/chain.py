"""`dpn chain`: what concerns the chain itself and no role. Whatever is heavy is imported by the command that needs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from cli.governance import bundle, guard
from runtime.terminal import AsJson, address_from, guarded, show, wei_from

if TYPE_CHECKING:
    from chain.network import Network

T = TypeVar("T")

app = typer.Typer(help="Deploy the contracts, serve a development chain, read a deployment.", no_args_is_help=True)
app.add_typer(bundle, name="bundle")
app.add_typer(guard, name="guard")

Rpc = Annotated[str, typer.Option("--rpc", help="JSON-RPC URL of the chain.")]
Keystore = Annotated[Path, typer.Option("--keystore", help="V3 keystore of the account that pays.")]
PassphraseFile = Annotated[Path | None, typer.Option("--passphrase-file", help="Its first line is the pass phrase.")]


@app.command()
def deploy(
    parameters: Annotated[Path, typer.Option("--parameters", help="TOML file; see docs/operating.md.")],
    rpc: Rpc,
    keystore: Keystore,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Deploy the contracts, fund the Vault, and read everything back."""
    from chain.deploy import deploy as deploy_contracts
    from chain.keys import load
    from chain.parameters import load_parameters
    from chain.rpc import RpcBackend
    from chain.sender import Sender
    from runtime.passphrase import read_passphrase

    async def work() -> Network:
        chosen = load_parameters(parameters)
        key = load(keystore, read_passphrase(passphrase_file))
        backend = RpcBackend(rpc)
        try:
            chain_id = int(str(await backend.request("eth_chainId", [])), 16)
            return await deploy_contracts(backend, Sender(backend, key, chain_id), chosen)
        finally:
            await backend.close()

    _show_network(_run(work), as_json)


@app.command()
def bond(
    account: Annotated[str, typer.Option("--account", help="A listed validator, resolver or master.")],
    amount: Annotated[str, typer.Option("--amount", help="Whole reward tokens; at most what its listing allows.")],
    settlement: Annotated[str, typer.Option("--settlement", help="Address of the settlement contract.")],
    rpc: Rpc,
    keystore: Keystore,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Bond the keystore's tokens for a listed account, in quiet time."""
    from chain.client import open_chain
    from chain.deploy import bond as bond_tokens
    from chain.keys import load
    from chain.sender import Sender
    from runtime.passphrase import read_passphrase

    async def work() -> None:
        listed, contract, bonded = address_from(account), address_from(settlement), wei_from(amount)
        key = load(keystore, read_passphrase(passphrase_file))
        async with open_chain(rpc, contract) as chain:
            await bond_tokens(chain, Sender(chain.backend, key, chain.network.chain_id), listed, bonded)

    _run(work)
    show({"account": address_from(account), "bonded_tokens": amount}, as_json)


@app.command("show")
def show_deployment(
    settlement: Annotated[str, typer.Option("--settlement", help="Address of the settlement contract.")], rpc: Rpc, as_json: AsJson = False
) -> None:
    """What a node reads of a deployment: contracts, windows, rules."""
    from chain.client import open_chain

    async def work() -> Network:
        async with open_chain(rpc, address_from(settlement)) as chain:
            return chain.network

    _show_network(_run(work), as_json)


@app.command()
def serve(
    port: Annotated[int, typer.Option("--port", help="0 for a free one.")] = 8545,
    chain_id: Annotated[int, typer.Option("--chain-id")] = 31337,
    fund: Annotated[list[str] | None, typer.Option("--fund", metavar="ADDRESS:ETHER", help="Money at genesis; may be repeated.")] = None,
) -> None:
    """Serve a development chain on loopback until SIGTERM or Ctrl-C: a block a second, nothing kept on disk."""
    from chain.__main__ import main

    funds = [part for one in fund or [] for part in ("--fund", one)]
    raise typer.Exit(main(["--port", str(port), "--chain-id", str(chain_id), *funds]))


def _run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return guarded(lambda: asyncio.run(work()))


def _show_network(network: Network, as_json: bool) -> None:
    from dataclasses import asdict

    found: dict[str, Any] = {
        "chain_id": network.chain_id,
        **{name: getattr(network, name) for name in ("settlement", "registry", "vault", "judge", "token", "treasury")},
        "rate_wei": str(network.rate),
        "provider_bond_wei": str(network.provider_bond),
        "rules_digest": "0x" + network.rules.digest().hex(),
        **asdict(network.timing),
        "rules": asdict(network.rules),
    }
    show(found, as_json)
