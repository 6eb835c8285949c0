// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISettlement} from "../interfaces/ISettlement.sol";

/// @title The EIP-712 struct hash of an EpochAttestation
library Attestations {
    bytes32 internal constant TYPEHASH = keccak256(
        "EpochAttestation(uint256 epoch,uint256 through,uint256 round,bytes32 parentRoot,"
        "bytes32 parentStateDigest,bytes32 stateDigest,bytes32 root,uint256 totalEarned,"
        "uint256 totalSpent,bytes32 anchorBlockHash,bytes32 rulesDigest,bytes32 manifestDigest)"
    );

    /// @dev Every field is one static word, so the encoded struct is the fields one after another.
    function hash(ISettlement.EpochAttestation calldata attestation)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(TYPEHASH, attestation));
    }
}
