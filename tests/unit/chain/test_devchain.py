"""The development chain without its server: time, pool, JSON-RPC bodies. What nodes have in common is in test_backends.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, cast

import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.backend import INVALID_PARAMS, RpcError
from chain.devchain.ledger import Genesis
from chain.devchain.node import Node
from chain.devchain.server import answer_body, produce
from chain.inprocess import GENESIS_TIME, InProcessBackend
from chain.keys import NodeKey
from chain.types import to_hex

KEY = NodeKey(b"\x01" * 32)
OTHER = NodeKey(b"\x02" * 32)
TO = "0x" + "77" * 20
RICH = {bytes.fromhex(key.address[2:]): 10**21 for key in (KEY, OTHER)}
# Its code answers a call with its block's number and time: NUMBER, 0, MSTORE, TIMESTAMP, 32, MSTORE, return both.
CLOCK_CODE = "4360005242602052" + "60406000f3"
CLOCK = "6c" + CLOCK_CODE + "600052600d6013f3"


class FakeClock:
    """Unix seconds that pass only in `sleep`; then `meanwhile` is called with the time slept until."""

    def __init__(self, start: float, seconds: int, meanwhile: Callable[[int], None] = lambda _: None) -> None:
        self.time, self._end, self._meanwhile = start, start + seconds, meanwhile

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        if self.time + seconds > self._end:
            raise asyncio.CancelledError
        self.time += seconds
        self._meanwhile(int(self.time))


def test_two_hundred_transactions_in_two_seconds_move_chain_time_by_at_most_three() -> None:
    start = 1_800_000_000
    node = Node(Genesis(time=start - 1, balances=RICH), automine=False, clock=lambda: clock.time)
    nonces = iter(range(200))

    def meanwhile(now: int) -> None:
        if now <= start + 2:
            for nonce in [next(nonces) for _ in range(100)]:
                node.request("eth_sendRawTransaction", [raw(nonce)])

    clock = FakeClock(start + 0.4, 2, meanwhile)
    before = head(node)
    run_producer(node, clock)
    after = head(node)
    assert node.request("eth_getTransactionCount", [KEY.address, "latest"]) == hex(200)
    assert timestamp(after) - timestamp(before) <= 3
    assert timestamp(after) <= clock.time
    mined = [nonce for number in range(1, 3) for nonce in nonces_of(node, number)]
    assert mined == list(range(200)), "in the order of their nonces"


def test_an_idle_second_moves_chain_time_by_one() -> None:
    start = 1_800_000_000
    clock = FakeClock(start + 0.999, 60)
    node = Node(Genesis(time=start), automine=False, clock=clock.now)
    run_producer(node, clock)
    stamps = [timestamp(block(node, number)) for number in range(1, 61)]
    assert stamps == list(range(start + 1, start + 61))
    assert int(cast(str, node.request("eth_blockNumber", [])), 16) == 60


def test_a_block_that_took_long_skips_seconds_instead_of_running_behind() -> None:
    start = 1_800_000_000

    class SlowClock(FakeClock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            if int(self.time) == start + 3:
                self.time += 4.5

    clock = SlowClock(start, 10)
    node = Node(Genesis(time=start), automine=False, clock=clock.now)
    run_producer(node, clock)
    stamps = [timestamp(block(node, number)) for number in range(1, node.head.number + 1)]
    assert stamps == [start + 1, start + 2, start + 7, start + 8, start + 9, start + 10]


def test_a_clock_set_back_does_not_stop_the_chain() -> None:
    clock = FakeClock(1_800_000_000, 10)
    node = Node(Genesis(time=1_800_000_000), automine=False, clock=clock.now)
    node.mine()
    clock.time -= 100
    node.mine()
    assert timestamp(head(node)) == 1_800_000_002


def test_time_travel_of_a_clocked_chain_lasts() -> None:
    clock = FakeClock(1_800_000_000, 100)
    node = Node(Genesis(time=1_799_999_999), automine=False, clock=clock.now)
    node.request("evm_increaseTime", ["0x64"])
    node.mine()
    assert timestamp(head(node)) == 1_800_000_100
    clock.time += 5
    node.mine()
    assert timestamp(head(node)) == 1_800_000_105
    node.request("evm_setNextBlockTimestamp", [1_900_000_000])
    node.mine()
    clock.time += 5
    node.mine()
    assert timestamp(head(node)) == 1_900_000_005


def test_in_process_every_second_belongs_to_the_test() -> None:
    async def main() -> None:
        chain = InProcessBackend(balances={KEY.address: 10**20})

        async def now() -> int:
            return timestamp(cast(dict[str, Any], await chain.request("eth_getBlockByNumber", ["latest", False])))

        assert await now() == GENESIS_TIME
        await chain.request("eth_sendRawTransaction", [raw(0)])
        assert await now() == GENESIS_TIME + 1
        await chain.request("evm_increaseTime", [60])
        await chain.request("evm_increaseTime", [40])
        assert await now() == GENESIS_TIME + 1, "time moves with the next block"
        await chain.request("evm_mine", [])
        assert await now() == GENESIS_TIME + 101
        await chain.request("evm_setNextBlockTimestamp", [GENESIS_TIME + 500])
        await chain.request("eth_sendRawTransaction", [raw(1)])
        assert await now() == GENESIS_TIME + 500
        await chain.request("evm_mine", [{"timestamp": GENESIS_TIME + 600, "blocks": 3}])
        assert await now() == GENESIS_TIME + 602
        for late in (GENESIS_TIME + 602, 0, 2**63):
            with pytest.raises(RpcError):
                await chain.request("evm_setNextBlockTimestamp", [late])

    asyncio.run(main())


def test_in_process_chains_are_the_same_in_every_run() -> None:
    async def run() -> object:
        chain = InProcessBackend(balances={KEY.address: 10**20})
        await chain.request("eth_sendRawTransaction", [raw(0)])
        return await chain.request("eth_getBlockByNumber", ["latest", True])

    assert asyncio.run(run()) == asyncio.run(run())


def test_answers_are_the_callers_to_change() -> None:
    async def main() -> None:
        chain = InProcessBackend()
        first = cast(dict[str, Any], await chain.request("eth_getBlockByNumber", ["latest", False]))
        first["number"] = "spoilt"
        second = cast(dict[str, Any], await chain.request("eth_getBlockByNumber", ["latest", False]))
        assert second["number"] == "0x0"

    asyncio.run(main())


def test_calls_see_the_number_and_time_of_the_block_they_are_asked_at() -> None:
    node = Node(Genesis(time=1000, balances=RICH), automine=True)
    created = node.request("eth_sendRawTransaction", [raw(0, to=None, data=CLOCK)])
    address = cast(dict[str, Any], node.request("eth_getTransactionReceipt", [created]))["contractAddress"]
    node.request("evm_mine", [5000])

    def seen(at: object) -> tuple[int, int]:
        answer = bytes.fromhex(cast(str, node.request("eth_call", [{"to": address}, at]))[2:])
        return int.from_bytes(answer[:32]), int.from_bytes(answer[32:])

    assert seen("0x1") == (1, 1001)
    assert seen("latest") == (2, 5000)
    assert seen("pending") == (3, 5001)
    assert node.request("eth_call", [{"to": address}, "0x0"]) == "0x", "not deployed yet"
    node.request("evm_mine", [])
    assert seen("latest") == (3, 5001)


def test_a_later_arrival_with_an_earlier_nonce_goes_first() -> None:
    node = waiting_node()
    late, other, early = raw(1), raw(0, key=OTHER), raw(0)
    hashes = [node.request("eth_sendRawTransaction", [one]) for one in (late, other, early)]
    assert node.request("eth_getTransactionCount", [KEY.address, "pending"]) == "0x2"
    assert node.request("txpool_status", []) == {"pending": "0x3", "queued": "0x0"}
    node.mine()
    assert block(node, 1)["transactions"] == [hashes[1], hashes[2], hashes[0]]


def test_pool_content_is_by_sender_and_nonce() -> None:
    node = waiting_node()
    for one in (raw(0), raw(2), raw(7, key=OTHER)):
        node.request("eth_sendRawTransaction", [one])
    content = cast(dict[str, Any], node.request("txpool_content", []))
    assert {sender: list(nonces) for sender, nonces in content["pending"].items()} == {KEY.address: ["0"]}
    assert {sender: list(nonces) for sender, nonces in content["queued"].items()} == {KEY.address: ["2"], OTHER.address: ["7"]}
    assert content["pending"][KEY.address]["0"]["from"] == KEY.address
    pending = cast(dict[str, Any], node.request("eth_getBlockByNumber", ["pending", True]))
    assert [one["nonce"] for one in pending["transactions"]] == ["0x0"]


def test_a_replacement_needs_a_tenth_more_in_both_fees() -> None:
    node = waiting_node()
    first = node.request("eth_sendRawTransaction", [raw(0, fee=1000, tip=100)])
    for fee, tip in ((1099, 110), (1100, 109), (1000, 100)):
        with pytest.raises(RpcError, match="replacement transaction underpriced"):
            node.request("eth_sendRawTransaction", [raw(0, fee=fee, tip=tip, gas=30_000)])
    second = node.request("eth_sendRawTransaction", [raw(0, fee=1100, tip=110)])
    assert node.request("eth_getTransactionByHash", [first]) is None
    assert cast(dict[str, Any], node.request("eth_getTransactionByHash", [second]))["blockHash"] is None


def test_what_pays_less_than_the_base_fee_waits_without_holding_up_others() -> None:
    node = waiting_node()
    cheap = node.request("eth_sendRawTransaction", [raw(0, fee=1000, tip=1)])
    behind = node.request("eth_sendRawTransaction", [raw(1)])
    other = node.request("eth_sendRawTransaction", [raw(0, key=OTHER)])
    node.mine()
    assert block(node, 1)["transactions"] == [other]
    for _ in range(120):
        node.mine()
    assert node.request("eth_getTransactionReceipt", [cheap]) is not None, "an idle chain's base fee falls"
    assert node.request("eth_getTransactionReceipt", [behind]) is not None


def test_money_spent_meanwhile_drops_a_transaction_and_nothing_else() -> None:
    node = waiting_node()
    all_of_it = 10**21 - 21_000 * 2 * 10**9 - 10**15
    node.request("eth_sendRawTransaction", [raw(0, value=all_of_it)])
    doomed = node.request("eth_sendRawTransaction", [raw(1, value=all_of_it)])
    fine = node.request("eth_sendRawTransaction", [raw(0, key=OTHER)])
    node.mine()
    assert node.request("eth_getTransactionByHash", [doomed]) is None
    assert cast(dict[str, Any], node.request("eth_getTransactionReceipt", [fine]))["status"] == "0x1"
    assert node.request("txpool_status", []) == {"pending": "0x0", "queued": "0x0"}


@pytest.mark.parametrize(
    ("transaction", "words"),
    [
        ({"chain_id": 5}, "invalid chain id for signer: have 5 want 31337"),
        ({"gas": 20_999}, "intrinsic gas too low"),
        ({"gas": 500_000_001}, "exceeds block gas limit"),
        ({"tip": 3, "fee": 2}, "max priority fee per gas higher than max fee per gas"),
        ({"value": 10**21}, "insufficient funds for gas * price + value"),
        # A floor counts for data even if the contract needs less.
        ({"gas": 40_000, "data": "ff" * 1000}, "intrinsic gas too low"),
    ],
)
def test_refusals_of_transactions(transaction: dict[str, Any], words: str) -> None:
    node = waiting_node()
    with pytest.raises(RpcError) as refusal:
        node.request("eth_sendRawTransaction", [raw(0, **transaction)])
    assert words in refusal.value.message


def test_legacy_and_access_list_transactions_are_taken_too() -> None:
    node = Node(Genesis(time=1000, balances=RICH), automine=True)
    common = {"to": TO, "value": 1, "gas": 40_000, "gasPrice": 2 * 10**9, "chainId": 31337}
    listed = [{"address": TO, "storageKeys": ["0x" + "00" * 31 + "05"]}]
    for nonce, extra in enumerate(({}, {"type": 1, "accessList": listed})):
        signed = Account.sign_transaction({**common, "nonce": nonce, **extra}, KEY.secret())
        sent = node.request("eth_sendRawTransaction", [to_hex(bytes(signed.raw_transaction))])
        assert sent == to_hex(bytes(signed.hash))
        mined = cast(dict[str, Any], node.request("eth_getTransactionByHash", [sent]))
        assert mined["type"] == hex(nonce)
        assert mined["gasPrice"] == hex(2 * 10**9)
        assert int(mined["v"], 16) == signed.v
    assert mined["accessList"] == listed
    unprotected = Account.sign_transaction({**common, "nonce": 2, "chainId": None}, KEY.secret())
    with pytest.raises(RpcError, match="EIP-155"):
        node.request("eth_sendRawTransaction", [to_hex(bytes(unprotected.raw_transaction))])


def test_a_restored_snapshot_forgets_blocks_logs_and_later_snapshots() -> None:
    node = Node(Genesis(time=1000, balances=RICH), automine=True)
    node.request("eth_sendRawTransaction", [raw(0)])
    first = node.request("evm_snapshot", [])
    before = head(node)
    gone = node.request("eth_sendRawTransaction", [raw(1)])
    second = node.request("evm_snapshot", [])
    orphan = head(node)["hash"]
    assert node.request("evm_revert", [first]) is True
    assert head(node) == before
    assert node.request("eth_getBlockByHash", [orphan, False]) is None
    assert node.request("eth_getTransactionReceipt", [gone]) is None
    assert node.request("evm_revert", [second]) is False
    # The same transaction can be mined again, in another block.
    assert node.request("eth_sendRawTransaction", [raw(1)]) == gone
    assert node.request("eth_getTransactionCount", [KEY.address, "latest"]) == "0x2"


def test_a_fork_has_the_blocks_and_nothing_that_waits_and_both_go_on_alone() -> None:
    async def main() -> None:
        backend = InProcessBackend(balances={KEY.address: 10**21})
        created = await backend.request("eth_sendRawTransaction", [raw(0, to=None, data=CLOCK)])
        await backend.request("evm_setAutomine", [False])
        waiting = await backend.request("eth_sendRawTransaction", [raw(1)])
        await backend.request("evm_setNextBlockTimestamp", [GENESIS_TIME + 500])
        before = [await backend.request("eth_getBlockByNumber", [hex(number), True]) for number in range(2)]
        fork, other = backend.fork(), backend.fork()
        assert [await fork.request("eth_getBlockByNumber", [hex(number), True]) for number in range(3)] == [*before, None]
        receipt = cast(dict[str, Any], await fork.request("eth_getTransactionReceipt", [created]))
        assert receipt == await backend.request("eth_getTransactionReceipt", [created])
        clock = [{"to": receipt["contractAddress"]}, "latest"]
        told = await backend.request("eth_call", clock)
        assert await fork.request("eth_getTransactionByHash", [waiting]) is None

        assert await fork.request("eth_sendRawTransaction", [raw(1)]) == waiting  # mined at once
        mined = cast(dict[str, Any], await fork.request("eth_getBlockByNumber", ["latest", False]))
        assert (mined["number"], mined["transactions"]) == ("0x2", [waiting])
        assert int(mined["timestamp"], 16) == GENESIS_TIME + 2
        assert await fork.request("eth_call", clock) != told
        for untouched in (backend, other):
            assert await untouched.request("eth_blockNumber", []) == "0x1"
            assert await untouched.request("eth_call", clock) == told
            assert await untouched.request("eth_getTransactionReceipt", [waiting]) is None
        await backend.request("evm_mine", [])
        assert cast(dict[str, Any], await backend.request("eth_getBlockByNumber", ["0x2", False]))["timestamp"] == hex(GENESIS_TIME + 500)
        assert await fork.request("eth_getBlockByNumber", ["0x2", False]) == mined

    asyncio.run(main())


def test_reads_go_on_while_a_block_is_made_and_a_restored_snapshot_voids_it() -> None:
    async def main() -> None:
        node = waiting_node()
        node.mine()
        snapshot = node.request("evm_snapshot", [])
        for nonce in range(5):
            node.request("eth_sendRawTransaction", [raw(nonce)])
        making = asyncio.create_task(node.mine_gently())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert node.request("eth_getTransactionCount", [KEY.address, "latest"]) == "0x0"
        node.mine()
        assert node.request("evm_revert", [snapshot]) is True
        assert await making is not None, "its parent is the head again"
        assert node.head.number == 2
        node.request("eth_sendRawTransaction", [raw(5)])
        making = asyncio.create_task(node.mine_gently())
        await asyncio.sleep(0)
        node.mine()
        assert await making is None
        assert node.request("eth_getTransactionCount", [KEY.address, "latest"]) == "0x6"

    asyncio.run(main())


def test_estimates_suffice_and_are_not_far_off() -> None:
    node = Node(Genesis(time=1000, balances=RICH), automine=True)
    call = {"from": KEY.address, "data": "0x" + CLOCK}
    estimate = int(cast(str, node.request("eth_estimateGas", [call])), 16)
    sent = node.request("eth_sendRawTransaction", [raw(0, to=None, data=CLOCK, gas=estimate)])
    receipt = cast(dict[str, Any], node.request("eth_getTransactionReceipt", [sent]))
    assert receipt["status"] == "0x1"
    assert int(receipt["gasUsed"], 16) <= estimate <= int(receipt["gasUsed"], 16) * 1.03
    with pytest.raises(RpcError, match="gas required exceeds allowance"):
        node.request("eth_estimateGas", [{**call, "gas": hex(54_000)}])
    with pytest.raises(RpcError, match="insufficient funds for transfer"):
        node.request("eth_estimateGas", [{"from": TO, "to": KEY.address, "value": "0x1"}])


def test_calls_leave_nothing_behind() -> None:
    node = Node(Genesis(time=1000, balances=RICH), automine=True)
    before = node.request("eth_getBalance", [KEY.address, "latest"])
    for _ in range(3):
        node.request("eth_call", [{"from": KEY.address, "to": TO, "value": "0x5"}, "latest"])
        node.request("eth_estimateGas", [{"from": KEY.address, "data": "0x" + CLOCK}])
    assert node.request("eth_getBalance", [KEY.address, "latest"]) == before
    assert node.request("eth_getBalance", [TO, "latest"]) == "0x0"
    assert node.request("eth_getTransactionCount", [KEY.address, "latest"]) == "0x0"


def test_finality_lies_as_far_behind_as_configured() -> None:
    node = Node(Genesis(time=1000), automine=True, finality_blocks=3)
    numbers = []
    for _ in range(5):
        node.mine()
        numbers.append(cast(dict[str, Any], node.request("eth_getBlockByNumber", ["finalized", False]))["number"])
    assert numbers == ["0x0", "0x0", "0x0", "0x1", "0x2"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff", -32700),
        (b"NaN", -32700),
        (b"[" * 100_000, -32700),
        (b"1" * 10_000, -32700),
        (b"[]", -32600),
        (b"null", -32600),
        (b"7", -32600),
        (b"{}", -32600),
        (b'{"id":1,"method":7}', -32600),
        (b'{"id":[1],"method":"eth_chainId"}', -32600),
        (b'{"id":1,"method":"eth_chainId","params":{"a":1}}', -32602),
        (b'{"id":1,"method":"eth_nope"}', -32601),
        (b'{"id":1,"method":"eth_getBalance","params":[]}', -32602),
    ],
)
def test_bodies_that_are_no_requests(body: bytes, code: int) -> None:
    answer = json.loads(answer_body(waiting_node(), body) or b"")
    assert answer["jsonrpc"] == "2.0"
    assert answer["error"]["code"] == code


def test_batches_answer_in_order_and_notifications_not_at_all() -> None:
    node = waiting_node()
    batch = [
        {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"},
        {"jsonrpc": "2.0", "method": "eth_chainId"},
        {"jsonrpc": "2.0", "id": "two", "method": "eth_nope", "params": []},
        5,
    ]
    answers = json.loads(answer_body(node, json.dumps(batch).encode()) or b"")
    assert [answer["id"] for answer in answers] == [1, "two", None]
    assert answers[0]["result"] == hex(31337)
    assert answers[1]["error"]["code"] == -32601
    assert answer_body(node, json.dumps(batch[1]).encode()) is None
    assert answer_body(node, json.dumps([batch[1]]).encode()) is None
    many = json.loads(answer_body(node, json.dumps([batch[0]] * 1001).encode()) or b"")
    assert many["error"]["code"] == -32600


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=70)
    | st.sampled_from(["0x", "0x0", "0x1", "latest", "pending", TO, "0x" + "12" * 32, "0x02c0ffee", "0xzz", "0x٣"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["to", "from", "data", "input", "gas", "value", "address", "topics", "fromBlock", "blockHash", "accessList"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
SHARED = Node(Genesis(time=1000, balances=RICH), automine=True)
METHODS = sorted(set(SHARED._methods) - {"evm_mine"})


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(METHODS), st.lists(JSON, max_size=4))
def test_no_parameters_make_it_do_anything_but_answer_or_refuse(method: str, params: list[Any]) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    answer = json.loads(answer_body(SHARED, body) or b"")
    assert ("result" in answer) != ("error" in answer)
    if "error" in answer:
        assert answer["error"]["code"] in (3, -32000, -32005, INVALID_PARAMS)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_make_the_pool_do_anything_but_refuse(garbage: bytes) -> None:
    with pytest.raises(RpcError):
        SHARED.request("eth_sendRawTransaction", [to_hex(garbage)])


@settings(max_examples=100, deadline=None)
@given(st.integers(min_value=0, max_value=400), st.integers(min_value=1, max_value=255))
def test_a_changed_byte_makes_another_sender_or_a_refusal(position: int, flip: int) -> None:
    good = bytearray(bytes.fromhex(raw(0, data="ab" * 40, gas=60_000)[2:]))
    good[position % len(good)] ^= flip
    node = waiting_node()
    try:
        node.request("eth_sendRawTransaction", [to_hex(bytes(good))])
    except RpcError:
        return
    assert node.request("eth_getTransactionCount", [KEY.address, "pending"]) == "0x0", "no byte is without meaning"


def waiting_node() -> Node:
    return Node(Genesis(time=1000, balances=RICH), automine=False)


def run_producer(node: Node, clock: FakeClock) -> None:
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(produce(node, 1, clock.now, clock.sleep))


def block(node: Node, number: int) -> dict[str, Any]:
    return cast(dict[str, Any], node.request("eth_getBlockByNumber", [hex(number), False]))


def head(node: Node) -> dict[str, Any]:
    return cast(dict[str, Any], node.request("eth_getBlockByNumber", ["latest", False]))


def nonces_of(node: Node, number: int) -> list[int]:
    full = cast(dict[str, Any], node.request("eth_getBlockByNumber", [hex(number), True]))
    return [int(one["nonce"], 16) for one in full["transactions"]]


def timestamp(of: dict[str, Any]) -> int:
    return int(of["timestamp"], 16)


def raw(
    nonce: int,
    *,
    key: NodeKey = KEY,
    to: str | None = TO,
    value: int = 0,
    data: str = "",
    gas: int | None = None,
    fee: int = 2 * 10**9,
    tip: int = 10**9,
    chain_id: int = 31337,
) -> str:
    transaction: dict[str, Any] = {
        "type": 2,
        "chainId": chain_id,
        "nonce": nonce,
        "to": bytes.fromhex(to[2:]) if to else b"",
        "value": value,
        "data": bytes.fromhex(data),
        "gas": gas or (200_000 if data else 21_000),
        "maxFeePerGas": fee,
        "maxPriorityFeePerGas": tip,
    }
    return to_hex(bytes(Account.sign_transaction(transaction, key.secret()).raw_transaction))
