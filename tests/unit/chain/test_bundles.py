"""Bundle files: what they leave out stays, and what they cannot say is refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from chain.bundles import load_draft, signers_of, stake_of
from chain.canonical import encode
from chain.keys import NodeKey
from chain.parameters import ParameterError
from chain.rules import Rules
from chain.typed import Domain, sign
from chain.types import ZERO_ADDRESS, ZERO_DIGEST, Address, Wei
from chain.view import BlockStamp, ChainView, Listing

ONE, TWO = NodeKey(b"\x01" * 32), NodeKey(b"\x02" * 32)
DOMAIN = Domain(31337, Address("0x" + "5e" * 20))
VIEW = ChainView(
    BlockStamp(9, ZERO_DIGEST, 1_000),
    listings=(Listing(ONE.address, "validator", "a:1", Wei(9), Wei(5)), Listing(TWO.address, "validator", "b:1", Wei(9), Wei(4))),
    rules=encode(Rules()),
    min_total=Wei(11),
    provider_bond=Wei(3),
    bundle_nonce=4,
)
DEADLINE = "deadline = 2100-01-01T00:00:00Z\n"


def written(folder: Path, text: str) -> Path:
    file = folder / "bundle.toml"
    file.write_text(text)
    return file


def test_what_a_file_leaves_out_stays(tmp_path: Path) -> None:
    draft = load_draft(written(tmp_path, DEADLINE), VIEW)
    assert (draft.changes.min_total, draft.changes.provider_bond, draft.changes.rules) == (11, 3, b"")
    assert (draft.changes.delisted, draft.changes.listed, draft.changes.replace_guardian) == ((), (), False)
    assert (draft.bundle.nonce, draft.bundle.deadline, draft.bundle.changes) == (4, 4_102_444_800, draft.changes.digest())


def test_rules_are_given_whole_with_what_differs(tmp_path: Path) -> None:
    changed = load_draft(written(tmp_path, DEADLINE + "[rules]\nmax_rtt_us = 7"), VIEW).changes
    assert changed.rules == encode(Rules(max_rtt_us=7))
    same = load_draft(written(tmp_path, DEADLINE + "[rules]\nmax_rtt_us = 500_000"), VIEW).changes
    assert same.rules == b""
    tiers = load_draft(written(tmp_path, DEADLINE + "[rules]\ntier_points = [1, 2, 3, 4, 5]"), VIEW).changes
    assert tiers.rules == encode(Rules(tier_points=(1, 2, 3, 4, 5)))


def test_a_guardian_may_be_nobody(tmp_path: Path) -> None:
    changes = load_draft(written(tmp_path, DEADLINE + f'guardian = "{ZERO_ADDRESS}"'), VIEW).changes
    assert (changes.replace_guardian, changes.guardian) == (True, ZERO_ADDRESS)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("provider_bond = 1", "needs a deadline with its time zone"),
        ("deadline = 2100-01-01T00:00:00", "needs a deadline with its time zone"),
        ("deadline = ", "is not TOML"),
        (DEADLINE + "colour = 1", "a bundle has no colour"),
        (DEADLINE + "min_total = -1.5", "min_total is an integer"),
        (DEADLINE + "[rules]\ncolour = 1", "does not parse"),
        (DEADLINE + "[rules]\nheartbeat_s = 0", "heartbeat_s makes no sense"),
        (DEADLINE + "[rules]\ntier_points = [2, 1, 3, 4, 5]", "tier_points makes no sense"),
        (DEADLINE + "[rules]\ntier_points = 5", "does not parse"),
        (DEADLINE + '[rules]\ntier_points = ["a"]', "makes no sense"),
        (DEADLINE + '[rules]\ntier_share_ppm = ["a", "b", "c", "d", "e"]', "does not parse"),
        (DEADLINE + 'delisted = ["me"]', "does not parse"),
        (DEADLINE + 'listings = [{account = "0x"}]', "does not parse"),
        (DEADLINE + "listings = 5", "does not parse"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ParameterError, match=why):
        load_draft(written(tmp_path, text), VIEW)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="cannot be read"):
        load_draft(tmp_path / "none.toml", VIEW)


def test_signers_ascend_count_once_and_have_signed_this_bundle(tmp_path: Path) -> None:
    draft = load_draft(written(tmp_path, DEADLINE), VIEW)
    signed = [sign(draft.bundle, DOMAIN, key) for key in (TWO, ONE, TWO)]
    found = signers_of(draft, signed, DOMAIN)
    assert list(found) == sorted((ONE.address, TWO.address))
    assert stake_of((*found, *found), VIEW) == (9, 9)
    assert stake_of((TWO.address, NodeKey(b"\x03" * 32).address), VIEW) == (4, 9)
    other = load_draft(written(tmp_path, DEADLINE + "provider_bond = 8"), VIEW)
    with pytest.raises(ParameterError, match="has signed another bundle"):
        signers_of(other, signed, DOMAIN)
