"""Runs Slither, all detectors, over contracts/src, and compares its findings with the answers in answers.toml.

Ends with 1 if a finding has no answer, or an answer belongs to no finding any more. A finding is named by its detector and by the
function or variable it is about, so answers survive when lines move; how many findings an answer is for is part of it.

Slither lives in an environment of its own, .venv/slither, since it needs an older web3 than the network.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ANSWERS = Path(__file__).with_name("answers.toml")
SLITHER = ROOT / ".venv" / "slither" / "bin" / "slither"
BUILD = ROOT / "build" / "slither"

Place = tuple[str, str]
"""Detector; `Contract.function`, or `Contract.function.variable`."""


class AnswerError(Exception):
    """answers.toml says something twice or without a reason; what is wrong with it."""


def findings() -> dict[Place, list[str]]:
    """What Slither says of the contracts as they are now: descriptions by place."""
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    tools = {"PATH": os.pathsep.join([str(ROOT / "node_modules" / ".bin"), str(SLITHER.parent), os.environ["PATH"]])}
    # Slither reads the syntax tree, so the optimizer's time is saved.
    build = {"FOUNDRY_OUT": "build/slither/out", "FOUNDRY_CACHE_PATH": "build/slither/cache", "FOUNDRY_OPTIMIZER": "false"}
    environment = {**os.environ, **tools, **build}
    subprocess.run(("forge", "build", "contracts/src", "--build-info", "--quiet"), cwd=ROOT, env=environment, check=True)
    said = BUILD / "findings.json"
    command = (str(SLITHER), ".", "--ignore-compile", "--fail-none", "--json", str(said))
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode != 0 or not said.exists():
        raise RuntimeError(f"Slither ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
    found: dict[Place, list[str]] = {}
    for finding in json.loads(said.read_text())["results"].get("detectors", []):
        place = (finding["check"], _named(finding["elements"][0]))
        found.setdefault(place, []).append(finding["description"].strip())
    return found


def answers(text: str) -> Counter[Place]:
    """How many findings are answered at each place. `AnswerError` if a place stands twice or a reason is missing."""
    answered: Counter[Place] = Counter()
    for answer in tomllib.loads(text).get("answer", []):
        if not answer.get("reason", "").strip():
            raise AnswerError(f"The answer to {answer['detector']} at {answer['where']} has no reason: write it.")
        for where in answer["where"]:
            name, _, times = where.partition(" x")
            place = (answer["detector"], name)
            if place in answered:
                raise AnswerError(f"{answer['detector']} at {name} is answered twice: keep one answer.")
            answered[place] = int(times or 1)
    return answered


def differences(found: dict[Place, list[str]], answered: Counter[Place]) -> list[str]:
    """One sentence for each place where findings and answers do not match; none if all is answered."""
    lines = []
    for place in sorted({*found, *answered}):
        detector, where = place
        texts, times = found.get(place, []), answered[place]
        if len(texts) > times:
            described = "".join(f"\n    {text.replace(chr(10), chr(10) + '    ')}" for text in texts)
            lines.append(f"{detector} at {where}: {len(texts)} found, {times} answered. Change the code or answer it.{described}")
        elif len(texts) < times:
            lines.append(f"{detector} at {where}: {len(texts)} found, {times} answered. Take the answer away.")
    return lines


def main() -> int:
    if not SLITHER.exists():
        print("Slither is not installed: run `make .venv/slither/.installed`.")
        return 2
    found = findings()
    lines = differences(found, answers(ANSWERS.read_text()))
    for line in lines:
        print(line)
    print(f"{sum(map(len, found.values()))} findings, " + (f"{len(lines)} places to look at" if lines else "all answered"))
    return 1 if lines else 0


def _named(element: dict[str, Any]) -> str:
    """A function by contract and name, a variable by what it is declared in."""
    parent = element.get("type_specific_fields", {}).get("parent")
    above = _named(parent) if parent and parent["type"] in ("contract", "function") else ""
    return f"{above}.{element['name']}" if above else str(element["name"])


if __name__ == "__main__":
    sys.exit(main())
