"""The settlement contracts' logs read by hand, as `devnet.rawchain` does: signatures written out, nothing of `chain.events` in between."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import decode

from chain.types import Address, Digest
from devnet.rawchain import CANCELLED, CLAIMED, POSTED, TRANSFER, RawChain, argument_types, selector

PROVEN = "Proven(bytes32,bytes32,address)"
CONVICTED = "Convicted(address,address)"
SLASHED = "Slashed(address,address,uint256,uint256)"
SHARE_COLLECTED = "ShareCollected(address,uint256)"
DEPOSITED = "Deposited(address,uint256,uint256)"
EXITED = "Exited(address,uint256,uint256)"
WITHDRAWN = "Withdrawn(address,uint256,uint256)"
ERRORS = ("IsPaused(uint256)", "NotInTree(address,bytes32)", "NotQuiet()", "NothingTriable()")
"""The refusals that the demo provokes."""


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """Where a log stands: marks order as the chain does."""

    block: int
    index: int


@dataclass(frozen=True, slots=True)
class Row:
    """A log: its values in the order of the signature, addresses in lower case, and where it stands."""

    values: tuple[Any, ...]
    mark: Mark
    transaction: str


@dataclass(frozen=True, slots=True)
class Records:
    """All logs of a kind each, in the order of the chain; the values are those of the signatures above."""

    posted: tuple[Row, ...]
    cancelled: tuple[Row, ...]
    claimed: tuple[Row, ...]
    proven: tuple[Row, ...]
    convicted: tuple[Row, ...]
    slashed: tuple[Row, ...]
    collected: tuple[Row, ...]
    deposited: tuple[Row, ...]
    exited: tuple[Row, ...]
    withdrawn: tuple[Row, ...]
    transfers: tuple[Row, ...]


async def rows(chain: RawChain, contract: Address, signature: str, indexed: int) -> tuple[Row, ...]:
    """All logs of an event whose first `indexed` arguments are indexed."""
    types = argument_types(signature)
    return tuple(_row(log, types, indexed) for log in await chain.logs(contract, signature))


async def records(chain: RawChain) -> Records:
    """Everything at once; logs that are written meanwhile may be in some and not in others."""
    parts = {name: await chain.part(name) for name in ("registry", "vault", "judge", "token")}
    registry, vault = parts["registry"], parts["vault"]
    found = await asyncio.gather(
        rows(chain, chain.settlement, POSTED, 3),
        rows(chain, chain.settlement, CANCELLED, 3),
        rows(chain, chain.settlement, CLAIMED, 1),
        rows(chain, parts["judge"], PROVEN, 3),
        rows(chain, registry, CONVICTED, 2),
        rows(chain, registry, SLASHED, 2),
        rows(chain, registry, SHARE_COLLECTED, 1),
        rows(chain, vault, DEPOSITED, 1),
        rows(chain, vault, EXITED, 1),
        rows(chain, vault, WITHDRAWN, 1),
        rows(chain, parts["token"], TRANSFER, 2),
    )
    return Records(*found)


async def refusal(chain: RawChain, sender: Address, to: Address, data: bytes) -> str:
    """The name of the error that a call would be refused with, empty if it would not be; an unknown one by its selector."""
    reverted = await chain.reverts(sender, to, data)
    if reverted is None:
        return ""
    known: Mapping[bytes, str] = {selector(signature): signature.split("(")[0] for signature in ERRORS}
    return known.get(reverted[:4], f"0x{reverted[:4].hex()}")


def proof_name(row: Row) -> str:
    """The name of the proof in a `Proven`."""
    return bytes(row.values[0]).rstrip(b"\0").decode(errors="replace")


def _row(log: Mapping[str, Any], types: list[str], indexed: int) -> Row:
    topics = [decode([kind], bytes.fromhex(topic[2:]))[0] for kind, topic in zip(types[:indexed], log["topics"][1:], strict=True)]
    values = (*topics, *decode(types[indexed:], bytes.fromhex(log["data"][2:])))
    plain = tuple(_plain(value) for value in values)
    return Row(plain, Mark(int(log["blockNumber"], 16), int(log["logIndex"], 16)), str(log["transactionHash"]))


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return Digest(value)
    return Address(value.lower()) if isinstance(value, str) else value
