"""What an operator does about a code. Pure."""

from __future__ import annotations

from collections.abc import Mapping

REMEDIES: Mapping[str, str] = {
    "absurd_value": "correct the setting it names; docs/protocol.md has the bounds",
    "private_address": "set public_host to the address that others on the internet reach this machine at",
    "no_echo": "let UDP out to the masters and its answers in: a firewall drops one of them",
    "too_few_rounds": "UDP to the masters is lost on the way: try another line, or less load on this one",
    "dial_back_failed": "open the announced port for TCP, forward it on the router, and check public_host and announced_port; until then "
    'it is reached through a master\'s relay, if one runs and relay is not "never"',
    "not_a_relay": "the relay has moved or ended: another one is found by itself",
    "dial_back_wrong_key": "another program or node answers at the announced port: stop it, or announce another port",
    "dial_back_limit": "wait for the next slot",
    "address_mismatch": "set public_host to the address that masters see this machine at",
    "rtt_too_high": "this line is too slow for the network: move closer, or use another line",
    "stale_time": "set this machine's clock by NTP",
    "future_time": "set this machine's clock by NTP",
    "reused_sequence": "two providers run with one key: stop one of them",
    "wrong_network": "check rpc_urls and settlement: they name another network than that node's",
    "no_answer": "that node may be down: try again later; if all are silent, check the way out of this network",
    "no_report": "masters have not measured this slot yet: wait for the next try",
    "presence_expired": "no heartbeat came through: check that the provider runs and reaches the resolver",
    "left": "it has said goodbye: start it again",
    "location_refuted": "correct region, latitude and longitude: light cannot travel so fast; until then the region is not shown",
    "cap_reached": "it has carried what its caps allow: wait for the next day or month, or raise them",
    "outside_hours": "it is outside the hours of service set: wait, or change them",
    "name_not_found": "check this machine's name servers, or try another one with --egress HOST:PORT",
    "host_unreachable": "consumers would not reach anything either: check the way out of this network",
    "destination_refused": "name a public destination with --egress HOST:PORT; consumers do not reach private ones either",
    "destination_blocked": "it is among the destinations blocked in the settings: name another one with --egress HOST:PORT",
    "port_refused": "name an allowed port with --egress HOST:PORT, or allow this one in the settings",
    "busy": "the resolver has no place left at the moment: it is tried again by itself",
}


def remedy(code: str) -> str:
    """A sentence without a full stop; empty if there is nothing an operator can do but wait."""
    return REMEDIES.get(code, "")
