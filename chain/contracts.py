"""The four contracts, typed: reads pinned to a block, writes as calls for `chain.sender`.

Reads raise `ContractRefused` or `NotDeployed` of `chain.abi`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

from eth_utils.address import to_checksum_address
from web3 import AsyncWeb3
from web3.exceptions import BadFunctionCallOutput, ContractCustomError, ContractLogicError

from chain.abi import NotDeployed, artifact, decode_revert
from chain.events import ROLES
from chain.messages import EpochAttestation, Leaf
from chain.types import ZERO_ADDRESS, ZERO_DIGEST, Address, Digest, Signature, Wei
from chain.view import BlockStamp, Listing


@dataclass(frozen=True, slots=True)
class Call:
    """A transaction to send: the contract and its call data."""

    to: Address
    data: bytes


@dataclass(frozen=True, slots=True)
class RootRecord:
    """A root as the contract keeps it: amounts in wei, posted_at in block time, signers as a bitmap over listing order."""

    root: Digest
    state_digest: Digest
    total_earned: Wei
    total_spent: Wei
    posted_at: int
    epoch: int
    through: int
    round: int
    signers: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """The newest recorded candidate."""

    epoch: int
    round: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class ProviderRecord:
    """bond and the time (seconds) from which a waiting bond is free, 0 if none waits."""

    registered: bool
    bond: Wei
    referrer: Address
    release_at: int


class Contract:
    """One deployed contract; subclasses give its functions their types."""

    NAME = ""

    def __init__(self, web3: AsyncWeb3[Any], address: Address) -> None:
        self.address = address
        self._contract: Any = web3.eth.contract(address=to_checksum_address(address), abi=artifact(self.NAME)["abi"])

    async def _read(self, function: str, *arguments: object, at: BlockStamp | None = None) -> Any:
        try:
            call = getattr(self._contract.functions, function)(*map(_for_web3, arguments))
            return await call.call(block_identifier=at.number if at else "latest")
        except (ContractCustomError, ContractLogicError) as error:
            raise decode_revert(_revert_data(error)) from error
        except BadFunctionCallOutput as error:
            raise NotDeployed(f"{self.address} is not a {self.NAME}: {function} gave no answer") from error

    def _call(self, function: str, *arguments: object) -> Call:
        data = self._contract.encode_abi(function, args=[_for_web3(argument) for argument in arguments])
        return Call(self.address, bytes.fromhex(data[2:]))

    async def number(self, getter: str, at: BlockStamp | None = None) -> int:
        """The value of a getter without arguments that returns an integer."""
        return int(await self._read(getter, at=at))


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


def _address(value: str) -> Address:
    return Address(value.lower())


class TokenContract(Contract):
    NAME = "RewardToken"

    async def balance_of(self, account: Address, at: BlockStamp | None = None) -> Wei:
        return Wei(await self._read("balanceOf", account, at=at))

    async def allowance(self, owner: Address, spender: Address, at: BlockStamp | None = None) -> Wei:
        return Wei(await self._read("allowance", owner, spender, at=at))

    def approve(self, spender: Address, amount: Wei) -> Call:
        return self._call("approve", spender, amount)

    def transfer(self, to: Address, amount: Wei) -> Call:
        return self._call("transfer", to, amount)


class RegistryContract(Contract):
    NAME = "Registry"

    async def listed(self, role: str, at: BlockStamp | None = None) -> tuple[Listing, ...]:
        """The nodes of a role, in listing order."""
        found = await self._read("listed", ROLES.index(role), at=at)
        return tuple(
            Listing(_address(account), ROLES[kind], endpoint, Wei(most), Wei(stake)) for account, kind, most, stake, endpoint in found
        )

    async def rules_digest(self, at: BlockStamp | None = None) -> Digest:
        return Digest(await self._read("rulesDigest", at=at))

    async def recipient_of(self, account: Address, at: BlockStamp | None = None) -> Address:
        return _address(await self._read("recipientOf", account, at=at))

    async def provider_of(self, provider: Address, at: BlockStamp | None = None) -> ProviderRecord:
        registered, bond, referrer, release_at = await self._read("providerOf", provider, at=at)
        return ProviderRecord(registered, Wei(bond), _address(referrer), release_at)

    async def settlement(self, at: BlockStamp | None = None) -> Address:
        return _address(await self._read("settlement", at=at))

    def bond(self, account: Address, amount: Wei) -> Call:
        return self._call("bond", account, amount)

    def set_endpoint(self, endpoint: str) -> Call:
        return self._call("setEndpoint", endpoint)

    def register(self, recipient: Address, referrer: Address = ZERO_ADDRESS) -> Call:
        return self._call("register", recipient, referrer)

    def unregister(self) -> Call:
        return self._call("unregister")

    def withdraw_bond(self) -> Call:
        return self._call("withdrawBond")

    def set_recipient(self, account: Address, recipient: Address) -> Call:
        return self._call("setRecipient", account, recipient)


class VaultContract(Contract):
    NAME = "Vault"

    async def settlement(self, at: BlockStamp | None = None) -> Address:
        return _address(await self._read("settlement", at=at))

    def fund(self, amount: Wei) -> Call:
        return self._call("fund", amount)


class SettlementContract(Contract):
    NAME = "Settlement"

    async def part(self, name: str, at: BlockStamp | None = None) -> Address:
        """The address behind `registry`, `vault`, `token` or `treasury`."""
        return _address(await self._read(name, at=at))

    async def active_root(self, at: BlockStamp | None = None) -> Digest:
        """The one root that verifies; zero if there is none yet."""
        return Digest(await self._read("activeRoot", at=at))

    async def pending_root(self, at: BlockStamp | None = None) -> Digest:
        return Digest(await self._read("pendingRoot", at=at))

    async def active_record(self, at: BlockStamp | None = None) -> RootRecord:
        return _record(await self._read("activeRecord", at=at))

    async def pending_record(self, at: BlockStamp | None = None) -> RootRecord:
        return _record(await self._read("pendingRecord", at=at))

    async def candidate(self, at: BlockStamp | None = None) -> Candidate | None:
        epoch, round_, digest = await self._read("candidate", at=at)
        return None if digest == ZERO_DIGEST else Candidate(epoch, round_, Digest(digest))

    async def proposer_of(self, epoch: int, round_: int, at: BlockStamp | None = None) -> Address:
        return _address(await self._read("proposerOf", epoch, round_, at=at))

    async def digest_of(self, attestation: EpochAttestation, at: BlockStamp | None = None) -> Digest:
        """The contract's own EIP-712 digest of an attestation."""
        return Digest(await self._read("digestOf", astuple(attestation), at=at))

    async def last_posted_epoch(self, at: BlockStamp | None = None) -> int:
        return await self.number("lastPostedEpoch", at)

    async def is_quiet(self, at: BlockStamp | None = None) -> bool:
        return bool(await self._read("isQuiet", at=at))

    async def claimed_of(self, account: Address, at: BlockStamp | None = None) -> Wei:
        return Wei(await self._read("claimedOf", account, at=at))

    async def reputation_of(self, account: Address, at: BlockStamp | None = None) -> tuple[int, int]:
        """Reputation in ppm, and the epoch of the root it was read from (0 if never)."""
        reputation, epoch = await self._read("reputationOf", account, at=at)
        return reputation, epoch

    def propose(self, epoch: int, round_: int, digest: Digest) -> Call:
        return self._call("propose", epoch, round_, digest)

    def post(self, attestation: EpochAttestation, signatures: Sequence[Signature]) -> Call:
        """signatures: by strictly ascending signer."""
        return self._call("post", astuple(attestation), b"".join(signatures))

    def activate(self) -> Call:
        return self._call("activate")

    def claim(self, leaf: Leaf, path: Sequence[Digest]) -> Call:
        return self._call("claim", *astuple(leaf), list(path))

    def claim_many(self, leaves: Sequence[Leaf], paths: Sequence[Sequence[Digest]]) -> Call:
        return self._call("claimMany", [astuple(leaf) for leaf in leaves], [list(path) for path in paths])

    def push(self, leaf: Leaf, path: Sequence[Digest]) -> Call:
        return self._call("push", *astuple(leaf), list(path))


def _record(values: Sequence[Any]) -> RootRecord:
    return RootRecord(Digest(values[0]), Digest(values[1]), Wei(values[2]), Wei(values[3]), *values[4:])
