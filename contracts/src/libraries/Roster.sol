// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title What a quorum is counted by, kept as the code of a contract of its own
/// @notice Reading 32 stakes from code costs about what reading one from storage does, and a posting reads all of
/// them; writing is dearer, and rare. The words, in order: digest of the rules in force, least total stake, total
/// stake, then one seat for each listed validator by ascending address: the account in the upper 160 bits, its stake
/// in the lower 96. The position of a seat is its bit in signer bitmaps.
library Roster {
    uint256 internal constant RULES = 0;
    uint256 internal constant MIN_TOTAL = 1;
    uint256 internal constant TOTAL = 2;
    uint256 internal constant SEATS = 3;

    /// @dev Creation code that returns everything after itself:
    /// PUSH1 11, MSIZE, DUP2, CODESIZE, SUB, DUP1, SWAP3, MSIZE, CODECOPY, RETURN.
    bytes11 private constant RETURN_REST = 0x600b5981380380925939f3;
    /// @dev STOP, so that nobody can run the words.
    bytes1 private constant GUARD = 0x00;

    error RosterNotStored();

    function seat(address account, uint256 stake) internal pure returns (uint256) {
        return uint256(uint160(account)) << 96 | stake;
    }

    function accountOf(uint256 seat_) internal pure returns (address) {
        return address(uint160(seat_ >> 96));
    }

    function stakeOf(uint256 seat_) internal pure returns (uint256) {
        return uint96(seat_);
    }

    /// @notice Makes a contract whose code holds the words.
    function store(uint256[] memory words) internal returns (address pointer) {
        bytes memory code = abi.encodePacked(RETURN_REST, GUARD, words);
        // No other way to create a contract from bytes.
        assembly ("memory-safe") {
            pointer := create(0, add(code, 32), mload(code))
        }
        if (pointer == address(0)) revert RosterNotStored();
    }

    /// @notice The words of a contract made by `store`.
    function load(address pointer) internal view returns (uint256[] memory words) {
        uint256 count = (pointer.code.length - 1) / 32;
        words = new uint256[](count);
        // `pointer.code` would copy twice: once into bytes, once out of them.
        assembly ("memory-safe") {
            extcodecopy(pointer, add(words, 32), 1, mul(count, 32))
        }
    }
}
