// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IJudge} from "./interfaces/IJudge.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {IVault} from "./interfaces/IVault.sol";
import {Leaves} from "./libraries/Leaves.sol";

/// @title Fraud proofs
/// @notice See {IJudge} for what each function promises.
contract Judge is IJudge {
    using Leaves for ISettlement.Leaf;

    /// @dev How far a reporter has come with a root.
    /// @param earned Stops at its maximum, which is far above every total that can be posted, so that a leaf with
    /// an absurd amount cannot make the sum overflow and save the fraud.
    struct Progress {
        bytes32 last;
        bytes32 running;
        uint128 earned;
        uint128 leaves;
    }

    /// @inheritdoc IJudge
    ISettlement public immutable settlement;

    /// @inheritdoc IJudge
    mapping(bytes32 commitment => uint256) public committedAt;
    mapping(bytes32 root => mapping(address reporter => Progress)) private _sums;

    /// @param settlement_ The settlement contract, whose address is known before it exists.
    constructor(address settlement_) {
        if (settlement_ == address(0)) revert ZeroAddress();
        settlement = ISettlement(settlement_);
    }

    /// @inheritdoc IJudge
    function commit(bytes32 commitment) external {
        if (committedAt[commitment] != 0) revert AlreadyCommitted(commitment);
        committedAt[commitment] = block.number;
        emit Committed(commitment, msg.sender);
    }

    /// @inheritdoc IJudge
    function equivocates(
        ISettlement.EpochAttestation calldata a,
        bytes calldata signatureA,
        ISettlement.EpochAttestation calldata b,
        bytes calldata signatureB,
        bytes32 salt
    ) external {
        bytes32 name = "equivocates";
        _requireCommitted(keccak256(abi.encode(name, a, signatureA, b, signatureB)), salt);
        if (a.epoch != b.epoch || a.round != b.round) {
            revert DifferentRounds(a.epoch, a.round, b.epoch, b.round);
        }
        bytes32 digestA = settlement.digestOf(a);
        bytes32 digestB = settlement.digestOf(b);
        if (digestA == digestB) revert SameStatement(digestA);
        address signer = _signerOf(digestA, signatureA, 0);
        address other = _signerOf(digestB, signatureB, 1);
        if (signer != other) revert DifferentSigners(signer, other);

        emit Proven(name, bytes32(uint256(uint160(signer))), msg.sender);
        settlement.registry().convict(signer, msg.sender);
    }

    /// @inheritdoc IJudge
    function falls(
        ISettlement.Leaf calldata leaf,
        bytes32[] calldata proof,
        ISettlement.Leaf calldata parentLeaf,
        bytes32[] calldata parentProof,
        bytes32 salt
    ) external {
        bytes32 name = "falls";
        _requireCommitted(keccak256(abi.encode(name, leaf, proof, parentLeaf, parentProof)), salt);
        bytes32 root = _triable().root;
        _requireLeaf(leaf, proof, root);
        // Without an active root this is 0, to which no path leads.
        _requireLeaf(parentLeaf, parentProof, settlement.activeRoot());
        _requireOneAccount(leaf, parentLeaf);
        if (
            leaf.earned >= parentLeaf.earned && leaf.spent >= parentLeaf.spent
                && leaf.points >= parentLeaf.points
        ) revert NotFallen(leaf.account);
        _convictSigners(name, root);
    }

    /// @inheritdoc IJudge
    function repeats(
        ISettlement.Leaf calldata a,
        bytes32[] calldata proofA,
        ISettlement.Leaf calldata b,
        bytes32[] calldata proofB,
        bytes32 salt
    ) external {
        bytes32 name = "repeats";
        _requireCommitted(keccak256(abi.encode(name, a, proofA, b, proofB)), salt);
        bytes32 root = _triable().root;
        _requireLeaf(a, proofA, root);
        _requireLeaf(b, proofB, root);
        _requireOneAccount(a, b);
        if (a.hash() == b.hash()) revert SameLeaf(a.account);
        _convictSigners(name, root);
    }

    /// @inheritdoc IJudge
    function overspends(ISettlement.Leaf calldata leaf, bytes32[] calldata proof, bytes32 salt)
        external
    {
        bytes32 name = "overspends";
        _requireCommitted(keccak256(abi.encode(name, leaf, proof)), salt);
        bytes32 root = _triable().root;
        _requireLeaf(leaf, proof, root);
        IVault.Deposit memory held = settlement.vault().depositOf(leaf.account);
        uint256 deposit = held.deposited - held.withdrawn;
        if (leaf.spent <= deposit) revert NotOverspent(leaf.account, leaf.spent, deposit);
        _convictSigners(name, root);
    }

    /// @inheritdoc IJudge
    function sum(ISettlement.Leaf[] calldata leaves, bytes32[][] calldata proofs) external {
        if (leaves.length != proofs.length) revert LengthMismatch(leaves.length, proofs.length);
        bytes32 root = _triable().root;
        Progress memory progress = _sums[root][msg.sender];
        for (uint256 i; i < leaves.length; ++i) {
            bytes32 hash = _requireLeaf(leaves[i], proofs[i], root);
            if (hash <= progress.last) revert NotAscending(progress.last, hash);
            uint256 earned = Math.saturatingAdd(progress.earned, leaves[i].earned);
            progress.last = hash;
            progress.running = keccak256(abi.encode(progress.running, hash));
            progress.earned = uint128(Math.min(earned, type(uint128).max));
            ++progress.leaves;
        }
        _sums[root][msg.sender] = progress;
        emit Summed(root, msg.sender, progress.earned, progress.leaves);
    }

    /// @inheritdoc IJudge
    function exceedsTotal(bytes32 salt) external {
        bytes32 name = "exceedsTotal";
        ISettlement.RootRecord memory record = _triable();
        Progress storage progress = _sums[record.root][msg.sender];
        _requireCommitted(keccak256(abi.encode(name, record.root, progress.running)), salt);
        uint256 earned = progress.earned;
        if (earned <= record.totalEarned) revert WithinTotal(earned, record.totalEarned);
        _convictSigners(name, record.root);
    }

    /// @inheritdoc IJudge
    function outOfRange(ISettlement.Leaf calldata leaf, bytes32[] calldata proof, bytes32 salt)
        external
    {
        bytes32 name = "outOfRange";
        _requireCommitted(keccak256(abi.encode(name, leaf, proof)), salt);
        bytes32 root = _triable().root;
        _requireLeaf(leaf, proof, root);
        if (leaf.inRange()) revert InRange(leaf.account);
        _convictSigners(name, root);
    }

    /// @inheritdoc IJudge
    function summed(bytes32 root, address reporter)
        external
        view
        returns (bytes32 last, bytes32 running, uint256 earned, uint256 leaves)
    {
        Progress storage progress = _sums[root][reporter];
        return (progress.last, progress.running, progress.earned, progress.leaves);
    }

    /// @inheritdoc IJudge
    function commitmentOf(address reporter, bytes32 evidence, bytes32 salt)
        public
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(reporter, evidence, salt));
    }

    /// @dev Requires: the caller committed to this evidence in an earlier block. Whoever saw the evidence first in
    /// the caller's waiting transaction cannot have.
    function _requireCommitted(bytes32 evidence, bytes32 salt) private view {
        bytes32 commitment = commitmentOf(msg.sender, evidence, salt);
        uint256 since = committedAt[commitment];
        if (since == 0 || block.number <= since) revert NotCommitted(commitment);
    }

    /// @dev Requires: a root that can be tried.
    function _triable() private view returns (ISettlement.RootRecord memory record) {
        record = settlement.triableRecord();
        if (record.root == 0) revert NothingTriable();
    }

    /// @return hash The leaf's.
    function _requireLeaf(ISettlement.Leaf calldata leaf, bytes32[] calldata proof, bytes32 root)
        private
        pure
        returns (bytes32 hash)
    {
        hash = leaf.hash();
        if (!MerkleProof.verifyCalldata(proof, root, hash)) revert NotInTree(leaf.account, root);
    }

    function _requireOneAccount(ISettlement.Leaf calldata a, ISettlement.Leaf calldata b)
        private
        pure
    {
        if (a.account != b.account) revert DifferentAccounts(a.account, b.account);
    }

    function _signerOf(bytes32 digest, bytes calldata signature, uint256 index)
        private
        pure
        returns (address signer)
    {
        ECDSA.RecoverError failure;
        (signer, failure,) = ECDSA.tryRecoverCalldata(digest, signature);
        if (failure != ECDSA.RecoverError.NoError) revert InvalidSignature(index);
    }

    /// @dev The last step of every proof against a root: cancels it and convicts who signed it.
    function _convictSigners(bytes32 name, bytes32 root) private {
        emit Proven(name, root, msg.sender);
        settlement.convict(msg.sender);
    }
}
