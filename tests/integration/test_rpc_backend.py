"""JSON-RPC over HTTP against servers that do not behave, and the served chain's own edges over real sockets."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from chain import rpc
from chain.__main__ import main, parse_fund
from chain.backend import BackendUnavailable, RpcError
from chain.devchain.server import DevChain, DevChainConfig
from chain.keys import NodeKey, load, save
from chain.rpc import RpcBackend
from chain.types import Address

ROOT = Path(__file__).resolve().parents[2]
CAST_PLACES = (ROOT / "node_modules/.bin/cast", ROOT / "node_modules/@foundry-rs/cast-linux-amd64/bin/cast")
SECRET = "api-key-of-the-operator"


async def against(answer: Callable[[web.Request], Awaitable[web.StreamResponse]], method: str = "eth_chainId") -> object:
    """The result of one request to a server that answers so."""
    app = web.Application()
    app.router.add_post(f"/{SECRET}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    backend: RpcBackend | None = None
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        backend = RpcBackend(f"http://127.0.0.1:{port}/{SECRET}?key={SECRET}", timeout_s=0.5)
        return await backend.request(method, [])
    finally:
        if backend is not None:
            await backend.close()
            await backend.close()
        await runner.cleanup()


def saying(body: bytes | str, status: int = 200) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body.encode() if isinstance(body, str) else body, status=status)

    return answer


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("", 200, "not JSON"),
        ("<html>", 200, "not JSON"),
        ("<html>", 502, "HTTP status 502"),
        ("[]", 200, "not a JSON-RPC object"),
        ("{}", 200, "instead of 1"),
        ('{"id":2,"result":"0x1"}', 200, "instead of 1"),
        ('{"id":1}', 200, "neither a result nor an error"),
        ('{"id":1,"error":"no"}', 200, "no code"),
        (b"[" * 200_000, 200, "nests too deeply"),
        (b'{"id":1,"result":"' + b"\xff" * 100 + b'"}', 200, "not JSON"),
    ],
)
def test_answers_that_cannot_be_used(body: bytes | str, status: int, said: str) -> None:
    with pytest.raises(BackendUnavailable) as silence:
        asyncio.run(against(saying(body, status)))
    assert said in silence.value.reason
    assert SECRET not in str(silence.value)


def test_refusals_keep_code_message_and_data_whatever_the_status() -> None:
    for status in (200, 400, 500):
        with pytest.raises(RpcError) as refusal:
            asyncio.run(against(saying('{"id":null,"error":{"code":3,"message":"execution reverted","data":"0x01"}}', status)))
        assert (refusal.value.code, refusal.value.message, refusal.value.data) == (3, "execution reverted", "0x01")
        assert refusal.value.revert_data() == b"\x01"


def test_a_null_result_is_a_result() -> None:
    assert asyncio.run(against(saying('{"jsonrpc":"2.0","id":1,"result":null}'))) is None


def test_a_slow_server_a_closed_one_and_a_redirecting_one() -> None:
    async def slow(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(5)
        return web.Response()

    async def elsewhere(_: web.Request) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect("http://127.0.0.1:1/")

    async def cut(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    for answer in (slow, elsewhere, cut):
        with pytest.raises(BackendUnavailable) as silence:
            asyncio.run(against(answer))
        assert SECRET not in str(silence.value)

    async def nobody() -> None:
        backend = RpcBackend(f"http://127.0.0.1:1/{SECRET}")
        try:
            await backend.request("eth_chainId", [])
        finally:
            await backend.close()

    with pytest.raises(BackendUnavailable) as silence:
        asyncio.run(nobody())
    assert "127.0.0.1:1" in str(silence.value)
    assert SECRET not in str(silence.value)


def test_an_endless_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "MAX_ANSWER_BYTES", 100_000)
    with pytest.raises(BackendUnavailable, match="longer than 100000 bytes"):
        asyncio.run(against(saying(b" " * 200_000)))


@pytest.mark.parametrize("url", ["", "127.0.0.1:8545", "ftp://127.0.0.1", "http://", f"ws://host/{SECRET}"])
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match="http or https") as refusal:
        RpcBackend(url)
    assert SECRET not in str(refusal.value)


def test_the_served_chain_answers_batches_refuses_huge_bodies_and_frees_its_port() -> None:
    async def go() -> None:
        for _ in range(2):
            async with DevChain(DevChainConfig(port=0, chain_id=99)) as chain, aiohttp.ClientSession() as session:
                batch = [{"jsonrpc": "2.0", "id": number, "method": "eth_chainId"} for number in range(3)]
                async with session.post(chain.url, json=batch) as response:
                    assert [one["result"] for one in await response.json()] == ["0x63"] * 3
                async with session.post(chain.url, data=b"not json") as response:
                    assert response.status == 200
                    assert (await response.json())["error"]["code"] == -32700
                async with session.post(chain.url, json={"jsonrpc": "2.0", "method": "eth_chainId"}) as response:
                    assert response.status == 204
                async with session.post(chain.url, data=io.BytesIO(b"[" * (6 * 1024 * 1024))) as response:
                    assert response.status == 413
                async with session.get(chain.url) as response:
                    assert response.status == 405
                async with DevChain(DevChainConfig(port=0)) as other:
                    assert other.url != chain.url

    asyncio.run(go())


def test_a_taken_port_is_said_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    async def port_of(chain: DevChain) -> str:
        return chain.url.rpartition(":")[2]

    async def go() -> None:
        async with DevChain(DevChainConfig(port=0)) as chain:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "chain", "--port", await port_of(chain), cwd=ROOT, stderr=asyncio.subprocess.PIPE
            )
            _, said = await asyncio.wait_for(process.communicate(), 30)
            assert process.returncode == 1
            assert b"cannot listen on 127.0.0.1:" in said
            assert b"Traceback" not in said

    asyncio.run(go())


def test_both_signals_end_it_cleanly() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with subprocess.Popen(
            [sys.executable, "-m", "chain", "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert b"chain 31337 listening on http://127.0.0.1:" in process.stdout.readline()
            process.send_signal(number)
            assert process.wait(10) == 0
            assert process.stderr.read() == b""


def test_what_accounts_are_funded_with() -> None:
    address = Address("0x" + "ab" * 20)
    assert parse_fund(f"{address}:1.5") == (address, 15 * 10**17)
    assert parse_fund(address) == (address, 1000 * 10**18)
    for wrong in ("", "0x12:5", f"{address}:", f"{address}:-1", f"{address}:nan", f"{address}:1e-19", f"{address}:1e99", f"{address}:x"):
        with pytest.raises(SystemExit) as end:
            main(["--fund", wrong])
        assert end.value.code == 2
    for wrong in ("--port=70000", "--chain-id=0", "--finality=-1"):
        with pytest.raises(SystemExit):
            main([wrong])


def test_keystores_are_exchanged_with_another_wallet(tmp_path: Path) -> None:
    cast = next((place for place in CAST_PLACES if place.exists()), None)
    if cast is None and not os.environ.get("CI"):
        pytest.skip("cast is not installed here; `npm ci` in the project's root brings it")
    assert cast is not None, "cast is missing, and CI is where it must not be; run `npm ci` first"
    key, phrase = NodeKey.create(), "a phrase with spaces"
    path = save(tmp_path / "ours", key, phrase)

    def run(*arguments: str) -> str:
        return subprocess.run([str(cast), "wallet", *arguments], capture_output=True, text=True, timeout=60, check=True).stdout

    assert run("address", "--keystore", str(path), "--password", phrase).strip().lower() == key.address
    (tmp_path / "theirs").mkdir()
    imported = run(
        "import", "one", "--keystore-dir", str(tmp_path / "theirs"), "--private-key", key.secret().hex(), "--unsafe-password", phrase
    )
    assert key.address in imported.lower()
    assert load(tmp_path / "theirs" / "one", phrase).secret() == key.secret()
    assert json.loads((tmp_path / "theirs" / "one").read_bytes())["version"] == 3
