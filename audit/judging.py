"""One posted root: every byte behind it from whoever serves it, verified, and the own recomputation beside what stands on chain."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from audit.comparing import manifest_differences, posted_differences, signed_differences, signer_differences
from audit.refusing import refused_proofs
from audit.sources import Metered
from audit.verdicts import Finding, Looked, Recomputed, printable
from chain.canonical import decode
from chain.client import ChainClient
from chain.contracts import RootRecord
from chain.errors import CodecError
from chain.events import Posted
from chain.merkle import MerkleTree
from chain.messages import EpochAttestation
from chain.rules import Rules
from chain.typed import Signed
from chain.types import ZERO_DIGEST, Address, Digest, to_hex
from chain.view import ChainView, Listing
from runtime.clock import SystemClock
from validator.archive import Archive
from validator.epoch import attestation_of, recompute
from validator.errors import ManifestError, Wrong
from validator.evidence import Evidence
from validator.journal import Journal
from validator.manifests import Basis, check_inventories
from validator.peers import Asks, Peers
from validator.postings import signed_in_post
from validator.session_evidence import signed_parts
from validator.state import State, decode_state, encode_state, genesis_state, leaves_of
from validator.verdict import transaction_data
from validator.verification import ListedRoles
from wire.agreement import Manifest
from wire.files import file_digest
from wire.messages import ActivityProof

TIMEOUT_S = 10.0
"""Of one request."""
MOST_REASONS = 1_000
"""Different ones that are remembered."""
REASONS = 3
"""Reasons why bytes were not served that are repeated, the most frequent ones."""


@dataclass(frozen=True, slots=True)
class Carried:
    """The outcome of the audits before. state: the own state of the root that comes before, None if it could not be made; digest: its
    file's, zero before the first root."""

    state: State | None
    digest: Digest = ZERO_DIGEST


@dataclass(slots=True)
class Case:
    """One posting and what has been found out about it."""

    posted: Posted
    view: ChainView
    basis: Basis
    rules: Rules
    parent: RootRecord
    findings: list[Finding] = field(default_factory=list)
    looked: Looked = field(default_factory=Looked)
    recomputed: Recomputed | None = None
    signed: Mapping[Address, Signed[EpochAttestation]] = field(default_factory=dict)


class Judging:
    """Judges the roots of one deployment over an archive that this process alone has filled."""

    def __init__(self, chain: ChainClient, archive: Archive, journal: Journal, client: Asks) -> None:
        self._chain, self._archive, self._network = chain, archive, chain.network
        self._client = Metered(client)
        self._failed: Counter[str] = Counter()
        self._peers = Peers(self._client, archive, journal, chain.network.domain, SystemClock(), TIMEOUT_S, self._note)

    async def judge(self, case: Case, carried: Carried | None, sources: Sequence[Listing]) -> None:
        """Writes into the case what it finds, and what it has looked at. Raises what the chain's node fails in."""
        before = self._client.received
        await self._judge(case, carried, sources)
        case.looked = replace(case.looked, received=self._client.received - before)

    async def _judge(self, case: Case, carried: Carried | None, sources: Sequence[Listing]) -> None:
        await self._check_signatures(case)
        manifest = await self._manifest(case, sources)
        if manifest is None:
            return
        case.findings += manifest_differences(manifest, case.basis)
        complete = await self._check_evidence(case, manifest, sources)
        parent = await self._parent(case, carried, sources)
        if not complete or parent is None:
            return
        own = case.basis.manifest({covered.epoch: covered.inventories for covered in manifest.covered})
        evidence = await asyncio.to_thread(self._evidence(case).of, own)
        try:
            outcome = await asyncio.to_thread(recompute, parent, own, evidence, self._network.timing, case.rules)
        except ManifestError as error:
            case.findings.append(Finding("recomputation", str(error)))
            return
        state_digest = await asyncio.to_thread(lambda: file_digest(encode_state(outcome.state)))
        case.recomputed = Recomputed(parent, own, evidence, self._network.timing, case.rules, outcome, state_digest)
        proofs = [signed for signed_ in evidence.values() for signed in signed_]
        signatures = case.looked.signatures + sum(map(_signatures, proofs))
        case.looked = replace(case.looked, proofs=len(proofs), signatures=signatures)
        attestation = attestation_of(own, case.posted.manifest_digest, outcome, state_digest, case.posted.round)
        case.findings += posted_differences(case.posted, attestation)
        if case.signed:
            case.findings += signed_differences(next(iter(case.signed.values())).message, attestation)

    async def _check_signatures(self, case: Case) -> None:
        """The posting's: from its transaction; if they cannot be read there, whom the contract's event says that it required."""
        recorded = set(case.view.signers[case.posted.epoch])
        data = await transaction_data(self._chain, case.posted.at.transaction)
        calls = signed_in_post(data, case.posted, self._network.domain)
        case.signed = said = next((signed for signed in calls if set(signed) == recorded), {})  # the one that the contract took
        unread = "" if said else f"they cannot be read from the transaction {to_hex(case.posted.at.transaction)}"
        case.looked = replace(
            case.looked, signers=tuple(sorted(recorded)), validators=len(case.basis.stakes), signatures=len(said), unread=unread
        )
        case.findings += signer_differences(set(said) if said else recorded, recorded, case.basis.stakes)

    async def _manifest(self, case: Case, sources: Sequence[Listing]) -> Manifest | None:
        data = await self._file(case, case.posted.manifest_digest, "the manifest", "manifest_malformed", sources)
        if data is None:
            return None
        try:
            return decode(Manifest, data)
        except CodecError as error:
            case.findings.append(Finding("manifest_malformed", str(error)))
            return None

    async def _check_evidence(self, case: Case, manifest: Manifest, sources: Sequence[Listing]) -> bool:
        """Whether every inventory is in order, with every byte behind it here and verified."""
        sections = {section.epoch: section for section in case.basis.sections}
        if [one.epoch for one in manifest.covered] != sorted(sections):
            return False
        evidence, complete = self._evidence(case), True
        refused: dict[Digest, str] = {}
        for covered in manifest.covered:
            try:
                check_inventories(covered, case.basis.sets[covered.epoch], self._network.domain)
            except Wrong as wrong:
                case.findings.append(Finding("inventory", str(wrong)))
                complete = False
                continue
            count = len(covered.inventories)
            looked = case.looked
            case.looked = replace(looked, inventories=looked.inventories + count, signatures=looked.signatures + count)
            roles = ListedRoles.of(sections[covered.epoch].roles)
            for signed in covered.inventories:
                self._failed.clear()
                its_own_first = sorted(sources, key=lambda peer: peer.account != signed.message.validator)
                try:
                    whole = await evidence.gather(signed, sections[covered.epoch], its_own_first)
                except Wrong as wrong:
                    case.findings.append(Finding("index", str(wrong)))
                    complete = False
                else:
                    if not whole:
                        wrong_proofs = await refused_proofs(self._network, case.rules, self._archive, self._client, signed, roles, sources)
                        refused.update(wrong_proofs)
                        if not wrong_proofs:
                            what = f"what the inventory of {signed.message.validator} for epoch {covered.epoch} names"
                            case.findings.append(self._missing(what))
                        complete = False
        case.findings += [Finding("proof", f"the proof {to_hex(one)}, which is counted, is refused: {why}") for one, why in refused.items()]
        return complete

    async def _parent(self, case: Case, carried: Carried | None, sources: Sequence[Listing]) -> State | None:
        """The state to build on: the own one if there is one and it is what the chain names, else the one that was signed."""
        if not any(case.basis.parent_root):
            return genesis_state()
        digest = case.basis.parent_state_digest
        if carried is not None and carried.state is not None:
            if carried.digest == digest:
                return carried.state
            found = (
                f"what came out of the epochs before is not the state of the root of epoch {case.parent.epoch}, on which this one is built"
            )
            case.findings.append(Finding("parent_differs", found))
        elif carried is not None:
            case.findings.append(Finding("parent_not_audited", f"the root of epoch {case.parent.epoch} could not be recomputed"))
        data = await self._file(case, digest, f"the state of epoch {case.parent.epoch}", "parent_state", sources)
        if data is None:
            return None
        try:
            state = await asyncio.to_thread(decode_state, data)
        except CodecError as error:
            case.findings.append(Finding("parent_state", f"the state of epoch {case.parent.epoch} is none: {error}"))
            return None
        tree = await asyncio.to_thread(lambda: MerkleTree(leaves_of(state, self._network.treasury)))
        if tree.root != case.parent.root:
            makes = f"the state of epoch {case.parent.epoch} makes the root {to_hex(tree.root)}, on chain is {to_hex(case.parent.root)}"
            case.findings.append(Finding("parent_state", makes))
        return state

    async def _file(self, case: Case, digest: Digest, what: str, code: str, sources: Sequence[Listing]) -> bytes | None:
        self._failed.clear()
        try:
            data = await self._peers.file(digest, sources)
        except Wrong as wrong:
            case.findings.append(Finding(code, f"{what}: {wrong}"))
            return None
        if data is None:
            case.findings.append(self._missing(f"{what} ({to_hex(digest)})"))
        return data

    def _evidence(self, case: Case) -> Evidence:
        return Evidence(self._archive, self._peers, self._network.domain, self._network.timing, case.rules)

    def _note(self, peer: Listing, what: str) -> None:
        reason = printable(what if peer.endpoint in what else f"{peer.endpoint}: {what}")
        if reason in self._failed or len(self._failed) < MOST_REASONS:
            self._failed[reason] += 1

    def _missing(self, what: str) -> Finding:
        reasons = [f"{reason} ({count} times)" if count > 1 else reason for reason, count in self._failed.most_common(REASONS)]
        return Finding("not_served", f"nobody serves {what} whole: {'; '.join(reasons) or 'nobody was asked'}")


def _signatures(signed: Signed[ActivityProof]) -> int:
    proof = signed.message
    return 1 + len(proof.tickets) + len(proof.reports) + sum(len(signed_parts(session)) for session in proof.sessions)
