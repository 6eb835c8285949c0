"""The committed artifacts: ABI and bytecode of each contract, and what they say of calls, answers, events and reverts.

ContractError
├── ContractRefused    the contract reverted with a custom error; `name` and `facts` say which
└── NotDeployed        there is no such contract at this address
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from eth_abi.abi import decode
from eth_abi.codec import ABICodec
from eth_abi.decoding import BytesDecoder
from eth_abi.encoding import BytesEncoder
from eth_abi.exceptions import DecodingError, ValueOutOfBounds
from eth_abi.registry import BaseEquals, registry
from eth_utils.abi import collapse_if_tuple

from chain.errors import ChainError
from chain.events import EventDecoder
from chain.hashing import keccak
from chain.refusals import sentence_of
from chain.types import Address

CONTRACTS = ("RewardToken", "Registry", "Vault", "Judge", "Settlement")


class ContractError(ChainError):
    """Base of what a call of a contract can end in besides an unreachable chain."""


class NotDeployed(ContractError):
    """The address holds no contract, or another one."""


class ContractRefused(ContractError):
    """A revert. name: of the custom error (`Error` with a reason string, `Panic`, a selector, or empty). facts: its arguments by name.

    sentence: what happened and what to do, if the error is one of the contracts' own.
    """

    def __init__(self, name: str, facts: dict[str, object]) -> None:
        self.name, self.facts = name, facts
        self.sentence = sentence_of(name, facts)
        listed = ", ".join(f"{key} {value}" for key, value in facts.items())
        plain = f"{name or 'no reason given'}" + (f" ({listed})" if listed else "")
        super().__init__("the contract refused: " + (f"{self.sentence} ({name})" if self.sentence else plain))


@cache
def artifact(name: str) -> dict[str, Any]:
    """ABI and bytecode of a contract, as committed."""
    found: dict[str, Any] = json.loads((resources.files("chain") / "artifacts" / f"{name}.json").read_text())
    return found


class _ExactBytes(BytesEncoder):
    """A `bytesN` of exactly N bytes: eth-abi's own would fill up a shorter one with zeros, and so sign or post something else."""

    def validate_value(self, value: Any) -> None:
        super().validate_value(value)
        if len(value) * 8 != self.value_bit_size:
            self.invalidate_value(value, exc=ValueOutOfBounds, msg="has not exactly the bytes of its type")


def _codec() -> ABICodec:
    exact = registry.copy()
    exact.unregister("bytes<M>")
    exact.register(BaseEquals("bytes", with_sub=True), _ExactBytes, BytesDecoder, label="bytes<M>")
    return ABICodec(exact)


_CODEC = _codec()


def call_data(contract: str, function: str, arguments: Sequence[object]) -> bytes:
    """What to send for a call: the selector and the arguments. `eth_abi.exceptions.EncodingError` for one that does not fit its type."""
    selector, inputs, _ = _function(contract, function)
    return selector + _CODEC.encode(inputs, arguments)


def creation_data(contract: str, arguments: Sequence[object]) -> bytes:
    """What to send to create a contract: its code and its constructor's arguments, as `call_data` takes them."""
    inputs = [_types(entry["inputs"]) for entry in artifact(contract)["abi"] if entry["type"] == "constructor"]
    return bytes.fromhex(str(artifact(contract)["bytecode"]).removeprefix("0x")) + _CODEC.encode(inputs[0] if inputs else (), arguments)


def decode_output(contract: str, function: str, address: Address, data: bytes) -> Any:
    """What a function returned: the one value, or a tuple of them. `NotDeployed` for anything that it cannot have returned."""
    _, _, outputs = _function(contract, function)
    try:
        values = _CODEC.decode(outputs, data)
    except (DecodingError, OverflowError, UnicodeDecodeError) as error:
        raise NotDeployed(f"{address} is not a {contract}: {function} gave no answer") from error
    return values[0] if len(values) == 1 else values


@cache
def _function(contract: str, name: str) -> tuple[bytes, tuple[str, ...], tuple[str, ...]]:
    """The selector of a function, and the types of what it takes and returns; no two of a contract share a name."""
    entry = next(entry for entry in artifact(contract)["abi"] if entry["type"] == "function" and entry["name"] == name)
    inputs = _types(entry["inputs"])
    return keccak(f"{name}({','.join(inputs)})".encode())[:4], inputs, _types(entry["outputs"])


def _types(parameters: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(collapse_if_tuple(dict(parameter)) for parameter in parameters)


@cache
def _errors() -> dict[bytes, dict[str, Any]]:
    standard: list[dict[str, Any]] = [
        {"type": "error", "name": "Error", "inputs": [{"name": "reason", "type": "string"}]},
        {"type": "error", "name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]},
    ]
    entries = standard + [entry for name in CONTRACTS for entry in artifact(name)["abi"] if entry["type"] == "error"]
    return {keccak(_signature(entry).encode())[:4]: entry for entry in entries}


def _signature(entry: Mapping[str, Any]) -> str:
    """Name and argument types of an error; the contracts' errors take no structs."""
    return f"{entry['name']}({','.join(item['type'] for item in entry['inputs'])})"


def decode_revert(data: bytes) -> ContractRefused:
    """What revert data means; an unknown error, or one with malformed arguments, keeps its selector as name."""
    entry = _errors().get(data[:4])
    unknown = ContractRefused("0x" + data[:4].hex() if data else "", {})
    if entry is None:
        return unknown
    try:
        values = decode([item["type"] for item in entry["inputs"]], data[4:])
    except (DecodingError, OverflowError, UnicodeDecodeError):
        return unknown
    names = [item["name"] for item in entry["inputs"]]
    shown = [_shown(value) for value in values]
    return ContractRefused(entry["name"], dict(zip(names, shown, strict=True)))


def _shown(value: object) -> object:
    """Bytes as hexadecimal; what cannot be printed in a text is replaced, since any contract may have written it."""
    if isinstance(value, str):
        return "".join(one if one.isprintable() else "\ufffd" for one in value)
    return "0x" + value.hex() if isinstance(value, bytes) else value


def event_decoder() -> EventDecoder:
    """A decoder of all contracts' events."""
    return EventDecoder(artifact(name)["abi"] for name in CONTRACTS)
