"""What all contracts' wrappers share: pinned reads whose refusals are decoded, and calls to send."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eth_utils.address import to_checksum_address
from web3 import AsyncWeb3
from web3.exceptions import BadFunctionCallOutput, ContractCustomError, ContractLogicError

from chain.abi import NotDeployed, artifact, decode_revert
from chain.types import Address
from chain.view import BlockStamp


@dataclass(frozen=True, slots=True)
class Call:
    """A transaction to send: the contract and its call data."""

    to: Address
    data: bytes


class Contract:
    """One deployed contract; subclasses give its functions their types."""

    NAME = ""

    def __init__(self, web3: AsyncWeb3[Any], address: Address) -> None:
        self.address = address
        self._web3 = web3
        self._functions: dict[str, Any] = {}

    async def number(self, getter: str, at: BlockStamp | None = None) -> int:
        """The value of a getter without arguments that returns an integer."""
        return int(await self._read(getter, at=at))

    async def part(self, getter: str, at: BlockStamp | None = None) -> Address:
        """The value of a getter without arguments that returns an address."""
        return address_of(await self._read(getter, at=at))

    async def _read(self, function: str, *arguments: object, at: BlockStamp | None = None) -> Any:
        try:
            call = getattr(self._with(function).functions, function)(*map(_for_web3, arguments))
            return await call.call(block_identifier=at.number if at else "latest")
        except (ContractCustomError, ContractLogicError) as error:
            raise decode_revert(_revert_data(error)) from error
        except BadFunctionCallOutput as error:
            raise NotDeployed(f"{self.address} is not a {self.NAME}: {function} gave no answer") from error

    def _call(self, function: str, *arguments: object) -> Call:
        data = self._with(function).encode_abi(function, args=[_for_web3(argument) for argument in arguments])
        return Call(self.address, bytes.fromhex(data[2:]))

    def _with(self, function: str) -> Any:
        """web3's contract with this function alone: with each call web3 hashes the signatures of all that it knows."""
        if function not in self._functions:
            abi = [entry for entry in artifact(self.NAME)["abi"] if entry["type"] == "function" and entry["name"] == function]
            self._functions[function] = self._web3.eth.contract(address=to_checksum_address(self.address), abi=abi)
        return self._functions[function]


def address_of(value: str) -> Address:
    """An address as web3 returns it, in this project's form."""
    return Address(value.lower())


def _for_web3(value: object) -> object:
    if isinstance(value, str) and len(value) == 42 and value.startswith("0x"):
        return to_checksum_address(value)
    if isinstance(value, list | tuple):
        return [_for_web3(item) for item in value]
    return value


def _revert_data(error: ContractLogicError) -> bytes:
    data = error.data
    if isinstance(data, dict):
        data = data.get("data")
    return bytes.fromhex(data[2:]) if isinstance(data, str) and data.startswith("0x") else b""
