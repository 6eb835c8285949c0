"""Asks the other validators. What they send is checked by digest or signature before it is kept; what they withhold costs a time-out.

Answers are data: a peer that fails is logged and left out, and one that let a request time out is not asked again for a while.
What several tasks want is fetched by one of them (`validator.sharing`). Long because every question and its answer's check are here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

from chain.canonical import decode
from chain.errors import CodecError
from chain.messages import EpochAttestation
from chain.typed import Domain, Signed, digest_of, signer_of
from chain.types import Address, Digest, to_hex
from chain.view import Listing
from runtime.clock import Clock
from validator.agreement import Stakes
from validator.archive import Archive
from validator.errors import Wrong
from validator.journal import MOST_OF_ONE, Journal
from validator.manifests import check_inventory
from validator.sharing import Sharing
from validator.verification import VerifiedProof
from wire.agreement import FileIndex
from wire.files import CHUNK_BYTES, chunk_size, parse_index, sha256
from wire.http import MAX_ANSWER, PeerError, PeerMisbehaved, PeerRefused
from wire.messages import Inventory
from wire.refusals import Refused

log = logging.getLogger(__name__)

T = TypeVar("T")

AT_ONCE = 8
"""Requests to one peer."""
IN_ONE_GO = 256
"""Requests to one peer that wait for their turn."""
LONGEST_MUTE = 16
"""In time-outs."""


class _NotAsked(Exception):
    """A question was not put: the peer is muted meanwhile, or another task asks it."""


class Asks(Protocol):
    """How a peer is asked: as `wire.http.Client` does, raising what it raises."""

    async def get(self, endpoint: str, path: str, most: int = MAX_ANSWER) -> bytes: ...

    async def post(self, endpoint: str, path: str, value: Any) -> bytes: ...


class Peers:
    """The other validators as one of them sees them. `timeout_s` bounds every single request; `told` hears who failed, and in what."""

    def __init__(
        self,
        client: Asks,
        archive: Archive,
        journal: Journal,
        domain: Domain,
        clock: Clock,
        timeout_s: float,
        told: Callable[[Listing, str], None] = lambda _peer, _what: None,
    ) -> None:
        self._told = told
        self._client, self._archive, self._journal, self._domain, self._clock = client, archive, journal, domain, clock
        self.timeout_s = timeout_s
        self._sharing = Sharing(timeout_s / 4)
        self._muted: dict[Address, tuple[float, float]] = {}

    async def inventories(self, peers: Iterable[Listing], epoch: int, stakes: Stakes) -> None:
        """Fetches and keeps the inventories of an epoch that are not here yet, each from its own validator."""

        async def one(peer: Listing) -> None:
            raw = await self._get(peer, f"/v1/inventories/{epoch}")
            signed: Signed[Inventory] = decode(Signed[Inventory], raw)
            if signed.message.validator != peer.account:
                raise Wrong("it serves another validator's inventory as its own")
            check_inventory(signed, epoch, stakes, self._domain)
            self._archive.keep_inventory(signed)

        wanted = [peer for peer in peers if peer.account in stakes and self._archive.inventory(epoch, peer.account) is None]
        await self._of_each(wanted, one)

    async def file(self, digest: Digest, peers: Sequence[Listing]) -> bytes | None:
        """A file, fetched piece by piece from one peer after the other until it is whole; None if they do not have it all.

        Raises `Wrong` if what has this digest is not a file's index: then nobody has the file.
        """
        for peer in (None, *peers):
            if peer is not None:
                await self._of_each([peer], lambda source: self._pieces(source, digest))
            try:
                held = await asyncio.to_thread(self._archive.file, digest)
            except CodecError as error:
                raise Wrong(f"the file {to_hex(digest)} has a malformed index: {error}") from error
            if held is not None:
                return held
        return None

    async def checked_file(
        self, digest: Digest, sizes: range, check: Callable[[bytes], T], parts: dict[int, bytes], peers: Sequence[Listing]
    ) -> T | None:
        """What `check` makes of a file that one validator alone has named; None if they do not have it all. Only then it is kept.

        sizes: in bytes, that it can have; of another one no more than the index is fetched. parts: what has come of it by now, to be
        handed in again. Raises `Wrong` for another size and for what is no file's index, and what `check` raises.
        """
        held = self._archive.blob(digest)
        for peer in (None, *peers):
            if peer is not None and held is None:
                held = (await self._of_each([peer], lambda source: self._fetch(source, digest, CHUNK_BYTES))).get(peer.account)
            if held is None:
                continue
            index = _index_in(held, digest, sizes)
            if peer is not None:
                await self._of_each([peer], lambda source: self._parts(source, index, parts))  # noqa: B023
            else:
                parts |= {n: part for n, chunk in enumerate(index.chunks) if (part := self._archive.blob(chunk)) is not None}
            if len(parts) == len(index.chunks):
                if any(len(part) != chunk_size(index, n) for n, part in parts.items()):  # one may have come to another file's bound
                    raise Wrong(f"the file {to_hex(digest)} has chunks of other sizes than its index says")
                data = b"".join(parts[n] for n in range(len(index.chunks)))
                return await asyncio.to_thread(self._checked, data, check)
        return None

    def _checked(self, data: bytes, check: Callable[[bytes], T]) -> T:
        found = check(data)
        self._archive.keep_file(data)
        return found

    async def _parts(self, peer: Listing, index: FileIndex, parts: dict[int, bytes]) -> None:
        for n, chunk in enumerate(index.chunks):
            if n not in parts:
                parts[n] = await self._fetch(peer, chunk, chunk_size(index, n))

    async def _pieces(self, peer: Listing, digest: Digest) -> None:
        index = parse_index(await self._blob(peer, digest, CHUNK_BYTES))
        missing = [(n, chunk) for n, chunk in enumerate(index.chunks) if not self._archive.has_blob(chunk)]
        for n, chunk in missing:
            await self._blob(peer, chunk, chunk_size(index, n))

    async def _blob(self, peer: Listing, digest: Digest, limit: int) -> bytes:
        held = self._archive.blob(digest)
        if held is not None:
            return held
        content = await self._fetch(peer, digest, limit)
        self._archive.keep_blob(content)
        return content

    async def _fetch(self, peer: Listing, digest: Digest, limit: int) -> bytes:
        async def fetch() -> bytes:
            content = await self._get(peer, f"/v1/blobs/{to_hex(digest)}", limit)
            if sha256(content) != digest or len(content) > limit:
                raise PeerMisbehaved(f"{peer.endpoint} answers with other bytes than asked for")
            return content

        return await self._sharing.once(digest, fetch)

    async def proofs(
        self, digests: Iterable[Digest], peers: Sequence[Listing], check: Callable[[bytes], VerifiedProof], most: int = MAX_ANSWER
    ) -> None:
        """Fetches and keeps the proofs that are not here, of at most `most` bytes each, from one peer after the other. What `check` refuses
        is not kept; what has come when this is broken off is."""
        missing = list(digests)
        for peer in peers:
            if passed := await self._proofs_of(peer, missing, check, most):
                await self._sharing.wait_for(passed)
                await self._proofs_of(peer, passed, check, most, insist=True)
            held = await asyncio.to_thread(self._archive.proof_subjects, missing)
            missing = [digest for digest in missing if digest not in held]

    async def _proofs_of(
        self, peer: Listing, digests: Sequence[Digest], check: Callable[[bytes], VerifiedProof], most: int, *, insist: bool = False
    ) -> list[Digest]:
        """Asks one peer; those that were passed over, since another task is fetching them: none, if this one insists."""
        gate, passed = asyncio.Semaphore(AT_ONCE), list[Digest]()

        async def one(digest: Digest, take: Callable[[Digest], bool], found: list[VerifiedProof], source: Listing) -> None:
            async with gate:
                if self._is_muted(source):
                    raise _NotAsked
                if not take(digest) and not insist:
                    passed.append(digest)
                    raise _NotAsked
                raw = await self._get(source, f"/v1/proofs/{to_hex(digest)}", most)
            verified = await asyncio.to_thread(check, raw)
            if verified.digest != digest:
                raise PeerMisbehaved(f"{source.endpoint} answers with another proof than asked for")
            found.append(verified)

        for start in range(0, len(digests), IN_ONE_GO):
            some, found = digests[start : start + IN_ONE_GO], list[VerifiedProof]()
            with self._sharing.taking() as take:
                held = await asyncio.to_thread(self._archive.proof_subjects, some)  # others fetch meanwhile
                try:
                    await asyncio.gather(*(self._answer(peer, partial(one, each, take, found)) for each in some if each not in held))
                finally:
                    self._archive.keep_proofs(found)
        return passed

    async def candidate(self, epoch: int, round_: int, digest: Digest, peers: Sequence[Listing]) -> EpochAttestation | None:
        """The attestation with the recorded digest: the stored one, or a peer's, which is then stored."""
        held = self._journal.candidate(epoch, round_)
        if held is not None and digest_of(held, self._domain) == digest:
            return held

        async def one(peer: Listing) -> EpochAttestation:
            found: EpochAttestation = decode(EpochAttestation, await self._get(peer, f"/v1/candidates/{epoch}/{round_}"))
            if digest_of(found, self._domain) != digest or (found.epoch, found.round) != (epoch, round_):
                raise Wrong("its candidate is not the one that is recorded on chain, or is of another round than it was recorded for")
            return found

        for batch in (peers[:1], peers[1:]):  # its proposer first
            for found in (await self._of_each(batch, one)).values():
                self._journal.replace_candidate(found)
                return found
        return None

    async def attestations(self, peers: Iterable[Listing], epoch: int, round_: int, digest: Digest, stakes: Stakes) -> None:
        """Fetches and keeps what others know of the signatures of one candidate."""

        async def one(peer: Listing) -> None:
            found: tuple[Signed[EpochAttestation], ...] = decode(
                tuple[Signed[EpochAttestation], ...], await self._get(peer, f"/v1/attestations/{epoch}/{round_}")
            )
            for signed in found[: 2 * len(stakes)]:
                said = signed.message
                if digest_of(said, self._domain) == digest and (said.epoch, said.round) == (epoch, round_):
                    signer = signer_of(signed, self._domain)
                    if signer in stakes:
                        self._journal.keep_attestation(signer, signed)

        await self._of_each(list(peers), one)

    async def statements(self, peers: Iterable[Listing], epoch: int, round_: int, answerable: Collection[Address]) -> None:
        """Fetches what others know to be signed for a round, whatever it says, and keeps at most two of each of the `answerable`."""

        async def one(peer: Listing) -> None:
            found: tuple[Signed[EpochAttestation], ...] = decode(
                tuple[Signed[EpochAttestation], ...], await self._get(peer, f"/v1/attestations/{epoch}/{round_}")
            )
            known = set(self._journal.attestations_of(epoch, round_))
            for signed in found[: MOST_OF_ONE * len(answerable)]:
                if signed not in known and (signed.message.epoch, signed.message.round) == (epoch, round_):
                    signer = signer_of(signed, self._domain)
                    if signer in answerable:
                        self._journal.keep_evidence(signer, signed)

        await self._of_each(list(peers), one)

    async def push(self, attestation: Signed[EpochAttestation], peers: Iterable[Listing]) -> set[Address]:
        """Hands an attestation to peers; those that took it, or said that they never will."""

        async def one(peer: Listing) -> bool:
            try:
                await asyncio.wait_for(self._client.post(peer.endpoint, "/v1/attestations", attestation), self.timeout_s)
            except PeerRefused as refused:
                return refused.next_try == 0
            return True

        return {account for account, done in (await self._of_each(list(peers), one)).items() if done}

    async def _get(self, peer: Listing, path: str, most: int = MAX_ANSWER) -> bytes:
        return await asyncio.wait_for(self._client.get(peer.endpoint, path, most), self.timeout_s)

    async def _of_each(self, peers: Sequence[Listing], question: Callable[[Listing], Awaitable[T]]) -> Mapping[Address, T]:
        """What each peer that could be asked answered, all asked at once."""
        found = await asyncio.gather(*(self._answer(peer, question) for peer in peers))
        return {peer.account: answer[0] for peer, answer in zip(peers, found, strict=True) if answer is not None}

    async def _answer(self, peer: Listing, question: Callable[[Listing], Awaitable[T]]) -> tuple[T] | None:
        if self._is_muted(peer):
            return None
        try:
            answer = (await question(peer),)
        except _NotAsked:
            return None
        except TimeoutError:
            self._told(peer, f"{peer.endpoint} does not answer in {self.timeout_s:g} s")
            self._mute(peer)
        except (PeerError, CodecError, Wrong, Refused) as error:
            self._told(peer, str(error))
            log.debug("validator %s: %s", peer.account, error)
        else:
            self._muted.pop(peer.account, None)
            return answer
        return None

    def _is_muted(self, peer: Listing) -> bool:
        return self._muted.get(peer.account, (0.0, 0.0))[0] > self._clock.now()

    def _mute(self, peer: Listing) -> None:
        """Twice as long as the last time, up to `LONGEST_MUTE` time-outs."""
        if self._is_muted(peer):
            return
        last = self._muted.get(peer.account, (0.0, self.timeout_s / 2))[1]
        wait = min(2 * last, LONGEST_MUTE * self.timeout_s)
        self._muted[peer.account] = (self._clock.now() + wait, wait)
        log.info("validator %s let a request time out; it is not asked for %g s", peer.account, wait)


def _index_in(head: bytes, digest: Digest, sizes: range) -> FileIndex:
    try:
        index = parse_index(head)
    except CodecError as error:
        raise Wrong(f"the file {to_hex(digest)} has a malformed index: {error}") from error
    if index.size not in sizes:
        raise Wrong(f"the file {to_hex(digest)} has {index.size} bytes, {sizes[0]} to {sizes[-1]} are expected")
    return index
