"""Addresses: one notation each, public or not, and the prefix that archives hold."""

from __future__ import annotations

import pytest

from wire.addresses import group_prefix, is_public, parse_ip, site_prefix


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.1", "172.16.0.1", "192.168.1.1", "127.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255",
        "198.18.0.1", "192.0.2.1", "::", "::1", "fe80::1", "fc00::1", "ff02::1", "::ffff:808:808", "64:ff9b::808:808", "2002:808:808::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1",
    ],
)  # fmt: skip
def test_what_is_not_public(text: str) -> None:
    assert not is_public(parse_ip(text))


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "203.1.113.9", "2606:4700::1111"])
def test_what_is_public(text: str) -> None:
    assert is_public(parse_ip(text))


@pytest.mark.parametrize(
    "text", ["", "8.8.8", "08.8.8.8", "0x8.8.8.8", "134744072", "::0001", "2606:4700:0::1111", "fe80::1%1", "example.org", "8.8.8.8 "]
)
def test_other_notations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_ip(text)


def test_prefixes() -> None:
    assert group_prefix(parse_ip("203.0.113.200")) == "203.0.113.0/24"
    assert group_prefix(parse_ip("2606:4700:1234:5678::1")) == "2606:4700:1234::/48"
    assert site_prefix("203.0.113.0/24") is None
    assert site_prefix("2606:4700:1234::/48") == "2606:4700::/32"


@pytest.mark.parametrize("text", ["203.0.113.1/24", "203.0.113.0/25", "2606:4700::/32", "fe80::%1/48", "x", "", "2606:4700:1234::/48" * 99])
def test_what_is_no_prefix(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        site_prefix(text)
