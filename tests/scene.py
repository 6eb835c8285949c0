"""A stage for scenarios on the in-process chain: everyone of `tests.histories.table` with a sender, and time in the test's hands."""

from __future__ import annotations

import pytest

from chain.abi import decode_revert
from chain.backend import Reverted
from chain.client import ChainClient
from chain.contracts import Call
from chain.inprocess import InProcessBackend
from chain.keys import NodeKey
from chain.merkle import MerkleTree
from chain.messages import EpochAttestation
from chain.sender import Sender
from chain.typed import digest_of, sign
from chain.types import ZERO_DIGEST, Address
from chain.view import ChainView
from tests.histories.table import KEYS
from tests.histories.trees import AnyTree


class Scene:
    """The network of `tests.histories.table` and a sender for everyone."""

    def __init__(self, backend: InProcessBackend, chain: ChainClient) -> None:
        self.backend, self.chain = backend, chain
        self._senders = self._fresh()

    def _fresh(self) -> dict[Address, Sender]:
        return {key.address: Sender(self.backend, key, 31337, poll_s=0.01) for key in KEYS.values()}

    async def back_to(self, snapshot: object) -> None:
        """With new senders: the old ones would send again what the chain has forgotten."""
        assert await self.backend.request("evm_revert", [snapshot])
        self._senders = self._fresh()

    async def send(self, key: NodeKey, call: Call) -> None:
        sender = self._senders[key.address]
        await sender.wait(await sender.send(call.to, call.data))

    async def refused(self, key: NodeKey, call: Call) -> str:
        """The name of the error."""
        with pytest.raises(Reverted) as refused:
            await self.send(key, call)
        return decode_revert(refused.value.data).name

    async def view(self) -> ChainView:
        return await self.chain.view(await self.chain.latest())

    async def until(self, second: int) -> None:
        """The newest block is stamped so."""
        await self.backend.request("evm_mine", [{"timestamp": second}])

    async def now(self) -> int:
        return (await self.chain.latest()).timestamp

    async def post(self, epoch: int, tree: AnyTree | MerkleTree, earned: int, spent: int) -> EpochAttestation:
        """Proposes in round 0, signs by all and posts."""
        chain = self.chain
        await self.until(chain.network.timing.intake_end(epoch))
        made = EpochAttestation(
            epoch, epoch, 0, await chain.settlement.active_root(), ZERO_DIGEST, ZERO_DIGEST, tree.root, earned, spent, ZERO_DIGEST,
            await chain.registry.rules_digest(), ZERO_DIGEST,
        )  # fmt: skip
        digest = digest_of(made, chain.network.domain)
        assert await chain.settlement.digest_of(made) == digest
        await self.send(KEYS[await chain.settlement.proposer_of(epoch, 0)], chain.settlement.propose(epoch, 0, digest))
        candidate = await chain.settlement.candidate()
        assert candidate is not None
        assert (candidate.epoch, candidate.round, candidate.digest) == (epoch, 0, digest)
        staked = [KEYS[one] for one, stake in (await chain.registry.validators()).items() if stake]
        await self.send(staked[0], chain.settlement.post(made, [sign(made, chain.network.domain, key).signature for key in staked]))
        assert await chain.settlement.candidate() is None
        return made
