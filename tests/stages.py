"""Runs every check as named stages, prints the time of each, and ends non-zero if one failed.

`test` is what must pass before a change lands. `deep` is what takes longer: more examples, longer histories, a new seed each
time; it writes docs/reports/deep.md with the commit and the seed, and `SEED=n make deep` repeats a run. Mutants have a page of their
own, docs/reports/mutation.md. `make deep STAGES="forge property"` runs some of them, and the report keeps what it says of
the others.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
FORGE = ROOT / "node_modules" / ".bin" / "forge"
BUDGET_S = 15 * 60
TITLE = """# The last long runs

`SEED=n make deep STAGES=name` repeats a stage. Mutants have a page of their own, [mutation.md](mutation.md)."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One command; `environment` is added to the process's own. Stages of named lanes run side by side, one of each lane at a time;
    those without a lane have the machine to themselves."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    lane: str = ""


def python(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, *arguments)


def tool(name: str, *arguments: str) -> tuple[str, ...]:
    return (str(BIN / name), *arguments)


def test_stages(seed: int) -> list[Stage]:
    quick = ("tests/unit", "tests/property", "tests/architecture")
    tests, seeded = ("-m", "pytest", "-q"), f"--hypothesis-seed={seed}"
    # Two processes that take a file each, the longest first (tests/conftest.py).
    two = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")
    return [
        Stage("ruff", tool("ruff", "check", ".")),
        Stage("format", tool("ruff", "format", "--check", "--quiet", ".")),
        Stage("imports", tool("lint-imports")),
        Stage("artifacts", ("npm", "run", "--silent", "artifacts", "--", "--check"), lane="compilers"),
        Stage("vectors", ("npm", "run", "--silent", "vectors", "--", "--check"), lane="compilers"),
        Stage("forge", (str(FORGE), "test", "--fuzz-seed", str(seed)), {"FOUNDRY_PROFILE": "test"}, "compilers"),
        Stage("gas", (str(FORGE), "test"), {"FOUNDRY_PROFILE": "gas", "FORGE_SNAPSHOT_CHECK": "true"}, "compilers"),
        Stage("slither", python("tests/slither/check.py"), lane="compilers"),
        Stage("mypy", tool("mypy", "."), lane="compilers"),
        # These processes wait for epochs to pass, two thirds of the time; they have a core to themselves, so that none is late.
        Stage("e2e", python(*tests, "tests/e2e"), lane="processes"),
        Stage("simulation", python(*tests, "tests/simulation"), {"SEED": str(seed)}, "processes"),
        Stage("pytest", python(*tests, seeded, "-n", "2", "--dist", "worksteal", *quick)),
        Stage("integration", python(*tests, seeded, *two, "tests/integration")),
    ]


def deep_stages(seed: int) -> list[Stage]:
    deep = {"HYPOTHESIS_PROFILE": "deep", "FOUNDRY_PROFILE": "deep"}
    streams = ("tests/integration/test_tunnels.py", "-k", "streams_opened_and_closed")
    crashes = ("tests/integration/validators/test_watcher.py", "-k", "stopped")
    return [
        Stage("forge", (str(FORGE), "test", "--fuzz-seed", str(seed), "--no-match-contract", "GasTest|InvariantsTest"), deep, "solidity"),
        Stage("invariants", (str(FORGE), "test", "--fuzz-seed", str(seed), "--match-contract", "InvariantsTest"), deep, "solidity"),
        Stage("mutation", python("-m", "tests.mutation.run", "--seed", str(seed)), lane="solidity"),
        Stage("property", python("-m", "pytest", "-q", "--timeout=3600", f"--hypothesis-seed={seed}", "tests/property"), deep, "python"),
        Stage("simulation", python("-m", "tests.simulation", str(seed), "50000"), lane="python"),
        Stage("streams", python("-m", "pytest", "-q", "--timeout=3600", *streams), {"DPN_TUNNEL_STREAMS": "10000"}, "python"),
        Stage("crashes", python("-m", "pytest", "-q", "--timeout=3600", *crashes), deep, "python"),
        *(Stage(f"tour-{number}", tool("dpn", "demo")) for number in range(1, 4)),
    ]


def run(stages: list[Stage]) -> list[tuple[str, float, bool]]:
    """Runs them all, even if one fails; those of one lane in order, neighbouring lanes side by side: name, seconds, passed."""
    results = []
    for _, group in groupby(stages, key=lambda stage: stage.lane == ""):
        lanes: dict[str, list[Stage]] = {}
        for stage in group:
            lanes.setdefault(stage.lane, []).append(stage)
        with ThreadPoolExecutor(len(lanes)) as pool:
            for ran in pool.map(partial(_in_order, quiet=len(lanes) > 1), lanes.values()):
                results += ran
    return results


def _in_order(stages: list[Stage], *, quiet: bool) -> list[tuple[str, float, bool]]:
    return [_ran(stage, quiet=quiet) for stage in stages]


def _ran(stage: Stage, *, quiet: bool) -> tuple[str, float, bool]:
    """One stage; if another may speak at the same time, what it says comes at its end."""
    title = f"\n=== {stage.name}: {' '.join(stage.command[1:] if stage.command[0] == sys.executable else stage.command)}"
    if not quiet:
        print(title, flush=True)
    began = time.monotonic()
    # Bytecode is kept, whatever the environment says: some hundred processes start, and would each compile a hundred modules.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", **stage.environment}
    output, errors = (subprocess.PIPE, subprocess.STDOUT) if quiet else (None, None)
    done = subprocess.run(stage.command, cwd=ROOT, env=environment, check=False, text=True, stdout=output, stderr=errors)
    if quiet:
        print(f"{title}\n{done.stdout}", flush=True)
    return stage.name, time.monotonic() - began, done.returncode == 0


def summary(results: list[tuple[str, float, bool]], seconds_in_all: float, seed: int) -> str:
    lines = [f"{'stage':<14}{'seconds':>8}  result"]
    lines += [f"{name:<14}{seconds:>8.1f}  {'passed' if passed else 'FAILED'}" for name, seconds, passed in results]
    lines.append(f"{'all':<14}{seconds_in_all:>8.1f}  seed {seed}")
    return "\n".join(lines)


def report(before: str, results: list[tuple[str, float, bool]], stages: list[Stage], seed: int) -> str:
    """The page of the last long runs, a row a stage: those of `results` anew, the others as `before` has them, or not run yet."""
    commit = subprocess.run(("git", "rev-parse", "--short=12", "HEAD"), cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    rows = {row.split("|")[1].strip(): row for row in before.splitlines() if row.startswith("| ")}
    for name, seconds, passed in results:
        rows[name] = f"| {name} | {'passed' if passed else 'FAILED'} | {seconds:.0f} | {seed} | `{commit}` |"
    table = [rows.get(stage.name, f"| {stage.name} | not run | | | |") for stage in stages]
    return "\n".join((TITLE, "", "| stage | result | seconds | seed | commit |", "|---|---|---|---|---|", *table, ""))


def main(kind: str, names: list[str]) -> int:
    seed = int(os.environ.get("SEED", random.randrange(2**32)))
    stages = test_stages(seed) if kind == "test" else deep_stages(seed)
    if unknown := set(names) - {stage.name for stage in stages}:
        print(f"There is no stage {', '.join(sorted(unknown))}. There are: {', '.join(stage.name for stage in stages)}.")
        return 2
    began = time.monotonic()
    results = run([stage for stage in stages if not names or stage.name in names])
    took = time.monotonic() - began
    text = summary(results, took, seed)
    print("\n" + text)
    if kind == "deep":
        file = ROOT / "docs" / "reports" / "deep.md"
        file.parent.mkdir(exist_ok=True)
        file.write_text(report(file.read_text() if file.exists() else "", results, stages, seed))
    elif took > BUDGET_S:
        print(f"This took longer than the budget of {BUDGET_S // 60} minutes: move what is slow to `make deep`.")
    return 0 if all(passed for _, _, passed in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "test", sys.argv[2:]))
