"""Figures, as ratios within one run: what is ours against what others ship for the same job, in turn, the median of five; and gas.

Writes bench/results.json: for each name the medians in seconds of both and their ratio (ours / theirs; below 1 is faster); for each
`gas.` name what a transaction takes, with its limit and its aim; what each
`tunnel.` name has is said in `bench.tunnel`; for each `agreement.` name what was counted, what is derived, and their ratio; for each
`audit.` name what is said in `bench.audit`. Ends with 1 if a gas figure is above its limit.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import coincurve

from bench import agreement, audit, gas, tunnel
from chain.canonical import decode, encode
from chain.keys import NodeKey
from chain.merkle import MerkleTree
from chain.messages import Leaf
from chain.typed import Domain, Signed, sign, verify
from chain.types import Address
from wire.messages import UptimeTicket

ROOT = Path(__file__).resolve().parent.parent
RUNS = 5
LEAVES = 2_000
STATEMENTS = 500


def paired(ours: Callable[[], float], theirs: Callable[[], float]) -> dict[str, float]:
    """Medians of both in seconds, run in turn, and the median of the ratios pair by pair."""
    pairs = [(ours(), theirs()) for _ in range(RUNS)]
    return {
        "ours_s": round(statistics.median(a for a, _ in pairs), 4),
        "theirs_s": round(statistics.median(b for _, b in pairs), 4),
        "ratio": round(statistics.median(a / b for a, b in pairs), 3),
    }


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def merkle() -> dict[str, float]:
    """A tree of 2,000 leaves, built here and by @openzeppelin/merkle-tree."""
    source = random.Random(1)
    leaves = [Leaf(Address("0x" + source.randbytes(20).hex()), source.randrange(2**96), 0, 0, 0) for _ in range(LEAVES)]
    values = [[leaf.account, str(leaf.earned), "0", "0", "0"] for leaf in leaves]
    script = (
        'const {StandardMerkleTree: T} = require("@openzeppelin/merkle-tree");'
        "const values = JSON.parse(require('fs').readFileSync(0, 'utf8')); const began = process.hrtime.bigint();"
        "T.of(values, ['address', 'uint256', 'uint256', 'uint256', 'uint256']); console.log(Number(process.hrtime.bigint() - began) / 1e9);"
    )

    def theirs() -> float:
        ran = subprocess.run(("node", "-e", script), input=json.dumps(values), capture_output=True, text=True, check=True, cwd=ROOT)
        return float(ran.stdout)

    return paired(lambda: seconds(lambda: MerkleTree(leaves)), theirs)


def statements() -> dict[str, float]:
    """500 signed tickets parsed and verified, against the bare public-key recoveries in them."""
    domain, key = Domain(31337, Address("0x" + "11" * 20)), NodeKey(bytes(31) + b"\x01")
    signed = [sign(UptimeTicket(key.address, key.address, n, n, bytes(18), 0, "203.0.113.0/24"), domain, key) for n in range(STATEMENTS)]
    raw = [encode(one) for one in signed]
    signatures = [one.signature[:64] + bytes([one.signature[64] - 27]) for one in signed]

    def ours() -> None:
        for data in raw:
            ticket: Signed[UptimeTicket] = decode(Signed[UptimeTicket], data)
            verify(ticket, domain)

    def theirs() -> None:
        for signature in signatures:
            coincurve.PublicKey.from_signature_and_message(signature, bytes(32), hasher=None)

    return paired(lambda: seconds(ours), lambda: seconds(theirs))


def main() -> int:
    timed = {"merkle.build_2k_vs_openzeppelin": merkle(), "statement.parse_and_verify_vs_recover": statements()}
    spent, carried, asked = gas.measure(), tunnel.measure(tunnel.MIB, RUNS), agreement.measure(agreement.NUMBERS)
    audited = audit.measure(audit.NUMBERS)
    (ROOT / "bench" / "results.json").write_text(json.dumps({**timed, **spent, **carried, **asked, **audited}, indent=1) + "\n")
    for name, figures in timed.items():
        print(f"{name:<42} {figures['ours_s']:>8} s  {figures['theirs_s']:>8} s  ratio {figures['ratio']}")
    for name, figure in spent.items():
        forms = f"  many {figure['many']}, packed {figure['packed']}" if "many" in figure else ""
        print(f"{name:<42} {figure['gas']:>8}    at most {figure['limit']}, aim {figure['aim']}{forms}")
    tunnel.show({**carried, **asked, **audited})
    too_dear = gas.excesses(spent)
    for sentence in too_dear:
        print(sentence)
    return 1 if too_dear else 0


if __name__ == "__main__":
    sys.exit(main())
