"""Canonical JSON: one value, one sequence of bytes.

Objects with sorted keys and no white space, UTF-8 without escapes where none are needed, no floats, no null, no unknown, missing or
duplicate keys; bytes, addresses and digests as lower-case `0x` hexadecimal; integers above 2^53 - 1 as decimal strings.
What does not re-encode to the same bytes is refused, so "as received" and "canonical" are the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, cast, get_args, get_origin

from chain.errors import CodecError
from chain.nesting import too_deep
from chain.typed import camel, is_struct, members
from chain.types import Address, Digest, Signature

T = TypeVar("T")

LARGEST_NUMBER = 2**53 - 1
MAX_DEPTH = 16


def encode(value: Any) -> bytes:
    """The canonical bytes of a dataclass, or of plain dictionaries, tuples, strings, bytes, integers and booleans."""
    return json.dumps(_to_json(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _to_json(value: Any) -> Any:
    kind: Any = type(value)
    if kind is str or kind is bool:
        return value
    if kind is int:
        return value if -LARGEST_NUMBER <= value <= LARGEST_NUMBER else str(value)
    if kind is bytes:
        return "0x" + value.hex()
    if kind is tuple or kind is list:
        return [_to_json(item) for item in value]
    if kind is dict:
        return {key: _to_json(item) for key, item in value.items()}
    if (names := _names(kind)) is not None:
        return {wire_name: _to_json(getattr(value, name)) for name, wire_name in names}
    raise TypeError(f"{kind.__name__} has no canonical form")


@cache
def _names(kind: Any) -> tuple[tuple[str, str], ...] | None:
    """The fields of a dataclass, as they are called here and there; None for any other type."""
    return tuple((field.name, camel(field.name)) for field in fields(kind)) if is_dataclass(kind) else None


def decode(struct: type[T], data: bytes) -> T:
    """The value of type `struct` (a dataclass, or `Signed[Message]`) that `data` is the canonical form of.

    Raises `CodecError`: `malformed_json`, `wrong_type`, `missing_field`, `unknown_field`, `out_of_range` or `not_canonical`.
    """
    try:
        # What encodes to these bytes is what they say, whatever else `parse` looks for.
        found = None if too_deep(data, MAX_DEPTH) else build(struct, json.loads(data.decode()))  # of bytes the encoding would be guessed
        if found is not None and encode(found) == data:
            return cast(T, found)
    except (ValueError, RecursionError, CodecError):
        pass
    value = build(struct, parse(data))
    if encode(value) != data:
        raise CodecError("not_canonical", "the same value has other canonical bytes: sort keys, leave out white space, use lower-case hex")
    return cast(T, value)


def parse(data: bytes) -> Any:
    """JSON without floats, duplicate keys, deep nesting or lone surrogates; `CodecError` (`malformed_json`) otherwise."""

    def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise CodecError("malformed_json", "a key stands twice in one object")
        return found

    def no_float(text: str) -> Any:
        raise CodecError("malformed_json", f"{text[:20]} is not an integer")

    try:
        if too_deep(data, MAX_DEPTH):
            raise CodecError("malformed_json", f"nested deeper than {MAX_DEPTH}")
        text = data.decode("utf-8", "strict")
        parsed = json.loads(text, object_pairs_hook=no_duplicates, parse_float=no_float, parse_constant=no_float)
        json.dumps(parsed, ensure_ascii=False).encode()  # a lone surrogate has no UTF-8
    except (ValueError, RecursionError) as error:
        raise CodecError("malformed_json", "the body is not JSON in UTF-8") from error
    return parsed


def build(annotation: Any, value: Any) -> Any:
    """`value` (parsed JSON) as `annotation` says, ranges checked; `CodecError` with the path otherwise."""
    return _reader(annotation)(value)


Reader = Callable[[Any], Any]


@cache
def _reader(annotation: Any) -> Reader:
    """Makes values of a type out of parsed JSON; what it raises says where, from there on down."""
    if get_origin(annotation) is tuple:
        return _tuple_reader(_reader(get_args(annotation)[0]))
    if is_struct(annotation):
        wanted = {member.wire_name: (member.name, _reader(member.python_type)) for member in members(annotation)}
        return _struct_reader(get_origin(annotation) or annotation, wanted)
    if annotation is bool or annotation is str:
        return _plain_reader(annotation)
    if annotation in _HEX_LENGTHS:
        return _bytes_reader(_HEX_LENGTHS[annotation], as_text=annotation is Address)
    return _integer_reader(next(mark.name for mark in annotation.__metadata__))


_HEX_LENGTHS: dict[Any, int | None] = {Address: 20, Digest: 32, Signature: 65, bytes: None}


def _tuple_reader(read: Reader) -> Reader:
    def several(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise CodecError("wrong_type", f"a list is expected, {_kind(value)} found")
        found: list[Any] = []
        try:
            for item in value:
                found.append(read(item))  # noqa: PERF401 - its length says where it ended
        except CodecError as error:
            raise error.under(f"[{len(found)}]") from error
        return tuple(found)

    return several


def _struct_reader(struct: Any, wanted: dict[str, tuple[str, Reader]]) -> Reader:
    def one(value: Any) -> Any:
        if not isinstance(value, dict):
            raise CodecError("wrong_type", f"an object is expected, {_kind(value)} found")
        if value.keys() != wanted.keys():
            for name in value.keys() - wanted.keys():
                raise CodecError("unknown_field", f"{name[:40]!r} is not a field here")
            for name in wanted.keys() - value.keys():
                raise CodecError("missing_field", f"{name!r} is missing")
        parts = {}
        for wire_name, (name, read) in wanted.items():
            try:
                parts[name] = read(value[wire_name])
            except CodecError as error:
                raise error.under(wire_name) from error
        try:
            return struct(**parts)
        except ValueError as error:
            raise CodecError("out_of_range", str(error)) from error

    return one


def _plain_reader(kind: type) -> Reader:
    def plain(value: Any) -> Any:
        if type(value) is not kind:
            raise CodecError("wrong_type", f"a {kind.__name__} is expected, {_kind(value)} found")
        return value

    return plain


def _bytes_reader(length: int | None, *, as_text: bool) -> Reader:
    def digits(value: Any) -> Any:
        if not isinstance(value, str) or not value.startswith("0x"):
            raise CodecError("wrong_type", f"0x and hexadecimal digits are expected, {_kind(value)} found")
        found = value[2:]
        if len(found) % 2 or found.strip("0123456789abcdef"):
            raise CodecError("wrong_type", "pairs of lower-case hexadecimal digits are expected after 0x")
        if length is not None and len(found) != 2 * length:
            raise CodecError("wrong_type", f"{length} bytes are expected, {len(found) // 2} found")
        return value if as_text else bytes.fromhex(found)

    return digits


def _integer_reader(name: str) -> Reader:
    signed, bits = name.startswith("int"), int(name.lstrip("uint"))
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)

    def integer(value: Any) -> int:
        if type(value) is int:
            number = value
        elif isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 78:
            number = int(value)
        else:
            raise CodecError("wrong_type", f"an integer is expected, {_kind(value)} found")
        if not low <= number <= high:
            raise CodecError("out_of_range", f"{str(number)[:40]} does not fit {name}")
        return number

    return integer


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "a string", bool: "a boolean", int: "an integer"}.get(type(value), "null")
