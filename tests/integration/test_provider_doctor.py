"""The doctor against a real network: what it says of a provider that is well, and of each thing that can be wrong with one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chain.keys import NodeKey
from provider.config import ProviderConfig
from provider.doctor.checks import Visit
from provider.doctor.findings import Finding, check_disk, check_files
from provider.doctor.outward import check_egress
from provider.reach.listener import listening
from provider.sessions.egress import Policy
from tests.integration.test_six_steps import MASTER_HOSTS, PROVIDER_HOST, PROVIDER_KEY, Deployed, World, deployed, world

__all__ = ["deployed"]
OTHER = NodeKey(b"\x71" * 32)


def settings(deployed: Deployed, folder: Path, **changes: Any) -> ProviderConfig:
    fields: dict[str, Any] = {"keystore": folder / "keystore", "data_dir": folder, "bind_host": PROVIDER_HOST, **changes}
    return ProviderConfig(rpc_urls=(), settlement=deployed.network.settlement, **fields)


async def visit(net: World, key: NodeKey = PROVIDER_KEY, **changes: Any) -> dict[str, Finding]:
    """The findings by check, while time passes for those that wait for it."""
    config = replace(net.config(), data_dir=net.folder / "doctor", **changes)

    async def collect() -> dict[str, Finding]:
        return {finding.check: finding async for finding in Visit(config, net.node("provider", key)).findings()}

    collecting = asyncio.create_task(collect())
    while not collecting.done():
        await net.clock.advance(0.05, settle=0.01)
    return await collecting


def codes(found: dict[str, Finding], *checks: str) -> list[str]:
    return [found[check].code for check in checks]


def test_what_it_says_of_a_provider_that_is_well_and_of_one_that_is_not(deployed: Deployed, tmp_path: Path) -> None:
    masters = [f"master {host}:{deployed.port}" for host in MASTER_HOSTS]

    async def scene() -> None:
        start = deployed.network.timing.start_of(1) + 10_003.0
        async with world(deployed, start, tmp_path) as net:
            found = await visit(net)
            assert codes(found, *masters, "announcement", "resolvers", "validators", "clock") == ["ok"] * 7
            assert codes(found, "registration", "pool") == ["note", "note"], "neither keeps it from serving"
            assert not any(finding.is_wrong for finding in found.values() if finding.check != "chain")
            assert all(finding.do for finding in found.values() if finding.is_wrong)

            await net.clock.advance(600)
            found = await visit(net, public_host="127.77.2.9")
            assert codes(found, *masters, "masters") == ["address_mismatch"] * 3 + ["not_confirmed"]
            assert "public_host" in found[masters[0]].do

            await net.clock.advance(600)
            found = await visit(net, announced_port=1)
            assert codes(found, *masters) == ["dial_back_failed"] * 3

            await net.clock.advance(600)
            async with listening(PROVIDER_HOST, deployed.port, OTHER, deployed.network.domain, net.clock):
                found = await visit(net)
            assert codes(found, *masters) == ["dial_back_wrong_key"] * 3

            found = await visit(net, bandwidth=0)
            assert found["announcement"].code == "absurd_value"
            assert masters[0] not in found, "what nobody would take is shown to nobody"

            await net.pool_runner.cleanup()
            found = await visit(net, bandwidth=0)
            assert codes(found, "resolvers", "validators") == ["no_answer", "ok"]

    asyncio.run(scene())


def test_before_the_first_epoch_nobody_is_blamed(deployed: Deployed, tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(deployed, deployed.network.timing.genesis - 30.0, tmp_path) as net:
            found = await visit(net)
            assert (found["masters"].code, found["announcement"].code) == ("note", "ok")
            assert not any(check.startswith("master ") for check in found)

    asyncio.run(scene())


def test_a_clock_that_is_wrong_is_found(deployed: Deployed, tmp_path: Path) -> None:
    async def scene() -> None:
        start = deployed.network.timing.start_of(1) + 20_003.0
        async with world(deployed, start, tmp_path, validators=0) as net:
            for offset, code in ((0.0, "ok"), (60.0, "note"), (300.0, "stale_time"), (-300.0, "future_time")):
                seen = Visit(net.config(), net.node("provider", PROVIDER_KEY))
                seen._offsets = [offset, offset + 0.2, -9_999.0, offset + 0.1, 9_999.0]
                assert seen._check_clock().code == code, "two that are out of the world change nothing"

    asyncio.run(scene())


def test_files_that_others_can_read(tmp_path: Path, deployed: Deployed) -> None:
    for name in ("keystore", "phrase"):
        (tmp_path / name).touch(mode=0o600)
    config = settings(deployed, tmp_path, passphrase_file=tmp_path / "phrase")
    assert [finding.code for finding in check_files(config)] == ["ok"]
    (tmp_path / "phrase").chmod(0o644)
    (found,) = check_files(config)
    assert (found.code, "passphrase_file" in found.said, found.do) == ("not_private", True, f"chmod 600 {tmp_path / 'phrase'}")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    assert check_disk(tmp_path / "new")[0].code == "ok"
    (tmp_path / "file").touch()
    assert check_disk(tmp_path / "file")[0].code == "not_writable"


@pytest.mark.parametrize(
    ("policy", "host", "port", "code"),
    [
        (Policy(), "127.0.0.1", 443, "destination_refused"),
        (Policy(), "127.0.0.1", 25, "port_refused"),
        (Policy(), "no-such-name.invalid", 443, "name_not_found"),
        (Policy(blocked_names=("example.org",)), "www.example.org", 443, "destination_blocked"),
    ],
)
def test_the_way_out_is_judged_by_the_own_policy(
    tmp_path: Path, policy: Policy, host: str, port: int, code: str, deployed: Deployed
) -> None:
    config = settings(deployed, tmp_path)
    found = asyncio.run(check_egress(config, policy, host, port))
    assert found.code == code
    assert found.do


def test_the_way_out_is_tried_from_the_own_address(tmp_path: Path, deployed: Deployed) -> None:
    from ipaddress import ip_network

    async def scene() -> tuple[Finding, list[str], Finding]:
        sources: list[str] = []

        def took(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            sources.append(writer.get_extra_info("peername")[0])
            writer.close()

        config = settings(deployed, tmp_path)
        policy = Policy(opened=(ip_network("127.78.0.0/16"),))
        async with await asyncio.start_server(took, "127.78.1.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            well = await check_egress(config, policy, "127.78.1.1", port)
            await asyncio.sleep(0.05)
        return well, sources, await check_egress(config, policy, "127.78.1.1", port)

    well, sources, closed = asyncio.run(scene())
    assert (well.code, sources, closed.code) == ("ok", ["127.77.2.1"], "host_unreachable")
