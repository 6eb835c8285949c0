"""The audit of an epoch: what the chain says of it, every byte behind it from whoever serves it, and the own recomputation of both.

What is trusted is the chain's node alone: for which logs there are, and what transactions hold. A validator's files are known by their
digests, every signature is verified again, and everything else is made anew with the validators' own recomputation.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace

from audit.archives import passing_archive
from audit.judging import Carried, Case, Judging
from audit.verdicts import Audit, Finding, state_of
from chain.canonical import decode
from chain.client import BlockMissing, ChainClient
from chain.contracts import RootRecord
from chain.events import Posted
from chain.rules import Rules
from chain.types import ZERO_DIGEST, Wei
from chain.view import ChainView, Listing
from runtime.terminal import NothingToDo
from validator.archive import Archive
from validator.basis import BasisReader
from validator.journal import Journal
from validator.peers import Asks
from validator.state import genesis_state

NO_RECORD = RootRecord(ZERO_DIGEST, Wei(0), Wei(0), 0, 0, 0, 0, 0)
"""Before the first root."""


class Auditor:
    """Audits epochs of one deployment. sources: whom to ask for bytes; None for the validators listed on chain."""

    def __init__(self, chain: ChainClient, archive: Archive, journal: Journal, client: Asks, sources: Sequence[Listing] | None) -> None:
        self._chain, self._sources, self._basis = chain, sources, BasisReader(chain)
        self._judging = Judging(chain, archive, journal, client)

    async def last_posted(self) -> int:
        """The newest epoch that was posted, 0 if there is none."""
        posted = (await self._chain.view(await self._chain.latest())).posted
        return posted[-1].epoch if posted else 0

    async def audit(self, epoch: int) -> Audit:
        """One epoch, upon the state of its parent as that was signed. Raises what the chain's node fails in."""
        return await self._audit(epoch, None)

    async def audit_covering(self, epoch: int | None) -> Audit:
        """The root that stands and covers an epoch (default: the newest), upon the state of its parent as that was signed.

        `NothingToDo` if there is none yet. Raises what the chain's node fails in.
        """
        roots = (await self._chain.view(await self._chain.latest())).roots()
        found = next((one for one in roots if one.through >= (epoch or roots[-1].through)), None)
        if found is None:
            raise NothingToDo(
                f"No root covers {f'epoch {epoch}' if epoch else 'any epoch'} yet; the last covered one is {_through(roots)}."
            )
        return await self._audit(found.epoch, None)

    async def audit_through(self, last: int) -> AsyncIterator[Audit]:
        """Every epoch from the first to `last`, each upon what came out of those before, so that no state is taken from anybody."""
        carried = Carried(genesis_state())
        for epoch in range(1, last + 1):
            found = await self._audit(epoch, carried)
            if found.posted is not None and found.state != "cancelled":
                own = found.recomputed
                carried = Carried(None) if own is None else Carried(own.outcome.state, own.state_digest)
            yield found

    async def _audit(self, epoch: int, carried: Carried | None) -> Audit:
        block = await self._chain.latest()
        view = await self._chain.view(block)
        posted = view.posting(epoch)
        if posted is None:
            return self._without_root(epoch, view, block.timestamp)
        case = await self._open(posted)
        if isinstance(case, Finding):
            return Audit(epoch, "unproven", (case,), posted=posted)
        await self._judging.judge(case, carried, self._sources or view.listed("validator"))
        findings = tuple(case.findings)
        covered = tuple(section.epoch for section in case.basis.sections)
        found = Audit(epoch, state_of(findings), findings, case.looked, posted, covered, "", case.recomputed)
        return replace(found, state="cancelled", note=_cancelled(view, epoch)) if epoch in view.cancelled else found

    def _without_root(self, epoch: int, view: ChainView, second: int) -> Audit:
        timing = self._chain.network.timing
        if second <= timing.post_end(epoch):
            return Audit(
                epoch, "open", note=f"epoch {epoch} has not ended" if second < timing.end_of(epoch) else "its root can still be posted"
            )
        by = view.root_covering(epoch)
        note = "the next root will cover it" if by is None else f"the root of epoch {by.epoch} covers it"
        return Audit(epoch, "dead", note=f"no root was posted in time; {note}")

    # One root

    async def _open(self, posted: Posted) -> Case | Finding:
        """What the root had to build on, by the chain as it was when it was posted."""
        at = await self._chain.view(await self._chain.block(posted.at.block))
        if at.posting(posted.epoch) is None:
            raise BlockMissing(f"the block of the root of epoch {posted.epoch} is no longer on the chain")
        before = at.root_before(posted.epoch)
        parent = NO_RECORD if before is None else _record(before)
        basis = await self._basis.read(posted.epoch, parent, at)
        if basis is None:
            return Finding("not_final", f"the blocks of epoch {posted.epoch} are not final yet")
        rules: Rules = decode(Rules, at.rules)
        return Case(posted, at, basis, rules, parent)


@contextlib.contextmanager
def opened(chain: ChainClient, client: Asks, sources: Sequence[Listing] | None) -> Iterator[Auditor]:
    """An auditor with an archive that is gone at the end."""
    with passing_archive(chain.network.domain) as (archive, journal):
        yield Auditor(chain, archive, journal, client, sources)


def _record(posted: Posted) -> RootRecord:
    sums = posted.total_earned, posted.total_spent
    return RootRecord(posted.root, *sums, posted.epoch, posted.through, posted.round, posted.active_at, posted.signers)


def _cancelled(view: ChainView, epoch: int) -> str:
    cancelled, proven = view.cancelled[epoch], view.proven.get(epoch)
    by = view.root_covering(epoch)
    why = f" after the proof `{proven.name}`" if proven is not None else ""
    following = "the next root will cover its epochs" if by is None else f"the root of epoch {by.epoch} covers its epochs"
    return f"its root was cancelled by {cancelled.by}{why}; {following}"


def _through(roots: Sequence[Posted]) -> int:
    return roots[-1].through if roots else 0
