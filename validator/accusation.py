"""A person's report of a fraud: what can be proven of a file or an epoch, and the way to the Judge in one go.

The validator's own search and reporting, over a database that lasts as long as the command.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from chain.canonical import decode
from chain.client import ChainClient
from chain.errors import CodecError
from chain.frauds import Equivocation
from chain.keys import NodeKey
from chain.messages import EpochAttestation
from chain.sender import Sender
from chain.typed import Signed, signer_of
from chain.types import Address
from runtime.account import gas_price
from runtime.clock import SystemClock
from runtime.database import open_database
from runtime.terminal import CommandFailed, NothingToDo, UsageError
from validator.archive import Archive
from validator.frauds import Fraud, equivocations
from validator.investigation import Investigation, Sighting, answerable
from validator.journal import Journal
from validator.peers import Peers
from validator.poster import Poster
from validator.reporting import Progress, Reporter
from validator.tables import TABLES
from wire.http import Client

PEER_TIMEOUT_S = 8.0
BLOCK_WAIT_S = 600.0
"""The longest to wait for the next block, or for a transaction."""
LOOK_S = 0.5
REPORT_GAS, CONVICT_GAS = 400_000, 250_000
"""About what commitment and proof take, and each convict's slashing."""


@dataclass(frozen=True, slots=True)
class Accusation:
    """A fraud, whom it convicts, and what the report costs about, wei of the chain's coin."""

    fraud: Fraud
    accused: tuple[Address, ...]
    sentence: str
    fee: int


@dataclass(frozen=True, slots=True)
class Accuser:
    """Looks for frauds, and reports them. `me` is the account that reports."""

    me: Address
    chain: ChainClient
    journal: Journal
    investigation: Investigation

    async def of_file(self, data: bytes) -> list[Accusation]:
        """What two signed statements in canonical JSON, as a list, prove. `UsageError` if they are none, `NothingToDo` if nothing."""
        try:
            signed: tuple[Signed[EpochAttestation], ...] = decode(tuple[Signed[EpochAttestation], ...], data.strip())
            by_signer: dict[Address, list[Signed[EpochAttestation]]] = {}
            for one in signed:
                by_signer.setdefault(signer_of(one, self.chain.network.domain), []).append(one)
        except CodecError as error:
            raise UsageError(f"The file is not a list of two signed attestations in canonical JSON: {error}.") from error
        sighting = await self._look()
        found = dict(equivocations(by_signer, self.chain.network.domain))
        if not found:
            raise NothingToDo(
                "Nothing to report: the file does not hold two different statements of one account about one epoch and round."
            )
        accounts = answerable(sighting.view)
        if not accounts & found.keys():
            raise NothingToDo(f"Nothing to report: {min(found)} has no validator's stake, or was convicted before.")
        return [await self._accusation(Fraud(proof), sighting) for signer, proof in found.items() if signer in accounts]

    async def of_epoch(self, epoch: int) -> list[Accusation]:
        """What the root of an epoch, if it can be tried, and the statements that validators hold about it prove; empty if nothing."""
        sighting = await self._look()
        view, timing = sighting.view, self.chain.network.timing
        posted = view.posting(epoch)
        found: list[Fraud] = []
        triable = view.triable_posting(sighting.block.timestamp)
        if triable is not None and triable.epoch == epoch:
            found += (await self.investigation.try_root(sighting))[:1]
        if posted is not None:
            await self.investigation.read_posting(posted, view)
        for round_ in range((timing.post_window - timing.intake) // timing.round_length + 1):
            await self.investigation.ask(view, epoch, round_)
        found += self.investigation.signed_twice(view)
        return [await self._accusation(fraud, sighting) for fraud in found]

    async def report(self, accusation: Accusation, key: NodeKey) -> dict[str, Any]:
        """Commits, waits a block, proves, slashes and collects; what was sent. `CommandFailed` if the contracts refuse."""
        sender = Sender(self.chain.backend, key, self.chain.network.chain_id)
        reporter = Reporter(key.address, self.chain, self.journal, Poster(sender, BLOCK_WAIT_S))
        try:
            async with asyncio.timeout(BLOCK_WAIT_S):
                progress = Progress.OPEN
                while progress is Progress.OPEN:
                    progress = await reporter.report(accusation.fraud, (await self._look()).block)
                    if reporter.could_not_send is not None:
                        raise CommandFailed(
                            f"The chain's node did not take the transaction: {reporter.could_not_send}. Does it hold ether?"
                        )
                    if progress is Progress.OPEN:
                        await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise CommandFailed(f"No block came for {BLOCK_WAIT_S:g} s; the commitment is made, so report again soon.") from None
        if progress is Progress.REFUSED:
            raise CommandFailed(f"The Judge does not follow the report: {reporter.refusal}.")
        sighting = await self._look()
        for account in accusation.accused:
            conviction = sighting.view.convictions.get(account)
            if conviction is not None and not conviction.slashed:
                await reporter.slash(account, sighting.block)
        sighting = await self._look()
        share = sighting.view.shares.get(key.address, 0)
        await reporter.collect(sighting.view, sighting.block)
        return {
            "proof": accusation.fraud.proof.NAME,
            "convicts": list(accusation.accused),
            "reported": "by this account" if progress is Progress.PROVEN else "by another account before",
            "collected_wei": str(share),
            "transactions": {f"{number} {what}": transaction for number, (what, transaction) in enumerate(reporter.sent, 1)},
        }

    async def _look(self) -> Sighting:
        block = await self.chain.latest()
        return Sighting(block, await self.chain.view(block))

    async def _accusation(self, fraud: Fraud, sighting: Sighting) -> Accusation:
        view, proof = sighting.view, fraud.proof
        if isinstance(proof, Equivocation):
            accused: Sequence[Address] = (signer_of(proof.a, self.chain.network.domain),)
            said = f"{accused[0]} signed two different statements about epoch {proof.a.message.epoch}, round {proof.a.message.round}"
        else:
            posted = view.triable_posting(sighting.block.timestamp)
            accused = () if posted is None else view.signers[posted.epoch]
            said = f"The root 0x{posted.root.hex() if posted else ''} of epoch {posted.epoch if posted else 0} can be proven wrong"
            said += f", signed by {', '.join(accused)}"
        gas = REPORT_GAS + CONVICT_GAS * len(accused) + sum(5_000 + 1_500 * len(path) for _, path in fraud.summands)
        return Accusation(fraud, tuple(accused), f"{said} ({proof.NAME}).", gas * await gas_price(self.chain.backend))


@contextlib.asynccontextmanager
async def accuser(me: Address, chain: ChainClient) -> AsyncIterator[Accuser]:
    """An accuser whose database is gone at the end."""
    domain = chain.network.domain
    client = Client(domain)
    with TemporaryDirectory() as folder:
        engine = open_database(Path(folder) / "accusation.sqlite", TABLES, domain)
        try:
            journal = Journal(engine, domain)
            peers = Peers(client, Archive(engine), journal, domain, SystemClock(), PEER_TIMEOUT_S)
            yield Accuser(me, chain, journal, Investigation(me, chain, journal, peers))
        finally:
            await client.close()
            engine.dispose()
