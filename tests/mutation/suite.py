"""The forge tests against given bytecode, in a copy of the tree with the tests compiled once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.compiler import CONTRACTS, ROOT

COPIED = ("contracts", "foundry.toml", "package.json", "chain/artifacts", "tests/vectors", "node_modules")
ARTIFACTS = "build/mutant"
INVARIANTS = "InvariantsTest"


@dataclass(frozen=True, slots=True)
class Step:
    """One run of forge: which test contracts (a regular expression), how many fuzz and invariant runs."""

    only: str
    but: str
    fuzz: int
    invariant: int = 1


def steps(file: str) -> tuple[Step, ...]:
    """Likely killers first, then everything quickly, then everything thoroughly. The last alone kills nothing less than all of them."""
    own = {
        "Settlement": "^Settlement",
        "Registry": "^Registry",
        "Vault": "^Vault",
        "Judge": "^Judge",
        "Roster": "^(Roster|Registry)",
        "Quorum": "^(Settlement(Post|Roots)|RegistryChange)",
        "Paths": "^Settlement(Packed|Claims)",
        "Standings": "^Settlement(Claims|Roots)",
        "Leaves": "^(Settlement(Claims|Packed)|Judge)",
    }.get(Path(file).stem, "^Settlement")
    return (Step(own, INVARIANTS, 8), Step("", f"{own}|{INVARIANTS}", 8), Step("", "GasTest", 64, 4))


def direct_tests(file: str) -> tuple[str, ...]:
    """The test files that compile this source into themselves, as they test a library alone: bytecode says nothing to them."""
    tests = {
        "Attestations": ("Vectors",),
        "Cursors": ("Words",),
        "Leaves": ("Leaves", "Vectors"),
        "Paths": ("Paths",),
        "Roster": ("Roster",),
        "Standings": ("Words",),
    }
    return tests.get(Path(file).stem, ())


class TestsBroken(Exception):
    """Forge ended without saying which tests ran."""

    __test__ = False


class Suite:
    """A copy of the tree under `folder`, made anew. Not for two threads at once.

    seed: of the fuzz tests. timeout_s: for one step; a mutant that needs longer never comes to an end, and is noticed by that.
    """

    def __init__(self, folder: Path, seed: int, timeout_s: float) -> None:
        self._tree, self._seed, self._timeout_s = folder, seed, timeout_s
        self.skipped: frozenset[str] = frozenset()
        shutil.rmtree(folder, ignore_errors=True)
        for name in COPIED:
            source, target = ROOT / name, folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True)
            else:
                shutil.copy(source, target)
        self._originals = {name: json.loads((ROOT / "chain" / "artifacts" / f"{name}.json").read_text()) for name in CONTRACTS}
        shutil.copytree(ROOT / "chain" / "artifacts", folder / ARTIFACTS)

    def failing(self, bytecode: dict[str, str], file: str) -> frozenset[str]:
        """Names of all tests that fail with this bytecode. `TestsBroken` if they do not run at all."""
        self._install(bytecode)
        last = steps(file)[-1]
        return frozenset(self._failures(self._forge(last, fail_fast=False, timeout_s=3600)))

    def killer(self, bytecode: dict[str, str], file: str, source: str, *, quick: bool = False) -> str | None:
        """The first test found to fail with this bytecode of `source` in the place of `file`, or "timeout"; nothing if all pass.

        quick: without the last step.
        """
        self._install(bytecode)
        for step in steps(file)[: -1 if quick else None]:
            try:
                ran = self._forge(step, fail_fast=True, timeout_s=self._timeout_s)
            except subprocess.TimeoutExpired:
                return "timeout"
            if ran.returncode != 0:
                return next(iter(self._failures(ran)), "setUp")
        return self._direct_killer(file, source)

    def _direct_killer(self, file: str, source: str) -> str | None:
        original = (self._tree / file).read_text()
        try:
            (self._tree / file).write_text(source)
            for test in direct_tests(file):
                path = ("--match-path", f"contracts/test/{test}.t.sol", "--out", "build/direct", "--cache-path", "build/direct-cache")
                try:
                    ran = self._run(path, 64, 1, fail_fast=True, timeout_s=self._timeout_s)
                except subprocess.TimeoutExpired:
                    return "timeout"
                if ran.returncode != 0:
                    return next(iter(self._failures(ran)), "setUp")
        finally:
            (self._tree / file).write_text(original)
        return None

    def _install(self, bytecode: dict[str, str]) -> None:
        for name, original in self._originals.items():
            artifact = original | ({"bytecode": "0x" + bytecode[name]} if name in bytecode else {})
            (self._tree / ARTIFACTS / f"{name}.json").write_text(json.dumps(artifact))

    def _forge(self, step: Step, *, fail_fast: bool, timeout_s: float) -> subprocess.CompletedProcess[str]:
        chosen = ("--match-contract", step.only) if step.only else ()
        return self._run((*chosen, "--no-match-contract", step.but), step.fuzz, step.invariant, fail_fast=fail_fast, timeout_s=timeout_s)

    def _run(
        self, chosen: tuple[str, ...], fuzz: int, invariant: int, *, fail_fast: bool, timeout_s: float
    ) -> subprocess.CompletedProcess[str]:
        # Counterexamples that forge remembers would make a result depend on the mutants before it.
        shutil.rmtree(self._tree / "cache", ignore_errors=True)
        command = [str(self._tree / "node_modules/.bin/forge"), "test", "--json", "--threads", "1", "--fuzz-seed", str(self._seed)]
        command += ["--fail-fast"] if fail_fast else []
        command += chosen
        command += ["--no-match-test", f"^({'|'.join(sorted(self.skipped))})\\("] if self.skipped else []
        own = {"FOUNDRY_PROFILE": "test", "FOUNDRY_FUZZ_RUNS": str(fuzz), "FOUNDRY_INVARIANT_RUNS": str(invariant)}
        own["FOUNDRY_DENY"] = "never"  # a mutant may leave a parameter unused
        return subprocess.run(
            command,
            cwd=self._tree,
            env={**os.environ, **own, "DPN_ARTIFACTS": ARTIFACTS},
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )

    def _failures(self, ran: subprocess.CompletedProcess[str]) -> list[str]:
        """Names, without arguments, of what failed; a contract's set-up counts as a test."""
        line = next((one for one in ran.stdout.splitlines() if one.startswith("{")), None)
        if line is None:
            raise TestsBroken(f"forge ended with {ran.returncode} and no results:\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}")
        suites: dict[str, dict[str, dict[str, dict[str, object]]]] = json.loads(line)
        return [
            test.split("(")[0]
            for suite in suites.values()
            for test, result in suite["test_results"].items()
            if result["status"] == "Failure"
        ]
