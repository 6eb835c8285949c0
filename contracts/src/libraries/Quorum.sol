// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Roster} from "./Roster.sol";

/// @title Two thirds of the stake, by their signatures
library Quorum {
    uint256 private constant SIGNATURE_LENGTH = 65;
    /// @dev Half the order of secp256k1: s above it is the same signature written otherwise (EIP-2).
    uint256 private constant MAX_S =
        0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;

    error InvalidSignatures(uint256 length);
    error InvalidSignature(uint256 index);
    error SignersNotAscending(address previous, address signer);
    error NotAValidator(address account);
    error StakeTooLow(uint256 total, uint256 minTotal);
    error QuorumNotReached(uint256 signed, uint256 total);

    /// @notice Requires: signatures (65 bytes each: r, s, v; s low) over `digest` by strictly ascending validators with
    /// stake, who hold 2/3 of the total, which is at least `minTotal`.
    /// @param roster As {Roster} holds it.
    /// @return bitmap The signers, by position of their seats.
    function require_(uint256[] memory roster, bytes32 digest, bytes calldata signatures)
        internal
        view
        returns (uint256 bitmap)
    {
        uint256 total = roster[Roster.TOTAL];
        uint256 minTotal = roster[Roster.MIN_TOTAL];
        if (total < minTotal) revert StakeTooLow(total, minTotal);
        if (signatures.length % SIGNATURE_LENGTH != 0) revert InvalidSignatures(signatures.length);

        uint256 signed;
        uint256 place = Roster.SEATS;
        address previous;
        // Places, and sums of at most 32 stakes of 96 bits.
        unchecked {
            for (uint256 start; start < signatures.length; start += SIGNATURE_LENGTH) {
                address signer = _recover(digest, signatures, start);
                if (signer == address(0)) revert InvalidSignature(start / SIGNATURE_LENGTH);
                if (signer <= previous) revert SignersNotAscending(previous, signer);
                previous = signer;

                // Both ascend, so one walk finds all.
                uint256 seat;
                (place, seat) = _find(roster, place, signer);
                uint256 stake = Roster.stakeOf(seat);
                if (Roster.accountOf(seat) != signer || stake == 0) revert NotAValidator(signer);
                signed += stake;
                bitmap |= 1 << (place - Roster.SEATS);
                ++place;
            }
        }
        if (3 * signed < 2 * total) revert QuorumNotReached(signed, total);
    }

    /// @dev The first seat from `place` on whose account is not below this one, and its place; past the last seat, an empty
    /// one. In assembly: 50 gas a seat passed over instead of 174, and a posting may pass all of them.
    function _find(uint256[] memory roster, uint256 place, address account)
        private
        pure
        returns (uint256 found, uint256 seat)
    {
        assembly ("memory-safe") {
            let at := add(roster, shl(5, add(place, 1)))
            let end := add(roster, shl(5, add(mload(roster), 1)))
            let least := shl(96, account)
            for {} and(lt(at, end), lt(mload(at), least)) {} { at := add(at, 32) }
            seat := mul(mload(at), lt(at, end))
            found := sub(shr(5, sub(at, roster)), 1)
        }
    }

    /// @dev The signer of the 65 bytes from `start` on; zero if they are no signature. What OpenZeppelin's ECDSA does,
    /// without its copies: 500 gas less for each of up to 32 signers.
    function _recover(bytes32 digest, bytes calldata signatures, uint256 start)
        private
        view
        returns (address signer)
    {
        // The caller made sure that 65 bytes follow `start`.
        assembly ("memory-safe") {
            let from := add(signatures.offset, start)
            let input := mload(0x40)
            mstore(input, digest)
            mstore(add(input, 32), byte(0, calldataload(add(from, 64))))
            calldatacopy(add(input, 64), from, 64)
            if iszero(gt(mload(add(input, 96)), MAX_S)) {
                // The precompile answers with nothing where there is no signer.
                mstore(0, 0)
                pop(staticcall(gas(), 1, input, 128, 0, 32))
                signer := mload(0)
            }
        }
    }
}
