"""Garbage and near-misses at every path of a validator: a coded refusal each, nothing stored, and it goes on."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import aiohttp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain.canonical import encode, parse
from chain.messages import EpochAttestation
from chain.typed import sign
from chain.types import ZERO_DIGEST
from tests.validators import PROVIDERS, a_world
from wire.messages import ActivityProof
from wire.refusals import TABLE

GETS = ("inventories", "blobs", "proofs", "candidates", "attestations", "manifests", "states", "leaves", "nothing")
POSTS = ("proofs", "attestations")

segments = st.one_of(
    st.integers(-2, 2**70).map(str),
    st.binary(min_size=1, max_size=40).map(lambda raw: "0x" + raw.hex()),
    st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=50),
)
paths = st.lists(segments, max_size=3)
changes = st.lists(st.tuples(st.integers(0, 2**16), st.integers(1, 255)), max_size=3)
bodies = st.one_of(st.binary(max_size=300), changes)
attempts = st.one_of(st.tuples(st.sampled_from(GETS), paths), st.tuples(st.sampled_from(POSTS), bodies))


def near_miss(sound: bytes, flips: list[tuple[int, int]]) -> bytes:
    """Well-formed bytes with a few of them changed; unchanged, they are signed by somebody who must not be heard."""
    changed = bytearray(sound)
    for place, mask in flips:
        changed[place % len(changed)] ^= mask
    return bytes(changed)


@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(attempts, min_size=80, max_size=80))
def test_every_path_refuses_garbage_in_code(tried: list[tuple[str, list[str] | bytes | list[tuple[int, int]]]]) -> None:
    async def run(folder: Path) -> None:
        async with a_world(folder) as world, aiohttp.ClientSession() as http:
            domain, key, seat = world.network.domain, PROVIDERS[0], world.seats[0]
            far = ActivityProof(key.address, 2**63, 1, (), (), (), (), ZERO_DIGEST)
            zero = ZERO_DIGEST
            word = EpochAttestation(1, 1, 0, zero, zero, zero, zero, 0, 0, zero, zero, zero)
            sound = {"proofs": encode(sign(far, domain, key)), "attestations": encode(sign(word, domain, key))}
            for name, rest in tried:
                if name in POSTS and not (isinstance(rest, list) and all(isinstance(part, str) for part in rest) and rest):
                    body = rest if isinstance(rest, bytes) else near_miss(sound[name], rest)  # type: ignore[arg-type]
                    request = http.post(f"http://{seat.endpoint}/v1/{name}", data=body)
                else:
                    request = http.get(f"http://{seat.endpoint}/v1/{'/'.join([name, *map(str, rest)])}")
                async with request as response:
                    answered = await response.read()
                if response.status == 200:
                    assert name == "attestations", (name, rest, answered)  # a list, which may be empty
                    assert b"signature" not in answered
                else:
                    assert parse(answered)["error"]["code"] in TABLE.keys() - {"internal"}, (name, rest, answered)
            async with http.get(f"http://{seat.endpoint}/v1/status") as response:
                assert parse(await response.read())["proofs"]["accepted"] == 0

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))
