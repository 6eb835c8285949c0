"""`dpn`: one command composed of the roles' own. A role is imported only when one of its commands runs.

Exit codes: 0 done; 1 a fault of this program; 2 a setting, file or argument is wrong; 3 the chain, the deployment or the
database's server is not usable; 4 a contract or a node refused; 5 there is nothing to do; 6 the fee is too high; 7 declined at the
prompt, or nobody answered it;
8 an audit found a difference, or not all that it needs; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

COMMANDS = {
    "provider": ("provider.cli", "app", "Share bandwidth: register, run, see where you stand."),
    "consumer": ("consumer.cli", "app", "Use the network: deposit, connect, browse through a provider, get the rest back."),
    "wallet": ("provider.wallet_cli", "app", "Keys, balances, rewards and claims."),
    "validator": ("validator.cli", "app", "Verify proofs, agree on epochs, post roots."),
    "resolver": ("resolver.cli", "app", "Keep the live pool, match consumers, answer DNS."),
    "master": ("master.cli", "app", "Time providers and dial them back."),
    "audit": ("audit.cli", "app", "Recompute epochs from outside: from the chain and anybody's files, trusting neither."),
    "chain": ("cli.chain", "app", "Deploy the contracts, serve a development chain, read a deployment."),
    "devnet": ("devnet.cli", "devnet", "A whole network on this machine, with a live table."),
    "demo": ("devnet.cli", "demo", "Scripted runs: the tour from a first ping to a reward in a wallet, and others."),
}


ADDED = {"provider": (("audit.explain_cli", "app"),), "validator": (("audit.inclusion_cli", "app"),)}
"""Commands of a role that need more than the role: they stand in the role's list, and lie above it."""


class Roles(TyperGroup):
    """Lists the commands without importing them, and imports the one that runs."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the signature is the group's
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - the signature is the group's
        """A name and a sentence, which is all that the overview needs; `resolve_command` loads the real one."""
        if cmd_name not in COMMANDS:
            return None
        return TyperGroup(name=cmd_name, help=COMMANDS[cmd_name][2])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, found, rest = super().resolve_command(ctx, args)
        if name not in COMMANDS:
            return name, found, rest
        module, attribute, _ = COMMANDS[name]
        command: Any = get_command(getattr(import_module(module), attribute))
        for other, its in ADDED.get(name, ()):
            more = get_command(getattr(import_module(other), its))
            command.add_command(more, more.name)
        command.name = name
        return name, command, rest


app = typer.Typer(
    cls=Roles,
    name="dpn",
    help="Share bandwidth, use it, validate, post roots, claim: the whole network in one command.",
    no_args_is_help=True,
    add_completion=False,
)


@app.callback(epilog=str(__doc__).split("\n\n", maxsplit=1)[1])
def overview() -> None:
    """A decentralized private network: providers share bandwidth, validators agree on what it was worth, contracts pay."""


def main() -> None:
    """The entry point of the `dpn` script."""
    sys.exit(app())


if __name__ == "__main__":
    main()
