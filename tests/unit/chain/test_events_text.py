"""What a listed node writes into the log is any bytes: every reader reads the same from them, and goes on."""

from __future__ import annotations

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from chain.abi import event_decoder
from chain.events import EndpointSet

ACCOUNT = "0x" + "11" * 20


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"10.0.0.1:80", "10.0.0.1:80"),
        ("h\u00f6st:80".encode(), "h\u00f6st:80"),
        (b"\xff\xfe:80", "\ufffd\ufffd:80"),
        (b"", ""),
        (b"a\n\x1b:80", "a\ufffd\ufffd:80"),
    ],
)
def test_an_endpoint_that_is_no_text_is_read_all_the_same(written: bytes, read: str) -> None:
    log = {
        "topics": ["0x" + keccak(text="EndpointSet(address,string)").hex(), "0x" + encode(["address"], [ACCOUNT]).hex()],
        "data": "0x" + encode(["bytes"], [written]).hex(),
        "blockNumber": "0x1",
        "logIndex": "0x0",
        "transactionHash": "0x" + "22" * 32,
    }
    (event,) = event_decoder().decode([log])
    assert isinstance(event, EndpointSet)
    assert (event.account, event.endpoint) == (ACCOUNT, read)
