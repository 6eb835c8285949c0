"""What can be proven of leaves and of statements: all that is wrong, with paths that lead to the root, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from chain.events import LogPosition, Posted
from chain.frauds import ExcessiveSum, Fall, OutOfRange, Overspending, Repeat, running_hash
from chain.keys import NodeKey
from chain.merkle import MerkleTree, leaf_hash, verify
from chain.messages import ATTESTATION, EpochAttestation, Leaf
from chain.typed import Domain, digest_of, sign
from chain.types import PPM, ZERO_DIGEST, Address, Signature, Wei
from validator.frauds import Fraud, LeafTree, equivocations, frauds_in
from validator.postings import equivocation_in, signed_in_post

DOMAIN = Domain(31337, Address("0x" + "11" * 20))
ONE, OTHER = NodeKey(bytes([1]) * 32), NodeKey(bytes([2]) * 32)
A, B, C, D = (Address("0x" + digit * 40) for digit in "abcd")
PARENT = (Leaf(A, 50, 3, 7, 200_000), Leaf(B, 30, 0, 5, 0), Leaf(C, 0, 0, 0, PPM))
CHILD = (Leaf(A, 60, 4, 7, 100_000), Leaf(B, 30, 0, 9, 0), Leaf(C, 0, 0, 0, 0), Leaf(D, 9, 0, 0, 0))
HELD = {A: 4, B: 10}
TOTAL = 99


def found(leaves: Sequence[Leaf], total: int = TOTAL, parent: Sequence[Leaf] | None = PARENT) -> list[Fraud]:
    return list(frauds_in(LeafTree(leaves), total, None if parent is None else LeafTree(parent), HELD))


def test_an_honest_root_gives_no_proof() -> None:
    assert found(CHILD) == []
    assert found(CHILD, parent=None) == []


amounts = st.integers(0, 2**60)
Fields = tuple[int, int, int, int]
honest_leaves = st.dictionaries(
    st.integers(1, 2**160 - 1), st.tuples(amounts, amounts, st.integers(0, 2**50), st.integers(0, PPM)), min_size=1, max_size=12
)


@given(honest_leaves, honest_leaves, st.integers(0, 3))
def test_no_honest_tree_gives_a_proof(before: dict[int, Fields], grown: dict[int, Fields], more: int) -> None:
    """The sums of accounts only grow, nobody spends more than it holds, and the total is that of the leaves or above."""
    parent = [Leaf(Address(f"0x{n:040x}"), *fields) for n, fields in before.items()]
    child = []
    for n in before.keys() | grown.keys():
        was, plus = before.get(n, (0, 0, 0, 0)), grown.get(n, (0, 0, 0, 0))
        child.append(Leaf(Address(f"0x{n:040x}"), was[0] + plus[0], was[1] + plus[1], was[2] + plus[2], plus[3]))
    deposits = {leaf.account: leaf.spent for leaf in child}
    total = sum(leaf.earned for leaf in child) + more
    assert list(frauds_in(LeafTree(child), total, LeafTree(parent), deposits)) == []


@given(honest_leaves)
def test_the_tree_is_the_standard_one(fields: dict[int, Fields]) -> None:
    leaves = [Leaf(Address(f"0x{n:040x}"), *one) for n, one in fields.items()]
    tree, standard = LeafTree(leaves), MerkleTree(leaves)
    assert tree.root == standard.root
    assert [tree.path(index) for index in range(len(leaves))] == [standard.path(leaf.account) for leaf in leaves]


@pytest.mark.parametrize("field", ["earned", "spent", "points"])
def test_what_falls_is_found_with_both_paths(field: str) -> None:
    leaves = [replace(leaf, **{field: getattr(PARENT[0], field) - 1}) if leaf.account == A else leaf for leaf in CHILD]
    (fraud,) = found(leaves)
    assert isinstance(fraud.proof, Fall)
    assert (fraud.proof.leaf, fraud.proof.parent_leaf) == (leaves[0], PARENT[0])
    assert verify(LeafTree(leaves).root, fraud.proof.leaf, fraud.proof.path)
    assert verify(MerkleTree(PARENT).root, fraud.proof.parent_leaf, fraud.proof.parent_path)
    assert found(leaves, parent=None) == []


def test_a_reputation_may_fall() -> None:
    assert found([replace(leaf, reputation=0) for leaf in CHILD]) == []


def test_two_leaves_of_one_account_are_found_unless_they_are_the_same() -> None:
    (fraud,) = found([*CHILD, replace(CHILD[3], points=1)], total=108)
    assert isinstance(fraud.proof, Repeat)
    root = LeafTree([*CHILD, replace(CHILD[3], points=1)]).root
    assert verify(root, fraud.proof.a, fraud.proof.path_a)
    assert verify(root, fraud.proof.b, fraud.proof.path_b)
    assert (fraud.proof.a.account, fraud.proof.a == fraud.proof.b) == (D, False)
    assert found([*CHILD, CHILD[3]]) == []  # the Judge takes a leaf's hash once, so nothing follows from it


def test_a_repeated_account_falls_by_the_leaf_that_falls() -> None:
    kinds = {type(fraud.proof) for fraud in found([*CHILD, replace(CHILD[0], earned=1)], total=100)}
    assert kinds == {Repeat, Fall}


def test_what_is_spent_above_the_deposit_is_found() -> None:
    for account, spent in ((A, 5), (B, 11), (C, 1)):
        leaves = [replace(leaf, spent=spent) if leaf.account == account else leaf for leaf in CHILD]
        (fraud,) = found(leaves)
        assert isinstance(fraud.proof, Overspending)
        assert fraud.proof.leaf.account == account
        assert verify(LeafTree(leaves).root, fraud.proof.leaf, fraud.proof.path)


def test_leaves_above_the_total_are_found_by_the_fewest_that_are() -> None:
    (fraud,) = found(CHILD, total=89)
    assert isinstance(fraud.proof, ExcessiveSum)
    assert {leaf.account for leaf, _ in fraud.summands} == {A, B}
    hashes = [leaf_hash(leaf) for leaf, _ in fraud.summands]
    assert hashes == sorted(hashes)
    assert fraud.proof == ExcessiveSum(LeafTree(CHILD).root, running_hash(hashes))
    assert all(verify(fraud.proof.root, leaf, path) for leaf, path in fraud.summands)
    assert len(found(CHILD, total=98)[0].summands) == 3


@pytest.mark.parametrize(("field", "value"), [("earned", 2**96), ("spent", 2**96), ("points", 2**64), ("reputation", PPM + 1)])
def test_a_field_out_of_range_is_found_first(field: str, value: int) -> None:
    leaves = [replace(leaf, **{field: value}) if leaf.account == D else leaf for leaf in CHILD]  # type: ignore[arg-type]
    fraud = found(leaves, total=2**97)[0]
    assert isinstance(fraud.proof, OutOfRange)
    assert verify(LeafTree(leaves).root, fraud.proof.leaf, fraud.proof.path)
    at_the_limit = [replace(leaf, **{field: value - 1}) if leaf.account == D else leaf for leaf in CHILD]  # type: ignore[arg-type]
    assert all(not isinstance(one.proof, OutOfRange) for one in found(at_the_limit, total=2**97))


# Statements


def statement(epoch: int = 3, round_: int = 1, mark: int = 0) -> EpochAttestation:
    return EpochAttestation(epoch, epoch, round_, *(ZERO_DIGEST,) * 4, mark, 0, *(ZERO_DIGEST,) * 3)


def test_signing_twice_is_found_once_a_round_whatever_the_order() -> None:
    one, two, three = (sign(statement(mark=mark), DOMAIN, ONE) for mark in (1, 2, 3))
    ((signer, proof),) = equivocations({ONE.address: [one, two]}, DOMAIN)
    assert signer == ONE.address
    assert {proof.a, proof.b} == {one, two}
    assert digest_of(proof.a.message, DOMAIN) < digest_of(proof.b.message, DOMAIN)
    assert [found for _, found in equivocations({ONE.address: [two, one]}, DOMAIN)] == [proof]
    assert len(list(equivocations({ONE.address: [one, two, three]}, DOMAIN))) == 1


def test_what_is_no_equivocation_is_none() -> None:
    same = sign(statement(), DOMAIN, ONE)
    rounds = [sign(statement(round_=n), DOMAIN, ONE) for n in range(3)]
    epochs = [sign(statement(epoch=n), DOMAIN, ONE) for n in range(3)]
    for statements in ([same, same], rounds, epochs, []):
        assert list(equivocations({ONE.address: statements}, DOMAIN)) == []
    assert list(equivocations({ONE.address: [same], OTHER.address: [sign(statement(mark=1), DOMAIN, OTHER)]}, DOMAIN)) == []


# Postings

POSTED = Posted(LogPosition(1, 0, ZERO_DIGEST), 3, 1, ZERO_DIGEST, 3, Wei(0), Wei(0), ZERO_DIGEST, ZERO_DIGEST, signers=3, active_at=9)


def values(message: EpochAttestation) -> tuple[object, ...]:
    return tuple(getattr(message, name) for name in EpochAttestation.__slots__)


def call(message: EpochAttestation, signatures: bytes) -> bytes:
    return keccak(text=f"post({ATTESTATION},bytes)")[:4] + encode([ATTESTATION, "bytes"], [values(message), signatures])


def test_signers_are_read_from_a_posting_also_one_that_a_contract_carried() -> None:
    message = statement()
    signed = {key.address: sign(message, DOMAIN, key) for key in (ONE, OTHER)}
    data = call(message, b"".join(one.signature for one in signed.values()))
    assert signed_in_post(data, POSTED, DOMAIN) == (signed,)
    wrapped = encode(["address", "bytes"], [A, data])
    assert signed_in_post(keccak(text="forward(address,bytes)")[:4] + wrapped, POSTED, DOMAIN) == (signed,)


def test_what_is_not_this_posting_gives_no_signers() -> None:
    message = statement()
    signature = sign(message, DOMAIN, ONE).signature
    assert signed_in_post(call(message, signature), replace(POSTED, epoch=4), DOMAIN) == ()
    assert signed_in_post(b"", POSTED, DOMAIN) == ()
    assert signed_in_post(call(message, b""), POSTED, DOMAIN) == ()
    assert signed_in_post(call(message, bytes(65) + signature[:64]), POSTED, DOMAIN) == ()
    whole = call(message, signature)
    for end in range(0, len(whole), 50):
        signed_in_post(whole[:end] + b"\xff" * 40, POSTED, DOMAIN)
    decoy = whole[:4] * 3 + whole
    assert [set(found) for found in signed_in_post(decoy, POSTED, DOMAIN)] == [{ONE.address}]


def test_a_decoy_before_the_call_hides_no_signature() -> None:
    message = statement()
    other = replace(message, total_earned=message.total_earned + 1)
    decoys = call(message, b"") + call(other, sign(other, DOMAIN, OTHER).signature)
    found = signed_in_post(decoys + call(message, sign(message, DOMAIN, ONE).signature), POSTED, DOMAIN)
    assert [set(signed) for signed in found] == [{OTHER.address}, {ONE.address}]
    assert found[1][ONE.address].message == message


def test_what_was_proven_is_read_from_the_proof() -> None:
    types = [ATTESTATION, "bytes", ATTESTATION, "bytes", "bytes32"]
    signature = Signature(bytes(65))
    data = encode(types, [values(statement(mark=1)), signature, values(statement(mark=2)), signature, ZERO_DIGEST])
    selector = keccak(text=f"equivocates({','.join(types)})")[:4]
    assert equivocation_in(selector + data) == (3, 1)
    assert equivocation_in(data) is None
