"""What differs between what was signed and posted and the own recomputation, told field by field. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from audit.verdicts import Finding
from chain.events import Posted
from chain.messages import EpochAttestation
from chain.types import Address, to_hex
from validator.agreement import Stakes, is_quorum
from validator.manifests import Basis
from wire.agreement import ChainSection, Manifest


def manifest_differences(manifest: Manifest, basis: Basis) -> Iterator[Finding]:
    """Where a manifest is not what its epoch has to build on."""
    own = basis.manifest({section.epoch: () for section in basis.sections})
    for name in ("epoch", "through", "parent_root", "parent_state_digest", "rules_digest"):
        said, is_ = getattr(manifest, name), getattr(own, name)
        if said != is_:
            yield Finding("manifest_differs", f"its {_words(name)} is {_shown(said)}, by the chain {_shown(is_)}")
    if manifest.deposits != own.deposits:
        odd = sorted({one.account for one in set(manifest.deposits) ^ set(own.deposits)})
        about = f", first that of {odd[0]}" if odd else ": they are in another order"
        yield Finding("manifest_differs", f"{len(odd)} of its deposits are not the chain's{about}")
    if [one.epoch for one in manifest.chain] != [one.epoch for one in own.chain]:
        yield Finding("manifest_differs", f"its chain sections are of {_epochs(manifest)}, it covers {_epochs(own)}")
    else:
        for section, real in zip(manifest.chain, own.chain, strict=True):
            yield from _section_differences(section, real)
    if [one.epoch for one in manifest.covered] != [one.epoch for one in own.covered]:
        named = [one.epoch for one in manifest.covered]
        yield Finding("manifest_differs", f"it names inventories of {named}, it covers {_epochs(own)}")


def posted_differences(posted: Posted, own: EpochAttestation) -> Iterator[Finding]:
    """Where what stands on chain is not the own outcome."""
    pairs = (
        ("root_differs", "root", posted.root, own.root),
        ("state_differs", "state digest", posted.state_digest, own.state_digest),
        ("earned_differs", "total earned (wei)", posted.total_earned, own.total_earned),
        ("spent_differs", "total spent (wei)", posted.total_spent, own.total_spent),
        ("through_differs", "last covered epoch", posted.through, own.through),
    )
    for code, name, said, is_ in pairs:
        if said != is_:
            yield Finding(code, f"its {name} is {_shown(said)}, recomputed {_shown(is_)}")


def signed_differences(said: EpochAttestation, own: EpochAttestation) -> Iterator[Finding]:
    """Where the struct that the posting's signatures are under is not the own one; what `Posted` repeats is told of already."""
    for field in fields(EpochAttestation):
        if field.name in ("root", "state_digest", "total_earned", "total_spent", "through"):
            continue
        one, other = getattr(said, field.name), getattr(own, field.name)
        if one != other:
            yield Finding("attestation_differs", f"signed is the {_words(field.name)} {_shown(one)}, recomputed {_shown(other)}")


def signer_differences(signers: set[Address], recorded: set[Address], stakes: Stakes) -> Iterator[Finding]:
    """signers: whose signatures verify; recorded: whom the contract's event names."""
    if signers != recorded:
        odd = ", ".join(sorted(signers ^ recorded))
        yield Finding("signers_differ", f"the transaction's signatures and the contract's record differ in {odd}")
    if not is_quorum(signers, stakes):
        held = sum(stakes.get(one, 0) for one in signers)
        yield Finding("no_quorum", f"its signers have {held} wei of stake of {sum(stakes.values())}, less than two thirds")


def _section_differences(section: ChainSection, real: ChainSection) -> Iterator[Finding]:
    for field in fields(ChainSection):
        said, is_ = getattr(section, field.name), getattr(real, field.name)
        if said == is_:
            continue
        if isinstance(said, tuple):
            odd = sorted({str(getattr(one, "account", getattr(one, "provider", ""))) for one in set(said) ^ set(is_)})
            detail = f"differ from the chain's in {', '.join(odd[:3])}" if odd else "are in another order"
            yield Finding("manifest_differs", f"its {_words(field.name)} of epoch {real.epoch} {detail}")
        else:
            yield Finding(
                "manifest_differs", f"its {_words(field.name)} of epoch {real.epoch} is {_shown(said)}, by the chain {_shown(is_)}"
            )


def _epochs(manifest: Manifest) -> list[int]:
    return [one.epoch for one in manifest.chain]


def _words(name: str) -> str:
    return name.replace("_", " ")


def _shown(value: object) -> str:
    return to_hex(value) if isinstance(value, bytes) else str(value)
