"""What an audit of one epoch takes: fetching every proof by its digest, verifying every signature, recomputing, and the state's digest.

`python -m bench.audit 1000 100000`: for each number of accounts, seconds, those of the processor, and the most memory of a process that
does nothing else, at the end and before. An account is a provider with a proof of five signatures: its own, a ticket, three reports; and
one in the parent's state. The proofs lie in a folder, so no network is in it; what is read from the chain is left out.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from audit.archives import passing_archive
from audit.sources import Files
from chain.canonical import decode, encode
from chain.epochs import Timing
from chain.keys import NodeKey
from chain.rules import Rules
from chain.typed import Domain, digest_of, sign
from chain.types import ZERO_ADDRESS, ZERO_DIGEST, Address, Digest, Wei, to_hex
from chain.view import Listing
from runtime.clock import SystemClock
from validator.epoch import recompute
from validator.evidence import Evidence
from validator.peers import Peers
from validator.state import AccountState, State, encode_state
from wire.agreement import ChainSection, CoveredEpoch, InventoryEntry, InventoryIndex, ListedNode, Manifest, RegisteredProvider
from wire.files import chunks_of, file_digest, index_of, sha256
from wire.messages import ActivityProof, Inventory, LatencyReport, UptimeTicket

DOMAIN = Domain(31337, Address("0x" + "11" * 20))
TIMING, RULES = Timing(0, 86_400, 1_800, 21_600, 43_200, 3_600, 1_200, 144), Rules()
RESOLVER, VALIDATOR = NodeKey(b"\x01" * 32), NodeKey(b"\x02" * 32)
MASTERS = [NodeKey(bytes([3 + n]) * 32) for n in range(3)]
TREASURY = Address("0x" + "fe" * 20)
ALL, EPOCH = b"\xff" * 18, 2
NUMBERS = 1_000, 10_000, 100_000


def made(accounts: int, folder: Path) -> tuple[State, Manifest]:
    """The parent, and the manifest of an epoch whose proofs are written into the folder."""
    entries, buckets = [], (500_000,)
    for kind in ("blobs", "proofs"):
        (folder / kind).mkdir()
    for number in range(accounts):
        provider, prefix = NodeKey((10**9 + number).to_bytes(32)), f"10.{number >> 8 & 255}.{number & 255}.0/24"
        ticket = UptimeTicket(RESOLVER.address, provider.address, EPOCH, 1, ALL, 0, prefix)
        reports = tuple(
            sign(LatencyReport(one.address, provider.address, EPOCH, 1, ALL, 20_000, 21_000, 500, 0, prefix, True), DOMAIN, one)
            for one in MASTERS
        )
        proof = ActivityProof(provider.address, EPOCH, 1, (sign(ticket, DOMAIN, RESOLVER),), reports, (), (), ZERO_DIGEST)
        digest = digest_of(proof, DOMAIN)
        (folder / "proofs" / to_hex(digest)).write_bytes(encode(sign(proof, DOMAIN, provider)))
        entries.append(InventoryEntry(provider.address, digest))
    entries.sort(key=lambda entry: entry.provider)
    index = encode(InventoryIndex(EPOCH, tuple(entries)))
    for blob in (encode(index_of(index)), *chunks_of(index)):
        (folder / "blobs" / to_hex(sha256(blob))).write_bytes(blob)
    inventory = sign(Inventory(VALIDATOR.address, EPOCH, accounts, file_digest(index)), DOMAIN, VALIDATOR)
    roles = (
        ListedNode(VALIDATOR.address, "validator", 1),
        ListedNode(RESOLVER.address, "resolver", 0),
        *(ListedNode(one.address, "master", 0) for one in MASTERS),
    )
    registered = tuple(RegisteredProvider(entry.provider, ZERO_ADDRESS, 1) for entry in entries)
    section = ChainSection(EPOCH, 1, Digest(bytes(32)), roles, roles[:1], registered, 10**26, 10**21, TREASURY)
    covered = CoveredEpoch(EPOCH, (inventory,))
    manifest = Manifest(EPOCH, EPOCH, ZERO_DIGEST, ZERO_DIGEST, RULES.digest(), (), (section,), (covered,))
    parent = State(1, tuple(AccountState(entry.provider, 10**15, 0, 1_000, 300_000, 1, "", 0, buckets) for entry in entries))
    return parent, manifest


async def audited(parent: State, manifest: Manifest, folder: Path) -> None:
    source = [Listing(VALIDATOR.address, "validator", "files", Wei(0))]
    with passing_archive(DOMAIN) as (archive, journal):
        peers = Peers(Files(folder), archive, journal, DOMAIN, SystemClock(), 60.0)
        evidence = Evidence(archive, peers, DOMAIN, TIMING, RULES)
        whole = await evidence.gather(manifest.covered[0].inventories[0], manifest.chain[0], source)
        outcome = recompute(parent, manifest, evidence.of(manifest), TIMING, RULES)
        file_digest(encode_state(outcome.state))
        if not whole or len(outcome.leaves) < len(parent.accounts):
            raise RuntimeError("not all of it was audited")


def alone(folder: Path) -> dict[str, float]:
    """In this process, over a folder that another one has written with `made`."""
    parent, manifest = decode(State, (folder / "parent").read_bytes()), decode(Manifest, (folder / "manifest").read_bytes())
    before, began, worked = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter(), time.process_time()
    asyncio.run(audited(parent, manifest, folder))
    took, most = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "s": round(took, 1),
        "cpu_s": round(time.process_time() - worked, 1),
        "memory_mb": round(most / 1024),
        "before_mb": round(before / 1024),
    }


def measure(numbers: Sequence[int]) -> dict[str, dict[str, float]]:
    """By the figure's name; each in a process of its own."""
    found = {}
    for accounts in numbers:
        with tempfile.TemporaryDirectory(prefix="dpn-bench-") as name:
            folder = Path(name)
            for kind, value in zip(("parent", "manifest"), made(accounts, folder), strict=True):
                (folder / kind).write_bytes(encode(value))
            command = (sys.executable, "-m", "bench.audit", "--alone", name)
            ran = subprocess.run(command, capture_output=True, text=True, check=True)
            found[f"audit.accounts_{accounts // 1_000}k_s"] = json.loads(ran.stdout)
    return found


def main(arguments: Sequence[str]) -> None:
    if arguments[0] == "--alone":
        print(json.dumps(alone(Path(arguments[1]))))
    else:
        print(json.dumps(measure([int(one) for one in arguments]), indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
