"""EIP-712: types derived from frozen dataclasses, digests, signatures.

The struct name is the class name, the members are the fields in order with camelCase names. A field is an `Address`,
`Digest` (bytes32), `Signature` or `bytes`, `str`, `bool`, an annotated integer of `chain.types`, another such dataclass,
`Signed[...]` of one, or a tuple `tuple[X, ...]` of these. The encoding is eth-account's, computed here ten times quicker; eth-account
itself is asked, and then imported, only for a value that does not fit its type, which it refuses.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Protocol, TypeVar, get_args, get_origin, get_type_hints

from chain.errors import SignatureError
from chain.types import Address, Digest, Signature, SolidityType

if TYPE_CHECKING:
    from chain.keys import NodeKey

DOMAIN_NAME = "DPN"
PROTOCOL_VERSION = "1"
_DOMAIN_TYPE = [
    {"name": name, "type": kind}
    for name, kind in (("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address"))
]

M = TypeVar("M")
B = TypeVar("B", bound="SignedByField")


@dataclass(frozen=True, slots=True)
class Domain:
    """What a signature is bound to: one chain and one settlement contract of this protocol version."""

    chain_id: int
    settlement: Address

    def __str__(self) -> str:
        return f"{self.chain_id}/{self.settlement}/{PROTOCOL_VERSION}"


@dataclass(frozen=True, slots=True)
class Signed(Generic[M]):
    """A message and the signature of its EIP-712 digest; as a struct it is named `Signed` and the message's name."""

    message: M
    signature: Signature


class SignedByField(Protocol):
    """A message that names its signer in the field `SIGNER`."""

    SIGNER: ClassVar[str]


def camel(name: str) -> str:
    """`parent_state_digest` -> `parentStateDigest`."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


@dataclass(frozen=True, slots=True)
class Member:
    """One field of a struct: Python name, JSON and EIP-712 name, Python type, Solidity type."""

    name: str
    wire_name: str
    python_type: Any
    solidity_type: str


@cache
def members(struct: Any) -> tuple[Member, ...]:
    """The members of a struct class, or of `Signed[Message]`, in order."""
    origin, args = get_origin(struct) or struct, get_args(struct)
    hints = get_type_hints(origin, include_extras=True)
    found = []
    for field in fields(origin):
        python_type = args[0] if origin is Signed and field.name == "message" else hints[field.name]
        found.append(Member(field.name, camel(field.name), python_type, solidity_type(python_type)))
    return tuple(found)


def struct_name(struct: Any) -> str:
    """The EIP-712 name of a struct class."""
    if get_origin(struct) is Signed:
        return "Signed" + struct_name(get_args(struct)[0])
    return str(struct.__name__)


def solidity_type(annotation: Any) -> str:
    """The Solidity type of a field; `TypeError` for what EIP-712 cannot say."""
    if get_origin(annotation) is Annotated:
        marks = [mark for mark in annotation.__metadata__ if isinstance(mark, SolidityType)]
        if marks:
            return marks[0].name
    if get_origin(annotation) is tuple:
        return solidity_type(get_args(annotation)[0]) + "[]"
    if is_struct(annotation):
        return struct_name(annotation)
    plain: dict[Any, str] = {Address: "address", Digest: "bytes32", Signature: "bytes", bytes: "bytes", str: "string", bool: "bool"}
    try:
        return plain[annotation]
    except (KeyError, TypeError):
        raise TypeError(f"{annotation!r} has no Solidity type") from None


def is_struct(annotation: Any) -> bool:
    """Whether an annotation is a dataclass or `Signed[...]` of one."""
    return is_dataclass(get_origin(annotation) or annotation)


@cache
def _types(struct: Any) -> dict[str, list[dict[str, str]]]:
    """Every struct type reachable from `struct`, in the form of `eth_signTypedData`."""
    found: dict[str, list[dict[str, str]]] = {}

    def visit(annotation: Any) -> None:
        if get_origin(annotation) is tuple:
            visit(get_args(annotation)[0])
        elif is_struct(annotation) and struct_name(annotation) not in found:
            found[struct_name(annotation)] = [{"name": m.wire_name, "type": m.solidity_type} for m in members(annotation)]
            for member in members(annotation):
                visit(member.python_type)

    visit(struct)
    return found


def typed_data(struct: Any, message: Any, domain: Domain) -> dict[str, Any]:
    """The full `eth_signTypedData_v4` object, as a wallet takes it."""
    return {
        "types": {"EIP712Domain": _DOMAIN_TYPE, **_types(struct)},
        "primaryType": struct_name(struct),
        "domain": _domain(domain),
        "message": _plain(message),
    }


def _domain(domain: Domain) -> dict[str, Any]:
    return {
        "name": DOMAIN_NAME,
        "version": PROTOCOL_VERSION,
        "chainId": domain.chain_id,
        "verifyingContract": domain.settlement,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value):
        return {camel(field.name): _plain(getattr(value, field.name)) for field in fields(value)}
    return value


def digest_of(message: Any, domain: Domain, struct: Any = None) -> Digest:
    """The EIP-712 digest of a message: its identity, and what is signed. `struct` is needed for a `Signed` value only."""
    words = _words(struct or type(message), message)
    if words is not None:
        return _digest(_separator(domain), words)
    from eth_account.messages import encode_typed_data
    from eth_utils.crypto import keccak

    encoded = encode_typed_data(full_message=typed_data(struct or type(message), message, domain))
    return Digest(keccak(b"\x19" + encoded.version + encoded.header + encoded.body))


def digest_under(separator: Digest, message: Any) -> Digest:
    """The digest of another contract's message, by its domain's hash. `ValueError` if a value does not fit its type."""
    words = _words(type(message), message)
    if words is None:
        raise ValueError(f"{message} does not fit its types")
    return _digest(separator, words)


def _digest(separator: bytes, words: bytes) -> Digest:
    from eth_utils.crypto import keccak

    return Digest(keccak(b"\x19\x01" + separator + keccak(words)))


@cache
def _separator(domain: Domain) -> bytes:
    """The hash of a domain."""
    return separator(DOMAIN_NAME, PROTOCOL_VERSION, domain.chain_id, domain.settlement)


def separator(name: str, version: str, chain_id: int, contract: Address) -> Digest:
    """The hash of an EIP-712 domain of these four members, which are this project's and the token's."""
    from eth_utils.crypto import keccak

    kind = f"EIP712Domain({','.join(' '.join((member['type'], member['name'])) for member in _DOMAIN_TYPE)})"
    words = (keccak(text=kind), keccak(text=name), keccak(text=version), chain_id.to_bytes(32), bytes(12) + bytes.fromhex(contract[2:]))
    return Digest(keccak(b"".join(words)))


@cache
def _form(struct: Any) -> tuple[bytes, tuple[tuple[str, Any, str], ...]]:
    """The type hash and the members (name, Python type, Solidity type) of a struct."""
    from eth_utils.crypto import keccak

    types, name = _types(struct), struct_name(struct)
    texts = {one: f"{one}({','.join(' '.join((member['type'], member['name'])) for member in found)})" for one, found in types.items()}
    text = texts.pop(name) + "".join(texts[one] for one in sorted(texts))
    return keccak(text=text), tuple((one.name, one.python_type, one.solidity_type) for one in members(struct))


def _words(struct: Any, message: Any) -> bytes | None:
    """What the struct hash of a message is over: ten times quicker than eth-account, which refuses what does not fit its type; None for
    that."""
    type_hash, found = _form(struct)
    words = [type_hash]
    for name, python_type, kind in found:
        word = _word(python_type, kind, getattr(message, name))
        if word is None or len(word) != 32:
            return None
        words.append(word)
    return b"".join(words)


def _word(python_type: Any, kind: str, value: Any) -> bytes | None:
    """The 32 bytes that stand for a member; None if the value is none of this type."""
    from eth_utils.crypto import keccak

    if kind.endswith("[]"):
        inner = get_args(python_type)[0]
        words = [_word(inner, kind[:-2], item) for item in value] if isinstance(value, tuple) else [None]
        whole = [word for word in words if word is not None and len(word) == 32]
        return keccak(b"".join(whole)) if len(whole) == len(words) else None
    if is_struct(python_type):
        inside = _words(python_type, value) if isinstance(value, get_origin(python_type) or python_type) else None
        return keccak(inside) if inside is not None else None
    if kind == "address" and isinstance(value, str) and len(value) == 42 and value.startswith("0x"):
        try:
            return bytes(12) + bytes.fromhex(value[2:])
        except ValueError:
            return None
    if kind == "bytes32" and isinstance(value, bytes):
        return value
    if kind == "string" and isinstance(value, str):
        return keccak(text=value)
    if kind == "bytes" and isinstance(value, bytes):
        return keccak(value)
    if kind == "bool":
        return value.to_bytes(32) if isinstance(value, bool) else None
    if type(value) is not int:
        return None
    if kind.startswith("uint"):
        return value.to_bytes(32) if 0 <= value < 1 << int(kind[4:]) else None
    half = 1 << int(kind[3:]) - 1 if kind.startswith("int") else 0
    return value.to_bytes(32, signed=True) if -half <= value < half else None


def sign(message: M, domain: Domain, key: NodeKey) -> Signed[M]:
    """The message with the key's signature of its digest."""
    return Signed(message, key.sign(digest_of(message, domain)))


def signer_of(signed: Signed[Any], domain: Domain) -> Address:
    """Who signed; `SignatureError` (`bad_signature`) for malformed or malleable signatures."""
    from chain.keys import recover

    return recover(digest_of(signed.message, domain), signed.signature)


def verify(signed: Signed[B], domain: Domain) -> B:
    """The message, once its signature is seen to be by the account it names as its signer.

    Raises `SignatureError`: `bad_signature` (malformed, malleable) or `wrong_signer` (another key, chain or contract).
    """
    message = signed.message
    claimed: Address = getattr(message, message.SIGNER)
    actual = signer_of(signed, domain)
    if claimed != actual:
        raise SignatureError("wrong_signer", f"signed by {actual}, while its {message.SIGNER} is {claimed}", message.SIGNER)
    return message
