"""The chain read by hand: JSON-RPC, selectors and topics written out, nothing of `chain.contracts` in between.

What the tour checks against must not share the code of what it checks. Signatures are those of docs/contracts.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import decode, encode

from chain.backend import Backend, RpcError
from chain.hashing import keccak
from chain.types import Address, Digest, to_hex

POSTED = "Posted(uint256,uint256,bytes32,uint256,uint256,uint256,bytes32,bytes32,uint256,uint256)"
ACTIVATED = "Activated(uint256,bytes32,uint256)"
CANCELLED = "Cancelled(uint256,bytes32,address)"
CLAIMED = "Claimed(address,address,uint256)"
TRANSFER = "Transfer(address,address,uint256)"
RECORD = ("bytes32", *("uint256",) * 7)
"""The words of `activeRecord()`: root, totalEarned, totalSpent, epoch, through, round, activeAt, signers."""
RECORD_EPOCH = 3
POST = "post((uint256,uint256,uint256,bytes32,bytes32,bytes32,bytes32,uint256,uint256,bytes32,bytes32,bytes32),bytes)"


@dataclass(frozen=True, slots=True)
class PostedLog:
    """A root's posting. signers: bitmap over the validators by ascending address. gas: of the whole transaction. poster: who sent it.
    cancelled: whether the root was, and never became or becomes active."""

    epoch: int
    round: int
    root: Digest
    through: int
    total_earned: int
    state_digest: Digest
    manifest_digest: Digest
    signers: int
    active_at: int
    block: int
    transaction: str
    poster: Address
    gas: int
    cancelled: bool = False

    def is_active(self, second: int) -> bool:
        """Whether its time has come by then."""
        return not self.cancelled and self.active_at <= second


@dataclass(frozen=True, slots=True)
class Payment:
    """A claim's event, and the transfer of the same transaction. Amounts in wei."""

    account: Address
    recipient: Address
    amount: int
    transaction: str
    transferred: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A transaction that is not mined yet."""

    hash: str
    sender: Address
    to: Address | None
    data: bytes


def selector(signature: str) -> bytes:
    return keccak(signature.encode())[:4]


def topic(signature: str) -> str:
    return to_hex(keccak(signature.encode()))


class RawChain:
    """Reads of one deployment, given the settlement contract alone."""

    def __init__(self, backend: Backend, settlement: Address) -> None:
        self._backend, self.settlement = backend, settlement
        self._gas: dict[str, tuple[Address, int]] = {}

    async def call(self, to: Address, signature: str, returns: Sequence[str], *arguments: Any) -> tuple[Any, ...]:
        """`eth_call` of a function by its signature, on the latest block."""
        types = argument_types(signature)
        data = to_hex(selector(signature) + encode(types, arguments))
        raw = await self._backend.request("eth_call", [{"to": to, "data": data}, "latest"])
        return tuple(decode(returns, bytes.fromhex(str(raw)[2:])))

    async def reverts(self, sender: Address, to: Address, data: bytes) -> bytes | None:
        """What a call by `sender` would revert with on the latest block; None if it would go through."""
        try:
            await self._backend.request("eth_call", [{"from": sender, "to": to, "data": to_hex(data)}, "latest"])
        except RpcError as error:
            if (reverted := error.revert_data()) is None:
                raise
            return reverted
        return None

    async def part(self, name: str) -> Address:
        """The address behind `token`, `registry`, `vault` or `judge`."""
        (found,) = await self.call(self.settlement, f"{name}()", ["address"])
        return Address(str(found).lower())

    async def active_root(self) -> Digest:
        (root,) = await self.call(self.settlement, "activeRoot()", ["bytes32"])
        return Digest(root)

    async def pending_root(self) -> Digest:
        (root,) = await self.call(self.settlement, "pendingRoot()", ["bytes32"])
        return Digest(root)

    async def active_epoch(self) -> int:
        """The epoch of the active root, 0 if there is none yet."""
        return int((await self.call(self.settlement, "activeRecord()", RECORD))[RECORD_EPOCH])

    async def number(self, signature: str, *arguments: Any, to: Address | None = None) -> int:
        """A function of the settlement contract, or of `to`, whose first result is a number."""
        (value,) = await self.call(to or self.settlement, signature, ["uint256"], *arguments)
        return int(value)

    async def logs(self, address: Address, signature: str) -> list[dict[str, Any]]:
        """All logs of one event."""
        query = {"address": address, "fromBlock": "0x0", "toBlock": "latest", "topics": [topic(signature)]}
        found = await self._backend.request("eth_getLogs", [query])
        return list(found) if isinstance(found, list) else []

    async def posted(self) -> tuple[PostedLog, ...]:
        """Every root posted, in the order of the chain."""
        logs, cancelled = await asyncio.gather(self.logs(self.settlement, POSTED), self.logs(self.settlement, CANCELLED))
        senders = await asyncio.gather(*(self._sender_and_gas(log["transactionHash"]) for log in logs))
        dead = {log["topics"][1] for log in cancelled}
        return tuple(_posted(log, poster, gas, log["topics"][1] in dead) for log, (poster, gas) in zip(logs, senders, strict=True))

    async def activated(self) -> tuple[Digest, ...]:
        """The roots that became active and moved money, in order."""
        return tuple(Digest(bytes.fromhex(log["topics"][2][2:])) for log in await self.logs(self.settlement, ACTIVATED))

    async def payments(self) -> tuple[Payment, ...]:
        """Every claim paid, each beside the token's own transfer in the same transaction."""
        claims, token = await asyncio.gather(self.logs(self.settlement, CLAIMED), self.part("token"))
        moved = await self.logs(token, TRANSFER)
        return tuple(_payment(log, self.settlement, moved) for log in claims)

    async def waiting(self) -> tuple[Waiting, ...]:
        """What the node has been sent and not mined."""
        content = await self._backend.request("txpool_content", [])
        pools = content.values() if isinstance(content, dict) else ()
        return tuple(
            Waiting(tx["hash"], Address(tx["from"].lower()), tx["to"] and Address(tx["to"].lower()), bytes.fromhex(tx["input"][2:]))
            for pool in pools
            for by_nonce in pool.values()
            for tx in by_nonce.values()
        )

    async def is_mined(self, transaction: str) -> bool:
        return await self._backend.request("eth_getTransactionReceipt", [transaction]) is not None

    async def head(self) -> tuple[int, int]:
        """Number and time of the latest block."""
        block = await self._backend.request("eth_getBlockByNumber", ["latest", False])
        return (int(block["number"], 16), int(block["timestamp"], 16)) if isinstance(block, dict) else (0, 0)

    async def _sender_and_gas(self, transaction: str) -> tuple[Address, int]:
        if transaction not in self._gas:
            receipt = await self._backend.request("eth_getTransactionReceipt", [transaction])
            if not isinstance(receipt, dict):
                return Address(""), 0
            self._gas[transaction] = Address(receipt["from"].lower()), int(receipt["gasUsed"], 16)
        return self._gas[transaction]


def argument_types(signature: str) -> list[str]:
    """The types between a signature's parentheses; none of them may be a struct."""
    inside = signature[signature.index("(") + 1 : -1]
    return inside.split(",") if inside else []


def _posted(log: dict[str, Any], poster: Address, gas: int, cancelled: bool) -> PostedLog:
    epoch, round_ = (int(entry, 16) for entry in log["topics"][1:3])
    types = ["uint256", "uint256", "uint256", "bytes32", "bytes32", "uint256", "uint256"]
    through, earned, _, state, manifest, signers, active_at = decode(types, bytes.fromhex(log["data"][2:]))
    root = Digest(bytes.fromhex(log["topics"][3][2:]))
    block, transaction = int(log["blockNumber"], 16), str(log["transactionHash"])
    return PostedLog(
        epoch,
        round_,
        root,
        through,
        earned,
        Digest(state),
        Digest(manifest),
        signers,
        active_at,
        block,
        transaction,
        poster,
        gas,
        cancelled,
    )


def _payment(log: dict[str, Any], settlement: Address, transfers: Sequence[dict[str, Any]]) -> Payment:
    recipient, amount = decode(["address", "uint256"], bytes.fromhex(log["data"][2:]))
    account, recipient = _address(log["topics"][1]), Address(recipient.lower())
    transferred = sum(
        int(move["data"], 16)
        for move in transfers
        if move["transactionHash"] == log["transactionHash"]
        and (_address(move["topics"][1]), _address(move["topics"][2])) == (settlement, recipient)
    )
    return Payment(account, recipient, amount, str(log["transactionHash"]), transferred)


def _address(entry: str) -> Address:
    return Address("0x" + entry[-40:].lower())
