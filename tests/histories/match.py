"""The same calls to the reference and to the contracts: accepted by both or refused by both for the same reason, all they say equal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_account import Account

from chain.abi import decode_revert, event_decoder
from chain.backend import RpcError
from chain.client import ChainClient
from chain.contracts import Call
from chain.events import ClaimSkipped
from chain.frauds import commitment
from chain.inprocess import InProcessBackend
from chain.messages import Bundle
from chain.typed import digest_of
from chain.types import ZERO_DIGEST, Address, Signature, to_hex
from chain.view import BlockStamp
from tests.histories.table import KEYS
from tests.reference.network import Reference
from tests.reference.values import Refused

GAS = 6_000_000


@dataclass(frozen=True, slots=True)
class Step:
    """One call at a block time: a function of the reference, which is also one of the contract's wrapper."""

    at: int
    part: str
    name: str
    caller: Address
    arguments: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return f"at {self.at} {self.caller[:8]} {self.part}.{self.name}{self.arguments}"


class Match:
    """A deployment and its reference."""

    def __init__(self, backend: InProcessBackend, chain: ChainClient, reference: Reference) -> None:
        self.backend, self.chain, self.reference = backend, chain, reference
        self._decoder = event_decoder()

    async def play(self, step: Step) -> str | None:
        """Makes the call of both; the error both refused it with, None if both accepted it. `AssertionError` if they differ."""
        call = self._real(step)
        self.reference.now = step.at
        await self.backend.request("evm_setNextBlockTimestamp", [step.at])
        try:
            skips = self.reference.call(step.part, step.name, step.caller, step.arguments)
        except Refused as refused:
            found = await self._refusal(step.caller, call)
            assert found == refused.name, f"{step}: the reference says {refused.name}, the contract {found}"
            return refused.name
        receipt = await self._send(step.caller, call)
        if receipt["status"] != "0x1":
            raise AssertionError(f"{step}: the reference accepts it, the contract does not: {await self._refusal(step.caller, call)}")
        if skips is not None:
            events = self._decoder.decode(receipt["logs"])
            passed_over = [(one.account, one.index, one.reason) for one in events if isinstance(one, ClaimSkipped)]
            assert passed_over == skips, f"{step}: the reference passes over {skips}, the contract {passed_over}"
        return None

    async def stamp(self) -> BlockStamp:
        """The newest block at the time of the last call, which no block may have if it was refused."""
        head = await self.chain.latest()
        return BlockStamp(head.number, head.hash, self.reference.now)

    def _real(self, step: Step) -> Call:
        contract = getattr(self.chain, step.part)
        call: Call = getattr(contract, step.name)(*self._real_arguments(step.name, step.arguments))
        return call

    def _real_arguments(self, name: str, arguments: Sequence[Any]) -> Sequence[Any]:
        domain = self.chain.network.domain
        match name, arguments:
            case "propose", (epoch, round_, attestation):
                return epoch, round_, digest_of(attestation, domain) if attestation else ZERO_DIGEST
            case "post", (attestation, signers):
                return attestation, _signatures(digest_of(attestation, domain), signers)
            case "change", (changes, deadline, signers):
                bundle = Bundle(self.reference.registry.bundle_nonce, deadline, changes.digest())
                return changes, deadline, _signatures(digest_of(bundle, domain), signers)
            case (("claim" | "push" | "withdraw" | "refute_announcement"), (leaf, tree)):
                return leaf, tree.path(leaf)
            case (("claim_many" | "sum"), (leaves, trees)):
                return leaves, [tree.path(leaf) for leaf, tree in zip(leaves, trees, strict=False)]
            case "claim_packed", (leaves, tree):
                return (tree.multiproof([leaf.account for leaf in leaves]),)
            case "commit", (reporter, proof, salt):
                return (commitment(reporter, proof.digest(), salt),)
            case "prove", (proof, salt, _, _):
                return proof, salt
            case _:
                return arguments

    async def _send(self, caller: Address, call: Call) -> dict[str, Any]:
        nonce = int(str(await self.backend.request("eth_getTransactionCount", [caller, "latest"])), 16)
        what = {"type": 2, "chainId": 31337, "nonce": nonce, "to": bytes.fromhex(call.to[2:]), "value": 0, "data": call.data}
        fees = {"gas": GAS, "maxFeePerGas": 10**12, "maxPriorityFeePerGas": 0}
        raw = Account.sign_transaction(what | fees, KEYS[caller].secret()).raw_transaction
        sent = await self.backend.request("eth_sendRawTransaction", [to_hex(bytes(raw))])
        receipt = await self.backend.request("eth_getTransactionReceipt", [sent])
        assert isinstance(receipt, dict)
        return receipt

    async def _refusal(self, caller: Address, call: Call) -> str | None:
        """The error of a call in the next block, None if it would be accepted."""
        try:
            await self.backend.request("eth_call", [{"from": caller, "to": call.to, "data": to_hex(call.data), "gas": hex(GAS)}, "pending"])
        except RpcError as error:
            data = error.revert_data()
            assert data is not None, error
            return decode_revert(data).name
        return None


def _signatures(digest: bytes, signers: Sequence[Address | None]) -> list[Signature]:
    return [KEYS[one].sign(digest) if one else Signature(bytes(65)) for one in signers]
