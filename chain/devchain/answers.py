"""From py-evm's values to JSON-RPC's: hex quantities without leading zeros, camelCase, `0x` data, null where nothing is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from eth._utils.address import generate_contract_address
from eth.abc import BlockHeaderAPI, SignedTransactionAPI

from chain.devchain.ledger import Block, Mined

Json = dict[str, object]
LEGACY, ACCESS_LIST, DYNAMIC_FEE, SET_CODE = 0, 1, 2, 4


def quantity(number: int) -> str:
    return hex(number)


def data(value: bytes) -> str:
    return "0x" + value.hex()


def type_of(transaction: SignedTransactionAPI) -> int:
    """EIP-2718's type, 0 for a legacy transaction."""
    return transaction.type_id or LEGACY


def effective_gas_price(transaction: SignedTransactionAPI, base_fee: int) -> int:
    """What one unit of gas costs the sender in a block with this base fee."""
    if type_of(transaction) < DYNAMIC_FEE:
        return transaction.gas_price
    return min(transaction.max_fee_per_gas, transaction.max_priority_fee_per_gas + base_fee)


def block(header: BlockHeaderAPI, size: int, transactions: Sequence[object], *, pending: bool = False) -> Json:
    """A block with the given transactions, hashes or objects. A pending one has no hash, nonce or bloom yet."""
    return {
        "number": quantity(header.block_number),
        "hash": None if pending else data(header.hash),
        "parentHash": data(header.parent_hash),
        "nonce": None if pending else data(header.nonce),
        "sha3Uncles": data(header.uncles_hash),
        "logsBloom": None if pending else data(header.bloom.to_bytes(256)),
        "transactionsRoot": data(header.transaction_root),
        "stateRoot": data(header.state_root),
        "receiptsRoot": data(header.receipt_root),
        "miner": data(header.coinbase),
        "difficulty": quantity(header.difficulty),
        "totalDifficulty": "0x0",
        "extraData": data(header.extra_data),
        "size": quantity(size),
        "gasLimit": quantity(header.gas_limit),
        "gasUsed": quantity(header.gas_used),
        "timestamp": quantity(header.timestamp),
        "transactions": list(transactions),
        "uncles": [],
        "baseFeePerGas": quantity(header.base_fee_per_gas or 0),
        "mixHash": data(header.mix_hash),
        "withdrawals": [],
        "withdrawalsRoot": data(header.withdrawals_root or b""),
        "blobGasUsed": quantity(header.blob_gas_used),
        "excessBlobGas": quantity(header.excess_blob_gas),
        "parentBeaconBlockRoot": data(header.parent_beacon_block_root or b""),
        "requestsHash": data(header.requests_hash),  # type: ignore[attr-defined]
    }


def transaction(signed: SignedTransactionAPI, where: tuple[Block, int] | None) -> Json:
    """A transaction; `where` is its block and index, None while it waits."""
    kind = type_of(signed)
    base_fee = int(where[0].header.base_fee_per_gas or 0) if where else None
    answer: Json = {
        "type": quantity(kind),
        "hash": data(signed.hash),
        "nonce": quantity(signed.nonce),
        "blockHash": data(where[0].hash) if where else None,
        "blockNumber": quantity(where[0].number) if where else None,
        "transactionIndex": quantity(where[1]) if where else None,
        "from": data(signed.sender),
        "to": data(signed.to) if signed.to else None,
        "value": quantity(signed.value),
        "gas": quantity(signed.gas),
        "input": data(signed.data),
        "r": quantity(signed.r),
        "s": quantity(signed.s),
    }
    if kind == LEGACY:
        answer["gasPrice"] = quantity(signed.gas_price)
        answer["v"] = quantity(cast(int, signed.v))  # type: ignore[attr-defined]
        if signed.chain_id is not None:
            answer["chainId"] = quantity(signed.chain_id)
        return answer
    answer["chainId"] = quantity(cast(int, signed.chain_id))
    answer["v"] = answer["yParity"] = quantity(signed.y_parity)
    answer["accessList"] = [
        {"address": data(account), "storageKeys": [data(slot.to_bytes(32)) for slot in slots]} for account, slots in signed.access_list
    ]
    if kind < DYNAMIC_FEE:
        answer["gasPrice"] = quantity(signed.gas_price)
        return answer
    answer["maxFeePerGas"] = quantity(signed.max_fee_per_gas)
    answer["maxPriorityFeePerGas"] = quantity(signed.max_priority_fee_per_gas)
    price = signed.max_fee_per_gas if base_fee is None else effective_gas_price(signed, base_fee)
    answer["gasPrice"] = quantity(price)
    if kind == SET_CODE:
        answer["authorizationList"] = [
            {
                "chainId": quantity(one.chain_id),
                "address": data(one.address),
                "nonce": quantity(one.nonce),
                "yParity": quantity(one.y_parity),
                "r": quantity(one.r),
                "s": quantity(one.s),
            }
            for one in signed.authorization_list
        ]
    return answer


def logs(within: Block, index: int, mined: Mined, first_log: int) -> list[Json]:
    """The logs of the transaction at `index`; `first_log` is the number of logs before it in the block."""
    return [
        {
            "address": data(log.address),
            "topics": [data(topic.to_bytes(32)) for topic in log.topics],
            "data": data(log.data),
            "blockNumber": quantity(within.number),
            "blockHash": data(within.hash),
            "blockTimestamp": quantity(within.timestamp),
            "transactionHash": data(mined.transaction.hash),
            "transactionIndex": quantity(index),
            "logIndex": quantity(first_log + offset),
            "removed": False,
        }
        for offset, log in enumerate(mined.receipt.logs)
    ]


def receipt(within: Block, index: int, mined: Mined, its_logs: Sequence[Json]) -> Json:
    """The receipt of the transaction at `index`; status 0x1 is success."""
    signed = mined.transaction
    created = None if signed.to else data(generate_contract_address(signed.sender, signed.nonce))
    return {
        "type": quantity(type_of(signed)),
        "status": "0x1" if mined.receipt.state_root == b"\x01" else "0x0",
        "transactionHash": data(signed.hash),
        "transactionIndex": quantity(index),
        "blockHash": data(within.hash),
        "blockNumber": quantity(within.number),
        "from": data(signed.sender),
        "to": data(signed.to) if signed.to else None,
        "contractAddress": created,
        "gasUsed": quantity(mined.gas_used),
        "cumulativeGasUsed": quantity(mined.receipt.gas_used),
        "effectiveGasPrice": quantity(effective_gas_price(signed, int(within.header.base_fee_per_gas or 0))),
        "logs": list(its_logs),
        "logsBloom": data(mined.receipt.bloom.to_bytes(256)),
    }
