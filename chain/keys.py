"""Node keys: signing, recovering a signer, and keystore files as geth writes and reads them (Web3 Secret Storage, V3).

    KeyFileError (ChainError)
    ├── NotAKeystore      the file is not such a keystore, or contradicts itself
    ├── WrongPassphrase   it is one, and the pass phrase does not open it
    └── KeyExists         nothing was written, since a file for the account is already there

Loads neither eth_account nor eth_keyfile: reading an address from a file is quick.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import coincurve

from chain.errors import ChainError, SignatureError
from chain.hashing import keccak
from chain.nesting import too_deep
from chain.types import Address, Digest, Signature, to_hex

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SCRYPT_STANDARD = 2**18
"""geth's own cost: 256 MiB and about a second. What a wallet should have."""
SCRYPT_LIGHT = 2**12
"""4 MiB, a few milliseconds: for keys of test networks only."""
MAX_KEYSTORE_BYTES = 64 * 1024
MAX_SCRYPT_WORK = 2**23
"""n * r * p, four times geth's: seconds of work, and 128 n r bytes of memory, so 1 GiB at most."""
MAX_SCRYPT_R = MAX_SCRYPT_P = 64
MAX_PBKDF2_ROUNDS = 10_000_000


class KeyFileError(ChainError):
    """Something about a keystore file; see the subclasses."""


class NotAKeystore(KeyFileError):
    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"this is not a V3 keystore: {reason}")


class WrongPassphrase(KeyFileError):
    def __init__(self) -> None:
        super().__init__("the pass phrase does not open this keystore; try again, capitals and spaces count")


class KeyExists(KeyFileError):
    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"there is already a keystore at {path}; nothing was written, and it was not touched")


class NodeKey:
    """A secp256k1 key that signs for one account. Neither its `repr` nor any error shows the secret."""

    __slots__ = ("_key", "address")

    def __init__(self, secret: bytes) -> None:
        """`secret` is 32 bytes, a number from 1 to the curve's order - 1; `ValueError` otherwise, without showing it."""
        if len(secret) != 32 or not 0 < int.from_bytes(secret) < CURVE_ORDER:
            raise ValueError("a private key is 32 bytes, not zero and below the order of secp256k1")
        self._key = coincurve.PrivateKey(secret)
        self.address = _address_of(self._key.public_key)
        """The account, `0x` and lower-case hex."""

    @classmethod
    def create(cls) -> NodeKey:
        """A new one from the system's randomness."""
        while True:
            secret = secrets.token_bytes(32)
            if 0 < int.from_bytes(secret) < CURVE_ORDER:
                return cls(secret)

    def sign(self, digest: bytes) -> Signature:
        """65 bytes r, s, v over a 32-byte digest: s in the lower half, v 27 or 28, deterministic (RFC 6979)."""
        if len(digest) != 32:
            raise ValueError(f"a digest is 32 bytes, not {len(digest)}")
        signed = self._key.sign_recoverable(digest, hasher=None)
        return Signature(signed[:64] + bytes([27 + signed[64]]))

    def secret(self) -> bytes:
        """The 32 secret bytes, for encrypting them or handing them to a signer; never for a log or a message."""
        return self._key.secret

    def __repr__(self) -> str:
        return f"NodeKey({self.address})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NodeKey) and other.address == self.address

    def __hash__(self) -> int:
        return hash(self.address)

    def __reduce__(self) -> str:
        raise TypeError("a key is not pickled; write a keystore")


def recover(digest: Digest | bytes, signature: Signature | bytes) -> Address:
    """The account whose key made this signature of the digest.

    Raises `SignatureError` (`bad_signature`) unless it is 65 bytes with s in the lower half and v 27 or 28: each
    message then has one signature per nonce, and nobody can turn it into a second one.
    """
    if len(digest) != 32:
        raise SignatureError("bad_signature", f"a digest is 32 bytes, not {len(digest)}")
    if len(signature) != 65:
        raise SignatureError("bad_signature", f"a signature is 65 bytes, not {len(signature)}")
    if signature[64] not in (27, 28):
        raise SignatureError("bad_signature", f"v is 27 or 28, not {signature[64]}")
    if int.from_bytes(signature[32:64]) > CURVE_ORDER // 2:
        raise SignatureError("bad_signature", "s lies in the upper half of the order")
    recoverable = signature[:64] + bytes([signature[64] - 27])
    try:
        return _address_of(coincurve.PublicKey.from_signature_and_message(recoverable, digest, hasher=None))
    except ValueError as error:
        raise SignatureError("bad_signature", "r and s are not those of a signature") from error


def encrypt(key: NodeKey, passphrase: str, *, scrypt_n: int = SCRYPT_STANDARD) -> bytes:
    """The bytes of a keystore that `passphrase` opens. Takes as long as `scrypt_n` makes it."""
    from chain.keystore import seal

    return json.dumps({"address": key.address[2:], **seal(key.secret(), passphrase.encode(), scrypt_n)}).encode()


def decrypt(keystore: bytes, passphrase: str) -> NodeKey:
    """The key inside a keystore, by scrypt or PBKDF2, of this or any other tool. Raises `NotAKeystore`, `WrongPassphrase`."""
    from chain.keystore import ChecksumDiffers, unseal

    parsed = _parse(keystore)
    crypto = _affordable(parsed)
    try:
        secret = unseal(crypto, passphrase.encode())
    except ChecksumDiffers:
        raise WrongPassphrase from None
    except (KeyError, TypeError, AttributeError, ArithmeticError) as error:
        raise NotAKeystore(f"its crypto section is incomplete ({type(error).__name__})") from None
    except ValueError:
        raise NotAKeystore("its crypto section has values that cannot be used") from None
    try:
        key = NodeKey(secret)
    except ValueError:
        raise NotAKeystore("what it holds is not a private key") from None
    named = _address_in(parsed)
    if named is not None and named != key.address:
        raise NotAKeystore(f"it names the account {named} and holds the key of {key.address}")
    return key


def save(directory: Path, key: NodeKey, passphrase: str, *, now: datetime | None = None, scrypt_n: int = SCRYPT_STANDARD) -> Path:
    """Write a keystore into a directory under geth's name for it; returns its path.

    `KeyExists` if the directory holds one for the account already. `now` is what the name tells of its creation.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for address, path in listing(directory):
        if address == key.address:
            raise KeyExists(path)
    path = directory / file_name(key.address, now or datetime.now(UTC))
    write_new(path, encrypt(key, passphrase, scrypt_n=scrypt_n))
    return path


def load(path: Path, passphrase: str) -> NodeKey:
    """The key in a keystore file. Raises `NotAKeystore`, `WrongPassphrase`, or `OSError` if it cannot be read."""
    return decrypt(_read(path), passphrase)


def address_in(path: Path) -> Address:
    """The account a keystore file is for, from its address field; nothing is decrypted. `NotAKeystore` if there is none."""
    address = _address_in(_parse(_read(path)))
    if address is None:
        raise NotAKeystore("it does not name its account; open it with its pass phrase instead")
    return address


def listing(directory: Path) -> list[tuple[Address, Path]]:
    """Accounts and files of the keystores in a directory, by name, so geth's oldest first; other files are passed over."""
    found: list[tuple[Address, Path]] = []
    for path in sorted(directory.iterdir()) if directory.is_dir() else []:
        if path.name.startswith(".") or not path.is_file():
            continue
        try:
            found.append((address_in(path), path))
        except NotAKeystore:
            continue
    return found


def file_name(address: Address, when: datetime) -> str:
    """geth's: `UTC--2025-01-31T23-59-59.123456000Z--` and the address without `0x`."""
    return f"UTC--{when.astimezone(UTC):%Y-%m-%dT%H-%M-%S.%f}000Z--{address[2:]}"


def write_new(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, wholly or not at all, surviving a crash; `KeyExists` if one is there."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)  # unlike a rename, refuses to replace
        except FileExistsError:
            raise KeyExists(path) from None
    finally:
        temporary.unlink()
    parent = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(MAX_KEYSTORE_BYTES + 1)
    if len(content) > MAX_KEYSTORE_BYTES:
        raise NotAKeystore(f"it is longer than {MAX_KEYSTORE_BYTES} bytes")
    return content


def _parse(keystore: bytes) -> Mapping[str, object]:
    if too_deep(keystore):
        raise NotAKeystore("it nests too deeply")
    try:
        parsed: object = json.loads(keystore)
    except ValueError:
        raise NotAKeystore("it is not JSON") from None
    if not isinstance(parsed, dict):
        raise NotAKeystore("it is not a JSON object")
    lower: dict[str, object] = _lower(parsed)
    if lower.get("version") != 3:
        raise NotAKeystore(f"its version is {lower.get('version')!r:.40}, not 3")
    if not isinstance(lower.get("crypto"), dict):
        raise NotAKeystore("it has no crypto section")
    return lower


def _lower(value: Any) -> Any:
    """The same with the names of members in lower case, at every depth: some tools write capitals."""
    return {key.lower(): _lower(inner) for key, inner in value.items()} if isinstance(value, dict) else value


def _affordable(keystore: Mapping[str, object]) -> dict[str, object]:
    """The crypto section. A file may ask for any amount of memory and time; more than any wallet's is refused."""
    crypto = keystore["crypto"]
    parameters = crypto.get("kdfparams") if isinstance(crypto, dict) else None
    if not isinstance(crypto, dict) or not isinstance(parameters, dict):
        raise NotAKeystore("it has no parameters for its key derivation")
    n, r, p, c = (parameters.get(name, 1) for name in ("n", "r", "p", "c"))
    if not all(isinstance(value, int) and value > 0 for value in (n, r, p, c, parameters.get("dklen", 32))):
        raise NotAKeystore("the parameters of its key derivation are not positive numbers")
    if n * r * p > MAX_SCRYPT_WORK or r > MAX_SCRYPT_R or p > MAX_SCRYPT_P or c > MAX_PBKDF2_ROUNDS or parameters.get("dklen", 32) != 32:
        raise NotAKeystore("the parameters of its key derivation are beyond what any wallet uses")
    return crypto


def _address_in(keystore: Mapping[str, object]) -> Address | None:
    named = keystore.get("address")
    if named is None:
        return None
    digits = named.lower().removeprefix("0x") if isinstance(named, str) else ""
    if len(digits) != 40 or any(digit not in "0123456789abcdef" for digit in digits):
        raise NotAKeystore("its address is not one")
    return Address("0x" + digits)


def _address_of(key: coincurve.PublicKey) -> Address:
    return Address(to_hex(keccak(key.format(compressed=False)[1:])[12:]))
