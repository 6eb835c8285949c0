"""The cipher of V3 keystores (Web3 Secret Storage): the key derivation, AES-128-CTR, and the checksum that tells a wrong pass phrase.

eth-keyfile does the same, and takes most of a second to import for the keystores of another curve.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any, cast
from uuid import uuid4

from Crypto.Cipher import AES
from Crypto.Protocol.KDF import scrypt
from Crypto.Util import Counter

from chain.hashing import keccak

LENGTH, R, P = 32, 8, 1
"""Bytes derived, and scrypt's other parameters, as geth has them."""


class ChecksumDiffers(Exception):
    """The pass phrase is another one, or the file was altered."""


def seal(secret: bytes, passphrase: bytes, scrypt_n: int) -> dict[str, Any]:
    """The keystore of 32 secret bytes, without an address."""
    salt, iv = secrets.token_bytes(16), secrets.token_bytes(16)
    parameters = {"dklen": LENGTH, "n": scrypt_n, "r": R, "p": P, "salt": salt.hex()}
    derived = _derived("scrypt", parameters, passphrase)
    ciphertext = _aes_ctr(derived, iv, secret)
    crypto = {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": iv.hex()},
        "ciphertext": ciphertext.hex(),
        "kdf": "scrypt",
        "kdfparams": parameters,
        "mac": _checksum(derived, ciphertext).hex(),
    }
    return {"crypto": crypto, "id": str(uuid4()), "version": 3}


def unseal(crypto: Mapping[str, Any], passphrase: bytes) -> bytes:
    """The bytes inside a keystore's `crypto` section, whose cost the caller has looked at.

    Raises `ChecksumDiffers`; `KeyError`, `TypeError`, `AttributeError`, `ArithmeticError` or `ValueError` for a section that is none.
    """
    derived = _derived(crypto["kdf"], crypto["kdfparams"], passphrase)
    ciphertext = _bytes_of(crypto["ciphertext"])
    if not hmac.compare_digest(_checksum(derived, ciphertext), _bytes_of(crypto["mac"])):
        raise ChecksumDiffers
    return _aes_ctr(derived, _bytes_of(crypto["cipherparams"]["iv"]), ciphertext)


def _derived(kdf: object, parameters: Mapping[str, Any], passphrase: bytes) -> bytes:
    salt, length = _bytes_of(parameters["salt"]), parameters["dklen"]
    if kdf == "scrypt":
        # latin-1 because pycryptodome takes texts. OpenSSL's scrypt refuses parameters that other wallets' files have.
        text, grain = passphrase.decode("latin-1"), salt.decode("latin-1")
        return cast(bytes, scrypt(text, grain, length, N=parameters["n"], r=parameters["r"], p=parameters["p"]))
    function, _, hashed_by = parameters["prf"].partition("-") if kdf == "pbkdf2" else ("", "", "")
    if function != "hmac":
        raise ValueError("unknown key derivation")
    return hashlib.pbkdf2_hmac(hashed_by, passphrase, salt, parameters["c"], length)


def _checksum(derived: bytes, ciphertext: bytes) -> bytes:
    return bytes(keccak(derived[16:32] + ciphertext))


def _aes_ctr(derived: bytes, iv: bytes, content: bytes) -> bytes:
    """Both ways."""
    counter = Counter.new(128, initial_value=int.from_bytes(iv), allow_wraparound=True)
    return AES.new(derived[:16], AES.MODE_CTR, counter=counter).encrypt(content)


def _bytes_of(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
