"""`dpn validator status | epochs | peers | export` of a running validator, and what a figure in them is made of."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from chain.amounts import tokens
from chain.canonical import parse
from chain.types import PPM
from cli.app import app
from tests.integration.validators.test_audit import close, served_chain
from tests.validators import ETHER, PORT, RULES, VALIDATORS, World, a_world

ROLE_PAY = 100 * ETHER * RULES.role_share_ppm // PPM * RULES.validator_part_ppm // PPM // len(VALIDATORS)


async def paid(world: World, account: str) -> dict[int, int]:
    """What an account's transactions cost in all, by the epoch whose posting window they were sent in."""
    found: dict[int, int] = {}
    for number in range((await world.chain.latest()).number + 1):
        block: Any = await world.backend.request("eth_getBlockByNumber", [hex(number), True])
        for sent in block["transactions"]:
            if sent["from"].lower() == account and (sent["to"] or "").lower() == world.network.settlement:
                receipt: Any = await world.backend.request("eth_getTransactionReceipt", [sent["hash"]])
                epoch = world.network.timing.epoch_at(int(block["timestamp"], 16)) - 1
                found[epoch] = found.get(epoch, 0) + int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
    return found


def test_what_epochs_cost_and_bring_who_answers_and_an_export_that_is_audited(tmp_path: Path) -> None:
    async def scene() -> None:
        async with a_world(tmp_path) as world:
            for epoch in (1, 2):
                await world.hand_in(epoch)
                await close(world, epoch)
            seat = world.proposer(2)
            runner, url = await served_chain(world)
            config, folder = tmp_path / "validator.toml", tmp_path / "files"
            settings = f'rpc_urls = ["{url}"]\nsettlement = "{world.network.settlement}"\nkeystore = "none"\ndata_dir = "data"\n'
            config.write_text(f'{settings}bind_host = "{seat.host}"\nport = {PORT}\n')

            async def dpn(*arguments: str) -> Any:
                return await asyncio.to_thread(CliRunner().invoke, app, list(arguments))

            try:
                said = await dpn("validator", "epochs", "--config", str(config), "--json")
                assert said.exit_code == 0, said.output
                found = {one["epoch"]: one for one in json.loads(said.stdout)["epochs"]}
                costs = await paid(world, seat.key.address)
                assert {epoch: int(one["gas_wei"]) for epoch, one in found.items() if one["calls"]} == costs
                assert found[2]["calls"] == 3  # its proposal, its post and its activation
                assert [found[epoch]["income_wei"] for epoch in (1, 2)] == [str(ROLE_PAY)] * 2
                assert found[3]["income_wei"] is None
                assert "of these epochs: income 1.25 DPN" in (await dpn("validator", "epochs", "--config", str(config))).stdout

                status = await dpn("validator", "status", "--config", str(config), "--json")
                gas, both = sum(costs.values()), str(2 * ROLE_PAY)
                calls = sum(one["calls"] for one in found.values())
                books = {"epochs": len(found), "roots": 2, "calls": calls, "gas_wei": str(gas), "income_wei": both}
                assert json.loads(status.stdout)["books"] == books
                shown = " ".join((await dpn("validator", "status", "--config", str(config))).stdout.split())
                said = f"income 1.25 DPN by 2 roots, gas of {calls} calls that changed something {tokens(gas)} of the chain's coin"
                assert f"of these epochs: {said}" in shown
                blind = tmp_path / "blind.toml"
                blind.write_text(config.read_text().replace(url, "http://127.0.0.1:1"))
                status = await dpn("validator", "status", "--config", str(blind), "--json")
                assert (status.exit_code, json.loads(status.stdout)["epochs"][1]["state"]) == (0, "active")
                assert list(json.loads(status.stdout)["books"]) == ["error"]
                shown = " ".join((await dpn("validator", "status", "--config", str(blind))).stdout.split())
                assert "income and gas cannot be told now: the chain's node at 127.0.0.1:1" in shown
                assert "stake: 1000 of at most 1000 DPN" in shown

                quiet = next(one for one in world.seats if one is not seat)
                await world.stop(quiet)
                peers = json.loads((await dpn("validator", "peers", "--config", str(config), "--json")).stdout)["validators"]
                assert [one["validator"] for one in peers] == sorted(one.address for one in VALIDATORS)
                for one in peers:
                    assert one["stake_wei"] == str(1_000 * ETHER)
                    assert one["answers"] is (one["validator"] != quiet.key.address)
                    if one["answers"]:
                        assert (one["inventories"], one["attested"]) == ({"1": "2", "2": "2"}, {"1": "yes", "2": "yes"})
                        assert one["latency_ms"] > 0
                shown = " ".join((await dpn("validator", "peers", "--config", str(config))).stdout.split())
                assert "does not" in shown

                written = await dpn("validator", "export", "2", str(folder), "--config", str(config), "--json")
                assert written.exit_code == 0, written.output
                assert parse(written.stdout.encode())["proofs"] == 2
                assert (await dpn("validator", "export", "3", str(folder), "--config", str(config))).exit_code == 5
                for one in world.seats:
                    await world.stop(one)
                audit = await dpn("audit", "2", "--files", str(folder), "--rpc", url, "--settlement", world.network.settlement)
                assert audit.exit_code == 0, audit.output
                assert (await dpn("validator", "epochs", "--config", str(config))).exit_code == 3
            finally:
                await runner.cleanup()

    asyncio.run(scene())
