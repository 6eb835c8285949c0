"""Canonical JSON: one value, one sequence of bytes.

Objects with sorted keys and no white space, UTF-8 without escapes where none are needed, no floats, no null, no unknown, missing or
duplicate keys; bytes, addresses and digests as lower-case `0x` hexadecimal; integers above 2^53 - 1 as decimal strings.
What does not re-encode to the same bytes is refused, so "as received" and "canonical" are the same bytes.
"""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
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
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if abs(value) <= LARGEST_NUMBER else str(value)
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, tuple | list):
        return [_to_json(item) for item in value]
    if isinstance(value, dict):
        return {key: _to_json(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {camel(field.name): _to_json(getattr(value, field.name)) for field in fields(value)}
    raise TypeError(f"{type(value).__name__} has no canonical form")


def decode(struct: type[T], data: bytes) -> T:
    """The value of type `struct` (a dataclass, or `Signed[Message]`) that `data` is the canonical form of.

    Raises `CodecError`: `malformed_json`, `wrong_type`, `missing_field`, `unknown_field`, `out_of_range` or `not_canonical`.
    """
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


def build(annotation: Any, value: Any, path: str = "") -> Any:
    """`value` (parsed JSON) as `annotation` says, ranges checked; `CodecError` with the path otherwise."""
    if get_origin(annotation) is tuple:
        if not isinstance(value, list):
            raise CodecError("wrong_type", f"a list is expected, {_kind(value)} found", path)
        return tuple(build(get_args(annotation)[0], item, f"{path}[{i}]") for i, item in enumerate(value))
    if is_struct(annotation):
        return _build_struct(annotation, value, path)
    if annotation is bool or annotation is str:
        if type(value) is not annotation:
            raise CodecError("wrong_type", f"a {annotation.__name__} is expected, {_kind(value)} found", path)
        return value
    if annotation in _HEX_LENGTHS:
        return _build_bytes(annotation, value, path)
    return _build_integer(annotation, value, path)


_HEX_LENGTHS: dict[Any, int | None] = {Address: 20, Digest: 32, Signature: 65, bytes: None}


def _build_struct(annotation: Any, value: Any, path: str) -> Any:
    if not isinstance(value, dict):
        raise CodecError("wrong_type", f"an object is expected, {_kind(value)} found", path)
    wanted = {member.wire_name: member for member in members(annotation)}
    for name in value.keys() - wanted.keys():
        raise CodecError("unknown_field", f"{name[:40]!r} is not a field here", path)
    for name in wanted.keys() - value.keys():
        raise CodecError("missing_field", f"{name!r} is missing", path)
    parts = {m.name: build(m.python_type, value[n], f"{path}.{n}" if path else n) for n, m in wanted.items()}
    try:
        return (get_origin(annotation) or annotation)(**parts)
    except ValueError as error:
        raise CodecError("out_of_range", str(error), path) from error


def _build_bytes(annotation: Any, value: Any, path: str) -> Any:
    if not isinstance(value, str) or not value.startswith("0x"):
        raise CodecError("wrong_type", f"0x and hexadecimal digits are expected, {_kind(value)} found", path)
    digits = value[2:]
    if len(digits) % 2 or digits.strip("0123456789abcdef"):
        raise CodecError("wrong_type", "pairs of lower-case hexadecimal digits are expected after 0x", path)
    length = _HEX_LENGTHS[annotation]
    if length is not None and len(digits) != 2 * length:
        raise CodecError("wrong_type", f"{length} bytes are expected, {len(digits) // 2} found", path)
    return value if annotation is Address else bytes.fromhex(digits)


def _build_integer(annotation: Any, value: Any, path: str) -> int:
    name = next(mark.name for mark in annotation.__metadata__)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 78:
        number = int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    else:
        raise CodecError("wrong_type", f"an integer is expected, {_kind(value)} found", path)
    signed, bits = name.startswith("int"), int(name.lstrip("uint"))
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    if not low <= number <= high:
        raise CodecError("out_of_range", f"{str(number)[:40]} does not fit {name}", path)
    return number


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "a string", bool: "a boolean", int: "an integer"}.get(type(value), "null")
