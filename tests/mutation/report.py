"""What a mutation run found: kept on disk as it goes, and told as a page."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.mutation.operators import Mutant

KILLED, SURVIVED, EQUAL, REFUSED = "killed", "survived", "equal", "refused"
LIMIT_PERCENT = 3

Key = tuple[str, str, str, int]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a mutant.

    outcome: killed (by: the test, or "timeout"), survived, equal (deployed, it is the same bytes) or refused by the compiler.
    """

    key: Key
    outcome: str
    by: str = ""


class Journal:
    """Results in a file, one a line, so that a run that was stopped goes on where it was.

    They hold for these contracts and tests, by their digests; others start anew, but other tests only if not `tests_grew`: what some
    test noticed once is noticed as long as no test is taken away.
    """

    def __init__(self, path: Path, contracts: str, tests: str, *, tests_grew: bool = False) -> None:
        self._path = path
        self.results: dict[Key, Result] = {}
        lines = path.read_text().splitlines() if path.exists() else ["none none"]
        of_contracts, of_tests = lines[0].split()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{contracts} {tests}\n")
        if of_contracts == contracts and (of_tests == tests or tests_grew):
            for line in lines[1:]:
                entry = json.loads(line)
                self.add(Result(_key(entry["key"]), entry["outcome"], entry["by"]))

    def add(self, result: Result) -> None:
        self.results[result.key] = result
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(result)) + "\n")


def reasons(path: Path) -> dict[Key, str]:
    """Why a survivor may live, by its key: tables `[[survivor]]` with where, before, after, reason, and number if not 1."""
    entries = tomllib.loads(path.read_text()).get("survivor", [])
    return {(one["where"], one["before"], one["after"], one.get("number", 1)): one["reason"] for one in entries}


@dataclass(frozen=True, slots=True)
class Count:
    """Of one file. Alive: survivors with and without a reason."""

    made: int
    refused: int
    equal: int
    killed: int
    explained: int
    unexplained: int

    @property
    def counted(self) -> int:
        return self.killed + self.explained + self.unexplained

    @property
    def percent(self) -> float:
        return 100 * (self.explained + self.unexplained) / self.counted if self.counted else 0.0


def count(mutants: Iterable[Mutant], results: Mapping[Key, Result], why: Mapping[Key, str]) -> Count:
    done = [results[one.key] for one in mutants if one.key in results]
    alive = [one for one in done if one.outcome == SURVIVED]
    return Count(
        made=len(done),
        refused=sum(one.outcome == REFUSED for one in done),
        equal=sum(one.outcome == EQUAL for one in done),
        killed=sum(one.outcome == KILLED for one in done),
        explained=sum(one.key in why for one in alive),
        unexplained=sum(one.key not in why for one in alive),
    )


def page(mutants: Sequence[Mutant], results: Mapping[Key, Result], why: Mapping[Key, str], heading: Sequence[str]) -> str:
    """The report: counts by file, then every survivor."""
    head = ("file", "made", "refused", "equal", "counted", "killed", "survived", "percent", "without a reason")
    rows = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name, of_file in [*_by_file(mutants).items(), ("all", list(mutants))]:
        c = count(of_file, results, why)
        alive = c.explained + c.unexplained
        figures = (c.made, c.refused, c.equal, c.counted, c.killed, alive, f"{c.percent:.1f}", c.unexplained)
        rows.append(f"| {name} | " + " | ".join(str(figure) for figure in figures) + " |")
    lines = ["# Mutants of the contracts", "", *heading, "", *rows, "", "## Survivors", ""]
    survivors = [one for one in mutants if one.key in results and results[one.key].outcome == SURVIVED]
    for one in survivors:
        lines += [
            f"- `{one.path}:{one.line}`, {one.function}, {one.operator}: `{one.before}` became `{one.after}`"
            + (f" (the {one.number}. of its kind)" if one.number > 1 else "")
            + f".\n  {why.get(one.key, '**No reason yet.**')}"
        ]
    return "\n".join([*lines, *([] if survivors else ["None."])]) + "\n"


def _by_file(mutants: Iterable[Mutant]) -> dict[str, list[Mutant]]:
    found: dict[str, list[Mutant]] = {}
    for one in mutants:
        found.setdefault(one.path.rsplit("/", 1)[-1], []).append(one)
    return found


def _key(values: Sequence[object]) -> Key:
    where, before, after, number = values
    return str(where), str(before), str(after), int(str(number))
