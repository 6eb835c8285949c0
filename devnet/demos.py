"""The demos there are. Nothing heavy is loaded before one of them is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PARAMETERS = Path(__file__).parent / "parameters"


@dataclass(frozen=True, slots=True)
class Demo:
    """A scripted run on a network of its own. module: has `async play(layout, folder, console) -> Findings`, see `devnet.stage`.

    parameters: the network's. relayed: whether its nodes are told apart by the relay. folder: keys, data and logs of one run, which the
    next run replaces. report: where its findings are written.
    """

    name: str
    says: str
    module: str
    parameters: Path
    relayed: bool
    folder: Path
    report: Path


TOUR = Demo(
    "tour",
    "From a first ping to a reward in a wallet, attacked a little.",
    "devnet.tour",
    PARAMETERS / "devnet.toml",
    True,
    Path("build/devnet"),
    Path("build/demo.json"),
)
SETTLEMENT = Demo(
    "settlement",
    "Hostile validators against the contracts: slashed by whoever watches; a deposit comes back.",
    "devnet.settlement.play",
    PARAMETERS / "settlement.toml",
    False,
    Path("build/demo-settlement"),
    Path("build/demo-settlement.json"),
)
SESSIONS = Demo(
    "sessions",
    "Consumers download through providers of three regions; what was served is paid, a killed provider costs nobody much.",
    "devnet.sessions.play",
    PARAMETERS / "sessions.toml",
    True,
    Path("build/demo-sessions"),
    Path("build/demo-sessions.json"),
)
VALIDATORS = Demo(
    "validators",
    "A proposer that lies, an epoch that dies and is made up for, and an audit of every epoch from outside.",
    "devnet.validators.play",
    PARAMETERS / "validators.toml",
    False,
    Path("build/demo-validators"),
    Path("build/demo-validators.json"),
)
DEMOS: Mapping[str, Demo] = {demo.name: demo for demo in (TOUR, SETTLEMENT, SESSIONS, VALIDATORS)}
"""By name; the first is what `dpn demo` plays without one."""
