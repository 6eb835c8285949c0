"""The validator's HTTP interface; the table is in section 6 of the protocol. Everything served is signed or named by its digest."""

from __future__ import annotations

from typing import TypeVar

from aiohttp import web

from chain.events import Posted
from chain.merkle import MerkleTree
from chain.messages import EpochAttestation
from chain.typed import Signed, signer_of
from chain.types import Digest, to_hex
from validator.agreement import open_epoch
from validator.archive import Archive, Packed
from validator.closing import Closing
from validator.demands import Demands
from validator.intake import Intake
from validator.investigation import answerable
from validator.journal import KEPT_EPOCHS, Journal
from validator.report import Report, conviction
from validator.sight import Sight
from validator.state import decode_state, leaves_of
from validator.watcher import Watcher
from wire import paths
from wire.agreement import LeafPath
from wire.http import MAX_BODY, answer, application, body_of, packed_answer, read
from wire.node import Node, status
from wire.refusals import Refused
from wire.sessions import DemandClaim

T = TypeVar("T")


class Api:
    """Serves one validator."""

    def __init__(
        self, node: Node, archive: Archive, journal: Journal, intake: Intake, demands: Demands, closing: Closing, watcher: Watcher
    ) -> None:
        self._node, self._archive, self._journal, self._intake, self._closing = node, archive, journal, intake, closing
        self._demands, self._watcher = demands, watcher
        self._report = Report(node.address, node.chain, archive, journal, closing)
        self._tree: tuple[Digest, MerkleTree] | None = None

    def application(self) -> web.Application:
        # Larger than a proof may be, so that one that is too large is told so.
        max_body = max(MAX_BODY, 2 * self._node.network.rules.proof_max_bytes)
        app = application(self._node.domain, self._node.address, self._node.clock, max_body)
        app.add_routes(
            [
                web.get("/v1/status", self._status),
                web.post("/v1/proofs", self._post_proof),
                web.get("/v1/proofs/{digest}", self._proof),
                web.post("/v1/demands", self._post_demand),
                web.get("/v1/budgets/{consumer}", self._budget),
                web.get("/v1/inventories/{epoch}", self._inventory),
                web.get("/v1/blobs/{digest}", self._blob),
                web.get("/v1/candidates/{epoch}/{round}", self._candidate),
                web.get("/v1/attestations/{epoch}/{round}", self._attestations),
                web.post("/v1/attestations", self._post_attestation),
                web.get("/v1/manifests/{epoch}", self._manifest),
                web.get("/v1/states/{epoch}", self._state),
                web.get("/v1/leaves/{address}", self._leaf),
            ]
        )
        return app

    async def _status(self, _: web.Request) -> web.Response:
        proofs = {"accepted": self._intake.accepted, "refused": self._intake.refused}
        watch = {"proven": self._watcher.proven, "withheld": self._watcher.withheld}
        told = {"stake": self._report.stake(), "conviction": conviction(self._watcher.verdict), "watch": watch}
        demands = {"covered": self._demands.covered, "refused": self._demands.refused}
        told["archive"] = {"prunedThrough": self._archive.pruned_through()}
        return status(self._node, proofs=proofs, demands=demands, epochs=await self._report.epochs(), **told)

    async def _post_proof(self, request: web.Request) -> web.Response:
        return answer(await self._intake.accept(await body_of(request)))

    async def _proof(self, request: web.Request) -> web.Response:
        digest = paths.digest(request.match_info["digest"])
        return self._packed(request, digest, self._archive.packed_proof(digest), "application/json")

    async def _post_demand(self, request: web.Request) -> web.Response:
        return answer(await self._demands.cover(await read(request, DemandClaim)))

    async def _budget(self, request: web.Request) -> web.Response:
        return answer(await self._demands.budget(paths.address(request.match_info["consumer"])))

    async def _inventory(self, request: web.Request) -> web.Response:
        epoch = paths.number(request.match_info["epoch"])
        inventory = self._archive.inventory(epoch, self._node.address)
        closes = self._node.network.timing.intake_end(epoch)
        if inventory is None and closes > self._node.clock.now():
            raise Refused("not_yet", "", {"closes": str(closes)}, closes)
        return answer(_found(inventory))

    async def _blob(self, request: web.Request) -> web.Response:
        digest = paths.digest(request.match_info["digest"])
        return self._packed(request, digest, self._archive.packed_blob(digest), "application/octet-stream")

    def _packed(self, request: web.Request, digest: Digest, found: Packed | None, content_type: str) -> web.Response:
        if found is None and self._archive.pruned(digest):
            raise self._pruned()
        packed = _found(found)
        return packed_answer(request, packed.frame, packed.size, content_type)

    def _pruned(self) -> Refused:
        return Refused("pruned", "", {"prunedThrough": str(self._archive.pruned_through())})

    async def _candidate(self, request: web.Request) -> web.Response:
        epoch, round_ = paths.number(request.match_info["epoch"]), paths.number(request.match_info["round"])
        return answer(self._unpruned(epoch, self._journal.candidate(epoch, round_)))

    async def _attestations(self, request: web.Request) -> web.Response:
        epoch, round_ = paths.number(request.match_info["epoch"]), paths.number(request.match_info["round"])
        held = self._journal.attestations_of(epoch, round_)
        return answer(held or self._unpruned(epoch, held))

    def _unpruned(self, epoch: int, found: T | None) -> T:
        """What is found, if it is known that there was no more of it."""
        if not found and epoch <= self._archive.pruned_through():
            raise self._pruned()
        return _found(found)

    async def _post_attestation(self, request: web.Request) -> web.Response:
        signed: Signed[EpochAttestation] = await read(request, Signed[EpochAttestation])
        message, sight = signed.message, self._sight()
        if message.round > self._last_round(message.epoch, sight.latest.timestamp):
            raise Refused("unknown_candidate", "this epoch or round is not open here", next_try=int(self._node.clock.now()) + 1)
        signer = signer_of(signed, self._node.domain)
        if signer not in answerable(sight.view) and signer not in [listing.account for listing in sight.view.validators()]:
            raise Refused("not_listed", f"{signer} is no validator with stake", {"signer": signer})
        self._journal.keep_evidence(signer, signed)
        return answer({"signer": signer})

    def _last_round(self, epoch: int, second: int) -> int:
        """The last round of an epoch for which an attestation is taken now; -1 for none."""
        timing = self._node.network.timing
        ended = timing.epoch_at(second) - 1
        if epoch == open_epoch(timing, second):
            # A peer that has seen a newer block may be a round or a second ahead.
            return (timing.round_at(epoch, second) or 0) + 1
        is_over = max(0, ended - KEPT_EPOCHS) < epoch <= ended and second > timing.post_end(epoch)
        return (timing.post_window - timing.intake) // timing.round_length if is_over else -1

    async def _manifest(self, request: web.Request) -> web.Response:
        epoch = paths.number(request.match_info["epoch"])
        return answer({"epoch": epoch, "digest": self._posting(epoch).manifest_digest})

    async def _state(self, request: web.Request) -> web.Response:
        epoch = paths.number(request.match_info["epoch"])
        return answer({"epoch": epoch, "digest": self._posting(epoch).state_digest})

    def _posting(self, epoch: int) -> Posted:
        """The epoch's posted root, cancelled or not: its files are what an auditor of a fraud asks for."""
        return _found(self._sight().view.posting(epoch))

    async def _leaf(self, request: web.Request) -> web.Response:
        account = paths.address(request.match_info["address"])
        block = await self._node.chain.latest()
        record = await self._node.chain.settlement.active_record(block)
        if not any(record.root):
            raise Refused("not_yet", "no root is active yet", next_try=int(self._node.clock.now()) + self._node.network.timing.epoch_length)
        tree = self._tree_of(record.root, _found((await self._node.chain.view(block)).posting(record.epoch)).state_digest)
        leaf = _found(tree.leaf(account))
        path = tree.path(account)
        return answer(LeafPath(record.epoch, record.root, account, leaf.earned, leaf.spent, leaf.points, leaf.reputation, path))

    def _tree_of(self, root: Digest, state_digest: Digest) -> MerkleTree:
        """The tree of the active root, from its state; `not_yet` while this validator has not fetched it."""
        if self._tree is None or self._tree[0] != root:
            data = self._archive.file(state_digest)
            if data is None:
                raise Refused("not_yet", "the state of the active root is not here yet", next_try=int(self._node.clock.now()) + 5)
            tree = MerkleTree(leaves_of(decode_state(data), self._node.network.treasury))
            if tree.root != root:
                raise Refused("internal", f"the state's tree has the root {to_hex(tree.root)}, on chain is {to_hex(root)}")
            self._tree = root, tree
        return self._tree[1]

    def _sight(self) -> Sight:
        if self._closing.sight is None:
            raise Refused("chain_unavailable", next_try=int(self._node.clock.now()) + 1)
        return self._closing.sight


def _found(value: T | None) -> T:
    if value is None:
        raise Refused("not_found")
    return value
