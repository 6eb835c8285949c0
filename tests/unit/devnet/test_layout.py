"""The devnet's plan: everyone on loopback, everyone in prefixes of its own, deadlines in the network's order."""

from __future__ import annotations

import ipaddress
import tomllib
from typing import Any

import pytest

from chain.rules import Rules
from devnet import layout
from devnet.layout import DEFAULT_PARAMETERS, LayoutError, Place


@pytest.fixture
def parameters() -> dict[str, Any]:
    return tomllib.loads(DEFAULT_PARAMETERS.read_text())


def prefixes(places: tuple[Place, ...]) -> list[str]:
    hosts = [host for place in places for host in (place.bind_host, place.public_host)]
    return [str(ipaddress.ip_network(f"{host}/24", strict=False)) for host in hosts]


def test_counts_are_those_of_a_devnet() -> None:
    plan = layout.load()
    assert {role: len(plan.of(role)) for role in layout.NEEDED} == {"resolver": 1, "master": 3, "validator": 4, "provider": 6}
    assert plan.of("consumer") == ()


def test_every_address_is_loopback_and_every_prefix_belongs_to_one_node_and_side() -> None:
    found = prefixes(layout.load().places)
    assert len(set(found)) == len(found) == 2 * 14
    assert all(ipaddress.ip_network(prefix).is_loopback for prefix in found)


def test_names_and_folders_differ() -> None:
    places = layout.load().places
    assert len({place.name for place in places}) == len({place.folder for place in places}) == len(places)


def test_endpoints_are_public() -> None:
    for place in layout.load().places:
        assert place.endpoint == f"{place.public_host}:{place.port}" != f"{place.bind_host}:{place.port}"


def test_without_a_relay_the_bind_address_is_the_public_one() -> None:
    plan = layout.load(relayed=False)
    assert all(place.public_host == place.bind_host for place in plan.places)
    assert [place.name for place in plan.places] == [place.name for place in layout.load().places]


def test_masters_time_datagrams_on_the_port_they_are_listed_with() -> None:
    for master in layout.load().of("master"):
        assert master.udp == master.tcp == (master.port,)


def test_scaled_parameters_keep_the_order_of_the_networks_deadlines() -> None:
    plan, network = layout.load(), Rules()
    w = plan.windows
    assert plan.rules.presence_ttl_s / plan.rules.heartbeat_s == network.presence_ttl_s / network.heartbeat_s
    assert (
        0 < w.intake_s < w.intake_s + w.round_length_s < w.post_window_s < w.post_window_s + w.challenge_s + w.margin_s <= w.epoch_length_s
    )
    assert w.epoch_length_s % w.slots_per_epoch == 0


def test_the_parameters_are_those_of_the_specification() -> None:
    w, rules = layout.load().windows, layout.load().rules
    assert (w.genesis_s, w.epoch_length_s, w.slots_per_epoch, w.intake_s) == (12, 20, 5, 3)
    assert (w.post_window_s, w.challenge_s, w.margin_s, w.round_length_s) == (11, 5, 4, 4)
    assert (rules.heartbeat_s, rules.presence_ttl_s, rules.proof_every, rules.finality_blocks) == (2, 6, 3, 1)
    assert rules.allow_private_addresses


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda p: p["addresses"].update(bind_net="10.10"), "outside 127.0.0.0/8"),
        (lambda p: p["addresses"].update(public_net=p["addresses"]["bind_net"]), "the same"),
        (lambda p: p["addresses"].pop("rpc_port"), "'rpc_port' is missing"),
        (lambda p: p["cities"].update(master=["Atlantis"]), "Atlantis"),
        (lambda p: p["cities"].update(validator=[]), "places no validator"),
        (lambda p: p["cities"].update(miner=["Paris"]), "miner"),
        (lambda p: p["cities"].update(provider=["Paris"] * 300), "at most 250 nodes"),
        (lambda p: p["rules"].update(presence_ttl_s=1), "presence_ttl_s"),
        (lambda p: p["rules"].update(heartbeats=1), "heartbeats"),
        (lambda p: p["money"].pop("rate_wei"), "rate_wei"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(parameters: dict[str, Any], change: Any, says: str) -> None:
    change(parameters)
    with pytest.raises(LayoutError, match=says):
        layout.plan(parameters)


def test_a_file_that_is_not_there_or_not_toml_is_named(tmp_path: Any) -> None:
    with pytest.raises(LayoutError, match=r"absent\.toml cannot be read"):
        layout.load(tmp_path / "absent.toml")
    (tmp_path / "odd.toml").write_text("= =")
    with pytest.raises(LayoutError, match="is not TOML"):
        layout.load(tmp_path / "odd.toml")
