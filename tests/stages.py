"""Runs every check as named stages, prints the time of each, and ends non-zero if one failed.

`test` is what must pass before a change lands. `deep` is what takes longer: more examples, longer histories, a new seed each
time; it writes docs/reports/deep.md with the commit and the seed, and `SEED=n make deep` repeats a run.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
FORGE = ROOT / "node_modules" / ".bin" / "forge"
BUDGET_S = 15 * 60


@dataclass(frozen=True, slots=True)
class Stage:
    """One command; `environment` is added to the process's own."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)


def python(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, *arguments)


def tool(name: str, *arguments: str) -> tuple[str, ...]:
    return (str(BIN / name), *arguments)


def test_stages(seed: int) -> list[Stage]:
    quick = ("tests/unit", "tests/property", "tests/architecture")
    return [
        Stage("ruff", tool("ruff", "check", ".")),
        Stage("format", tool("ruff", "format", "--check", "--quiet", ".")),
        Stage("imports", tool("lint-imports")),
        Stage("mypy", tool("mypy", ".")),
        Stage("artifacts", ("npm", "run", "--silent", "artifacts", "--", "--check")),
        Stage("vectors", ("npm", "run", "--silent", "vectors", "--", "--check")),
        Stage("forge", (str(FORGE), "test", "--fuzz-seed", str(seed))),
        Stage("pytest", python("-m", "pytest", "-q", f"--hypothesis-seed={seed}", *quick)),
        Stage("integration", python("-m", "pytest", "-q", f"--hypothesis-seed={seed}", "tests/integration")),
        Stage("e2e", python("-m", "pytest", "-q", "tests/e2e")),
    ]


def deep_stages(seed: int) -> list[Stage]:
    deep = {"HYPOTHESIS_PROFILE": "deep", "FOUNDRY_PROFILE": "deep"}
    return [
        Stage("forge", (str(FORGE), "test", "--fuzz-seed", str(seed)), deep),
        Stage("property", python("-m", "pytest", "-q", "--timeout=3600", f"--hypothesis-seed={seed}", "tests/property"), deep),
        *(Stage(f"tour {number}", tool("dpn", "demo")) for number in range(1, 4)),
    ]


def run(stages: list[Stage]) -> list[tuple[str, float, bool]]:
    """Runs them in order, all of them even if one fails: name, seconds, passed."""
    results = []
    for stage in stages:
        print(f"\n=== {stage.name}: {' '.join(stage.command[1:] if stage.command[0] == sys.executable else stage.command)}", flush=True)
        began = time.monotonic()
        code = subprocess.run(stage.command, cwd=ROOT, env={**os.environ, **stage.environment}, check=False).returncode
        results.append((stage.name, time.monotonic() - began, code == 0))
    return results


def summary(results: list[tuple[str, float, bool]], seed: int) -> str:
    lines = [f"{'stage':<14}{'seconds':>8}  result"]
    lines += [f"{name:<14}{seconds:>8.1f}  {'passed' if passed else 'FAILED'}" for name, seconds, passed in results]
    lines.append(f"{'all':<14}{sum(seconds for _, seconds, _ in results):>8.1f}  seed {seed}")
    return "\n".join(lines)


def main(kind: str) -> int:
    seed = int(os.environ.get("SEED", random.randrange(2**32)))
    results = run(test_stages(seed) if kind == "test" else deep_stages(seed))
    text = summary(results, seed)
    print("\n" + text)
    if kind == "deep":
        commit = subprocess.run(("git", "rev-parse", "HEAD"), cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
        report = ROOT / "docs" / "reports" / "deep.md"
        report.parent.mkdir(exist_ok=True)
        report.write_text(
            f"# The last long run\n\nCommit `{commit}`, seed {seed} (`SEED={seed} make deep` repeats it).\n\n```\n{text}\n```\n"
        )
    elif sum(seconds for _, seconds, _ in results) > BUDGET_S:
        print(f"This took longer than the budget of {BUDGET_S // 60} minutes: move what is slow to `make deep`.")
    return 0 if all(passed for _, _, passed in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "test"))
