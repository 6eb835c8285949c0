"""From raw JSON-RPC logs to events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, get_args

from chain.events.judge import JudgeEvent, Proven
from chain.events.log import ROLES, SKIP_REASONS, LogPosition
from chain.events.registry import RegistryEvent
from chain.events.settlement import ClaimSkipped, SettlementEvent
from chain.events.vault import VaultEvent
from chain.types import Digest

Event = RegistryEvent | VaultEvent | SettlementEvent | JudgeEvent


class EventDecoder:
    """Turns raw JSON-RPC logs of the contracts into events; logs of other events are left out."""

    _KINDS: ClassVar[dict[str, type[Any]]] = {kind.__name__: kind for kind in get_args(Event)}

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
        if "role" in parts:
            parts["role"] = ROLES[parts["role"]]
        if kind is ClaimSkipped:
            parts["reason"] = SKIP_REASONS[parts["reason"]]
        if kind is Proven:
            parts["name"] = _text(parts["name"].rstrip(b"\0"))
        event: Event = kind(at=position, **parts)
        return event


def _text(written: bytes) -> str:
    return "".join(one if one.isprintable() else "\ufffd" for one in written.decode(errors="replace"))


def bytes_of(text: str) -> Digest:
    """The bytes of a `0x` string."""
    return Digest(bytes.fromhex(text.removeprefix("0x")))
