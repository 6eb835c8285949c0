// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISettlement} from "./ISettlement.sol";

/// @title Fraud proofs: what code can tell to be wrong, shown by anyone
/// @notice A proof convicts and nothing else; slashing is a call of its own at the registry, so that no failing
/// transfer saves a fraud. A report is committed to at least one block before it is shown, so that whoever copies
/// it from the waiting transactions comes too late for the reporter's share. A root is triable while it is pending,
/// and after the guardian has cancelled it until it would have become active.
interface IJudge {
    event Committed(bytes32 indexed commitment, address indexed by);
    /// @param name The proof, by the name of its function.
    /// @param subject The root, or the validator's address in its low 160 bits.
    event Proven(bytes32 indexed name, bytes32 indexed subject, address indexed reporter);
    event Summed(bytes32 indexed root, address indexed reporter, uint256 earned, uint256 leaves);

    error ZeroAddress();
    error AlreadyCommitted(bytes32 commitment);
    /// @notice Not in a block before this one.
    error NotCommitted(bytes32 commitment);
    error SameStatement(bytes32 digest);
    error DifferentRounds(uint256 epochA, uint256 roundA, uint256 epochB, uint256 roundB);
    error InvalidSignature(uint256 index);
    error DifferentSigners(address a, address b);
    error NothingTriable();
    error NotInTree(address account, bytes32 root);
    error DifferentAccounts(address a, address b);
    error NotFallen(address account);
    error SameLeaf(address account);
    error NotOverspent(address account, uint256 spent, uint256 deposit);
    error InRange(address account);
    error LengthMismatch(uint256 leaves, uint256 proofs);
    error NotAscending(bytes32 previous, bytes32 hash);
    error WithinTotal(uint256 earned, uint256 totalEarned);

    /// @notice Records a commitment: `commitmentOf` of what is going to be shown. Its proof counts from the next
    /// block on, and only while the root it is about is still triable.
    /// @dev Requires: not committed yet by anyone. A commitment names its reporter, so one that somebody else
    /// recorded first serves that reporter as well as its own.
    function commit(bytes32 commitment) external;

    /// @notice What to commit to: keccak256(abi.encode(reporter, evidence, salt)).
    /// @param reporter Who is going to call the proof.
    /// @param evidence keccak256(abi.encode(name, ...)): the name of the proof's function as bytes32, padded with
    /// zeros on its right, then its arguments in order without the salt. For `exceedsTotal` the name is followed by
    /// the root and the running hash that `summed` gives after the last leaf; it can be known, and is best
    /// committed to, before the first `sum`.
    /// @param salt Anything nobody can guess.
    function commitmentOf(address reporter, bytes32 evidence, bytes32 salt)
        external
        pure
        returns (bytes32);

    /// @notice Two different statements of one validator about one epoch and round. Convicts it, cancels nothing.
    /// @dev Requires: committed; same epoch and round; different digests; valid signatures (65 bytes, low s) of
    /// one validator with something to slash.
    function equivocates(
        ISettlement.EpochAttestation calldata a,
        bytes calldata signatureA,
        ISettlement.EpochAttestation calldata b,
        bytes calldata signatureB,
        bytes32 salt
    ) external;

    /// @notice (a) Earned, spent or points of the triable root's leaf are below those of the same account's leaf in
    /// the active root, which is its parent. Cancels the root and convicts its signers, as (b) to (e) do.
    function falls(
        ISettlement.Leaf calldata leaf,
        bytes32[] calldata proof,
        ISettlement.Leaf calldata parentLeaf,
        bytes32[] calldata parentProof,
        bytes32 salt
    ) external;

    /// @notice (b) Two different leaves for one account in the triable root.
    function repeats(
        ISettlement.Leaf calldata a,
        bytes32[] calldata proofA,
        ISettlement.Leaf calldata b,
        bytes32[] calldata proofB,
        bytes32 salt
    ) external;

    /// @notice (c) A leaf of the triable root has spent more than its account has deposited and not withdrawn.
    function overspends(ISettlement.Leaf calldata leaf, bytes32[] calldata proof, bytes32 salt)
        external;

    /// @notice (d), a step: adds leaves of the triable root to the caller's sum for that root. Their hashes ascend
    /// strictly, from the last of the step before on, so no leaf counts twice. Needs no commitment.
    function sum(ISettlement.Leaf[] calldata leaves, bytes32[][] calldata proofs) external;

    /// @notice (d) The earned amounts summed up so far by the caller exceed the triable root's total.
    function exceedsTotal(bytes32 salt) external;

    /// @notice (e) A field of a leaf of the triable root is out of range.
    function outOfRange(ISettlement.Leaf calldata leaf, bytes32[] calldata proof, bytes32 salt)
        external;

    /// @notice How far a reporter has come with a root's sum.
    /// @return last Hash of the last leaf; 0 if none yet.
    /// @return running Hash over all leaf hashes: keccak256(abi.encode(running before, hash)), from 0 on.
    /// @return earned Their sum, token wei; stops at 2^128 - 1, above every total that can be posted.
    /// @return leaves Their number.
    function summed(bytes32 root, address reporter)
        external
        view
        returns (bytes32 last, bytes32 running, uint256 earned, uint256 leaves);

    /// @notice The block in which a commitment was made; 0 if it was not.
    function committedAt(bytes32 commitment) external view returns (uint256);

    function settlement() external view returns (ISettlement);
}
