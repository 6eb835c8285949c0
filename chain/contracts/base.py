"""What all contracts' wrappers share: pinned reads whose refusals are decoded, and calls to send."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chain.abi import call_data, decode_output, decode_revert
from chain.backend import INTERNAL_ERROR, Backend, ReadRefused, RpcError
from chain.types import Address, to_hex
from chain.view import BlockStamp


@dataclass(frozen=True, slots=True)
class Call:
    """A transaction to send: the contract and its call data."""

    to: Address
    data: bytes


class Contract:
    """One deployed contract; subclasses give its functions their types.

    Reads raise `ContractRefused`, `NotDeployed`, and as the backend does, with a refusal by the node as `ReadRefused`.
    """

    NAME = ""

    def __init__(self, backend: Backend, address: Address) -> None:
        self.address = address
        self._backend = backend

    async def number(self, getter: str, at: BlockStamp | None = None) -> int:
        """The value of a getter without arguments that returns an integer."""
        return int(await self._read(getter, at=at))

    async def part(self, getter: str, at: BlockStamp | None = None) -> Address:
        """The value of a getter without arguments that returns an address."""
        return address_of(await self._read(getter, at=at))

    async def _read(self, function: str, *arguments: object, at: BlockStamp | None = None) -> Any:
        call = {"to": self.address, "data": to_hex(call_data(self.NAME, function, arguments))}
        try:
            answer = await self._backend.request("eth_call", [call, hex(at.number) if at else "latest"])
        except RpcError as error:
            reverted = error.revert_data()
            if reverted is None:
                raise ReadRefused(error.code, error.message, error.data) from error
            raise decode_revert(reverted) from error
        return decode_output(self.NAME, function, self.address, _bytes_of(answer))

    def _call(self, function: str, *arguments: object) -> Call:
        return Call(self.address, call_data(self.NAME, function, arguments))


def address_of(value: str) -> Address:
    """An address as the ABI's decoder returns it, in this project's form."""
    return Address(value.lower())


def _bytes_of(answer: object) -> bytes:
    try:
        return bytes.fromhex(answer.removeprefix("0x"))  # type: ignore[attr-defined]
    except (AttributeError, ValueError):
        raise ReadRefused(INTERNAL_ERROR, "eth_call gave no data") from None
