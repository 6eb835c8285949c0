"""EIP-712: types derived from frozen dataclasses, digests, signatures.

The struct name is the class name, the members are the fields in order with camelCase names. A field is an `Address`,
`Digest` (bytes32), `Signature` or `bytes`, `str`, `bool`, an annotated integer of `chain.types`, another such dataclass,
`Signed[...]` of one, or a tuple `tuple[X, ...]` of these. The encoding is eth-account's, computed here ten times quicker; eth-account
itself is asked, and then imported, only for a value that does not fit its type, which it refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Protocol, TypeVar, get_args, get_origin, get_type_hints

from chain.errors import SignatureError
from chain.hashing import keccak
from chain.types import Address, Digest, Signature, SolidityType

if TYPE_CHECKING:
    from chain.keys import NodeKey

DOMAIN_NAME = "DPN"
PROTOCOL_VERSION = "1"
_DOMAIN = {"name": "string", "version": "string", "chainId": "uint256", "verifyingContract": "address"}

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
        "types": {"EIP712Domain": [{"name": name, "type": kind} for name, kind in _DOMAIN.items()], **_types(struct)},
        "primaryType": struct_name(struct),
        "domain": dict(zip(_DOMAIN, (DOMAIN_NAME, PROTOCOL_VERSION, domain.chain_id, domain.settlement), strict=True)),
        "message": _plain(message),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value):
        return {camel(field.name): _plain(getattr(value, field.name)) for field in fields(value)}
    return value


def digest_of(message: Any, domain: Domain, struct: Any = None) -> Digest:
    """The EIP-712 digest of a message: its identity, and what is signed. `struct` is needed for a `Signed` value only."""
    kind: Any = struct or type(message)
    try:
        return _digest(_separator(domain), _writer(kind)(message))
    except _Unfit:
        from eth_account.messages import encode_typed_data

        encoded = encode_typed_data(full_message=typed_data(kind, message, domain))
        return Digest(keccak(b"\x19" + encoded.version + encoded.header + encoded.body))


def digest_under(separator: Digest, message: Any) -> Digest:
    """The digest of another contract's message, by its domain's hash. `ValueError` if a value does not fit its type."""
    kind: Any = type(message)
    try:
        return _digest(separator, _writer(kind)(message))
    except _Unfit:
        raise ValueError(f"{message} does not fit its types") from None


def _digest(separator: bytes, words: bytes) -> Digest:
    return Digest(keccak(b"\x19\x01" + separator + keccak(words)))


@cache
def _separator(domain: Domain) -> bytes:
    """The hash of a domain."""
    return separator(DOMAIN_NAME, PROTOCOL_VERSION, domain.chain_id, domain.settlement)


def separator(name: str, version: str, chain_id: int, contract: Address) -> Digest:
    """The hash of an EIP-712 domain of these four members, which are this project's and the token's."""
    kind = f"EIP712Domain({','.join(f'{solidity} {member}' for member, solidity in _DOMAIN.items())})"
    texts = (keccak(text.encode()) for text in (kind, name, version))
    return Digest(keccak(b"".join((*texts, chain_id.to_bytes(32), bytes(12) + bytes.fromhex(contract[2:])))))


# What a struct hash is over, ten times quicker than by eth-account. A writer gives the bytes that stand for a value, once a type.

Writer = Callable[[Any], bytes]


class _Unfit(Exception):
    """A value is none of its type; eth-account is asked then, which refuses it."""


@cache
def _writer(struct: Any) -> Writer:
    """The type hash and a word for each member."""
    types, name = _types(struct), struct_name(struct)
    texts = {one: f"{one}({','.join(' '.join((member['type'], member['name'])) for member in found)})" for one, found in types.items()}
    type_hash = keccak((texts.pop(name) + "".join(texts[one] for one in sorted(texts))).encode())
    writers = [(one.name, _word_writer(one.python_type, one.solidity_type)) for one in members(struct)]
    return lambda message: type_hash + b"".join([write(getattr(message, name)) for name, write in writers])


def _word_writer(python_type: Any, kind: str) -> Writer:
    """32 bytes for a member."""
    if kind.endswith("[]"):
        return _array_writer(_word_writer(get_args(python_type)[0], kind[:-2]))
    if is_struct(python_type):
        return _struct_writer(get_origin(python_type) or python_type, _writer(python_type))
    if kind.startswith(("uint", "int")):
        return _integer_writer(kind)
    return _plain_writer(kind)


def _array_writer(write: Writer) -> Writer:
    def array(value: Any) -> bytes:
        if not isinstance(value, tuple):
            raise _Unfit
        return keccak(b"".join([write(item) for item in value]))

    return array


def _struct_writer(struct: type, write: Writer) -> Writer:
    def inside(value: Any) -> bytes:
        if not isinstance(value, struct):
            raise _Unfit
        return keccak(write(value))

    return inside


def _integer_writer(kind: str) -> Writer:
    signed = kind.startswith("int")
    bits = int(kind.lstrip("uint"))
    low, high = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)

    def integer(value: Any) -> bytes:
        if type(value) is not int or not low <= value < high:
            raise _Unfit
        return value.to_bytes(32, signed=signed)

    return integer


def _plain_writer(kind: str) -> Writer:
    wanted, write = _PLAIN[kind]

    def plain(value: Any) -> bytes:
        word = write(value) if isinstance(value, wanted) else b""
        if len(word) != 32:
            raise _Unfit
        return word

    return plain


def _address(text: str) -> bytes:
    """Shorter for what is no address."""
    try:
        return bytes(12) + bytes.fromhex(text[2:]) if len(text) == 42 and text.startswith("0x") else b""
    except ValueError:
        return b""


_PLAIN: dict[str, tuple[type, Writer]] = {
    "address": (str, _address),
    "bytes32": (bytes, lambda value: value),
    "string": (str, lambda value: keccak(value.encode())),
    "bytes": (bytes, keccak),
    "bool": (bool, lambda value: value.to_bytes(32)),
}


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
