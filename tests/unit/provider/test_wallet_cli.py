"""Keystore commands of the wallet: no key is ever replaced, every failure is a sentence with its exit code."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from eth_account import Account
from typer.testing import CliRunner

from chain.types import ZERO_ADDRESS, Address
from cli.app import app
from provider.referrals import Referrals, Shared
from provider.wallet_cli import referrals_shown
from wire.tiers import NO_TIER, Tier

RUNNER = CliRunner()


def dpn(*arguments: str | Path, phrase: str | None = "correct horse") -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    environment = {"DPN_PASSPHRASE": phrase}
    found = RUNNER.invoke(app, [str(argument) for argument in arguments], env=environment)
    return found.exit_code, found.stdout, found.stderr


@pytest.fixture(scope="module")
def keystore(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("wallet") / "keys" / "node.json"
    assert dpn("wallet", "create", "--keystore", file)[0] == 0
    return file


def test_a_new_keystore_is_readable_by_others_software_and_by_its_owner_only(keystore: Path) -> None:
    secret = Account.decrypt(keystore.read_text(), "correct horse")
    assert dpn("wallet", "address", "--keystore", keystore)[1].strip() == Account.from_key(secret).address.lower()
    assert stat.S_IMODE(keystore.stat().st_mode) == 0o600


def test_no_command_replaces_a_key(keystore: Path) -> None:
    before = keystore.read_bytes()
    for arguments in (["create"], ["import", "--from", keystore], ["export", "--to", keystore]):
        code, _, said = dpn("wallet", *arguments, "--keystore", keystore)
        assert code == 2
        assert "already" in said
        assert keystore.read_bytes() == before


def test_export_and_import_carry_the_same_account(keystore: Path, tmp_path: Path) -> None:
    phrase = tmp_path / "phrase"
    phrase.write_text("another phrase\n")
    copy, back = tmp_path / "copy.json", tmp_path / "back.json"
    assert dpn("wallet", "export", "--keystore", keystore, "--to", copy, "--new-passphrase-file", phrase)[0] == 0
    assert dpn("wallet", "import", "--from", copy, "--from-passphrase-file", phrase, "--keystore", back)[0] == 0
    addresses = {json.loads(file.read_text())["address"] for file in (keystore, copy, back)}
    assert len(addresses) == 1
    assert Account.decrypt(copy.read_text(), "another phrase") == Account.decrypt(back.read_text(), "correct horse")


def test_a_raw_key_is_read_from_a_file_and_never_shown(tmp_path: Path) -> None:
    secret = "0x" + "11" * 32
    source, file = tmp_path / "raw", tmp_path / "node.json"
    source.write_text(secret + "\n")
    code, said, erred = dpn("wallet", "import", "--from", source, "--keystore", file)
    assert code == 0
    assert "11" * 32 not in said + erred
    assert json.loads(file.read_text())["address"] == Account.from_key(secret).address.lower()[2:]


def test_what_is_no_key_is_refused_and_nothing_written(tmp_path: Path) -> None:
    source, file = tmp_path / "raw", tmp_path / "node.json"
    for content in ("", "zz" * 32, "11" * 31, "00" * 32, "{}", '{"version":3}'):
        source.write_text(content)
        code, _, said = dpn("wallet", "import", "--from", source, "--keystore", file)
        assert code == 2, content
        assert said.strip()
        assert not file.exists()


def test_data_is_printed_as_json_when_asked_to(keystore: Path, tmp_path: Path) -> None:
    account = dpn("wallet", "address", "--keystore", keystore)[1].strip()
    assert json.loads(dpn("wallet", "address", "--keystore", keystore, "--json")[1]) == {"address": account}
    copied = dpn("wallet", "export", "--keystore", keystore, "--to", tmp_path / "copy.json", "--json")
    assert json.loads(copied[1])["address"] == account


def test_a_wrong_pass_phrase_says_so(keystore: Path, tmp_path: Path) -> None:
    code, _, said = dpn("wallet", "export", "--keystore", keystore, "--to", tmp_path / "x.json", phrase="wrong")
    assert code == 2
    assert "pass phrase" in said
    assert not (tmp_path / "x.json").exists()


def test_without_a_pass_phrase_and_a_terminal_the_command_says_what_to_set(tmp_path: Path) -> None:
    code, _, said = dpn("wallet", "create", "--keystore", tmp_path / "node.json", phrase=None)
    assert code == 2
    assert "DPN_PASSPHRASE" in said


def test_a_missing_setting_is_named(keystore: Path) -> None:
    code, _, said = dpn("wallet", "balance", "--keystore", keystore)
    assert code == 2
    assert "settlement" in said
    assert "rpc_urls" in said


@pytest.mark.usefixtures("socket_enabled")
def test_an_unreachable_chain_has_its_own_exit_code(keystore: Path) -> None:
    code, _, said = dpn("wallet", "balance", "--keystore", keystore, "--rpc", "http://127.0.0.1:9", "--settlement", "0x" + "11" * 20)
    assert code == 3
    assert "127.0.0.1:9" in said


@pytest.mark.parametrize("wrong", ["0x11", "0x" + "zz" * 20, "11" * 20, "0xAbcdefabcdefabcdefabcdefabcdefabcdefabcd"])
def test_a_wrong_address_is_refused_before_anything_is_asked_of_the_chain(keystore: Path, wrong: str) -> None:
    code, _, said = dpn(
        "wallet", "balance", "--account", wrong, "--keystore", keystore, "--rpc", "http://127.0.0.1:9", "--settlement", wrong
    )
    assert code == 2
    assert wrong in said


ME, OTHER, THIRD = (Address("0x" + digit * 40) for digit in "abc")
VIP, ELITE = Tier("VIP", 20_000, 50_000), Tier("Elite", 150_000, 70_000)


def test_referrals_say_what_came_of_whom_and_what_is_missing_to_the_next_tier() -> None:
    shared = {OTHER: Shared(30, 100), THIRD: Shared(0, 7), ME: Shared(2, 3)}
    found = Referrals(ME, True, THIRD, 20_000_123, VIP, ELITE, (3, 4), {OTHER: True, THIRD: False}, shared, "")
    assert referrals_shown(found) == {
        "account": ME,
        "registered": True,
        "referred_by": THIRD,
        "points": "20000.123",
        "tier": "VIP",
        "share_percent": "5",
        "next_tier": "Elite, 7 % from 150000 points on",
        "points_missing": "129999.877",
        "epochs": "3 to 4",
        "came_wei": "30",
        "came_ever_wei": "107",
        "went_to_referrer_wei": "2",
        "went_to_referrer_ever_wei": "3",
        "referred": [
            {"provider": OTHER, "registered": True, "came_wei": "30", "came_ever_wei": "100"},
            {"provider": THIRD, "registered": False, "came_wei": "0", "came_ever_wei": "7"},
        ],
    }


def test_referrals_whose_amounts_are_not_known_say_why_instead_of_nothing() -> None:
    found = Referrals(ME, True, ZERO_ADDRESS, 0, NO_TIER, VIP, (3, 4), {OTHER: True}, {}, "No validator serves it.")
    shown = referrals_shown(found)
    assert shown["note"] == "No validator serves it."
    assert shown["referred"] == [{"provider": OTHER, "registered": True}]
    assert not [name for name in shown if name.endswith("_wei") or name == "epochs"]
    assert (shown["referred_by"], shown["tier"], shown["share_percent"]) == ("nobody", "none", "0")


def test_who_left_the_registry_is_told_that_nothing_comes_any_more() -> None:
    shown = referrals_shown(Referrals(ME, False, ZERO_ADDRESS, 0, NO_TIER, None, (1, 1), {OTHER: True}, {}, ""))
    assert "dpn provider register" in str(shown["note"])
    assert (shown["next_tier"], shown["points_missing"]) == ("none above", "0.000")
