"""The checks of the validators' demo: true of a sound run, each untrue once what it says is not so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from chain.types import Address, Digest, to_hex
from devnet.rawchain import PostedLog
from devnet.validators.checks import CHECKS, judge
from devnet.validators.facts import Audit, Facts, Recorded

VALIDATORS = {Address(f"0x{n:040x}"): f"validator-{n}" for n in range(1, 5)}
LIAR, *HONEST = VALIDATORS
PROVIDER = Address("0x" + "aa" * 20)
RECORDED, UNSIGNED = "the liar's candidate is recorded in its round", "no validator has signed it"
ROUND, COVERED = "the lie costs its round and not the epoch", "an epoch dies without two thirds, and the next root covers it"
GOES_ON, ONCE = "who was killed goes on where it was", "one root an epoch, one candidate a round"
BYTES, PAID = "every validator serves the bytes of every state", "the dead epoch is paid as well"
AUDITED = "`dpn audit` confirms every epoch from outside"


def digest(n: int) -> Digest:
    return Digest(bytes([n]) * 32)


def posting(epoch: int, round_: int, through: int, signers: int) -> PostedLog:
    return PostedLog(epoch, round_, digest(epoch), through, 10, digest(epoch + 50), digest(0), signers, 0, 1, "0x", HONEST[0], 1)


POSTED = (posting(1, 1, 1, 0b1110), posting(3, 0, 3, 0b1110))
SAYS = " ".join(to_hex(log.root) for log in POSTED)
SOUND = Facts(
    false_epoch=1,
    dead=2,
    liar=LIAR,
    validators=VALIDATORS,
    recorded=(Recorded(1, 0, LIAR, digest(9)), Recorded(1, 1, HONEST[0], digest(8)), Recorded(3, 0, HONEST[1], digest(7))),
    posted=POSTED,
    signed={name: frozenset() for name in VALIDATORS.values()},
    states={log.epoch: dict.fromkeys(VALIDATORS.values(), True) for log in POSTED},
    earned={PROVIDER: 5},
    killed=("validator-2", "validator-3"),
    alive=frozenset(VALIDATORS.values()),
    audits={"validator-2": Audit(0, {}, SAYS), "validator-1": Audit(0, {}, SAYS)},
)


def test_a_sound_run_is_true_throughout() -> None:
    checks = judge(SOUND)
    assert len(checks) == len(CHECKS) == 9
    assert [check.name for check in checks if not check.passed] == []


@pytest.mark.parametrize(
    ("change", "untrue"),
    [
        (lambda f: replace(f, recorded=f.recorded[1:]), {RECORDED}),
        (lambda f: replace(f, signed={**f.signed, "validator-2": frozenset({HONEST[0]})}), {UNSIGNED}),
        (lambda f: replace(f, signed={}), {UNSIGNED}),
        (lambda f: replace(f, posted=(posting(1, 0, 1, 0b1110), POSTED[1])), {ROUND}),
        (lambda f: replace(f, posted=(posting(1, 1, 1, 0b1), POSTED[1])), {ROUND}),
        (lambda f: replace(f, posted=(POSTED[0], posting(3, 0, 1, 0b1110))), {COVERED}),
        (lambda f: replace(f, alive=frozenset({"validator-1"})), {GOES_ON}),
        (lambda f: replace(f, posted=(POSTED[0], posting(3, 0, 3, 0b1001))), {GOES_ON}),
        (lambda f: replace(f, posted=(POSTED[0], *POSTED)), {ONCE, BYTES}),
        (lambda f: replace(f, recorded=(*f.recorded, f.recorded[1])), {ONCE}),
        (lambda f: replace(f, states={**f.states, 1: {**f.states[1], "validator-4": False}}), {BYTES}),
        (lambda f: replace(f, earned={PROVIDER: 0}), {PAID}),
        (lambda f: replace(f, audits={}), {AUDITED}),
        (lambda f: replace(f, audits={"validator-2": Audit(1, None, SAYS)}), {AUDITED}),
        (lambda f: replace(f, audits={"validator-2": Audit(0, {}, "confirmed")}), {AUDITED}),
    ],
)
def test_what_is_not_so_is_untrue(change: Callable[[Facts], Facts], untrue: set[str]) -> None:
    assert {check.name for check in judge(change(SOUND)) if not check.passed} == untrue
