// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Quorum} from "../src/libraries/Quorum.sol";
import {Roster} from "../src/libraries/Roster.sol";
import {Base} from "./Base.sol";

/// Roster.seat, accountOf, stakeOf
/// └── what goes in comes out, and sorts by account (fuzz)
/// Roster.store
/// ├── the creation fails, for want of gas: RosterNotStored
/// └── otherwise: a contract that does nothing and whose code is one zero byte and the words (fuzz)
/// Roster.load
/// └── the words, equal to a plain reading of the code; memory around them is untouched (fuzz)
/// Quorum.require_
/// ├── total below minTotal: StakeTooLow, whoever signed
/// ├── not a multiple of 65 bytes: InvalidSignatures
/// ├── a signature of nobody, or the other of the two forms of one: InvalidSignature
/// ├── one signer twice, or not by ascending address: SignersNotAscending
/// ├── a signer below, between or above those listed, or one without stake: NotAValidator
/// ├── less than 2/3 of the stake, also none: QuorumNotReached
/// └── otherwise: the bitmap of the signers
/// any roster and any signatures: the same as a plain count (fuzz)
/// any 65 bytes - good, with a high s, any v, r or s zero, flipped or garbage: the signer OpenZeppelin's ECDSA finds, or
/// none where it finds none (fuzz)
contract RosterTest is Base {
    uint256 private constant CURVE_ORDER =
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
    bytes32 private constant DIGEST = keccak256("what is signed");

    // Wrappers: libraries take calldata, and a refusal must be a call's

    function store(uint256[] memory words) external returns (address) {
        return Roster.store(words);
    }

    function count(uint256[] memory words, bytes32 digest, bytes calldata signatures)
        external
        view
        returns (uint256)
    {
        return Quorum.require_(words, digest, signatures);
    }

    // Roster

    function testFuzz_seat(address account, uint96 stake, address other, uint96 otherStake)
        external
        pure
    {
        uint256 seat = Roster.seat(account, stake);
        vm.assertEq(Roster.accountOf(seat), account);
        vm.assertEq(Roster.stakeOf(seat), stake);
        if (account < other) vm.assertTrue(seat < Roster.seat(other, otherStake));
    }

    function testFuzz_store(uint256[] memory words) external {
        address pointer = Roster.store(words);
        vm.assertEq(keccak256(pointer.code), keccak256(abi.encodePacked(bytes1(0), words)));
    }

    /// Keeping the code of 100 words costs 640,000 gas.
    function test_store_notStored() external {
        uint256[] memory words = new uint256[](100);
        vm.expectRevert(Roster.RosterNotStored.selector);
        this.store{gas: 600_000}(words);
        vm.assertEq(this.store{gas: 800_000}(words).code.length, 3201);
    }

    /// Words that would be code - here one that destroys the contract that runs it - are never run.
    function testFuzz_store_isNotRun(uint256 word, bytes calldata input) external {
        uint256[] memory words = new uint256[](2);
        words[0] = uint256(0x33ff) << 240; // CALLER, SELFDESTRUCT
        words[1] = word;
        address pointer = Roster.store(words);
        (bool done, bytes memory output) = pointer.call(input);
        vm.assertTrue(done);
        vm.assertEq(output.length, 0);
        vm.assertEq(pointer.code.length, 65);
    }

    function testFuzz_load(uint256[] memory words, uint256 filler) external {
        address pointer = Roster.store(words);
        uint256[] memory before = new uint256[](1);
        before[0] = filler;
        uint256[] memory loaded = Roster.load(pointer);
        uint256[] memory behind = new uint256[](1);
        behind[0] = filler;

        vm.assertEq(keccak256(abi.encode(loaded)), keccak256(abi.encode(words)));
        vm.assertEq(keccak256(abi.encode(loaded)), keccak256(abi.encode(plainLoad(pointer))));
        vm.assertEq(before.length, 1);
        vm.assertEq(before[0], filler);
        vm.assertEq(behind[0], filler);
    }

    function test_load_fullRoster() external {
        (uint256[] memory words,) = roster(32, 7);
        uint256[] memory loaded = Roster.load(Roster.store(words));
        vm.assertEq(loaded.length, Roster.SEATS + 32);
        vm.assertEq(keccak256(abi.encode(loaded)), keccak256(abi.encode(words)));
    }

    // Quorum

    function test_count_stakeTooLow() external {
        (uint256[] memory words, uint256[] memory keys) = roster(3, 10);
        bytes memory all = sign(keys, 7);
        words[Roster.MIN_TOTAL] = 30;
        vm.assertEq(this.count(words, DIGEST, all), 7);
        words[Roster.MIN_TOTAL] = 31;
        vm.expectRevert(abi.encodeWithSelector(Quorum.StakeTooLow.selector, 30, 31));
        this.count(words, DIGEST, all);
        vm.expectRevert(abi.encodeWithSelector(Quorum.StakeTooLow.selector, 30, 31));
        this.count(words, DIGEST, "");
    }

    function test_count_length() external {
        (uint256[] memory words, uint256[] memory keys) = roster(3, 10);
        bytes memory all = sign(keys, 7);
        for (uint256 length = 3 * 65 - 64; length < 3 * 65 + 65; ++length) {
            if (length % 65 == 0) continue;
            bytes memory cut = new bytes(length);
            for (uint256 i; i < length && i < all.length; ++i) {
                cut[i] = all[i];
            }
            vm.expectRevert(abi.encodeWithSelector(Quorum.InvalidSignatures.selector, length));
            this.count(words, DIGEST, cut);
        }
    }

    function test_count_invalidSignature() external {
        (uint256[] memory words, uint256[] memory keys) = roster(3, 10);
        bytes memory two = sign(keys, 3);
        bytes[3] memory bad = [
            abi.encodePacked(new bytes(65)),
            malleated(keys[2]),
            abi.encodePacked(bytes32(uint256(1)), bytes32(uint256(1)), uint8(29))
        ];
        for (uint256 i; i < bad.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(Quorum.InvalidSignature.selector, 2));
            this.count(words, DIGEST, bytes.concat(two, bad[i]));
            vm.expectRevert(abi.encodeWithSelector(Quorum.InvalidSignature.selector, 0));
            this.count(words, DIGEST, bytes.concat(bad[i], two));
        }
    }

    function test_count_notAscending() external {
        (uint256[] memory words, uint256[] memory keys) = roster(3, 10);
        (bytes memory low, bytes memory high) = (sign(keys, 1), sign(keys, 4));
        (address first, address last) = (vm.addr(keys[0]), vm.addr(keys[2]));
        vm.assertEq(this.count(words, DIGEST, bytes.concat(low, high)), 5);
        vm.expectRevert(abi.encodeWithSelector(Quorum.SignersNotAscending.selector, last, first));
        this.count(words, DIGEST, bytes.concat(high, low));
        vm.expectRevert(abi.encodeWithSelector(Quorum.SignersNotAscending.selector, last, last));
        this.count(words, DIGEST, bytes.concat(low, high, high));
    }

    function test_count_notAValidator() external {
        (uint256[] memory words, uint256[] memory keys) = roster(4, 10);
        // Each is left out of the list in turn: below, between and above the others.
        for (uint256 out; out < 4; ++out) {
            uint256[] memory rest = new uint256[](words.length - 1);
            for (uint256 i; i < rest.length; ++i) {
                rest[i] = words[i < Roster.SEATS + out ? i : i + 1];
            }
            rest[Roster.TOTAL] = 30;
            bytes memory all = sign(keys, 15);
            address stranger = vm.addr(keys[out]);
            vm.expectRevert(abi.encodeWithSelector(Quorum.NotAValidator.selector, stranger));
            this.count(rest, DIGEST, all);
            vm.assertEq(this.count(rest, DIGEST, sign(keys, 15 ^ 1 << out)), 7);

            uint256 seat = words[Roster.SEATS + out];
            words[Roster.SEATS + out] = Roster.seat(stranger, 0);
            words[Roster.TOTAL] = 30;
            vm.expectRevert(abi.encodeWithSelector(Quorum.NotAValidator.selector, stranger));
            this.count(words, DIGEST, all);
            vm.assertEq(this.count(words, DIGEST, sign(keys, 15 ^ 1 << out)), 15 ^ 1 << out);
            words[Roster.SEATS + out] = seat;
        }
    }

    function test_count_quorumNotReached() external {
        (uint256[] memory words, uint256[] memory keys) = roster(3, 10);
        vm.expectRevert(abi.encodeWithSelector(Quorum.QuorumNotReached.selector, 0, 30));
        this.count(words, DIGEST, "");
        vm.expectRevert(abi.encodeWithSelector(Quorum.QuorumNotReached.selector, 10, 30));
        this.count(words, DIGEST, sign(keys, 2));
        // Exactly two thirds do; one unit more in the hands of the third, and they do not.
        vm.assertEq(this.count(words, DIGEST, sign(keys, 3)), 3);
        words[Roster.SEATS + 2] = Roster.seat(vm.addr(keys[2]), 11);
        words[Roster.TOTAL] = 31;
        vm.expectRevert(abi.encodeWithSelector(Quorum.QuorumNotReached.selector, 20, 31));
        this.count(words, DIGEST, sign(keys, 3));
    }

    function test_count_fullRoster() external {
        (uint256[] memory words, uint256[] memory keys) = roster(32, 10);
        vm.assertEq(this.count(words, DIGEST, sign(keys, type(uint32).max)), type(uint32).max);
        // 22 of 32 are more than two thirds, 21 are less.
        vm.assertEq(this.count(words, DIGEST, sign(keys, 0xFFFFFC00)), 0xFFFFFC00);
        vm.expectRevert(abi.encodeWithSelector(Quorum.QuorumNotReached.selector, 210, 320));
        this.count(words, DIGEST, sign(keys, 0xFFFFF800));
    }

    /// @param how What is done to the honest signatures of `signers`.
    function testFuzz_count(
        uint8 size,
        uint96[32] memory stakes,
        uint96 minTotal,
        uint32 signers,
        uint8 how,
        uint256 where
    ) external {
        uint256 members = bound(size, 1, 32);
        (uint256[] memory words, uint256[] memory keys) = roster(members, 0);
        for (uint256 i; i < members; ++i) {
            if (stakes[i] % 8 == 0) continue;
            words[Roster.SEATS + i] |= stakes[i];
            words[Roster.TOTAL] += stakes[i];
        }
        // Mostly enough stake, and often most of it.
        uint256 total = words[Roster.TOTAL];
        words[Roster.MIN_TOTAL] = minTotal % 8 == 0 ? minTotal : bound(minTotal, 0, total);
        uint256 bitmap = how & 128 == 0 ? signers : type(uint32).max;
        for (uint256 i; i < members; ++i) {
            if (how & 64 == 0 && Roster.stakeOf(words[Roster.SEATS + i]) == 0) bitmap &= ~(1 << i);
        }
        bitmap &= (1 << members) - 1;
        bytes memory signatures = spoil(sign(keys, bitmap), how % 8, where);

        (bytes memory refusal, uint256 expected) = plainCount(words, signatures);
        if (refusal.length != 0) vm.expectRevert(refusal);
        uint256 counted = this.count(words, DIGEST, signatures);
        if (refusal.length == 0) vm.assertEq(counted, expected);
    }

    /// @param how What is done to a good signature; nothing in one case of eight.
    function testFuzz_recover(bytes32 digest, uint256 key, uint8 how, uint256 with) external {
        key = bound(key, 1, CURVE_ORDER - 1);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        how %= 8;
        if (how == 1) (s, v) = (bytes32(CURVE_ORDER - uint256(s)), v ^ 7);
        else if (how == 2) v = uint8(with);
        else if (how == 3) r = 0;
        else if (how == 4) s = 0;
        else if (how == 5) r ^= bytes32(1 << with % 256);
        else if (how == 6) s = bytes32(CURVE_ORDER / 2 + with % 3);
        else if (how == 7) (r, s) = (bytes32(with), keccak256(abi.encode(with)));
        bytes memory signature = abi.encodePacked(r, s, v);

        (address signer, ECDSA.RecoverError failure,) = ECDSA.tryRecover(digest, signature);
        vm.assertEq(signer == address(0), failure != ECDSA.RecoverError.NoError);
        if (how == 0) vm.assertEq(signer, vm.addr(key));
        if (how == 1 || how == 3 || how == 4) vm.assertEq(signer, address(0));
        uint256[] memory words = new uint256[](Roster.SEATS + 1);
        words[Roster.TOTAL] = 1;
        words[Roster.SEATS] = Roster.seat(signer, 1);
        if (signer == address(0)) {
            vm.expectRevert(abi.encodeWithSelector(Quorum.InvalidSignature.selector, 0));
            this.count(words, digest, signature);
        } else {
            vm.assertEq(this.count(words, digest, signature), 1);
        }
    }

    // The plain versions

    function plainLoad(address pointer) private view returns (uint256[] memory words) {
        bytes memory code = pointer.code;
        words = new uint256[]((code.length - 1) / 32);
        for (uint256 i; i < 32 * words.length; ++i) {
            words[i / 32] = words[i / 32] << 8 | uint8(code[1 + i]);
        }
    }

    /// @dev Looks every signer up in the whole list, with nothing but `ecrecover`.
    /// @return refusal What must be refused with; empty if nothing.
    function plainCount(uint256[] memory words, bytes memory signatures)
        private
        pure
        returns (bytes memory refusal, uint256 bitmap)
    {
        uint256 total = words[Roster.TOTAL];
        if (total < words[Roster.MIN_TOTAL]) {
            return (
                abi.encodeWithSelector(Quorum.StakeTooLow.selector, total, words[Roster.MIN_TOTAL]),
                0
            );
        }
        if (signatures.length % 65 != 0) {
            return (abi.encodeWithSelector(Quorum.InvalidSignatures.selector, signatures.length), 0);
        }
        uint256 signed;
        address previous;
        for (uint256 i; i < signatures.length / 65; ++i) {
            address signer = plainSigner(signatures, i);
            if (signer == address(0)) {
                return (abi.encodeWithSelector(Quorum.InvalidSignature.selector, i), 0);
            }
            if (signer <= previous) {
                return
                    (
                        abi.encodeWithSelector(
                            Quorum.SignersNotAscending.selector, previous, signer
                        ),
                        0
                    );
            }
            previous = signer;
            uint256 stake;
            for (uint256 place = Roster.SEATS; place < words.length; ++place) {
                if (words[place] >> 96 != uint160(signer)) continue;
                stake = words[place] % 2 ** 96;
                bitmap += 2 ** (place - Roster.SEATS);
            }
            if (stake == 0) {
                return (abi.encodeWithSelector(Quorum.NotAValidator.selector, signer), 0);
            }
            signed += stake;
        }
        if (signed * 3 < total * 2) {
            return (abi.encodeWithSelector(Quorum.QuorumNotReached.selector, signed, total), 0);
        }
    }

    function plainSigner(bytes memory signatures, uint256 index) private pure returns (address) {
        (uint256 r, uint256 s) = (0, 0);
        for (uint256 i; i < 32; ++i) {
            r = r << 8 | uint8(signatures[65 * index + i]);
            s = s << 8 | uint8(signatures[65 * index + 32 + i]);
        }
        if (s > CURVE_ORDER / 2) return address(0);
        return ecrecover(DIGEST, uint8(signatures[65 * index + 64]), bytes32(r), bytes32(s));
    }

    // Makings

    /// @return words A roster of `members` with the same stake each.
    /// @return keys Theirs, by ascending address.
    function roster(uint256 members, uint256 stake)
        private
        pure
        returns (uint256[] memory words, uint256[] memory keys)
    {
        keys = new uint256[](members);
        for (uint256 i; i < members; ++i) {
            uint256 key = uint256(keccak256(abi.encode("member", i)));
            uint256 place = i;
            for (; place > 0 && vm.addr(keys[place - 1]) > vm.addr(key); --place) {
                keys[place] = keys[place - 1];
            }
            keys[place] = key;
        }
        words = new uint256[](Roster.SEATS + members);
        words[Roster.RULES] = uint256(keccak256("rules"));
        words[Roster.TOTAL] = members * stake;
        for (uint256 i; i < members; ++i) {
            words[Roster.SEATS + i] = Roster.seat(vm.addr(keys[i]), stake);
        }
    }

    function sign(uint256[] memory keys, uint256 bitmap)
        private
        pure
        returns (bytes memory signatures)
    {
        for (uint256 i; i < keys.length; ++i) {
            if (bitmap >> i & 1 == 0) continue;
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(keys[i], DIGEST);
            signatures = abi.encodePacked(signatures, r, s, v);
        }
    }

    /// @dev The other signature that the curve accepts for the same key and digest.
    function malleated(uint256 key) private pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, DIGEST);
        return abi.encodePacked(r, CURVE_ORDER - uint256(s), v == 27 ? uint8(28) : uint8(27));
    }

    function spoil(bytes memory signatures, uint256 how, uint256 where)
        private
        pure
        returns (bytes memory)
    {
        uint256 number = signatures.length / 65;
        if (number == 0 || how < 4) return signatures;
        uint256 start = where % number * 65;
        if (how == 4) {
            signatures[where % signatures.length] ^= bytes1(uint8(1 + (where >> 128) % 255));
        } else if (how == 5) {
            // Changes places with the one after it, or with itself.
            uint256 other = (where % number + 1) % number * 65;
            for (uint256 i; i < 65; ++i) {
                (signatures[start + i], signatures[other + i]) =
                (signatures[other + i], signatures[start + i]);
            }
        } else if (how == 6) {
            return bytes.concat(signatures, new bytes(where % 65));
        } else {
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(1 + (where >> 8) % 1000, DIGEST);
            bytes memory stranger = abi.encodePacked(r, s, v);
            for (uint256 i; i < 65; ++i) {
                signatures[start + i] = stranger[i];
            }
        }
        return signatures;
    }
}
