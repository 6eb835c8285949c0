"""Blocks, states and execution in py-evm's terms; knows no JSON, no pool and no clock.

py-evm is driven at the level of its virtual machine instead of its chain class: a block is built transaction by
transaction on a state of its own, so reads go on from the head meanwhile, and going back to an earlier block is a
matter of forgetting the later ones. States are addressed by their root and never pruned: calls at any height work.
Long because building, calling and estimating share one way of running a message on a state.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import cast

from eth.abc import BlockHeaderAPI, ReceiptAPI, SignedTransactionAPI, StateAPI, VirtualMachineAPI
from eth.chains.base import Chain
from eth.constants import BLANK_ROOT_HASH, POST_MERGE_DIFFICULTY, POST_MERGE_MIX_HASH, POST_MERGE_NONCE, ZERO_ADDRESS
from eth.db.atomic import AtomicDB
from eth.exceptions import Revert, VMError
from eth.typing import AccountState
from eth.vm.forks.prague import PragueVM
from eth.vm.forks.prague.constants import STANDARD_TOKEN_COST, TOTAL_COST_FLOOR_PER_TOKEN
from eth.vm.spoof import SpoofTransaction
from eth_bloom.bloom import BloomFilter
from eth_typing import Address as RawAddress
from eth_typing import BlockNumber
from eth_utils.exceptions import ValidationError
from rlp.codec import encode as untyped_encode

from chain.hashing import keccak

encode_rlp = cast(Callable[[object], bytes], untyped_encode)
BASE_GAS = 21_000
CALL_GAS_CAP = 50_000_000
"""Gas of a call or an estimate that asks for more or names none (geth's default cap)."""


@dataclass(frozen=True, slots=True)
class Genesis:
    """Block 0: chain id, its time in unix seconds, gas limit of every block, balances in wei by 20-byte address."""

    chain_id: int = 31337
    time: int = 0
    balances: Mapping[bytes, int] = field(default_factory=dict)
    gas_limit: int = 500_000_000


@dataclass(frozen=True, slots=True)
class Call:
    """A message nobody signed: for `eth_call` and `eth_estimateGas`. `to` is empty for a creation; it pays no fee."""

    sender: bytes
    to: bytes
    data: bytes
    value: int = 0
    gas: int | None = None
    access_list: tuple[tuple[bytes, tuple[int, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call did: `output` is its return or revert data, `failure` is None on success, else why ("revert", ...)."""

    output: bytes
    failure: str | None
    gas_used: int
    gas_refund: int

    @property
    def reverted(self) -> bool:
        return self.failure == "revert"


@dataclass(frozen=True, slots=True)
class Mined:
    """A transaction in its block; `gas_used` is its own, the receipt's is cumulative."""

    transaction: SignedTransactionAPI
    receipt: ReceiptAPI
    gas_used: int


@dataclass(frozen=True, slots=True)
class Block:
    """A sealed block. `size` is the length of its RLP in bytes."""

    header: BlockHeaderAPI
    mined: tuple[Mined, ...]
    size: int

    @property
    def number(self) -> int:
        return int(self.header.block_number)

    @property
    def hash(self) -> bytes:
        return self.header.hash

    @property
    def timestamp(self) -> int:
        return self.header.timestamp


class Unexecutable(Exception):
    """A transaction that cannot be part of this block, or a call that cannot begin; says why, changes nothing."""


class Ledger:
    """The chain itself. Every method is synchronous; a state is looked at, never changed, except by a `Builder`."""

    def __init__(self, genesis: Genesis) -> None:
        state: AccountState = {
            RawAddress(account): {"balance": balance, "nonce": 0, "code": b"", "storage": {}}
            for account, balance in genesis.balances.items()
        }
        parameters: dict[str, int | bytes | RawAddress | None] = {
            "coinbase": ZERO_ADDRESS,
            "difficulty": POST_MERGE_DIFFICULTY,
            "extra_data": b"",
            "gas_limit": genesis.gas_limit,
            "mix_hash": POST_MERGE_MIX_HASH,
            "nonce": POST_MERGE_NONCE,
            "receipt_root": BLANK_ROOT_HASH,
            "timestamp": genesis.time,
            "transaction_root": BLANK_ROOT_HASH,
        }
        self.chain_id = genesis.chain_id
        self._chain = cast(Chain, _PragueChain.from_genesis(AtomicDB(), parameters, state))
        self._chain.chain_id = genesis.chain_id
        header = self._chain.get_canonical_block_header_by_number(BlockNumber(0))
        self._blocks = [Block(header, (), len(encode_rlp(self._chain.get_block_by_header(header))))]
        self._machines: OrderedDict[bytes, VirtualMachineAPI] = OrderedDict()
        self._next: tuple[bytes, int, BlockHeaderAPI] | None = None
        self._outcomes: OrderedDict[tuple[bytes, Call], Outcome] = OrderedDict()

    def fork(self) -> Ledger:
        """Another ledger with the same blocks; what is appended to or forgotten by one is nothing to the other.

        States and headers are stored by their hash and never removed, so both may write into the same database.
        """
        twin = copy(self)
        twin._blocks, twin._machines, twin._outcomes = self._blocks.copy(), OrderedDict(), self._outcomes.copy()  # noqa: SLF001
        return twin

    @property
    def head(self) -> Block:
        """The newest block."""
        return self._blocks[-1]

    def blocks(self) -> tuple[Block, ...]:
        """All blocks from the genesis to the head."""
        return tuple(self._blocks)

    def block(self, number: int) -> Block | None:
        """The block at this height, None above the head."""
        return self._blocks[number] if 0 <= number < len(self._blocks) else None

    def state(self, header: BlockHeaderAPI) -> StateAPI:
        """The state after this block, for reading."""
        return self._machine(header).state

    def next_header(self, timestamp: int) -> BlockHeaderAPI:
        """An empty header on top of the head, with its base fee: the frame of the next block and of pending calls."""
        parent = self.head.header
        if self._next is None or self._next[:2] != (parent.hash, timestamp):
            header = self._chain.create_header_from_parent(parent, timestamp=timestamp, gas_limit=parent.gas_limit, coinbase=ZERO_ADDRESS)
            self._next = parent.hash, timestamp, header.copy(mix_hash=keccak(parent.hash + b"prevrandao"))
        return self._next[2]

    def build(self, timestamp: int) -> Builder:
        """A block to be filled on top of the present head. `ValueError` unless later than the head."""
        if timestamp <= self.head.timestamp:
            raise ValueError(f"{timestamp} is not later than {self.head.timestamp}, the time of the newest block")
        header = self.next_header(timestamp)
        return Builder(self, self.head, header, self._chain.get_vm(header))

    def append(self, block: Block) -> None:
        """Make this the head; it was built on the present one."""
        # Only the header: bodies and receipts are kept here, and py-evm's own index would resist going back.
        self._chain.chaindb.db[block.hash] = encode_rlp(block.header)
        self._blocks.append(block)

    def rewind(self, number: int) -> tuple[Block, ...]:
        """Forget all blocks above this height; returns them."""
        gone = tuple(self._blocks[number + 1 :])
        del self._blocks[number + 1 :]
        return gone

    def call(self, header: BlockHeaderAPI, call: Call) -> Outcome:
        """Run a call on the state of `header`, in its block's own frame, and undo it.

        As in geth without a gas price, the base fee is zero in there, so a sender needs money only for `value`.
        Raises `Unexecutable` if it cannot start: too little gas, too much value. Repeated calls are answered from memory.
        """
        key = (header.hash, call)
        if (known := self._outcomes.get(key)) is not None:
            self._outcomes.move_to_end(key)
            return known
        outcome = self._run(header, call)
        self._outcomes[key] = outcome
        if len(self._outcomes) > 4096:
            self._outcomes.popitem(last=False)
        return outcome

    def estimate(self, header: BlockHeaderAPI, call: Call) -> int:
        """Gas with which the call succeeds, found within 1.5 % by bisection as geth does.

        Raises `Unexecutable`, or `CallFailed` with the outcome when it fails with all the gas it may have.
        """
        high = min(call.gas or CALL_GAS_CAP, CALL_GAS_CAP)
        first = self._run(header, _with_gas(call, high))
        if first.failure is not None:
            raise CallFailed(first, high)
        low = first.gas_used - 1
        # What a nested call may not use (1/64) and the stipend are missing from what was used: try that first.
        hopeful = (first.gas_used + first.gas_refund + 2_300) * 64 // 63
        if hopeful < high and self._succeeds(header, _with_gas(call, hopeful)):
            high = hopeful
        while (high - low) * 1000 > high * 15:
            middle = min((high + low) // 2, low * 2)
            if self._succeeds(header, _with_gas(call, middle)):
                high = middle
            else:
                low = middle
        return high

    def _succeeds(self, header: BlockHeaderAPI, call: Call) -> bool:
        try:
            return self._run(header, call).failure is None
        except Unexecutable:
            return False

    def _run(self, header: BlockHeaderAPI, call: Call) -> Outcome:
        vm = self._machine(header.copy(base_fee_per_gas=0))
        state, sender = vm.state, RawAddress(call.sender)
        gas = min(call.gas or CALL_GAS_CAP, CALL_GAS_CAP)
        if state.get_balance(sender) < call.value:
            raise Unexecutable(f"insufficient funds for transfer: address 0x{call.sender.hex()}")
        unsigned = PragueVM.get_transaction_builder().new_unsigned_dynamic_fee_transaction(  # type: ignore[attr-defined]
            chain_id=self.chain_id,
            nonce=state.get_nonce(sender),
            max_priority_fee_per_gas=0,
            max_fee_per_gas=0,
            gas=gas,
            to=call.to,
            value=call.value,
            data=call.data,
            access_list=call.access_list,
        )
        if gas < (needed := max(unsigned.intrinsic_gas, floor_gas(call.data))):
            raise Unexecutable(f"intrinsic gas too low: have {gas}, want {needed}")
        transaction = cast(SignedTransactionAPI, SpoofTransaction(unsigned, from_=sender))
        before = state.snapshot()
        try:
            computation = state.apply_transaction(transaction)
        except (ValidationError, VMError) as error:
            raise Unexecutable(str(error)) from error
        finally:
            state.revert(before)
        used = vm.finalize_gas_used(transaction, computation)  # type: ignore[attr-defined]
        return Outcome(
            computation.output, _failure(computation.error) if computation.is_error else None, used, computation.get_gas_refund()
        )

    def _machine(self, header: BlockHeaderAPI) -> VirtualMachineAPI:
        known = self._machines.get(header.hash)
        if known is None:
            known = self._machines[header.hash] = self._chain.get_vm(header)
            if len(self._machines) > 16:
                self._machines.popitem(last=False)
        else:
            self._machines.move_to_end(header.hash)
        return known


class Builder:
    """A block under construction. Others may read, and even extend, the ledger between two calls of its methods."""

    def __init__(self, ledger: Ledger, parent: Block, header: BlockHeaderAPI, vm: VirtualMachineAPI) -> None:
        self._ledger, self.parent = ledger, parent
        self._header, self._vm = header, vm
        self._mined: list[Mined] = []

    @property
    def base_fee(self) -> int:
        return int(self._header.base_fee_per_gas or 0)

    @property
    def gas_left(self) -> int:
        return self._header.gas_limit - self._header.gas_used

    def add(self, transaction: SignedTransactionAPI) -> None:
        """Execute it; one that reverts is mined with status 0. `Unexecutable` if it is not valid here and now."""
        try:
            receipt, _ = self._vm.apply_transaction(self._header, transaction)
        except ValidationError as error:
            raise Unexecutable(str(error)) from error
        self._mined.append(Mined(transaction, receipt, receipt.gas_used - self._header.gas_used))
        # py-evm computes a state root per transaction here; only the block's counts since Byzantium.
        bloom = int(BloomFilter(self._header.bloom) | receipt.bloom)
        self._header = self._header.copy(gas_used=receipt.gas_used, bloom=bloom)

    def seal(self) -> Block | None:
        """Append the block to the ledger and return it; None, and no effect, if the head is no longer its parent."""
        if self._ledger.head is not self.parent:
            return None
        vm = self._vm
        filled = vm.set_block_transactions_and_withdrawals(
            vm.get_block(),
            self._header,
            [one.transaction for one in self._mined],
            [one.receipt for one in self._mined],
        )
        sealed = vm.mine_block(filled).block
        block = Block(sealed.header, tuple(self._mined), len(encode_rlp(sealed)))
        self._ledger.append(block)
        return block


class CallFailed(Exception):
    """An estimate of something that fails however much gas it gets; carries the outcome and the gas tried."""

    def __init__(self, outcome: Outcome, gas: int) -> None:
        self.outcome, self.gas = outcome, gas
        super().__init__(outcome.failure)


def floor_gas(data: bytes) -> int:
    """The least a transaction with this data costs (EIP-7623)."""
    zeros = data.count(0)
    return int(BASE_GAS + TOTAL_COST_FLOOR_PER_TOKEN * (zeros + (len(data) - zeros) * STANDARD_TOKEN_COST))


def decode_transaction(raw: bytes) -> SignedTransactionAPI:
    """The transaction in these bytes, of any type Prague knows; raises what py-evm and rlp raise for garbage."""
    return PragueVM.get_transaction_builder().decode(raw)


class _PragueChain(Chain):
    vm_configuration = ((BlockNumber(0), PragueVM),)


def _with_gas(call: Call, gas: int) -> Call:
    return Call(call.sender, call.to, call.data, call.value, gas, call.access_list)


def _failure(error: VMError) -> str:
    if isinstance(error, Revert):
        return "revert"
    name = type(error).__name__
    return "".join(" " + letter.lower() if letter.isupper() else letter for letter in name).strip()
