"""What resolvers and masters refuse alike about an announcement."""

from __future__ import annotations

import pytest

from chain.rules import Rules
from wire.announcements import check_place, check_time
from wire.refusals import Refused

RULES, LENIENT = Rules(), Rules(allow_private_addresses=True)
NOW = 1_000_000.9


@pytest.mark.parametrize(("time", "code"), [(999_879, "stale_time"), (1_000_121, "future_time")])
def test_a_time_beyond_the_tolerance_is_refused_with_both_seconds(time: int, code: str) -> None:
    with pytest.raises(Refused) as refused:
        check_time(time, RULES, NOW)
    assert (refused.value.code, refused.value.evidence) == (code, {"time": str(time), "now": "1000000"})


@pytest.mark.parametrize("time", [999_880, 1_000_000, 1_000_120])
def test_the_tolerance_is_inclusive_and_counts_whole_seconds(time: int) -> None:
    check_time(time, RULES, NOW)


@pytest.mark.parametrize(
    ("host", "port", "code"),
    [
        ("example.org", 1, "absurd_value"),
        ("20.0.0.07", 1, "absurd_value"),
        ("2606:4700::1%x", 1, "absurd_value"),
        ("::", 1, "absurd_value"),
        ("224.0.0.9", 1, "absurd_value"),
        ("::ffff:20.0.0.7", 1, "absurd_value"),
        ("20.0.0.7", 0, "absurd_value"),
        ("192.168.7.77", 1, "private_address"),
        ("fd00::77", 1, "private_address"),
    ],
)
def test_no_refusal_repeats_the_host(host: str, port: int, code: str) -> None:
    with pytest.raises(Refused) as refused:
        check_place(host, port, RULES)
    assert refused.value.code == code
    assert host not in f"{refused.value} {refused.value.evidence} {refused.value.__cause__}"


def test_a_private_address_is_one_where_the_rules_say_so() -> None:
    assert str(check_place("20.0.0.7", 1, RULES)) == "20.0.0.7"
    assert str(check_place("192.168.7.77", 1, LENIENT)) == "192.168.7.77"
