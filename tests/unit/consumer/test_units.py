"""Limits as people type them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.types import Address
from consumer.config import ConsumerConfig, Wishes
from consumer.units import parse_bandwidth, parse_budget, parse_price, parse_rtt
from runtime.config import ConfigError

PARSERS = (parse_rtt, parse_bandwidth, parse_price, parse_budget)


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_rtt, "80ms", 80_000),
        (parse_rtt, "0.5 s", 500_000),
        (parse_rtt, "250us", 250),
        (parse_bandwidth, "50Mbit", 50_000_000),
        (parse_bandwidth, "1.5Gbit/s", 1_500_000_000),
        (parse_bandwidth, "0bit", 0),
        (parse_bandwidth, "64kbit", 64_000),
        (parse_price, "0.02", 2 * 10**16),
        (parse_price, "0.000000000000000001", 1),
        (parse_price, "7wei", 7),
        (parse_price, "0", 0),
        (parse_budget, "5", 5 * 10**18),
        (parse_budget, "5 DPN", 5 * 10**18),
        (parse_budget, "1wei", 1),
    ],
)
def test_what_is_understood(parse: Callable[[str], int], text: str, value: int) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_rtt, "80"),
        (parse_rtt, "80 bit"),
        (parse_rtt, "0.5us"),
        (parse_rtt, "5000s"),
        (parse_bandwidth, "50MB"),
        (parse_bandwidth, "-1bit"),
        (parse_price, "1e3"),
        (parse_price, "0.0000000000000000001"),
        (parse_price, "1.5wei"),
        (parse_budget, "0"),
        (parse_budget, "80000000000"),
        (parse_budget, ""),
        (parse_budget, "infinity"),
        (parse_budget, "٣"),
    ],
)
def test_what_is_not(parse: Callable[[str], int], text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse(text)


@given(st.sampled_from(PARSERS), st.text(max_size=50))
def test_any_text_is_a_number_or_a_sentence(parse: Callable[[str], int], text: str) -> None:
    try:
        assert 0 <= parse(text) < 2**128
    except ValueError as error:
        assert "expected" in str(error)


def config(**changes: Any) -> ConsumerConfig:
    settings: dict[str, Any] = {"max_price": "0.02", "budget": "5", **changes}
    return ConsumerConfig(rpc_urls=("http://127.0.0.1:1",), settlement=Address("0x" + "11" * 20), keystore=Path("k"), **settings)


def test_a_configuration_becomes_wishes() -> None:
    assert config(region="DE", max_rtt="80ms", min_bandwidth="50Mbit").wishes() == Wishes("DE", 50_000_000, 80_000, 2 * 10**16, 5 * 10**18)
    assert config(socks="[::1]:99").socks_address == ("::1", 99)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"budget": ""}, "budget"),
        ({"max_price": ""}, "max_price"),
        ({"region": "Germany"}, "region"),
        ({"max_rtt": "fast"}, "max_rtt"),
        ({"min_bandwidth": "50"}, "min_bandwidth"),
        ({"budget": "1wei"}, "1 MiB"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        config(**changes).wishes()


@pytest.mark.parametrize("socks", ["1080", "127.0.0.1:", "127.0.0.1:99999", ":1080", "127.0.0.1:x"])
def test_a_port_that_is_none_is_said_to_be(socks: str) -> None:
    with pytest.raises(ConfigError, match="socks"):
        _ = config(socks=socks).socks_address
