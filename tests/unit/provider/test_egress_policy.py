"""Where no consumer is let to: every class of address, in every notation that a resolver takes for it."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from provider.sessions.egress import DEFAULT_PORTS, Destination, Policy, choose, is_reachable
from wire.refusals import Refused

REFUSED = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255", "100.100.100.200",
    "127.0.0.1", "127.255.255.254", "169.254.0.1", "169.254.169.254", "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1",
    "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "168.63.129.16",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1",
    "2001::1", "2001:0:808:808::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "3fff::1", "2002:7f00:1::", "2002:808:808::1",
    "100::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fd12:3456::1", "fe80::1", "fe80::1%1", "fec0::1", "ff02::1", "ff0e::1",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "1.1.1.1", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1", "198.17.255.255", "198.20.0.1",
          "223.255.255.255", "2606:4700:4700::1111", "2a00:1450:4001::1", "2001:4860:4860::8888"]  # fmt: skip
LOOPBACK_NOTATIONS = ["2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001", "127.1", "127.0.1", "0x7f.1"]
METADATA_NOTATIONS = ["2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "0xa9.0xfe.0xa9.0xfe"]


def code_of(policy: Policy, address: str, own: tuple[str, ...] = (), roles: tuple[str, ...] = ()) -> str:
    try:
        policy.check(ipaddress.ip_address(address), map(ipaddress.ip_address, own), map(ipaddress.ip_address, roles))
    except Refused as refused:
        return refused.code
    return "ok"


@pytest.mark.parametrize("address", REFUSED)
def test_what_is_not_public_is_refused(address: str) -> None:
    assert not is_reachable(ipaddress.ip_address(address))
    assert code_of(Policy(), address) == "destination_refused"


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is_reached(address: str) -> None:
    assert code_of(Policy(), address) == "ok"


@pytest.mark.parametrize("text", LOOPBACK_NOTATIONS + METADATA_NOTATIONS)
def test_other_notations_stand_for_what_they_stand_for(text: str) -> None:
    """The system's own parser reads them, as it would for `getaddrinfo`; what it gives is judged."""
    address = ipaddress.ip_address(socket.inet_aton(text))
    assert str(address) == ("127.0.0.1" if text in LOOPBACK_NOTATIONS else "169.254.169.254")
    assert code_of(Policy(), str(address)) == "destination_refused"


def test_own_addresses_and_roles_are_refused_even_where_the_operator_opened_them() -> None:
    policy = Policy(opened=(ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("8.8.8.0/24")))
    assert code_of(policy, "127.9.9.9") == "ok"
    assert code_of(policy, "127.9.9.9", own=("127.9.9.9",)) == "destination_refused"
    assert code_of(policy, "127.9.9.9", roles=("127.9.9.9",)) == "destination_refused"
    assert code_of(policy, "127.9.9.8", roles=("127.9.9.9",)) == "ok"
    assert code_of(Policy(), "8.8.8.8", own=("8.8.8.8",)) == "destination_refused"


def test_blocked_networks_and_names_are_the_operators_word() -> None:
    policy = Policy(blocked=(ipaddress.ip_network("8.8.0.0/16"),), blocked_names=("example.org",))
    assert code_of(policy, "8.8.8.8") == "destination_blocked"
    assert code_of(policy, "8.9.8.8") == "ok"
    for name in ("example.org", "www.EXAMPLE.org", "a.b.example.org."):
        with pytest.raises(Refused, match="destination_blocked"):
            policy.check_name(name)
    policy.check_name("notexample.org")
    policy.check_name("example.org.net")


@pytest.mark.parametrize("name", ["", ".", "a" * 254, "a b", "a\x00b", "ä.org", "a\nb"])
def test_what_cannot_be_a_name_is_not_looked_up(name: str) -> None:
    with pytest.raises(Refused, match="name_not_found"):
        Policy().check_name(name)


def test_ports_are_an_allow_list_without_mail() -> None:
    policy = Policy()
    assert 25 not in DEFAULT_PORTS
    for port in (0, 1, 19, 23, 25, 135, 137, 139, 445, 1023):
        with pytest.raises(Refused, match="port_refused"):
            policy.check_port(port)
    for port in (22, 53, 80, 443, 1024, 8080, 65_535):
        policy.check_port(port)
    with pytest.raises(Refused, match="port_refused"):
        Policy(ports=(443,)).check_port(8080)


def test_the_first_acceptable_address_is_chosen_and_only_that() -> None:
    found = [ipaddress.ip_address(text) for text in ("127.0.0.1", "8.8.8.8", "1.1.1.1")]
    assert choose(Policy(), found, 443, (), ()) == Destination(ipaddress.ip_address("8.8.8.8"), 443)
    with pytest.raises(Refused, match="destination_refused"):
        choose(Policy(), found[:1], 443, (), ())
    with pytest.raises(Refused, match="name_not_found"):
        choose(Policy(), [], 443, (), ())


def test_a_refusal_names_no_destination() -> None:
    with pytest.raises(Refused) as caught:
        choose(Policy(), [ipaddress.ip_address("10.11.12.13")], 443, (), ())
    assert "10.11.12.13" not in f"{caught.value} {caught.value.evidence}"
