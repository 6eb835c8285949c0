"""What an operator gets wrong when starting a role: a sentence and exit code 2 or 3 each, never a trace of the program's insides."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from chain.deploy import deploy
from chain.devchain.server import DevChain, DevChainConfig
from chain.rpc import RpcBackend
from chain.sender import Sender
from chain.typed import Domain
from runtime.database import open_database
from tests.deployments import DEPLOYER, ETHER, MASTER, PROVIDER, RESOLVER, VALIDATOR, parameters
from tests.processes import config_file, start

HOST = "127.66.3.1"
KEYS = {"resolver": RESOLVER, "master": MASTER, "validator": VALIDATOR, "provider": PROVIDER}


async def refused(role: str, file: Path) -> tuple[int | None, str]:
    """Exit code and standard error of a role that cannot start."""
    process = await start("-m", role, "--config", str(file))
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, errors.decode()


OWN_MISTAKES = ("a port that is taken", "another contract")
"""What a role's own code comes to; the others end before it begins, in code that all roles share, and are tried with one role."""


def test_wrong_starts_end_in_sentences(tmp_path: Path) -> None:
    async def scenario() -> None:
        balances = {DEPLOYER.address: 100 * ETHER}
        async with DevChain(DevChainConfig(host="127.0.0.1", port=0, chain_id=31337, balances=balances)) as served:
            backend = RpcBackend(served.url)
            network = await deploy(backend, Sender(backend, DEPLOYER, 31337, poll_s=0.1), parameters(genesis_delay=60))
            await backend.close()
            with socket.create_server((HOST, 0)) as taken:
                port = taken.getsockname()[1]
                for role, key in KEYS.items():
                    folder = tmp_path / role
                    folder.mkdir()
                    file = config_file(folder, key, served.url, network.settlement, HOST, port)
                    sound = file.read_text()
                    wrong = {
                        "a port that is taken": (sound, 2),
                        "an address of another machine": (sound.replace(HOST, "192.0.2.1"), 2),
                        "no port": (sound.replace(f"port = {port}", "port = 99999"), 2),
                        "no URL": (sound.replace(served.url, "nonsense"), 2),
                        "no keystore": (sound.replace("UTC--", "none--"), 2),
                        "another contract": (sound.replace(network.settlement, network.token), 3),
                    }
                    for mistake, (text, code) in wrong.items():
                        if role != next(iter(KEYS)) and mistake not in OWN_MISTAKES:
                            continue
                        file.write_text(text)
                        returned, said = await refused(role, file)
                        assert returned == code, (role, mistake, said)
                        assert "Traceback" not in said, (role, mistake, said)
                        assert f"{role}: " in said, (role, mistake, said)
                    if role == "validator":
                        await database_mistakes(sound, file, network.domain)

    asyncio.run(scenario())


async def database_mistakes(sound: str, file: Path, domain: Domain) -> None:
    """A validator's own: its database's server is away, its URL is none, or another process has its file."""
    away, none = (f'database = "postgresql+psycopg://dpn:{word}@127.0.0.1:1/validator"\n' for word in ("geheim", "gehe@im"))
    for setting, code, sentence in (
        (away, 3, "the PostgreSQL database validator at 127.0.0.1 does not answer"),
        (none, 2, "The setting database cannot be used"),
    ):
        await asyncio.to_thread(file.write_text, sound + setting)
        returned, said = await refused("validator", file)
        assert (returned, sentence in said, "Traceback" in said, "gehe" in said) == (code, True, False, False), said
    await asyncio.to_thread(file.write_text, sound)
    holder = open_database(file.parent / "data" / "validator.sqlite", (), domain, alone=True)
    returned, said = await refused("validator", file)
    holder.dispose()
    assert (returned, "Another process works with" in said, "Traceback" in said) == (2, True, False), said


@pytest.mark.parametrize("setting", ['log_level = "loud"', "poll_s = -1"])
def test_settings_out_of_range_are_named(tmp_path: Path, setting: str) -> None:
    async def scenario() -> None:
        file = config_file(tmp_path, MASTER, "http://127.0.0.1:9", "0x" + "11" * 20, HOST, 7_000)
        file.write_text(file.read_text() + setting + "\n")
        returned, said = await refused("master", file)
        assert returned == 2
        assert setting.split()[0] in said

    asyncio.run(scenario())
