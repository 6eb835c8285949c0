"""The contracts' events as values, in the order of the chain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from chain.types import Address, Digest, Wei

ROLES = ("validator", "resolver", "master")
"""The Registry's roles by number."""


@dataclass(frozen=True, slots=True)
class LogPosition:
    """Where a log stands: block number, index in the block, transaction."""

    block: int
    index: int
    transaction: Digest


@dataclass(frozen=True, slots=True)
class Listed:
    at: LogPosition
    account: Address
    role: str
    max_stake: Wei
    endpoint: str


@dataclass(frozen=True, slots=True)
class EndpointSet:
    at: LogPosition
    account: Address
    endpoint: str


@dataclass(frozen=True, slots=True)
class Bonded:
    """stake: what the account has bonded from now on."""

    at: LogPosition
    account: Address
    stake: Wei


@dataclass(frozen=True, slots=True)
class RulesSet:
    """rules: the canonical JSON of `chain.rules.Rules`."""

    at: LogPosition
    digest: Digest
    rules: bytes


@dataclass(frozen=True, slots=True)
class ProviderRegistered:
    at: LogPosition
    provider: Address
    recipient: Address
    referrer: Address
    bond: Wei


@dataclass(frozen=True, slots=True)
class ProviderUnregistered:
    at: LogPosition
    provider: Address
    release_at: int


@dataclass(frozen=True, slots=True)
class RecipientSet:
    at: LogPosition
    account: Address
    recipient: Address


@dataclass(frozen=True, slots=True)
class Funded:
    """funded: the Vault's lifetime sum from now on."""

    at: LogPosition
    funded: Wei


@dataclass(frozen=True, slots=True)
class Proposed:
    at: LogPosition
    epoch: int
    round: int
    proposer: Address
    digest: Digest


@dataclass(frozen=True, slots=True)
class Posted:
    """signers: bit i for the validator listed i-th. active_at: block time in seconds."""

    at: LogPosition
    epoch: int
    round: int
    root: Digest
    through: int
    total_earned: Wei
    total_spent: Wei
    state_digest: Digest
    manifest_digest: Digest
    signers: int
    active_at: int


@dataclass(frozen=True, slots=True)
class Activated:
    at: LogPosition
    epoch: int
    root: Digest


@dataclass(frozen=True, slots=True)
class Claimed:
    at: LogPosition
    account: Address
    recipient: Address
    amount: Wei
    epoch: int


Event = (
    Listed
    | EndpointSet
    | Bonded
    | RulesSet
    | ProviderRegistered
    | ProviderUnregistered
    | RecipientSet
    | Funded
    | Proposed
    | Posted
    | Activated
    | Claimed
)


class EventDecoder:
    """Turns raw JSON-RPC logs of the four contracts into events; logs of other events are left out."""

    _KINDS: ClassVar[dict[str, type[Any]]] = {kind.__name__: kind for kind in Event.__args__}

    def __init__(self, abis: Iterable[Sequence[Any]]) -> None:
        from eth_utils.abi import event_abi_to_log_topic

        self._by_topic = {
            bytes(event_abi_to_log_topic(entry)): entry
            for abi in abis
            for entry in abi
            if entry["type"] == "event" and entry["name"] in self._KINDS
        }

    def decode(self, logs: Iterable[dict[str, Any]]) -> tuple[Event, ...]:
        """The events in `logs`, in the order of the chain."""
        events = [event for event in map(self._decode, logs) if event is not None]
        return tuple(sorted(events, key=lambda event: (event.at.block, event.at.index)))

    def _decode(self, entry: dict[str, Any]) -> Event | None:
        from eth_abi.abi import decode

        topics = [bytes.fromhex(topic[2:]) for topic in entry["topics"]]
        abi = self._by_topic.get(topics[0]) if topics else None
        if abi is None:
            return None
        indexed = [item for item in abi["inputs"] if item["indexed"]]
        plain = [item for item in abi["inputs"] if not item["indexed"]]
        found = {item["name"]: decode([item["type"]], topic)[0] for item, topic in zip(indexed, topics[1:], strict=True)}
        # The contracts take any bytes for a string: what cannot be decoded would end every reader, what cannot be printed forges its log.
        data = decode(["bytes" if item["type"] == "string" else item["type"] for item in plain], bytes.fromhex(entry["data"][2:]))
        found |= {item["name"]: _text(value) if item["type"] == "string" else value for item, value in zip(plain, data, strict=True)}
        position = LogPosition(int(entry["blockNumber"], 16), int(entry["logIndex"], 16), bytes_of(entry["transactionHash"]))
        return self._build(self._KINDS[abi["name"]], position, found)

    @staticmethod
    def _build(kind: type[Any], position: LogPosition, values: dict[str, Any]) -> Event:
        from chain.typed import camel

        parts = {name: values[camel(name)] for name in kind.__slots__ if name != "at"}
        if kind is Listed:
            parts["role"] = ROLES[parts["role"]]
        event: Event = kind(at=position, **parts)
        return event


def _text(written: bytes) -> str:
    return "".join(one if one.isprintable() else "\ufffd" for one in written.decode(errors="replace"))


def bytes_of(text: str) -> Digest:
    """The bytes of a `0x` string."""
    return Digest(bytes.fromhex(text.removeprefix("0x")))
