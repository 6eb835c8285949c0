"""All hostile validators together, as whoever holds so many keys acts: behaving at first, then posting and signing what they like."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from chain.backend import Backend
from chain.canonical import decode, encode
from chain.client import ChainClient
from chain.keys import NodeKey
from chain.messages import EpochAttestation
from chain.sender import TransactionFailed
from chain.typed import Signed, digest_of, sign
from chain.types import ZERO_DIGEST
from devnet.layout import Place
from devnet.settlement.actors import Actor
from devnet.settlement.drafts import NO_MANIFEST, Draft, contradiction
from devnet.settlement.hostile import HostileValidator, Shelf
from devnet.story import Untrue
from wire.http import Client, PeerRefused

PROPOSE_GAS = 250_000
POST_GAS = 600_000
LOOK_S = 0.1
ATTEMPTS = 20


class HostileQuorum:
    """All of them together, as whoever holds so many keys acts."""

    def __init__(
        self, backend: Backend, chain: ChainClient, client: Client, honest: Place, members: Sequence[tuple[Place, NodeKey]]
    ) -> None:
        self._chain, self._client, self._honest = chain, client, honest
        network = chain.network
        self._domain, self._timing = network.domain, network.timing
        self.shelf = Shelf()
        found = (HostileValidator(place, Actor(backend, key, network.chain_id), self._domain, self.shelf) for place, key in members)
        self.members = tuple(sorted(found, key=lambda member: member.address))

    async def open(self) -> None:
        for member in self.members:
            await member.open()

    async def close(self) -> None:
        for member in self.members:
            await member.close()

    async def cosign(self, epoch: int) -> bool:
        """Signs the newest candidate of an epoch, once there is one, and hands the signatures to the honest validator, as anyone would who
        had recomputed it. False if there is none before the window closes."""
        recorded = None
        while recorded is None or recorded.epoch != epoch:
            await asyncio.sleep(LOOK_S)
            block = await self._chain.latest()
            if block.timestamp > self._timing.post_end(epoch):
                return False
            recorded = await self._chain.settlement.candidate(block)
        raw = await self._client.get(self._honest.endpoint, f"/v1/candidates/{epoch}/{recorded.round}")
        said: EpochAttestation = decode(EpochAttestation, raw)
        if digest_of(said, self._domain) != recorded.digest:
            raise Untrue(f"that the honest validator serves the candidate it recorded for epoch {epoch} has not come true")
        await self._hand_out(self._sign(said, self.members))
        return True

    def turn(self) -> None:
        """From now on they answer for no evidence and sign what they like."""
        for member in self.members:
            member.behaves = False

    async def post(self, draft: Draft, epoch: int, signers: Sequence[HostileValidator], twice: HostileValidator | None = None) -> None:
        """Serves a draft and posts it for the epoch that ended last, in the first round in which one of `signers` proposes. `twice` signs
        something else too, and hands both to the honest validator.

        Candidate and root come in one block, so that no other candidate comes between. `Untrue` if it is not mined in the window.
        """
        self.shelf.put_file(draft.state)
        self.shelf.put_file(NO_MANIFEST)
        for _ in range(ATTEMPTS):
            round_, proposer = await self._turn_of(epoch, signers)
            said = await self._attestation(draft, epoch, round_)
            self._serve(said, signers)
            signatures = [sign(said, self._domain, member.key).signature for member in sorted(signers, key=lambda one: one.address)]
            propose = self._chain.settlement.propose(epoch, round_, digest_of(said, self._domain))
            sent = await proposer.actor.send(propose, PROPOSE_GAS)
            posted = await proposer.actor.send(self._chain.settlement.post(said, signatures), POST_GAS)
            if twice is not None:
                await self._hand_out([sign(one, self._domain, twice.key) for one in (said, contradiction(said))])
            try:
                await proposer.actor.mined(sent)
                await proposer.actor.mined(posted)
            except TransactionFailed:  # the round ended before the block was made
                continue
            return
        raise Untrue(f"that the hostile quorum posts a root for epoch {epoch} has not come true")

    async def _hand_out(self, attestations: Sequence[Signed[EpochAttestation]]) -> None:
        """Posts attestations to the honest validator, again while it has not seen the block that opened their round."""
        for signed in attestations:
            for attempt in range(ATTEMPTS):
                try:
                    await self._client.post(self._honest.endpoint, "/v1/attestations", signed)
                except PeerRefused as refused:
                    if refused.code != "unknown_candidate" or attempt == ATTEMPTS - 1:
                        raise Untrue(f"that the honest validator takes an attestation has not come true: {refused}") from refused
                    await asyncio.sleep(LOOK_S)
                else:
                    break

    def _sign(self, said: EpochAttestation, signers: Sequence[HostileValidator]) -> tuple[Signed[EpochAttestation], ...]:
        return tuple(sign(said, self._domain, member.key) for member in signers)

    def _serve(self, said: EpochAttestation, signers: Sequence[HostileValidator]) -> None:
        epoch, round_ = said.epoch, said.round
        self.shelf.put(f"/v1/candidates/{epoch}/{round_}", encode(said))
        self.shelf.put(f"/v1/attestations/{epoch}/{round_}", encode(self._sign(said, signers)))
        self.shelf.put(f"/v1/states/{epoch}", encode({"epoch": epoch, "digest": said.state_digest}))
        self.shelf.put(f"/v1/manifests/{epoch}", encode({"epoch": epoch, "digest": said.manifest_digest}))

    async def _turn_of(self, epoch: int, signers: Sequence[HostileValidator]) -> tuple[int, HostileValidator]:
        """The open round and its proposer, once that is one of `signers` and the next two blocks are still in it."""
        while True:
            block = await self._chain.latest()
            first, second = (self._timing.round_at(epoch, block.timestamp + ahead) for ahead in (1, 2))
            if block.timestamp > self._timing.post_end(epoch):
                raise Untrue(f"that the hostile quorum posts a root for epoch {epoch} has not come true in its window")
            if first is not None and first == second and block.timestamp >= self._timing.intake_end(epoch):
                account = await self._chain.settlement.proposer_of(epoch, first, block)
                proposer = next((member for member in signers if member.address == account), None)
                if proposer is not None:
                    return first, proposer
            await asyncio.sleep(LOOK_S)

    async def _attestation(self, draft: Draft, epoch: int, round_: int) -> EpochAttestation:
        block = await self._chain.latest()
        parent, view = await self._chain.settlement.active_record(block), await self._chain.view(block)
        posting = view.posting(parent.epoch)
        anchor = await self._chain.anchor(epoch)
        return draft.attestation(
            epoch,
            round_,
            parent.root,
            posting.state_digest if posting else ZERO_DIGEST,
            anchor.hash if anchor else ZERO_DIGEST,
            view.rules_digest,
        )
