"""From JSON-RPC's parameters to values, strict about types and liberal about what wallets and tools really send.

Everything here raises `RpcError(INVALID_PARAMS, ...)` with the position and the value's kind, never anything else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chain.backend import INVALID_PARAMS, RpcError
from chain.devchain.ledger import Call

TAGS = ("latest", "pending", "safe", "finalized", "earliest")
MAX_TOPICS = 4
UINT256 = 2**256
QUANTITY = re.compile(r"0[xX][0-9a-fA-F]{1,64}")
DATA = re.compile(r"0[xX](?:[0-9a-fA-F]{2})*")


@dataclass(frozen=True, slots=True)
class BlockId:
    """A block as it is asked for: exactly one of a tag, a number and a 32-byte hash is set."""

    tag: str | None = None
    number: int | None = None
    hash: bytes | None = None


LATEST = BlockId(tag="latest")


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which logs: a block, or a range of blocks both ends included; hex strings in lower case, None for any.

    `topics[i]` is the set allowed at position i. An empty `addresses` means any address.
    """

    block_hash: bytes | None
    first: BlockId
    last: BlockId
    addresses: frozenset[str]
    topics: tuple[frozenset[str] | None, ...]


class Params:
    """The positional parameters of one request."""

    def __init__(self, values: Sequence[object]) -> None:
        self._values = values

    def at(self, index: int) -> object:
        """The parameter, None if it is missing: JSON-RPC treats the two alike."""
        return self._values[index] if index < len(self._values) else None

    def address(self, index: int) -> bytes:
        return fixed(self.at(index), 20, f"parameter {index}, an address,")

    def hash(self, index: int) -> bytes:
        return fixed(self.at(index), 32, f"parameter {index}, a hash,")

    def data(self, index: int) -> bytes:
        return data(self.at(index), f"parameter {index}")

    def quantity(self, index: int, default: int | None = None) -> int:
        value = self.at(index)
        return default if value is None and default is not None else quantity(value, f"parameter {index}")

    def flag(self, index: int) -> bool:
        value = self.at(index)
        if value is None or isinstance(value, bool):
            return bool(value)
        raise wrong(f"parameter {index}", "true or false", value)

    def block(self, index: int) -> BlockId:
        return block_id(self.at(index), f"parameter {index}, a block,")

    def call(self, index: int) -> Call:
        return call(self.at(index), f"parameter {index}, a call,")


def quantity(value: object, what: str) -> int:
    """A number below 2^256 as a hex quantity, or a plain JSON integer as lenient nodes accept it."""
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and QUANTITY.fullmatch(value):
        number = int(value, 16)
    else:
        raise wrong(what, "a hex quantity", value)
    if not 0 <= number < UINT256:
        raise wrong(what, "a number from 0 to 2^256 - 1", value)
    return number


def data(value: object, what: str) -> bytes:
    """Bytes as `0x` and two digits each."""
    if isinstance(value, str) and DATA.fullmatch(value):
        return bytes.fromhex(value[2:])
    raise wrong(what, "0x and an even number of hex digits", value)


def fixed(value: object, length: int, what: str) -> bytes:
    """Exactly `length` bytes."""
    got = data(value, what)
    if len(got) != length:
        raise wrong(what, f"{length} bytes of hex", value)
    return got


def block_id(value: object, what: str) -> BlockId:
    """A tag, a number, or an EIP-1898 object with `blockNumber` or `blockHash`; None is the latest block."""
    if value is None:
        return LATEST
    if isinstance(value, str) and value in TAGS:
        return BlockId(tag=value)
    if isinstance(value, Mapping):
        if value.get("blockHash") is not None:
            return BlockId(hash=fixed(value["blockHash"], 32, what + " blockHash"))
        if value.get("blockNumber") is not None:
            return BlockId(number=quantity(value["blockNumber"], what + " blockNumber"))
        raise wrong(what, "blockHash or blockNumber", value)
    if isinstance(value, str) and len(value) == 66:
        return BlockId(hash=fixed(value, 32, what))
    return BlockId(number=quantity(value, what))


def call(value: object, what: str) -> Call:
    """A transaction object of `eth_call`: all members optional, `input` and `data` mean the same, fees are ignored."""
    if not isinstance(value, Mapping):
        raise wrong(what, "an object", value)
    given = {key: member for key, member in value.items() if member is not None}
    if "input" in given and "data" in given and given["input"] != given["data"]:
        raise RpcError(INVALID_PARAMS, f"{what} has both data and input, and they differ; send input alone")
    recipient = given.get("to", "0x")
    return Call(
        sender=fixed(given["from"], 20, what + " from") if "from" in given else bytes(20),
        to=b"" if recipient in ("", "0x") else fixed(recipient, 20, what + " to"),
        data=data(given.get("input", given.get("data", "0x")), what + " input"),
        value=quantity(given.get("value", 0), what + " value"),
        gas=quantity(given["gas"], what + " gas") if "gas" in given else None,
        access_list=_access_list(given.get("accessList", ()), what + " accessList"),
    )


def log_filter(value: object) -> LogFilter:
    """The object `eth_getLogs` takes: address or list of addresses, topics each null, one or a list, range or block hash."""
    what = "the filter"
    if not isinstance(value, Mapping):
        raise wrong(what, "an object", value)
    block_hash = value.get("blockHash")
    if block_hash is not None and (value.get("fromBlock") is not None or value.get("toBlock") is not None):
        raise RpcError(INVALID_PARAMS, "cannot specify both blockHash and fromBlock/toBlock, choose one or the other")
    addresses = value.get("address")
    if addresses is None:
        addresses = []
    elif not isinstance(addresses, list | tuple):
        addresses = [addresses]
    topics = value.get("topics")
    if topics is None:
        topics = []
    if not isinstance(topics, list | tuple) or len(topics) > MAX_TOPICS:
        raise wrong(what + " topics", f"a list of at most {MAX_TOPICS}", topics)
    return LogFilter(
        block_hash=None if block_hash is None else fixed(block_hash, 32, what + " blockHash"),
        first=block_id(value.get("fromBlock"), what + " fromBlock"),
        last=block_id(value.get("toBlock"), what + " toBlock"),
        addresses=frozenset("0x" + fixed(one, 20, what + " address").hex() for one in addresses),
        topics=tuple(_topic(one, what + " topics") for one in topics),
    )


def wrong(what: str, expected: str, value: object) -> RpcError:
    """The refusal of a value; shows at most its first characters."""
    shown = repr(value)
    return RpcError(INVALID_PARAMS, f"{what} should be {expected}, not {shown if len(shown) <= 80 else shown[:77] + '...'}")


def _topic(value: object, what: str) -> frozenset[str] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple):
        return frozenset(("0x" + fixed(value, 32, what).hex(),))
    if not value or None in value:
        return None
    return frozenset("0x" + fixed(one, 32, what).hex() for one in value)


def _access_list(value: object, what: str) -> tuple[tuple[bytes, tuple[int, ...]], ...]:
    if not isinstance(value, list | tuple):
        raise wrong(what, "a list", value)
    entries: list[tuple[bytes, tuple[int, ...]]] = []
    for entry in value:
        keys = entry.get("storageKeys", []) if isinstance(entry, Mapping) else None
        if not isinstance(entry, Mapping) or not isinstance(keys, list | tuple):
            raise wrong(what, "objects with address and storageKeys", entry)
        slots = tuple(int.from_bytes(fixed(key, 32, what)) for key in keys)
        entries.append((fixed(entry.get("address"), 20, what), slots))
    return tuple(entries)
