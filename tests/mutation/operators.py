"""Mutants of a Solidity file, from its syntax tree: each is one small change that a test ought to notice.

    relational    < <= > >= to the boundary's other side and to the opposite, == to != and back
    arithmetic    + - * / %, shifts and bits, each to its counterpart
    logical       && and || swapped; one side left out
    negation      ! taken away; a condition that is no comparison negated
    statement     an assignment, call, emit, revert, return, continue or break taken away
    assignment    += and -= swapped; ++ and -- swapped
    literal       a number one more and one less; true and false swapped

Assembly has the same, by its functions. Pure: nothing is compiled here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

Node = dict[str, Any]

BINARY: dict[str, tuple[tuple[str, str], ...]] = {
    "<": (("relational", "<="), ("relational", ">=")),
    "<=": (("relational", "<"), ("relational", ">")),
    ">": (("relational", ">="), ("relational", "<=")),
    ">=": (("relational", ">"), ("relational", "<")),
    "==": (("relational", "!="),),
    "!=": (("relational", "=="),),
    "+": (("arithmetic", "-"),),
    "-": (("arithmetic", "+"),),
    "*": (("arithmetic", "/"),),
    "/": (("arithmetic", "*"),),
    "%": (("arithmetic", "*"),),
    "<<": (("arithmetic", ">>"),),
    ">>": (("arithmetic", "<<"),),
    "|": (("arithmetic", "&"),),
    "&": (("arithmetic", "|"),),
    "^": (("arithmetic", "&"),),
    "&&": (("logical", "||"),),
    "||": (("logical", "&&"),),
}
ASSIGNMENT = {"+=": "-=", "-=": "+=", "|=": "&=", "&=": "|="}
YUL = {"add": "sub", "sub": "add", "mul": "div", "div": "mul", "lt": "gt", "gt": "lt", "eq": "xor", "xor": "or"}
YUL |= {"and": "or", "or": "and", "shl": "shr", "shr": "shl"}
STATEMENTS = {"ExpressionStatement", "EmitStatement", "RevertStatement", "Return", "Continue", "Break"}
YUL_STATEMENTS = {"YulExpressionStatement", "YulAssignment", "YulBreak"}
CONDITIONS = {"IfStatement", "WhileStatement", "Conditional"}
COMPARED = {"<", "<=", ">", ">=", "==", "!=", "&&", "||", "!"}
"""Operators with mutants of their own, so that negating what they yield adds nothing."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """`source[start:end]`, in bytes, is replaced by `text`.

    function: contract and function it is in. before, after: the change as a reader sees it, in one line. number: which of several
    equal changes in that function, from 1. All but the places survive when lines move.
    """

    path: str
    function: str
    operator: str
    line: int
    start: int
    end: int
    text: str
    before: str
    after: str
    number: int = 1

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What names it in tests/mutation/reasons.toml."""
        return (self.function, self.before, self.after, self.number)

    def applied(self, source: bytes) -> str:
        return (source[: self.start] + self.text.encode() + source[self.end :]).decode()


def mutants(path: str, source: bytes, tree: Node) -> list[Mutant]:
    """All mutants of a file, from top to bottom."""
    found = sorted(_File(path, source).walk(tree, ""), key=lambda one: (one.start, one.end, one.text))
    seen: Counter[tuple[str, str, str, int]] = Counter()
    numbered = []
    for one in found:
        seen[one.key] += 1
        numbered.append(replace(one, number=seen[one.key]))
    return numbered


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    source: bytes

    def walk(self, node: Node, where: str) -> Iterator[Mutant]:
        kind = node.get("nodeType", "")
        if kind == "ContractDefinition":
            if node["contractKind"] == "interface":
                return
            where = node["name"]
        elif kind == "FunctionDefinition":
            where = f"{where}.{node['name'] or node['kind']}"
        for start, end, text, operator in self._changes(node, kind):
            yield self._mutant(where, node, start, end, text, operator)
        for name, value in node.items():
            if name in ("documentation", "typeName", "overrides") or (name == "name" and kind.startswith("Yul")):
                continue
            for child in value if isinstance(value, list) else (value,):
                if isinstance(child, dict) and "nodeType" in child:
                    yield from self.walk(child, where)

    def _changes(self, node: Node, kind: str) -> Iterator[tuple[int, int, str, str]]:
        """Start, end, new text, operator."""
        start, end = _span(node)
        if kind == "BinaryOperation":
            left, right = _span(node["leftExpression"]), _span(node["rightExpression"])
            first, second = self._text(*left), self._text(*right)
            for operator, other in BINARY.get(node["operator"], ()):
                yield start, end, f"({first} {other} {second})", operator
            if node["operator"] in ("&&", "||"):
                yield start, end, f"({first})", "logical"
                yield start, end, f"({second})", "logical"
        elif kind == "UnaryOperation":
            operand = self._text(*_span(node["subExpression"]))
            if node["operator"] == "!":
                yield start, end, operand, "negation"
            elif node["operator"] == "~":
                yield start, end, operand, "arithmetic"
            elif node["operator"] in ("++", "--"):
                other = "--" if node["operator"] == "++" else "++"
                yield start, end, f"{other}{operand}" if node["prefix"] else f"{operand}{other}", "assignment"
        elif kind == "Assignment" and node["operator"] in ASSIGNMENT:
            target, value = self._text(*_span(node["leftHandSide"])), self._text(*_span(node["rightHandSide"]))
            yield start, end, f"{target} {ASSIGNMENT[node['operator']]} {value}", "assignment"
        elif kind == "Literal" and node["kind"] == "number":
            unit = f" {node['subdenomination']}" if node.get("subdenomination") else ""
            for value in _neighbours(node["value"]):
                yield start, end, value + unit, "literal"
        elif kind == "Literal" and node["kind"] == "bool":
            yield start, end, "false" if node["value"] == "true" else "true", "literal"
        elif kind in STATEMENTS:
            yield start, self._after_semicolon(end), "{}", "statement"
        elif kind in YUL_STATEMENTS:
            yield start, end, "", "statement"
        elif kind == "YulFunctionCall":
            name = node["functionName"]["name"]
            arguments = ", ".join(self._text(*_span(one)) for one in node["arguments"])
            if name in YUL:
                yield start, end, f"{YUL[name]}({arguments})", "arithmetic"
            elif name == "iszero":
                yield start, end, arguments, "negation"
        elif kind == "YulLiteral" and node["kind"] == "number":
            for value in _neighbours(node["value"]):
                yield start, end, value, "literal"
        if kind in CONDITIONS and node["condition"].get("operator") not in COMPARED:
            start, end = _span(node["condition"])
            yield start, end, f"!({self._text(start, end)})", "negation"

    def _mutant(self, where: str, node: Node, start: int, end: int, text: str, operator: str) -> Mutant:
        line = self.source.count(b"\n", 0, start) + 1
        before, after = self._text(start, end), text
        if node["nodeType"] in ("Literal", "YulLiteral"):
            # A number alone says nothing: show the line's expression around it.
            first, last = self._line(start, end)
            before = self._text(first, last)
            after = self._text(first, start) + text + self._text(end, last)
        return Mutant(self.path, where, operator, line, start, end, text, _one_line(before), _one_line(after) or "{}")

    def _text(self, start: int, end: int) -> str:
        return self.source[start:end].decode()

    def _after_semicolon(self, end: int) -> int:
        return end + 1 if self.source[end : end + 1] == b";" else end

    def _line(self, start: int, end: int) -> tuple[int, int]:
        last = self.source.find(b"\n", end)
        return self.source.rfind(b"\n", 0, start) + 1, len(self.source) if last < 0 else last


def _span(node: Node) -> tuple[int, int]:
    start, length, _ = (int(part) for part in node["src"].split(":"))
    return start, start + length


def _neighbours(value: str) -> list[str]:
    number = int(value, 0)
    return [str(number + 1), *([str(number - 1)] if number else [])]


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
