// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @dev Everything that claims and postings need about the roots beside root and totals, in one word. As a struct in
/// storage it costs a claim 1,600 gas more, since the compiler writes its fields one by one.
type Cursor is uint256;

using Cursors for Cursor global;

/// @title The fields of a cursor
/// @notice From the lowest bit: pot (96), pendingActiveAt (40), lastPosted (24), activeEpoch (24), activeThrough (24),
/// candidateEpoch (24), candidateRound (16), active (1), maybePaused (1). 24 bits of epochs are 45,000 years of days.
/// Setters expect values that fit; what does not would be cut, so callers say why theirs do.
library Cursors {
    uint256 private constant PENDING_ACTIVE_AT = 96;
    uint256 private constant LAST_POSTED = 136;
    uint256 private constant ACTIVE_EPOCH = 160;
    uint256 private constant ACTIVE_THROUGH = 184;
    uint256 private constant CANDIDATE_EPOCH = 208;
    uint256 private constant CANDIDATE_ROUND = 232;
    uint256 private constant ACTIVE = 248;
    uint256 private constant MAYBE_PAUSED = 249;

    /// @notice What is left to pay claims from, token wei.
    function pot(Cursor cursor) internal pure returns (uint256) {
        return uint96(Cursor.unwrap(cursor));
    }

    /// @notice When the pending record matures; 0 if there is none.
    function pendingActiveAt(Cursor cursor) internal pure returns (uint256) {
        return uint40(Cursor.unwrap(cursor) >> PENDING_ACTIVE_AT);
    }

    /// @notice Newest epoch posted, cancelled ones included; the pending record's, if there is one.
    function lastPosted(Cursor cursor) internal pure returns (uint256) {
        return uint24(Cursor.unwrap(cursor) >> LAST_POSTED);
    }

    /// @notice Epoch of the active record; 0 if there is none.
    function activeEpoch(Cursor cursor) internal pure returns (uint256) {
        return uint24(Cursor.unwrap(cursor) >> ACTIVE_EPOCH);
    }

    /// @notice Last epoch that the active record covers.
    function activeThrough(Cursor cursor) internal pure returns (uint256) {
        return uint24(Cursor.unwrap(cursor) >> ACTIVE_THROUGH);
    }

    /// @notice Epoch of the newest candidate.
    function candidateEpoch(Cursor cursor) internal pure returns (uint256) {
        return uint24(Cursor.unwrap(cursor) >> CANDIDATE_EPOCH);
    }

    /// @notice Round of the newest candidate.
    function candidateRound(Cursor cursor) internal pure returns (uint256) {
        return uint16(Cursor.unwrap(cursor) >> CANDIDATE_ROUND);
    }

    /// @notice Which of the two records is the active one, 0 or 1; the other is the pending or an outdated one.
    function active(Cursor cursor) internal pure returns (uint256) {
        return Cursor.unwrap(cursor) >> ACTIVE & 1;
    }

    /// @notice Whether there may be a pause to look up.
    function maybePaused(Cursor cursor) internal pure returns (bool) {
        return Cursor.unwrap(cursor) >> MAYBE_PAUSED & 1 == 1;
    }

    /// @notice With so much less in the pot, which is not less than that. The pot has the lowest bits.
    function debited(Cursor cursor, uint256 amount) internal pure returns (Cursor) {
        unchecked {
            return Cursor.wrap(Cursor.unwrap(cursor) - amount);
        }
    }

    /// @notice With so much more in the pot, which stays below 2^96.
    function credited(Cursor cursor, uint256 amount) internal pure returns (Cursor) {
        unchecked {
            return Cursor.wrap(Cursor.unwrap(cursor) + amount);
        }
    }

    function withLastPosted(Cursor cursor, uint256 value) internal pure returns (Cursor) {
        return _set(cursor, LAST_POSTED, type(uint24).max, value);
    }

    function withPendingActiveAt(Cursor cursor, uint256 value) internal pure returns (Cursor) {
        return _set(cursor, PENDING_ACTIVE_AT, type(uint40).max, value);
    }

    function withCandidate(Cursor cursor, uint256 epoch, uint256 round)
        internal
        pure
        returns (Cursor)
    {
        cursor = _set(cursor, CANDIDATE_EPOCH, type(uint24).max, epoch);
        return _set(cursor, CANDIDATE_ROUND, type(uint16).max, round);
    }

    /// @notice The pending record becomes the active one.
    function withActivated(Cursor cursor, uint256 epoch, uint256 through)
        internal
        pure
        returns (Cursor)
    {
        cursor = _set(cursor, ACTIVE_EPOCH, type(uint24).max, epoch);
        cursor = _set(cursor, ACTIVE_THROUGH, type(uint24).max, through);
        cursor = _set(cursor, PENDING_ACTIVE_AT, type(uint40).max, 0);
        return _set(cursor, ACTIVE, 1, 1 - active(cursor));
    }

    function withMaybePaused(Cursor cursor, bool value) internal pure returns (Cursor) {
        return _set(cursor, MAYBE_PAUSED, 1, value ? 1 : 0);
    }

    function _set(Cursor cursor, uint256 offset, uint256 mask, uint256 value)
        private
        pure
        returns (Cursor)
    {
        return Cursor.wrap(Cursor.unwrap(cursor) & ~(mask << offset) | (value & mask) << offset);
    }
}
