"""A devnet as tables for a terminal, and the same as plain data for `--json`. Pure: a `Sight` in, a picture out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from chain.types import Address
from devnet.observer import NodeSight, ProviderSight, Sight

COLOURS = {"connected": "green", "pending_verification": "yellow", "expired": "red", "left": "blue", "absent": "dim"}
SHOWN_EPOCHS = 6
ETHER = 10**18


def tokens(wei: int) -> str:
    """Wei of the reward token as whole tokens with three digits, rounded down."""
    return f"{wei // ETHER}.{wei % ETHER // 10**15:03}"


def state_of(sight: ProviderSight) -> str:
    """The resolver's word, `absent` if it has none."""
    return sight.view.state if sight.view else "absent"


def picture(sight: Sight, masters: Mapping[Address, str], title: str) -> Group:
    """Where providers stand, what they earn, epochs, nodes: tables that fit 80 columns unless a reason is long."""
    return Group(
        Text(f"{title}   block {sight.block}   epoch {sight.epoch}, slot {sight.slot}   active root: {_active(sight)}", style="bold"),
        standing_table(sight, masters),
        earnings_table(sight.providers),
        epochs_table(sight),
        nodes_table(sight.nodes),
    )


def standing_table(sight: Sight, masters: Mapping[Address, str]) -> Table:
    """State and reason as the resolver sees them, RTT as each master measured it, headed by the master's city."""
    cities = {node.name: node.city for node in sight.nodes}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("provider", "city", "state", "reason"):
        table.add_column(name, no_wrap=True)
    for master in masters.values():
        table.add_column(f"{cities.get(master, master)}\nms", justify="right", no_wrap=True)
    table.add_column("heart-\nbeats", justify="right", no_wrap=True)
    for one in sight.providers:
        rtt, state = one.rtt_us(masters), state_of(one)
        table.add_row(
            one.node.name,
            one.node.city,
            Text(state.removesuffix("_verification"), style=COLOURS.get(state, "")),
            one.view.code if one.view else "-",
            *(f"{rtt[name] / 1000:.1f}" if name in rtt else "-" for name in masters.values()),
            str(one.view.heartbeats if one.view else 0),
        )
    return table


def earnings_table(providers: Sequence[ProviderSight]) -> Table:
    """What the provider itself counts (slots up in this epoch, proofs receipted of all), and its money by RPC and leaf."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("provider", no_wrap=True)
    for name in ("slots", "proofs", "earned", "claimed", "balance", "points", "reputation"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in providers:
        own, money = one.node.status, one.money
        table.add_row(
            one.node.name,
            str(own.get("slots", "-")),
            f"{own.get('receipted', '-')} of {own.get('proofs', '-')}",
            tokens(money.earned),
            tokens(money.claimed),
            tokens(money.balance),
            f"{money.points / 1000:.3f}",
            f"{money.reputation / 10_000:.1f} %",
        )
    return table


def epochs_table(sight: Sight) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("epoch", "root", "state"):
        table.add_column(name, no_wrap=True)
    for name in ("covers to", "round", "signers", "gas", "earned in all"):
        table.add_column(name, justify="right", no_wrap=True)
    for log in sight.posted[-SHOWN_EPOCHS:]:
        state = "active" if log.epoch == sight.active else "pending" if log.epoch > sight.active else "past"
        state = "cancelled" if log.cancelled else state
        signers = log.signers.bit_count()
        table.add_row(
            str(log.epoch),
            f"0x{log.root.hex()[:8]}…",
            Text(state, style={"active": "green", "pending": "yellow"}.get(state, "dim")),
            str(log.through),
            str(log.round),
            str(signers),
            f"{log.gas:,}",
            tokens(log.total_earned),
        )
    return table


def nodes_table(nodes: Sequence[NodeSight]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("node", "city", "process", "says"):
        table.add_column(name, no_wrap=True)
    for node in nodes:
        says = _words(node.role, node.status) if node.status else "no answer"
        table.add_row(node.name, node.city, str(node.pid or "-"), Text(says, style="" if node.status else "red"))
    return table


def _words(role: str, status: Mapping[str, Any]) -> str:
    """A node's own status in a few words."""
    if role == "validator":
        epochs = [f"{one['epoch']} {one['state']}" for one in status.get("epochs", ())[:2]]
        return f"{status.get('proofs', {}).get('accepted', 0)} proofs; epochs {', '.join(epochs)}"
    if role == "resolver":
        return ", ".join(f"{count} {name}" for name, count in status.get("pool", {}).items())
    return ", ".join(f"{count} {name}" for name, count in status.get("datagrams", {}).items())


def plain(sight: Sight, masters: Mapping[Address, str]) -> dict[str, Any]:
    """The same as data; amounts in wei as decimal strings."""
    return {
        "block": sight.block,
        "epoch": sight.epoch,
        "slot": sight.slot,
        "active_epoch": sight.active,
        "providers": [
            {
                "name": one.node.name,
                "address": one.address,
                "city": one.node.city,
                "state": state_of(one),
                "reason": one.view.code if one.view else "",
                "rtt_us": one.rtt_us(masters),
                "heartbeats": one.view.heartbeats if one.view else 0,
                "earned": str(one.money.earned),
                "claimed": str(one.money.claimed),
                "balance": str(one.money.balance),
                "reputation": one.money.reputation,
                "own": one.node.status,
            }
            for one in sight.providers
        ],
        "epochs": [
            {
                "epoch": log.epoch,
                "through": log.through,
                "root": f"0x{log.root.hex()}",
                "signers": log.signers.bit_count(),
                "transaction": log.transaction,
                "gas": log.gas,
                "total": str(log.total_earned),
            }
            for log in sight.posted
        ],
        "nodes": [{"name": n.name, "role": n.role, "city": n.city, "pid": n.pid, "status": n.status} for n in sight.nodes],
    }


def _active(sight: Sight) -> str:
    return f"of epoch {sight.active}" if sight.active else "none yet"
