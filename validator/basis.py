"""Reads from the chain what a root has to build on; the same final blocks give every validator the same basis."""

from __future__ import annotations

from chain.client import ChainClient
from chain.contracts import RootRecord
from chain.epochs import covered_epochs
from chain.types import ZERO_DIGEST
from chain.view import ChainView
from validator.agreement import Stakes
from validator.chain_section import chain_section, depositors_of
from validator.manifests import Basis
from wire.agreement import ChainSection, Depositor

KEPT_SECTIONS = 16


class BasisReader:
    """Builds bases, and remembers the sections of epochs, whose anchors are final."""

    def __init__(self, chain: ChainClient) -> None:
        self._chain = chain
        self._sections: dict[int, tuple[ChainSection, Stakes, tuple[Depositor, ...]]] = {}

    async def read(self, epoch: int, parent: RootRecord, view: ChainView) -> Basis | None:
        """The basis of a root for `epoch` upon the active record `parent`, both at `view`; None until the anchor of `epoch` is final."""
        sections, sets = [], {}
        for covered in covered_epochs(parent.through, epoch):
            found = await self._section(covered)
            if found is None:
                return None
            sections.append(found[0])
            sets[covered] = found[1]
        if not sections or (closing := await self._section(epoch)) is None:
            return None
        posted = view.posting(parent.epoch)
        parent_state = posted.state_digest if posted is not None else ZERO_DIGEST  # before the first root there is none
        deposits = {account: deposit.held for account, deposit in view.deposits.items()}
        return Basis(epoch, parent.root, parent_state, view.rules_digest, tuple(sections), sets, *closing[1:], deposits)

    async def _section(self, epoch: int) -> tuple[ChainSection, Stakes, tuple[Depositor, ...]] | None:
        if epoch not in self._sections:
            end, start = await self._chain.anchor(epoch), await self._chain.anchor(epoch - 1)
            if end is None or start is None:
                return None
            first, last = await self._chain.view(start), await self._chain.view(end)
            section = chain_section(epoch, last, first, self._chain.network.rate, self._chain.network.treasury)
            self._sections[epoch] = section, {one.account: one.stake for one in last.validators()}, depositors_of(last)
            while len(self._sections) > KEPT_SECTIONS:
                del self._sections[next(iter(self._sections))]
        return self._sections[epoch]
