"""Keystores against published vectors, signatures against eth-account's, and everything a file can do wrong."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from chain.errors import SignatureError
from chain.keys import (
    CURVE_ORDER,
    SCRYPT_LIGHT,
    KeyExists,
    NodeKey,
    NotAKeystore,
    WrongPassphrase,
    address_in,
    decrypt,
    encrypt,
    file_name,
    listing,
    load,
    recover,
    save,
    write_new,
)
from chain.types import Address

KEY = NodeKey(bytes.fromhex("7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d"))
NOW = datetime(2025, 1, 31, 23, 59, 59, 123456, tzinfo=UTC)
# The two vectors of the Web3 Secret Storage definition; both open with "testpassword" and hold KEY.
PBKDF2: dict[str, Any] = {
    "crypto": {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
        "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
        "kdf": "pbkdf2",
        "kdfparams": {
            "c": 262144,
            "dklen": 32,
            "prf": "hmac-sha256",
            "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd",
        },
        "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
    },
    "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
    "version": 3,
}
SCRYPT: dict[str, Any] = {
    "crypto": {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": "83dbcc02d8ccb40e466191a123791e0e"},
        "ciphertext": "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c",
        "kdf": "scrypt",
        "kdfparams": {
            "dklen": 32,
            "n": 262144,
            "r": 1,
            "p": 8,
            "salt": "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19",
        },
        "mac": "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097",
    },
    "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
    "version": 3,
}


@pytest.mark.parametrize("vector", [PBKDF2, SCRYPT])
def test_opens_the_published_vectors(vector: dict[str, Any]) -> None:
    key = decrypt(json.dumps(vector).encode(), "testpassword")
    assert key.secret() == KEY.secret()
    assert key.address == "0x008aeeda4d805471df9b2a5b0f38a0c3bcba786b"
    # Some tools write capitals for the names of members.
    shouted = {"Crypto": vector["crypto"], "Version": 3, "address": KEY.address[2:].upper()}
    assert decrypt(json.dumps(shouted).encode(), "testpassword") == KEY


def test_a_saved_key_is_found_named_and_opened(tmp_path: Path) -> None:
    path = save(tmp_path / "keystore", KEY, "open sesame", now=NOW, scrypt_n=SCRYPT_LIGHT)
    assert path.name == "UTC--2025-01-31T23-59-59.123456000Z--008aeeda4d805471df9b2a5b0f38a0c3bcba786b"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == [path.name], "no temporary file is left"
    assert address_in(path) == KEY.address
    assert load(path, "open sesame").secret() == KEY.secret()
    stored = json.loads(path.read_bytes())
    assert stored["version"] == 3
    assert stored["crypto"]["kdf"] == "scrypt"
    assert stored["address"] == KEY.address[2:]
    assert KEY.secret().hex() not in path.read_text()


def test_a_second_file_for_an_account_is_refused_and_the_first_untouched(tmp_path: Path) -> None:
    path = save(tmp_path, KEY, "one", now=NOW, scrypt_n=SCRYPT_LIGHT)
    before = path.read_bytes()
    with pytest.raises(KeyExists) as refusal:
        save(tmp_path, KEY, "two", scrypt_n=SCRYPT_LIGHT)
    assert refusal.value.path == path
    with pytest.raises(KeyExists):
        write_new(path, b"other")
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_lists_keystores_and_passes_over_other_files(tmp_path: Path) -> None:
    other = NodeKey(b"\x02" * 32)
    later = save(tmp_path, other, "x", now=NOW.replace(year=2026), scrypt_n=SCRYPT_LIGHT)
    first = save(tmp_path, KEY, "x", now=NOW, scrypt_n=SCRYPT_LIGHT)
    (tmp_path / "README").write_text("not a key")
    (tmp_path / "subdirectory").mkdir()
    assert listing(tmp_path) == [(KEY.address, first), (other.address, later)]
    assert listing(tmp_path / "missing") == []


def test_wrong_pass_phrases_are_told_from_wrong_files(tmp_path: Path) -> None:
    content = encrypt(KEY, "right", scrypt_n=SCRYPT_LIGHT)
    for wrong in ("", "Right", "right ", "ріght"):
        with pytest.raises(WrongPassphrase):
            decrypt(content, wrong)
    assert decrypt(content, "right") == KEY


def broken() -> list[bytes]:
    def changed(**members: object) -> bytes:
        return json.dumps({**SCRYPT, **members}).encode()

    def crypto(**members: object) -> bytes:
        return changed(crypto={**SCRYPT["crypto"], **members})

    def parameters(**members: object) -> bytes:
        return crypto(kdfparams={**SCRYPT["crypto"]["kdfparams"], "n": 2, **members})

    return [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 60_000,
        b" " * 70_000,
        changed(version=4),
        changed(version="3"),
        changed(crypto=None),
        changed(crypto={}),
        changed(crypto=[]),
        changed(address=17),
        changed(address="0x12"),
        crypto(kdf="argon2"),
        crypto(kdfparams=None),
        crypto(ciphertext="zz"),
        crypto(mac=5),
        crypto(cipherparams={}),
        parameters(n=2**40),
        parameters(r=2**20),
        parameters(p=10**6),
        parameters(c=10**12),
        parameters(n=-2),
        parameters(n="2"),
        parameters(dklen=2**31),
        parameters(salt="not hex"),
    ]


@pytest.mark.parametrize("content", broken(), ids=range(len(broken())))
def test_what_is_no_keystore_is_refused_as_such(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises((NotAKeystore, WrongPassphrase)) as refusal:
        load(path, "testpassword")
    assert refusal.type is NotAKeystore or b'"n": 2,' in content, "only an intact but altered file may blame the phrase"


def test_a_file_that_names_another_account_is_refused() -> None:
    stored = json.loads(encrypt(KEY, "x", scrypt_n=SCRYPT_LIGHT))
    stored["address"] = "11" * 20
    with pytest.raises(NotAKeystore, match="0x1111"):
        decrypt(json.dumps(stored).encode(), "x")


def test_an_address_that_is_not_in_the_file_is_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(json.dumps(SCRYPT))
    with pytest.raises(NotAKeystore, match="does not name its account"):
        address_in(path)


def test_signatures_are_those_of_other_tools_and_recover_to_the_signer() -> None:
    for number in range(40):
        digest = bytes([number]) * 32
        signature = KEY.sign(digest)
        assert signature == bytes(Account.unsafe_sign_hash(digest, KEY.secret()).signature)
        assert recover(digest, signature) == KEY.address
        assert recover(bytes([number + 1]) * 32, signature) != KEY.address


def test_malleable_and_malformed_signatures_are_refused() -> None:
    digest = b"\x07" * 32
    good = KEY.sign(digest)
    r, s, v = good[:32], int.from_bytes(good[32:64]), good[64]
    twin = r + (CURVE_ORDER - s).to_bytes(32) + bytes([55 - v])
    assert Account._recover_hash(digest, signature=twin).lower() == KEY.address, "the twin is one others would accept"
    bad = [
        twin,
        good[:64],
        good + b"\x00",
        b"",
        *(good[:64] + bytes([other]) for other in (0, 1, 26, 29, 255)),
        bytes(32) + good[32:],
        r + bytes(32) + bytes([v]),
        b"\xff" * 32 + good[32:],
        CURVE_ORDER.to_bytes(32) + good[32:],
    ]
    for signature in bad:
        with pytest.raises(SignatureError) as refusal:
            recover(digest, signature)
        assert refusal.value.code == "bad_signature"
    with pytest.raises(SignatureError):
        recover(digest[:31], good)


def test_a_key_does_not_give_itself_away() -> None:
    secret = KEY.secret().hex()
    assert secret not in repr(KEY) + str(KEY) + f"{KEY!r}"
    assert KEY.address in repr(KEY)
    with pytest.raises(TypeError):
        pickle.dumps(KEY)
    for wrong in (b"", bytes(32), CURVE_ORDER.to_bytes(32), KEY.secret() + b"\x00"):
        with pytest.raises(ValueError, match="a private key is 32 bytes") as refusal:
            NodeKey(wrong)
        assert wrong.hex() not in str(refusal.value) or not wrong


def test_new_keys_differ() -> None:
    assert len({NodeKey.create().address for _ in range(20)}) == 20
    assert NodeKey(KEY.secret()) == KEY
    assert hash(NodeKey(KEY.secret())) == hash(KEY)
    assert NodeKey(b"\x02" * 32) != KEY


def test_file_names_are_in_universal_time() -> None:
    assert file_name(Address("0x" + "ab" * 20), NOW.replace(microsecond=7)).startswith("UTC--2025-01-31T23-59-59.000007000Z--abab")
