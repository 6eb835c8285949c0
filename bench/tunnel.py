"""Figures of the data plane, against `ssh -D` in the same run: medians of five runs in turn, on loopback.

Consumer, provider and origin are processes of their own; so are ssh and sshd, with keys made for the run on a free port. Without them the
comparisons are left out, and that is said. `python -m bench.tunnel [--mib 1024] [--runs 5]` prints the figures and puts them into
bench/results.json, where they stand beside those of `bench.run`.

tunnel.download_vs_ssh      MB/s over 8 streams, ours / ssh's; beside it over 1 stream
tunnel.metering_cost        CPU seconds per GiB of consumer and provider, metered / not metered, minus 1; each goes first in turn
tunnel.latency_vs_ssh       time that a 1 KiB request and its answer take more than without a tunnel, ours / ssh's, over an open
                            connection; beside it with a new connection for each
tunnel.idle_stream_kb       resident memory of the provider per idle stream, at 1,000
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from chain.epochs import Timing
from chain.keys import NodeKey
from chain.network import Network
from chain.rules import Rules
from chain.typed import Domain, Signed, sign
from chain.types import ZERO_ADDRESS, Address, Digest, Wei
from provider.sessions.records import StoredSession
from runtime.loop import run
from wire.messages import DemandReceipt, SessionRequest
from wire.sessions import DemandClaim

ROOT = Path(__file__).resolve().parent.parent
HOST, LOCAL, ORIGIN = "127.80.1.1", "127.80.2.1", "127.80.3.1"
DOMAIN = Domain(31337, Address("0x" + "5e" * 20))
PROVIDER, CONSUMER, VALIDATOR = NodeKey(b"\x07" * 32), NodeKey(b"\x21" * 32), NodeKey(b"\x31" * 32)
BUDGET = 1 << 62
GIB = 1 << 30
MIB = 1024
"""What one download carries."""
IDLE = 1_000
REQUESTS = 300
UNMETERED = replace(Rules(), credit_start_bytes=1 << 50, credit_most_bytes=1 << 50, receipt_every_s=3_600)


class OneValidator:
    """Covers whatever it is shown."""

    async def cover(self, claim: DemandClaim, session_id: Digest) -> tuple[tuple[Signed[DemandReceipt], ...], dict[Address, int]]:
        provider, now = claim.offer.message.provider, int(time.time())
        receipt = DemandReceipt(VALIDATOR.address, CONSUMER.address, provider, session_id, 0, BUDGET, now)
        return (sign(receipt, DOMAIN, VALIDATOR),), {VALIDATOR.address: 1}

    async def lapsed(self, session: StoredSession, epoch: int) -> str:  # noqa: ARG002 - it is over long before
        return ""


# The processes


async def provide(folder: Path, rules: Rules) -> None:
    from provider.reach.listener import listening
    from provider.sessions.caps import Allowance, Caps
    from provider.sessions.egress import Policy
    from provider.sessions.serving import Serving, Terms
    from provider.sessions.streams import StreamLimits, Streams
    from provider.store import Store
    from runtime.clock import SystemClock
    from wire.addresses import IPAddress

    async def places() -> tuple[frozenset[IPAddress], frozenset[IPAddress]]:
        return frozenset(), frozenset()

    clock, timing = SystemClock(), Timing(int(time.time()) - 50, 86_400, 1_800, 21_600, 43_200, 3_600, 1_200, 144)
    nowhere = ZERO_ADDRESS
    network = Network(DOMAIN, nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, timing, rules, Wei(0), Wei(0), 0)
    policy = Policy(opened=(ipaddress.IPv4Network("127.80.0.0/16"),))
    streams = Streams(policy, StreamLimits(4_096, 8_192), places, HOST)
    store = Store(folder / "provider.sqlite", PROVIDER.address, DOMAIN)
    caps = Caps(folder / "carried.sqlite", Allowance(), DOMAIN)
    sessions = store.sessions(timing)
    serving = Serving(PROVIDER, network, clock, os.urandom, Terms(1, 10**9), sessions, caps, OneValidator(), streams)
    async with listening(HOST, 0, PROVIDER, DOMAIN, clock) as listener:
        listener.attend = serving.serve
        print(listener.port, flush=True)
        await asyncio.Event().wait()


async def consume(folder: Path, rules: Rules, port: int) -> None:
    from consumer.socks import SocksServer
    from consumer.store import Store
    from consumer.tunnel import dial
    from runtime.clock import SystemClock

    store = Store(folder / "consumer.sqlite", CONSUMER.address, DOMAIN)
    async with dial(PROVIDER.address, HOST, port, CONSUMER, DOMAIN, rules, SystemClock(), LOCAL) as door:
        request = SessionRequest(CONSUMER.address, "", 0, 500_000, 1, 0, BUDGET, 1, int(time.time()) + 30)
        signed = sign(request, DOMAIN, CONSUMER)
        tunnel = await door.accept(signed, await door.ask(signed), store)
    async with SocksServer(LOCAL, 0, lambda: tunnel) as server:
        print(server.port, flush=True)
        await tunnel.closed.wait()
        print(f"the tunnel ended: {tunnel.reason}", file=sys.stderr)


def originate() -> None:
    """Answers a first line: a number, with so many bytes; `echo`, with what follows; `hold`, with nothing."""
    block = memoryview(os.urandom(1 << 20))

    def one(client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client, contextlib.suppress(OSError):
            line = b""
            while not line.endswith(b"\n"):
                line += client.recv(1)
            if line == b"echo\n":
                while data := client.recv(65_536):
                    client.sendall(data)
            elif line == b"hold\n":
                client.recv(1)
            else:
                left = int(line)
                while left:
                    left -= client.send(block[: min(left, len(block))])

    threading.stack_size(256 * 1024)
    with socket.create_server((ORIGIN, 0), backlog=1_024) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            threading.Thread(target=one, args=(server.accept()[0],), daemon=True).start()


# The program at the consumer's side


def connect(socks: tuple[str, int] | None, origin: int) -> socket.socket:
    """A connection to the origin, directly without `socks`."""
    if socks is None:
        direct = socket.create_connection((ORIGIN, origin))
        direct.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return direct
    opened = socket.create_connection(socks)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    opened.sendall(b"\x05\x01\x00")
    exactly(opened, 2)
    opened.sendall(b"\x05\x01\x00\x01" + socket.inet_aton(ORIGIN) + origin.to_bytes(2))
    reply = exactly(opened, 10)
    if reply[1]:
        raise OSError(f"the SOCKS reply is {reply[1]}")
    return opened


def exactly(sock: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        more = sock.recv(size - len(got))
        if not more:
            raise OSError("the connection ended early")
        got += more
    return got


def download(socks: tuple[str, int] | None, origin: int, streams: int, size: int) -> float:
    """Bytes per second of all streams together."""

    def one() -> None:
        room = memoryview(bytearray(1 << 20))
        with connect(socks, origin) as opened:
            opened.sendall(b"%d\n" % (size // streams))
            left = size // streams
            while left:
                got = opened.recv_into(room)
                if not got:
                    raise OSError("the download ended early")
                left -= got

    threads = [threading.Thread(target=one) for _ in range(streams)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return size / (time.perf_counter() - began)


def request_s(socks: tuple[str, int] | None, origin: int, *, anew: bool) -> float:
    """Median seconds of a 1 KiB request and its answer, on one connection or each on a new one."""
    block, taken = bytes(1024), []
    with contextlib.ExitStack() as stack:
        opened = None
        for _ in range(REQUESTS):
            began = time.perf_counter()
            if opened is None:
                opened = stack.enter_context(connect(socks, origin))
                opened.sendall(b"echo\n")
            opened.sendall(block)
            exactly(opened, len(block))
            taken.append(time.perf_counter() - began)
            if anew:
                opened.close()
                opened = None
    return statistics.median(taken)


# Putting it together


class Pair:
    """A provider and a consumer with a tunnel between them."""

    def __init__(self, stack: contextlib.ExitStack, folder: Path, rules: str) -> None:
        folder.mkdir()
        self.provider, port = started(stack, "provider", folder, rules)
        self.consumer, socks = started(stack, "consumer", folder, rules, str(port))
        self.socks = (LOCAL, socks)

    def cpu_s(self) -> float:
        return sum(cpu_of(process.pid) for process in (self.provider, self.consumer))


def started(stack: contextlib.ExitStack, *arguments: object) -> tuple[subprocess.Popen[str], int]:
    """A process of this module, and the port that it prints."""
    command = (sys.executable, "-m", "bench.tunnel", *map(str, arguments))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    stack.callback(process.wait)
    stack.callback(process.kill)
    if process.stdout is None:
        raise OSError("the process has no output")
    stack.callback(process.stdout.close)
    return process, int(process.stdout.readline())


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_kb(pid: int) -> int:
    return next(int(line.split()[1]) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))


@contextlib.contextmanager
def ssh_socks(folder: Path) -> Iterator[tuple[str, int] | None]:
    """The SOCKS port of an `ssh -D` to an sshd of our own; None where there is no ssh or sshd."""
    sshd = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if sshd is None or shutil.which("ssh") is None:
        yield None
        return
    folder.mkdir()
    for name in ("host", "user"):
        subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name), check=True)
    (folder / "allowed").write_text((folder / "user.pub").read_text())
    ports = [free_port(), free_port()]
    (folder / "sshd_config").write_text(
        f"ListenAddress {HOST}:{ports[0]}\nHostKey {folder / 'host'}\nAuthorizedKeysFile {folder / 'allowed'}\nUsePAM no\nStrictModes no\n"
        "PidFile none\nPermitRootLogin yes\nLogLevel ERROR\n"
    )
    with contextlib.suppress(OSError):
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd of root asks for it
    options = [f"-oUserKnownHostsFile={folder / 'known'}", "-oStrictHostKeyChecking=no", "-oIdentitiesOnly=yes", "-oLogLevel=ERROR"]
    server = subprocess.Popen((sshd, "-D", "-f", folder / "sshd_config"))
    client = None
    try:
        wait_for_port(HOST, ports[0])
        client = subprocess.Popen(
            ("ssh", "-N", "-D", f"{LOCAL}:{ports[1]}", "-p", str(ports[0]), "-i", folder / "user", *options, HOST), stdin=subprocess.DEVNULL
        )
        wait_for_port(LOCAL, ports[1])
        yield LOCAL, ports[1]
    finally:
        for process in (client, server):
            if process is not None:
                process.kill()
                process.wait()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        return int(sock.getsockname()[1])


def wait_for_port(host: str, port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection((host, port), 1):
            return
        time.sleep(0.05)
    raise OSError("ssh or sshd did not come up")


def in_turn(runs: int, ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[float, float, float]:
    """Medians of both, and of the ratios pair by pair."""
    pairs = [(ours(), theirs()) for _ in range(runs)]
    ratio = statistics.median(a / b for a, b in pairs)
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs), ratio


def measure(mib: int, runs: int) -> dict[str, dict[str, float]]:
    """All figures by name."""
    size = mib << 20
    found: dict[str, dict[str, float]] = {}
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        _, origin = started(stack, "origin")
        metered, unmetered = Pair(stack, folder / "metered", "metered"), Pair(stack, folder / "unmetered", "unmetered")
        ssh = stack.enter_context(ssh_socks(folder / "ssh"))
        download(metered.socks, origin, 8, min(size, 256 << 20))  # until the credit is what it will be
        download(unmetered.socks, origin, 8, 64 << 20)
        if ssh is None:
            print("tunnel: no ssh and sshd here, so nothing is compared with them")
        else:
            for streams in (8, 1):
                a, b, ratio = in_turn(
                    runs, partial(download, metered.socks, origin, streams, size), partial(download, ssh, origin, streams, size)
                )
                name = "tunnel.download_vs_ssh" + ("" if streams == 8 else "_1_stream")
                found[name] = {"ours_mb_s": round(a / 1e6, 1), "theirs_mb_s": round(b / 1e6, 1), "ratio": round(ratio, 3)}
            for anew in (False, True):
                direct = statistics.median(request_s(None, origin, anew=anew) for _ in range(runs))
                a, b, _ = in_turn(runs, partial(request_s, metered.socks, origin, anew=anew), partial(request_s, ssh, origin, anew=anew))
                name = "tunnel.latency_vs_ssh" + ("_new_connection" if anew else "")
                ours, theirs = a - direct, b - direct
                found[name] = {"ours_us": round(ours * 1e6), "theirs_us": round(theirs * 1e6), "ratio": round(ours / theirs, 3)}

        def cpu(pair: Pair) -> float:
            before = pair.cpu_s()
            download(pair.socks, origin, 8, size)
            return (pair.cpu_s() - before) * GIB / size

        spent: dict[str, list[float]] = {"metered": [], "unmetered": []}
        for run_number in range(2 * runs):  # the figure is a few hundredths, and what another process does to the caches is as much
            for name, pair in (("metered", metered), ("unmetered", unmetered))[:: 1 if run_number % 2 else -1]:
                spent[name].append(cpu(pair))
        a, b = statistics.median(spent["metered"]), statistics.median(spent["unmetered"])
        found["tunnel.metering_cost"] = {"metered_s": round(a, 3), "unmetered_s": round(b, 3), "cost": round(a / b - 1, 4)}
        before = resident_kb(unmetered.provider.pid)
        with contextlib.ExitStack() as held:
            for _ in range(IDLE):
                held.enter_context(connect(unmetered.socks, origin)).sendall(b"hold\n")
            found["tunnel.idle_stream_kb"] = {"kb": round((resident_kb(unmetered.provider.pid) - before) / IDLE, 1)}
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return found


def show(found: Mapping[str, Mapping[str, float]]) -> None:
    for name, figures in found.items():
        print(f"{name:<42} " + "  ".join(f"{key} {value}" for key, value in figures.items()))


def main() -> int:
    parser = argparse.ArgumentParser(description="Figures of the data plane.")
    parser.add_argument("--mib", type=int, default=MIB, help="what one download carries")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    found = measure(arguments.mib, arguments.runs)
    file = ROOT / "bench" / "results.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **found}, indent=1) + "\n")
    show(found)
    return 0


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in ("provider", "consumer", "origin"):
        role, *rest = sys.argv[1:]
        if role == "origin":
            originate()
        elif role == "provider":
            run(provide(Path(rest[0]), Rules() if rest[1] == "metered" else UNMETERED))
        else:
            run(consume(Path(rest[0]), Rules() if rest[1] == "metered" else UNMETERED, int(rest[2])))
    else:
        sys.exit(main())
