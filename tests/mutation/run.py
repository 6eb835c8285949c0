"""Mutants of the contracts against the forge tests: fewer than 3 % may survive, each with a reason in reasons.toml.

    python -m tests.mutation.run [--only NAME ...] [--sample N] [--seed S] [--workers W] [--fresh | --survivors] [--quick]

Mutants are tried in an order that the seed alone decides, so a run that was stopped is a random sample, and the next one goes on
where it was as long as neither contracts nor tests changed. --survivors tries again what survived, if tests were only added since.
--quick leaves out invariants and most fuzz runs: more survive, so it is for a first look, with --survivors after it.
Writes docs/reports/mutation.md; ends with 1 if too many survive, one without a reason, or a reason names no mutant.
"""

from __future__ import annotations

import argparse
import hashlib
import queue
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutation.compiler import CONTRACTS, DEPLOYED, QUICK, ROOT, Compiler, DoesNotCompile
from tests.mutation.operators import Mutant, mutants
from tests.mutation.report import EQUAL, KILLED, LIMIT_PERCENT, REFUSED, SURVIVED, Journal, Key, Result, count, page, reasons
from tests.mutation.suite import Suite

REPORT = ROOT / "docs" / "reports" / "mutation.md"
JOURNAL = ROOT / "build" / "mutation" / "journal.jsonl"
REASONS = Path(__file__).with_name("reasons.toml")
LIBRARIES = ("Attestations", "Cursors", "Leaves", "Paths", "Quorum", "Roster", "Standings", "Windows")
FILES = (*CONTRACTS, *LIBRARIES)
TIMEOUT_S = 600.0


class Bench:
    """Tries mutants, one at a time: a compiler and a copy of the tree."""

    def __init__(self, suite: Suite, sources: dict[str, bytes], *, quick: bool) -> None:
        self._suite, self._sources, self._quick = suite, sources, quick
        self._compiler = Compiler()
        self._deployed: dict[str, dict[str, str]] = {}

    def tried(self, mutant: Mutant) -> Result:
        """Compiles the mutant and runs the tests; only what survives them is compared with the deployed bytes."""
        source = mutant.applied(self._sources[mutant.path])
        try:
            code = self._compiler.bytecode(mutant.path, source, QUICK)
        except DoesNotCompile:
            return Result(mutant.key, REFUSED)
        if killer := self._suite.killer(code, mutant.path, source, quick=self._quick):
            return Result(mutant.key, KILLED, killer)
        same = self._compiler.bytecode(mutant.path, source, DEPLOYED) == self._original(mutant.path)
        return Result(mutant.key, EQUAL if same else SURVIVED)

    def _original(self, path: str) -> dict[str, str]:
        if path not in self._deployed:
            self._deployed[path] = self._compiler.bytecode(path, self._sources[path].decode(), DEPLOYED)
        return self._deployed[path]

    def close(self) -> None:
        self._compiler.close()


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    compiler = Compiler()
    paths = [_path(name) for name in options.only or FILES]
    sources = {path: (ROOT / path).read_bytes() for path in paths}
    found = [one for path in paths for one in mutants(path, sources[path], compiler.tree(path))]
    why = reasons(REASONS)
    stale = [key for key in why if key[0].split(".")[0] in {Path(path).stem for path in paths} and key not in {one.key for one in found}]

    order = found.copy()
    random.Random(options.seed).shuffle(order)
    if options.fresh:
        JOURNAL.unlink(missing_ok=True)
    journal = Journal(JOURNAL, _digest("contracts/src"), _digest("contracts/test"), tests_grew=options.survivors)
    known = journal.results
    if options.survivors:
        todo = [one for one in found if one.key in known and known[one.key].outcome == SURVIVED]
    else:
        todo = [one for one in order[: options.sample] if one.key not in known]
    print(f"{len(found)} mutants, {len(todo)} to try", flush=True)

    quick = {name: code for path in paths for name, code in compiler.bytecode(path, sources[path].decode(), QUICK).items()}
    compiler.close()
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        skipped = _try_all(todo, Path(folder), options, sources, quick, journal)
    if skipped is None:
        return 1
    shown = [one for one in found if one.key in known]
    total = count(shown, known, why)
    if REPORT.parent.exists() and not options.only:
        REPORT.write_text(page(shown, known, why, _heading(len(shown), len(found), options.seed, skipped)))
    return _verdict(total.percent, total.unexplained, stale, total.counted)


def _try_all(
    todo: list[Mutant],
    folder: Path,
    options: argparse.Namespace,
    sources: dict[str, bytes],
    quick: dict[str, str],
    journal: Journal,
) -> frozenset[str] | None:
    """Tries what is to be tried and notes it. The tests left out; nothing if some fail without any change and may not."""
    skipped: frozenset[str] = frozenset()
    if not todo:
        return skipped
    suites = [Suite(folder / str(number), options.seed, TIMEOUT_S) for number in range(options.workers)]
    broken = suites[0].failing(quick, todo[0].path)
    if broken and not options.skip_failing:
        print("These tests fail without any mutation; make them pass first: " + ", ".join(sorted(broken)))
        return None
    skipped = broken
    if skipped:
        print("Left out, as they fail without any mutation: " + ", ".join(sorted(skipped)), flush=True)
    benches: queue.Queue[Bench] = queue.Queue()
    for suite in suites:
        suite.skipped = skipped
        benches.put(Bench(suite, sources, quick=options.quick))
    lock, began, done = threading.Lock(), time.monotonic(), 0

    def work(mutant: Mutant) -> None:
        nonlocal done
        bench = benches.get()
        try:
            result = bench.tried(mutant)
        finally:
            benches.put(bench)
        with lock:
            journal.add(result)
            done += 1
            place = f"{Path(mutant.path).name}:{mutant.line}"
            print(f"{done}/{len(todo)} {time.monotonic() - began:.0f} s {place} {result.outcome} {result.by}", flush=True)
            if result.outcome == SURVIVED:
                print(f"    {mutant.function}: {mutant.before}  ->  {mutant.after}", flush=True)

    with ThreadPoolExecutor(options.workers) as pool:
        for _ in pool.map(work, todo):
            pass
    while not benches.empty():
        benches.get().close()
    return skipped


def _verdict(percent: float, unexplained: int, stale: list[Key], counted: int) -> int:
    print(f"{counted} mutants counted, {percent:.1f} % survived, {unexplained} of them without a reason")
    for key in stale:
        print(f"A reason names no mutant any more, take it away: {key}")
    if percent >= LIMIT_PERCENT:
        print(f"At most {LIMIT_PERCENT} % may survive: write tests for those in docs/reports/mutation.md.")
    if unexplained:
        print("Write a test for each survivor that has no reason, or its reason in tests/mutation/reasons.toml.")
    return 1 if stale or unexplained or percent >= LIMIT_PERCENT else 0


def _heading(tried: int, made: int, seed: int, skipped: frozenset[str]) -> list[str]:
    commit = subprocess.run(("git", "rev-parse", "HEAD"), cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    scope = "all" if tried == made else f"a random sample of {tried} of {made}"
    lines = [
        f"Commit `{commit}`, seed {seed}, {scope}. How: `tests/mutation/run.py`. Refused: did not compile. Equal: deployed, the same bytes."
    ]
    if skipped:
        lines.append(f"Left out, as they failed without any change: {', '.join(sorted(skipped))}.")
    return lines


def _digest(folder: str) -> str:
    hashed = hashlib.sha256()
    for path in sorted((ROOT / folder).rglob("*.sol")):
        hashed.update(path.read_bytes())
    return hashed.hexdigest()


def _path(name: str) -> str:
    folder = "contracts/src" if name in CONTRACTS else "contracts/src/libraries"
    return f"{folder}/{name}.sol"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation.run")
    parser.add_argument("--only", nargs="+", choices=FILES, help="contracts or libraries; no report is written")
    parser.add_argument("--sample", type=int, help="so many mutants, drawn at random")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--fresh", action="store_true", help="forget earlier results")
    parser.add_argument("--survivors", action="store_true", help="only what survived before")
    parser.add_argument("--quick", action="store_true", help="without invariants and most fuzz runs")
    parser.add_argument("--skip-failing", action="store_true", help="leave out tests that fail without any mutation")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
