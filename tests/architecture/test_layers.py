"""What may import what, what a command loads, what is pure, and that the packages found are ours."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = ("chain", "wire", "runtime", "resolver", "provider", "validator", "master", "consumer", "audit", "cli", "devnet")
HEAVY = ("web3", "sqlmodel", "sqlalchemy", "eth_account", "eth_tester", "eth")
IMPURE = {"asyncio", "time", "aiohttp", "sqlmodel", "sqlalchemy", "web3", "socket", "random", "secrets", "os"}
PURE = {
    "chain": (
        *("canonical", "epochs", "fold", "frauds", "merkle", "messages", "rules", "typed", "types", "view"),
        *(f"events/{module}" for module in ("__init__", "decoder", "judge", "log", "registry", "settlement", "vault")),
    ),
    "wire": (
        *(
            "addresses",
            "agreement",
            "announcements",
            "answers",
            "files",
            "geography",
            "messages",
            "ranking",
            "refusals",
            "regions",
            "relay",
        ),
        *("sessions", "slots", "statements", "tiers", "tunnel", "udp"),
    ),
    "resolver": ("estimates", "latency", "location", "market", "matching", "pending", "pool", "tickets"),
    "provider": ("activity", "proofs", "doctor.remedies", "sessions.records"),
    "consumer": ("metering", "units"),
    "validator": (
        *("verification", "session_evidence", "epoch", "session_pay", "reputation", "pay", "state", "agreement", "demand", "frauds"),
        *("earnings", "postings"),
    ),
    "master": ("echo",),
    "audit": ("comparing", "explaining", "explanation", "inclusion", "picture", "telling", "verdicts", "warning"),
    "devnet": ("cities", "layout"),
}


def test_layers_hold(root: Path) -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    found = subprocess.run((linter,), cwd=root, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


def test_the_packages_are_ours(root: Path) -> None:
    """Unrelated distributions named `validator` and `provider` exist."""
    for package in PACKAGES:
        assert Path(str(importlib.import_module(package).__file__)).parent == root / package


@pytest.mark.parametrize(("package", "module"), [(package, module) for package, modules in PURE.items() for module in modules])
def test_pure_modules_do_no_input_or_output(root: Path, package: str, module: str) -> None:
    tree = ast.parse((root / package / f"{module.replace('.', '/')}.py").read_text())
    imported = {alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module).split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not imported & IMPURE


@pytest.mark.parametrize(
    "arguments", [["--help"], ["wallet", "address"], ["provider", "--help"], ["validator", "--help"], ["consumer", "--help"]]
)
def test_light_commands_load_nothing_heavy(root: Path, tmp_path: Path, arguments: list[str]) -> None:
    """A help text or an address in a file needs neither web3 nor a database."""
    keystore = tmp_path / "key.json"
    keystore.write_text(json.dumps({"version": 3, "address": "22" * 20, "crypto": {}}))
    if arguments == ["wallet", "address"]:
        arguments = [*arguments, "--keystore", str(keystore)]
    script = (
        f"import sys; from cli.app import app\ntry:\n    app({arguments!r})\nfinally:\n    print(sorted(set(sys.modules) & {set(HEAVY)!r}))"
    )
    found = subprocess.run((sys.executable, "-c", script), cwd=root, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[-1] == "[]"


def test_no_daemon_waits_for_libraries_that_it_does_not_use(root: Path) -> None:
    """Half of a daemon's start would be the import of web3, eth-account and the curve of other chains' keystores."""
    roles = ("resolver", "provider", "validator", "master", "consumer")
    modules = ", ".join(("chain.keystore", *(f"{role}.{module}" for role in roles for module in ("cli", "node"))))
    unused = {"web3", "eth_account", "eth_keyfile", "py_ecc", "eth_tester", "eth", "requests"}
    script = f"import sys, {modules}; print(sorted(set(sys.modules) & {unused!r}))"
    found = subprocess.run((sys.executable, "-c", script), cwd=root, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[-1] == "[]"


def test_no_module_is_long_without_a_reason(root: Path) -> None:
    """Over 300 lines a module says why in its docstring: `Long because …`."""
    for package in PACKAGES:
        for file in (root / package).rglob("*.py"):
            text = file.read_text()
            assert len(text.splitlines()) <= 300 or "Long because" in text, file


def test_no_file_names_a_registry_or_a_machine(root: Path) -> None:
    """Lock files must not name where packages came from, and no file a path of one machine."""
    tracked = subprocess.run(("git", "ls-files"), cwd=root, capture_output=True, text=True, check=True).stdout.split()
    for name in tracked:
        content = (root / name).read_bytes()
        for forbidden in (b"registry." + b"npmjs", b"pypi." + b"org", b"python" + b"hosted", b"/ro" + b"ot/", b"/wo" + b"rk/"):
            assert forbidden not in content, (name, forbidden)
