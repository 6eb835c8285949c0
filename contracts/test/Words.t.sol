// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Cursor} from "../src/libraries/Cursors.sol";
import {Standing} from "../src/libraries/Standings.sol";
import {Base} from "./Base.sol";

/// Cursor: pot, pendingActiveAt, lastPosted, activeEpoch, activeThrough, candidateEpoch, candidateRound, active, maybePaused
/// ├── each field is where the library says, and no two share a bit (fuzz over the whole word)
/// ├── each setter sets its fields, up to the greatest value that fits, and leaves all others (fuzz)
/// ├── a value that does not fit is cut, and leaves all others too (fuzz)
/// └── credited, debited: the pot, to its limits, and nothing else (fuzz)
/// Standing: claimed, reputation, epoch, redirected
/// └── likewise (fuzz)
contract WordsTest is Base {
    uint256 private constant EPOCHS = type(uint24).max;

    // Cursor

    function testFuzz_cursor_fields(uint256 word) external pure {
        uint256[9] memory fields = fieldsOf(Cursor.wrap(word));
        uint8[9] memory widths = [96, 40, 24, 24, 24, 24, 16, 1, 1];
        uint256 rest = word;
        for (uint256 i; i < 9; ++i) {
            vm.assertEq(fields[i], rest % 2 ** widths[i]);
            rest /= 2 ** widths[i];
        }
    }

    /// @param what Which setter.
    /// @param how Sets the greatest value in one case of four, the value cut to fit in two.
    function testFuzz_cursor_setters(
        uint256 word,
        uint256 value,
        uint256 other,
        uint8 what,
        uint8 how
    ) external pure {
        Cursor cursor = Cursor.wrap(word);
        uint256[9] memory expected = fieldsOf(cursor);
        if (how % 4 == 0) (value, other) = (type(uint256).max, type(uint256).max);
        else if (how % 4 != 1) (value, other) = (value % (EPOCHS + 1), other % 65_536);
        what %= 5;
        if (what == 0) {
            cursor = cursor.withPendingActiveAt(value);
            expected[1] = value % 2 ** 40;
        } else if (what == 1) {
            cursor = cursor.withLastPosted(value);
            expected[2] = value % 2 ** 24;
        } else if (what == 2) {
            cursor = cursor.withCandidate(value, other);
            (expected[5], expected[6]) = (value % 2 ** 24, other % 2 ** 16);
        } else if (what == 3) {
            cursor = cursor.withActivated(value, other);
            (expected[3], expected[4]) = (value % 2 ** 24, other % 2 ** 24);
            (expected[1], expected[7]) = (0, 1 - expected[7]);
        } else {
            cursor = cursor.withMaybePaused(value & 1 == 1);
            expected[8] = value & 1;
        }
        expectFields(cursor, expected);
        vm.assertEq(Cursor.unwrap(cursor) >> 250, word >> 250);
    }

    function testFuzz_cursor_pot(uint256 word, uint256 amount, bool whole) external pure {
        Cursor cursor = Cursor.wrap(word);
        uint256[9] memory expected = fieldsOf(cursor);
        uint256 room = type(uint96).max - cursor.pot();
        amount = whole ? room : bound(amount, 0, room);
        expected[0] += amount;
        expectFields(cursor.credited(amount), expected);
        expectFields(cursor.credited(amount).debited(expected[0]), without(expected, 0));

        amount = whole ? cursor.pot() : bound(amount, 0, cursor.pot());
        expected[0] = cursor.pot() - amount;
        expectFields(cursor.debited(amount), expected);
        vm.assertEq(Cursor.unwrap(cursor.debited(amount).credited(amount)), word);
    }

    // Standing

    function testFuzz_standing_fields(uint256 word) external pure {
        uint256[4] memory fields = fieldsOf(Standing.wrap(word));
        uint8[4] memory widths = [96, 32, 48, 1];
        uint256 rest = word;
        for (uint256 i; i < 4; ++i) {
            vm.assertEq(fields[i], rest % 2 ** widths[i]);
            rest /= 2 ** widths[i];
        }
    }

    function testFuzz_standing_setters(
        uint256 word,
        uint256 reputation,
        uint256 epoch,
        bool redirected,
        bool most
    ) external pure {
        Standing standing = Standing.wrap(word);
        uint256[4] memory expected = fieldsOf(standing);
        reputation = most ? 1_000_000 : bound(reputation, 0, 1_000_000);
        epoch = most ? EPOCHS : bound(epoch, 0, EPOCHS);
        (expected[1], expected[2]) = (reputation, epoch);
        expectFields(standing.withReputation(reputation, epoch), expected);
        // Redirecting leaves what was set, and is left by what is set after it.
        expected[3] = redirected ? 1 : 0;
        expectFields(
            standing.withReputation(reputation, epoch).withRedirected(redirected), expected
        );
        Standing turned = standing.withRedirected(redirected);
        expectFields(turned.withReputation(reputation, epoch), expected);
        vm.assertEq(Standing.unwrap(turned) >> 177, word >> 177);
    }

    function testFuzz_standing_claimed(uint256 word, uint256 amount, bool whole) external pure {
        Standing standing = Standing.wrap(word);
        uint256[4] memory expected = fieldsOf(standing);
        uint256 room = type(uint96).max - standing.claimed();
        amount = whole ? room : bound(amount, 0, room);
        expected[0] += amount;
        expectFields(standing.paid(amount), expected);
        vm.assertEq(Standing.unwrap(standing.paid(amount).unclaimed(amount)), word);

        amount = whole ? standing.claimed() : bound(amount, 0, standing.claimed());
        expected[0] = standing.claimed() - amount;
        expectFields(standing.unclaimed(amount), expected);
    }

    // All fields of a word, in order of their bits

    function fieldsOf(Cursor cursor) private pure returns (uint256[9] memory) {
        return [
            cursor.pot(),
            cursor.pendingActiveAt(),
            cursor.lastPosted(),
            cursor.activeEpoch(),
            cursor.activeThrough(),
            cursor.candidateEpoch(),
            cursor.candidateRound(),
            cursor.active(),
            cursor.maybePaused() ? 1 : 0
        ];
    }

    function fieldsOf(Standing standing) private pure returns (uint256[4] memory) {
        return [
            standing.claimed(),
            standing.reputation(),
            standing.epoch(),
            standing.redirected() ? 1 : 0
        ];
    }

    function expectFields(Cursor cursor, uint256[9] memory expected) private pure {
        uint256[9] memory fields = fieldsOf(cursor);
        for (uint256 i; i < 9; ++i) {
            vm.assertEq(fields[i], expected[i]);
        }
    }

    function expectFields(Standing standing, uint256[4] memory expected) private pure {
        uint256[4] memory fields = fieldsOf(standing);
        for (uint256 i; i < 4; ++i) {
            vm.assertEq(fields[i], expected[i]);
        }
    }

    function without(uint256[9] memory fields, uint256 place)
        private
        pure
        returns (uint256[9] memory rest)
    {
        for (uint256 i; i < 9; ++i) {
            if (i != place) rest[i] = fields[i];
        }
    }
}
