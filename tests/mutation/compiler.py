"""The compiler of the mutation run: syntax trees, and bytecode of the contracts that a changed source belongs to.

Mutants are compiled by the legacy compiler without the optimizer, a second each instead of fifteen. It means the same program,
but for gas and size, which no test of behaviour looks at. What survives is compiled once more as it is deployed: what comes out
as the very bytes of the original is no mutant at all.
"""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SOURCES = PurePosixPath("contracts/src")
CONTRACTS = ("Registry", "Vault", "Judge", "Settlement")
COMPILES_PER_PROCESS = 80
"""The compiler never gives memory back."""

_COMMON = {"evmVersion": "prague", "metadata": {"bytecodeHash": "none", "appendCBOR": False}}
QUICK = {**_COMMON, "viaIR": False, "optimizer": {"enabled": False}}
DEPLOYED = {**_COMMON, "viaIR": True, "optimizer": {"enabled": True, "runs": 1_000_000}}
"""As the default profile of foundry.toml."""

_IMPORT = re.compile(r'from "(\.[^"]+)"')
_POSTED = re.compile(r"emit Posted\([^;]*\);", re.DOTALL)


class DoesNotCompile(Exception):
    """The compiler refused; what it said."""


class Compiler:
    """One process of compiler.mjs, started anew now and then. Not for two threads at once."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._asked = 0

    def tree(self, path: str) -> dict[str, Any]:
        """The syntax tree of one file, by its path from the root."""
        ast: dict[str, Any] = self._ask({"ast": path})["ast"]
        return ast

    def bytecode(self, path: str, source: str, settings: dict[str, Any]) -> dict[str, str]:
        """Creation code, in hex, of every deployed contract that the file at `path` belongs to, with `source` in its place.

        `DoesNotCompile` if the source is refused.
        """
        contracts = {name: str(SOURCES / f"{name}.sol") for name in CONTRACTS if path in closure(str(SOURCES / f"{name}.sol"))}
        sources = {file: (ROOT / file).read_text() for file in contracts.values()} | {path: source}
        if settings is QUICK:
            sources = {file: _within_the_stack(text) for file, text in sources.items()}
        code: dict[str, str] = self._ask({"sources": sources, "contracts": contracts, "settings": settings})["bytecode"]
        return code

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self._asked += 1
        if self._asked % COMPILES_PER_PROCESS == 0:
            self.close()
        if self._process is None:
            command = ("node", str(Path(__file__).with_name("compiler.mjs")))
            self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        into, out = self._process.stdin, self._process.stdout
        if into is None or out is None:
            raise RuntimeError("the compiler has no pipes")
        into.write(json.dumps(request) + "\n")
        into.flush()
        if not (line := out.readline()):
            self.close()
            raise DoesNotCompile("the compiler ended without an answer")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise DoesNotCompile(answer["error"])
        return answer


@cache
def closure(path: str) -> frozenset[str]:
    """The file and every file of ours that it imports, directly or not."""
    found, waiting = {path}, [path]
    while waiting:
        file = waiting.pop()
        for name in _IMPORT.findall((ROOT / file).read_text()):
            imported = (ROOT / file).parent.joinpath(name).resolve().relative_to(ROOT).as_posix()
            if imported not in found:
                found.add(imported)
                waiting.append(imported)
    return frozenset(found)


def _within_the_stack(source: str) -> str:
    """Without the optimizer one emit has too many variables around it; in a function of its own it says the same."""
    emit = _POSTED.search(source)
    if emit is None:
        return source
    end = source.rindex("}")
    parameters = "EpochAttestation calldata attestation, uint256 signers, uint256 activeAt"
    moved = f"function _emitPosted({parameters}) private {{ {emit[0]} }}\n}}\n"
    return source[: emit.start()] + "_emitPosted(attestation, signers, activeAt);" + source[emit.end() : end] + moved
