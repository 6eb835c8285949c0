"""Every check is true of a sound tour, and untrue once the thing it is about is changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from chain.merkle import MerkleTree
from chain.messages import Leaf
from chain.types import Address, Digest, to_hex
from devnet import checks
from devnet.checks import judge
from devnet.facts import Account, Facts, Forgery, Kill, Tree
from devnet.observer import Money, NodeSight, ProviderSight
from devnet.processes import Started
from devnet.rawchain import Payment, PostedLog
from devnet.report import report
from devnet.verdict import Check
from wire.agreement import LeafPath
from wire.answers import MasterView, ProviderView

P1, P2 = Address("0x" + "11" * 20), Address("0x" + "12" * 20)
V = tuple(Address(f"0x{n:040x}") for n in range(0x31, 0x35))
MASTER, TREASURY = Address("0x" + "21" * 20), Address("0x" + "fe" * 20)
LEAVES = (Leaf(P1, 700, 0, 30, 400_000), Leaf(P2, 300, 0, 10, 300_000), Leaf(TREASURY, 0, 0, 0, 0))
TREE = MerkleTree(LEAVES)
OLD = MerkleTree((LEAVES[1], LEAVES[2]))
PROOF = "0x" + "ab" * 32


def view(account: Address, state: str = "connected", code: str = "ok", number: int = 1) -> ProviderView:
    masters = (MasterView(MASTER, "127.20.2.1:7200", "ok", 9_000, 5),)
    return ProviderView(account, state, code, 100, "FR", 48, 2, "ok", (), 10**8, 1, f"127.20.{number}.0/24", 20, masters)


def sight(name: str, account: Address, number: int) -> ProviderSight:
    node = NodeSight(name, "provider", "Paris", 50, {})
    return ProviderSight(node, account, view(account, number=number), Money(0, 0, 0, 0, 0))


def posted(epoch: int, tree: MerkleTree, earned: int) -> PostedLog:
    state, manifest = Digest(bytes([epoch] * 32)), Digest(bytes([epoch + 100] * 32))
    transaction = f"0x{epoch:064x}"
    return PostedLog(epoch, 0, tree.root, epoch, earned, state, manifest, 0b0111, 1000 + epoch, epoch, transaction, V[1], 120_000)


def leaf_path(account: Address) -> LeafPath:
    leaf = next(leaf for leaf in LEAVES if leaf.account == account)
    return LeafPath(3, TREE.root, account, leaf.earned, leaf.spent, leaf.points, leaf.reputation, TREE.path(account))


def sound() -> Facts:
    logs = (posted(1, OLD, 300), posted(2, OLD, 300), posted(3, TREE, 1000))
    names = {"chain": "chain", "provider-1": "provider", "provider-2": "provider"}
    validators = {f"validator-{number}": account for number, account in enumerate(V, 1)}
    killed = Kill("validator-2", V[1], 2, logs[1].transaction, False, -9, 61, 62)
    said = {
        "epoch": 2,
        "state": "active",
        "root": to_hex(OLD.root),
        "tx": logs[1].transaction,
        "postedBy": V[1],
        "manifest": to_hex(logs[1].manifest_digest),
    }
    return Facts(
        roles=names,
        started=(Started("chain", "chain", 1), Started("provider-1", "provider", 2), Started("provider-2", "provider", 3)),
        alive=frozenset(names),
        providers={"provider-1": P1, "provider-2": P2},
        masters=("master-1",),
        validators=validators,
        listed_validators=V,
        prefixes={"provider-1": "127.20.1.0/24", "provider-2": "127.20.2.0/24"},
        joined=(sight("provider-1", P1, 1), sight("provider-2", P2, 2)),
        joined_rtt_us={"provider-1": {"master-1": 9_000}, "provider-2": {"master-1": 12_000}},
        least_rtt_us={"provider-1": {"master-1": 8_000}, "provider-2": {"master-1": 12_000}},
        forgery=Forgery("provider-1", "wrong_signer", view(P1), view(P1)),
        silent=("provider-2", view(P2, "expired", "presence_expired")),
        offered=(P1,),
        left=("provider-1", view(P1, "left", "left")),
        pool={P1: view(P1), P2: view(P2)},
        kill=killed,
        restarted=NodeSight("validator-2", "validator", "Toronto", 62, {"epochs": [said]}),
        posted=logs,
        activated=(OLD.root, OLD.root, TREE.root),
        second=2000,
        active_root=TREE.root,
        manifests={log.epoch: dict.fromkeys(validators, to_hex(log.manifest_digest)) for log in logs},
        evidence={3: {P1: frozenset({PROOF}), P2: frozenset({PROOF, "0xcd"})}},
        trees={1: Tree(OLD.root, 2, 300), 2: Tree(OLD.root, 2, 300), 3: Tree(TREE.root, 3, 1000)},
        leaves={name: dict.fromkeys(validators, leaf_path(account)) for name, account in (("provider-1", P1), ("provider-2", P2))},
        status={"provider-1": {"heartbeats": 20, "receipted": 4}, "provider-2": {"heartbeats": 19, "receipted": 3}},
        proven={"provider-1": {3: PROOF}, "provider-2": {3: PROOF, 9: "0xee"}},
        accounts={"provider-1": Account(5, 705, 700, 400_000, 3), "provider-2": Account(0, 300, 300, 300_000, 3)},
        payments=(Payment(P1, P1, 700, "0x1", 700), Payment(P2, P2, 300, "0x2", 300)),
        foreign_files=dict.fromkeys(names, ()),
    )


def other(pairs: dict[str, object]) -> Callable[[Facts], Facts]:
    return lambda facts: replace(facts, **pairs)  # type: ignore[arg-type]


def log_changed(epoch: int, **changes: object) -> Callable[[Facts], Facts]:
    def change(facts: Facts) -> Facts:
        return replace(facts, posted=tuple(replace(log, **changes) if log.epoch == epoch else log for log in facts.posted))  # type: ignore[arg-type]

    return change


def kill_changed(**changes: object) -> Callable[[Facts], Facts]:
    return lambda facts: replace(facts, kill=replace(facts.kill, **changes))  # type: ignore[type-var]


def leaf_changed(**changes: object) -> Callable[[Facts], Facts]:
    def change(facts: Facts) -> Facts:
        one = replace(leaf_path(P1), **changes)  # type: ignore[arg-type]
        return replace(facts, leaves=dict(facts.leaves) | {"provider-1": dict.fromkeys(facts.validators, one)})

    return change


def account_changed(**changes: object) -> Callable[[Facts], Facts]:
    def change(facts: Facts) -> Facts:
        return replace(facts, accounts=dict(facts.accounts) | {"provider-1": replace(facts.accounts["provider-1"], **changes)})  # type: ignore[arg-type]

    return change


BREAKS: list[tuple[Callable[[Facts], Check], Callable[[Facts], Facts], str]] = [
    (checks.processes_are_separate, other({"roles": {"relay": "relay"}}), "relay was never started"),
    (checks.processes_are_separate, lambda f: replace(f, started=(*f.started, Started("relay", "relay", 1))), "one id"),
    (checks.processes_are_separate, other({"alive": frozenset({"chain"})}), "provider-2 has ended"),
    (checks.matchmaking_offers_the_connected, other({"offered": (P1, P2)}), "provider-2 is offered"),
    (checks.matchmaking_offers_the_connected, other({"offered": ()}), "0 of 1"),
    (checks.files_are_private, other({"foreign_files": {}}), "was not looked at"),
    (checks.files_are_private, other({"foreign_files": {"provider-1": ("/x/provider-2/data/provider.sqlite",)}}), "provider-2"),
    (checks.everyone_connected, lambda f: replace(f, joined=f.joined[:1]), "provider-2 is absent"),
    (checks.everyone_timed, other({"joined_rtt_us": {"provider-1": {"master-1": 9_000}}}), "provider-2 to master-1: 0 us"),
    (
        checks.everyone_timed,
        other({"least_rtt_us": {"provider-1": {"master-1": 9_001}, "provider-2": {"master-1": 1}}}),
        "light takes 9001",
    ),
    (checks.observed_addresses, other({"prefixes": {"provider-1": "127.10.1.0/24"}}), "127.20.1.0/24 instead of 127.10.1.0/24"),
    (checks.observed_addresses, lambda f: replace(f, joined=(f.joined[0], sight("provider-2", P2, 1)), prefixes={}), "share a prefix"),
    (checks.forgery_refused, other({"forgery": Forgery("provider-1", "stale_time", view(P1), view(P1))}), "stale_time"),
    (checks.forgery_refused, other({"forgery": Forgery("provider-1", "", view(P1), view(P1))}), "none"),
    (
        checks.forgery_refused,
        other({"forgery": Forgery("provider-1", "wrong_signer", view(P1), replace(view(P1), price=2))}),
        "provider-1 has changed",
    ),
    (checks.silence_expires, other({"silent": ("provider-2", view(P2, "left"))}), "provider-2 is left"),
    (checks.silence_expires, other({"silent": ("provider-2", None)}), "absent"),
    (checks.goodbye_leaves, other({"left": ("provider-1", view(P1, "expired"))}), "provider-1 is expired"),
    (checks.poster_was_killed, other({"kill": None}), "no validator was caught"),
    (checks.poster_was_killed, kill_changed(mined_before=True), "was mined already"),
    (checks.poster_was_killed, kill_changed(exit_code=0), "not by SIGKILL"),
    (checks.poster_was_killed, kill_changed(new_pid=61), "old id"),
    (checks.posted_once, lambda f: replace(f, posted=(*f.posted, f.posted[1])), "posted 2 times"),
    (checks.posted_once, kill_changed(epoch=7), "epoch 7 was never posted"),
    (checks.posted_once, log_changed(3, signers=0b0011), "2 signers"),
    (checks.posted_once, log_changed(3, poster=P1), "was posted by"),
    (checks.restarted_reports, other({"restarted": None}), "no validator was restarted"),
    (checks.restarted_reports, log_changed(2, root=TREE.root), "root"),
    (checks.restarted_reports, log_changed(2, poster=V[0]), "postedBy"),
    (checks.restarted_reports, kill_changed(epoch=7), "epoch 7 is not on chain"),
    (checks.roots_became_active, lambda f: replace(f, activated=f.activated[1:]), "2 roots became active"),
    (checks.roots_became_active, other({"active_root": OLD.root}), "not the newest root"),
    (checks.roots_became_active, other({"second": 1002}), "not the newest root"),
    (checks.roots_became_active, lambda f: replace(f, posted=f.posted[:2], active_root=OLD.root), "was never posted"),
    (checks.states_make_the_roots, other({"posted": ()}), "nothing was posted"),
    (checks.states_make_the_roots, other({"trees": {}}), "no state is served"),
    (checks.states_make_the_roots, lambda f: replace(f, trees=dict(f.trees) | {3: Tree(TREE.root, 3, 999)}), "epoch 3"),
    (checks.manifests_agree, lambda f: replace(f, manifests=dict(f.manifests) | {3: {"validator-1": ""}}), "names nothing"),
    (checks.manifests_agree, other({"manifests": {}}), "was not asked about epoch 1"),
    (checks.stores_agree, other({"evidence": {3: {P1: frozenset({PROOF})}}}), "provider-2, epoch 3"),
    (checks.stores_agree, lambda f: replace(f, proven=dict(f.proven) | {"provider-1": {}}), "provider-1 holds no receipted proof"),
    (checks.heartbeats_agree, lambda f: replace(f, status={"provider-1": {"heartbeats": 21}}), "provider-1 counts 21"),
    (checks.heartbeats_agree, lambda f: replace(f, pool={P1: f.pool[P1]}), "the resolver 0"),
    (checks.leaves_verify, leaf_changed(earned=701), "does not lead to the active root"),
    (checks.leaves_verify, leaf_changed(account=P2), "does not lead to the active root"),
    (checks.leaves_verify, lambda f: replace(f, leaves={}), "was not asked about provider-1"),
    (
        checks.leaves_verify,
        lambda f: replace(f, leaves=dict(f.leaves) | {"provider-2": {"validator-1": leaf_path(P2), "validator-2": None}}),
        "validator-2 serves no leaf",
    ),
    (checks.everyone_paid, account_changed(claimed=701), "claimedOf 701"),
    (checks.everyone_paid, account_changed(balance_after=706), "balance 701"),
    (checks.everyone_paid, lambda f: replace(f, payments=f.payments[1:]), "claimed in logs 0"),
    (checks.everyone_paid, lambda f: replace(f, payments=(replace(f.payments[0], transferred=699), f.payments[1])), "transferred 699"),
    (checks.everyone_paid, leaf_changed(earned=699), "was paid 700 of 699"),
    (checks.reputation_is_on_chain, account_changed(reputation=0), "provider-1: 0 ppm"),
    (checks.reputation_is_on_chain, account_changed(reputation_epoch=0), "of epoch 0"),
]


def test_a_sound_tour_is_true_in_every_point() -> None:
    assert [check for check in judge(sound()) if not check.passed] == []


@pytest.mark.parametrize(("check", "change", "says"), BREAKS, ids=[f"{check.__name__}-{says}" for check, _, says in BREAKS])
def test_each_check_can_fail_and_says_why(check: Callable[[Facts], Check], change: Callable[[Facts], Facts], says: str) -> None:
    found = check(change(sound()))
    assert not found.passed
    assert says in found.detail


def test_every_check_has_a_way_to_fail() -> None:
    assert {check for check, _, _ in BREAKS} == set(checks.CHECKS)


def test_the_report_holds_exactly_what_was_asked_for() -> None:
    found = report(sound(), judge(sound()), 30.04, 61.26)
    assert list(found) == ["duration_s", "setup_s", "processes", "providers", "epochs", "checks"]
    assert (found["duration_s"], found["setup_s"]) == (61.3, 30.0)
    assert found["processes"][0] == {"role": "chain", "pid": 1}
    assert found["providers"][0] == {
        "address": P1,
        "state": "connected",
        "reason": "ok",
        "rtt_us": {"master-1": 9_000},
        "heartbeats": 20,
        "proofs_accepted": 4,
        "earned": "700",
        "claimed": "700",
        "balance_before": "5",
        "balance_after": "705",
        "reputation": 400_000,
    }
    assert found["epochs"][2] == {
        "epoch": 3,
        "root": to_hex(TREE.root),
        "signers": list(V[:3]),
        "transaction": f"0x{3:064x}",
        "gas": 120_000,
        "accounts": 3,
        "total": "1000",
    }
    assert [set(check) for check in found["checks"]] == [{"name", "passed", "detail"}] * len(checks.CHECKS)
