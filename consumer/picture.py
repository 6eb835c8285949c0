"""What `dpn consumer status` and `dpn consumer receipts` print for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import typer

from chain.amounts import tokens
from runtime.terminal import local_time


def print_status(found: Mapping[str, Any]) -> None:
    """A connection as `consumer.status.read` gives it."""
    state = found["state"] if found["runs"] else "no longer running"
    reason = f" ({found['code']}: {found['said']})" if found["code"] != "ok" else ""
    lines = {
        "state": f"{state}{reason}, since {local_time(found['since'])}",
        "next try": local_time(found["next_try"]) if found["next_try"] else "",
        "SOCKS port": found["socks"],
        "provider": found["provider"] and f"{found['provider']} {found['region']}",
        "round trip": f"{found['rtt_us'] / 1000:.1f} ms" if found["rtt_us"] else "",
        "reputation": _reputation(found) if found["provider"] else "",
        "price for one GiB": f"{tokens(int(found['price']))} DPN" if found["provider"] else "",
        "bytes": f"{found['bytes']}, receipted {found['receipted']}, by the provider's count {found['reported']}",
        "difference": f"{found['difference']} bytes that the provider counts more; they are not paid" if found["difference"] > 0 else "",
        "budget": f"{tokens(int(found['budget']))} DPN, spent {tokens(int(found['spent']))}, left {tokens(int(found['left']))}",
        "this session reserves": f"{tokens(int(found['session']))} DPN" if int(found["session"]) else "",
        "sessions": f"{found['sessions']}, {found['aside']} providers left alone for a while",
    }
    if left := found["last_left"]:
        lines["last provider left"] = f"{left['provider']} at {local_time(left['time'])}: {left['code']}, {left['said']}"
    for name, shown in lines.items():
        if shown:
            typer.echo(f"{name:<24} {shown}")


def _reputation(found: Mapping[str, Any]) -> str:
    source = f"of epoch {found['reputation_epoch']}" if found["reputation_epoch"] else "what newcomers have"
    by = "verified against the active root" if found["verified"] else "by the resolver's word"
    return f"{found['reputation'] / 10_000:.1f} %, {source}, {by}"


def print_receipts(sessions: Iterable[Mapping[str, Any]]) -> None:
    """Sessions as `consumer.ledger.sessions_of` gives them: what it was, and what it came to."""
    for one in sessions:
        typer.echo(f"{one['session'][:18]}  {local_time(one['opened'])}  provider {one['provider']}  {one['closed'] or 'open'}")
        counted = f"{one['receipted']} bytes receipted, {one['reported']} by the provider's count"
        typer.echo(f"    {counted}; {one['fee']} DPN of {one['budget']} reserved, at {one['price']} DPN for one GiB")
