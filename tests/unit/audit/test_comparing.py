"""What differs is named field by field, with both values."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audit.cli import wanted_epochs
from audit.comparing import manifest_differences, posted_differences, signed_differences, signer_differences
from audit.explaining import ranges
from audit.telling import as_text
from audit.verdicts import MISSING, Audit, Finding, Looked, state_of
from chain.events import LogPosition, Posted
from chain.messages import EpochAttestation
from chain.types import ZERO_ADDRESS, Address, Digest, Wei
from runtime.terminal import UsageError
from validator.manifests import Basis
from wire.agreement import ChainSection, CoveredEpoch, Depositor, ListedNode, RegisteredProvider

A, B, C = (Address("0x" + digit * 40) for digit in "abc")
STAKES = {A: Wei(100), B: Wei(100), C: Wei(100)}


def digest(number: int) -> Digest:
    return Digest(bytes([number]) * 32)


def section(epoch: int) -> ChainSection:
    nodes = (ListedNode(A, "validator", 100), ListedNode(B, "master", 0))
    return ChainSection(epoch, 10 * epoch, digest(epoch), nodes, nodes[:1], (RegisteredProvider(C, ZERO_ADDRESS, 1),), 1_000, 10, C)


BASIS = Basis(3, digest(1), digest(2), digest(3), (section(2), section(3)), {2: STAKES, 3: STAKES}, STAKES, (Depositor(C, 5, 1, 0),), {})
HONEST = BASIS.manifest({2: (), 3: ()})
OWN = EpochAttestation(3, 3, 1, digest(1), digest(2), digest(4), digest(5), 70, 30, digest(6), digest(3), digest(7))
POSTED = Posted(LogPosition(9, 0, digest(8)), 3, 1, digest(5), 3, Wei(70), Wei(30), digest(4), digest(7), 7, 100)


def test_nothing_differs_from_itself() -> None:
    assert list(manifest_differences(HONEST, BASIS)) == []
    assert list(posted_differences(POSTED, OWN)) == []
    assert list(signed_differences(OWN, OWN)) == []
    assert list(signer_differences({A, B}, {A, B}, STAKES)) == []


def test_each_field_of_a_manifest_is_told_by_its_name() -> None:
    other = replace(section(3), funded=999, providers=(), roles=section(3).roles[::-1])
    changed = {
        "its epoch is 4, by the chain 3": replace(HONEST, epoch=4),
        f"its parent root is 0x{'09' * 32}, by the chain 0x{'01' * 32}": replace(HONEST, parent_root=digest(9)),
        f"its rules digest is 0x{'09' * 32}, by the chain 0x{'03' * 32}": replace(HONEST, rules_digest=digest(9)),
        f"1 of its deposits are not the chain's, first that of {C}": replace(HONEST, deposits=(Depositor(C, 6, 1, 0),)),
        "its chain sections are of [2], it covers [2, 3]": replace(HONEST, chain=(section(2),)),
        "it names inventories of [2], it covers [2, 3]": replace(HONEST, covered=(CoveredEpoch(2, ()),)),
    }
    for detail, manifest in changed.items():
        assert [one for one in manifest_differences(manifest, BASIS) if detail in one.detail], detail
    found = [one.detail for one in manifest_differences(replace(HONEST, chain=(section(2), other)), BASIS)]
    assert found == [
        "its roles of epoch 3 are in another order",
        f"its providers of epoch 3 differ from the chain's in {C}",
        "its funded of epoch 3 is 999, by the chain 1000",
    ]


def test_each_field_that_is_posted_has_a_code_of_its_own() -> None:
    lies = {
        "root_differs": replace(POSTED, root=digest(0)),
        "state_differs": replace(POSTED, state_digest=digest(0)),
        "earned_differs": replace(POSTED, total_earned=Wei(71)),
        "spent_differs": replace(POSTED, total_spent=Wei(29)),
        "through_differs": replace(POSTED, through=2),
    }
    for code, posted in lies.items():
        (found,) = posted_differences(posted, OWN)
        assert found.code == code
    assert next(posted_differences(lies["earned_differs"], OWN)).detail == "its total earned (wei) is 71, recomputed 70"


def test_what_was_signed_beside_it_is_compared_too() -> None:
    (found,) = signed_differences(replace(OWN, anchor_block_hash=digest(0), root=digest(0)), OWN)
    assert found == Finding("attestation_differs", f"signed is the anchor block hash 0x{'00' * 32}, recomputed 0x{'06' * 32}")


def test_signers_are_those_of_the_record_and_have_two_thirds_of_the_stake() -> None:
    assert [one.code for one in signer_differences({A, C}, {A, B}, STAKES)] == ["signers_differ"]
    (found,) = signer_differences({A}, {A}, STAKES)
    assert (found.code, found.detail) == ("no_quorum", "its signers have 100 wei of stake of 300, less than two thirds")


def test_what_is_missing_proves_nothing_and_what_differs_does() -> None:
    missing, lie = Finding(MISSING[0], ""), Finding("root_differs", "")
    assert (state_of(()), state_of((missing,)), state_of((missing, lie))) == ("confirmed", "unproven", "differs")


def test_a_peer_s_words_move_no_cursor() -> None:
    finding = Finding("not_served", "\x1b[2J" + "x" * 2_000 + "\nepoch 3: confirmed")
    text = as_text(Audit(3, "unproven", (finding,), Looked(unread="they cannot be read"), POSTED, (2, 3)), None, C)
    assert "\x1b" not in text
    assert len(text.splitlines()) == 5
    assert "covers epochs 2 to 3" in text
    assert "the contract's word was taken: they cannot be read" in text


def test_slots_are_told_as_ranges() -> None:
    assert ranges([]) == ""
    assert ranges([0, 1, 2, 5, 7, 8]) == "0-2, 5, 7-8"


def test_epochs_are_one_several_or_all() -> None:
    assert (wanted_epochs("7"), wanted_epochs("3..9"), wanted_epochs("all")) == ((7, 7), (3, 9), (1, None))
    for text in ("0", "9..3", "..", "1..2..3", "-1", "x", "1..", "9" * 40, "²", "all..3"):
        with pytest.raises(UsageError):
            wanted_epochs(text)
