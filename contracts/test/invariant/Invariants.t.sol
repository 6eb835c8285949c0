// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RewardToken} from "../../src/RewardToken.sol";
import {IRegistry} from "../../src/interfaces/IRegistry.sol";
import {ISettlement} from "../../src/interfaces/ISettlement.sol";
import {IVault} from "../../src/interfaces/IVault.sol";
import {Base} from "../Base.sol";
import {Lie, Person, Root, Staker} from "./Cast.sol";
import {Handler} from "./Handler.sol";

/// @dev As the fuzzer reads it.
struct Selectors {
    address target;
    bytes4[] selectors;
}

/// @dev What must hold after any moves in any order. One function checks everything, so that every invariant sees every
/// call of the campaign.
contract InvariantsTest is Base {
    uint256 private constant HISTORIES = 60;
    uint256 private constant MOVES = 300;

    /// @dev What `test_reach` has to see accepted, and refused.
    bytes32[58] private accepted = [
        bytes32("bond"),
        "unbond",
        "withdrawStake",
        "change",
        "listed",
        "delisted",
        "lowered",
        "guardian replaced",
        "propose",
        "rubbish",
        "post",
        "post again",
        "honest",
        "falls",
        "repeats",
        "overspends",
        "exceedsTotal",
        "outOfRange",
        "omits",
        "activate",
        "equivocate",
        "commit",
        "sum",
        "proof of a root",
        "proof: falls",
        "proof: repeats",
        "proof: overspends",
        "proof: exceedsTotal",
        "proof: outOfRange",
        "proof: equivocates",
        "slash",
        "collect",
        "claim",
        "short pot",
        "claimMany",
        "claimPacked",
        "push",
        "setRecipient",
        "register",
        "unregister",
        "withdrawBond",
        "fund",
        "donate",
        "deposit",
        "exit",
        "withdraw",
        "announce",
        "refute",
        "withdrawAnnounced",
        "cancel",
        "cancel: honest",
        "cancel: a lie",
        "proof: cancelled",
        "accuse a cancelled one",
        "pause",
        "unpause",
        "nominate",
        "accept"
    ];
    bytes32[33] private refused = [
        bytes32("bond"),
        "unbond",
        "withdrawStake",
        "change",
        "propose",
        "rubbish",
        "post",
        "forged",
        "activate",
        "accuse",
        "proof of a root",
        "proof: equivocates",
        "slash",
        "collect",
        "claim",
        "claimMany",
        "claimPacked",
        "push",
        "setRecipient",
        "withdrawBond",
        "deposit",
        "exit",
        "withdraw",
        "withdraw in vain",
        "announce",
        "refute",
        "withdrawAnnounced",
        "cancel",
        "pause",
        "unpause",
        "nominate",
        "accept",
        "usurp"
    ];
    mapping(bytes32 what => uint256) private done;

    Handler private handler;
    RewardToken private token;
    IRegistry private registry;
    IVault private vault;
    ISettlement private settlement;

    function setUp() public {
        handler = new Handler();
        handler.setUp();
        (address token_, address registry_, address vault_, address settlement_) = handler.parts();
        token = RewardToken(token_);
        registry = IRegistry(registry_);
        vault = IVault(vault_);
        settlement = ISettlement(settlement_);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function targetSelectors() external view returns (Selectors[] memory targets) {
        targets = new Selectors[](1);
        targets[0] = Selectors(address(handler), moves());
    }

    /// After a move that changed nothing there is nothing to look at.
    function invariant_all() external view {
        if (!handler.still()) everything();
    }

    /// In the end everybody gets out what is theirs.
    function afterInvariant() external {
        end();
    }

    /// The moves reach what the invariants speak of: each is accepted and, if that can be, refused, and each lie is told
    /// and found out.
    function test_reach() external {
        bytes4[] memory selectors = moves();
        for (uint256 history; history < HISTORIES; ++history) {
            if (history != 0) setUp();
            for (uint256 i; i < MOVES; ++i) {
                uint256 seed = uint256(keccak256(abi.encode(history, i)));
                play(selectors[seed % selectors.length], seed);
            }
            everything();
            end();
            count();
        }
        vm.assertEq(missing(), "");
    }

    /// @return names What was never accepted, or never refused.
    function missing() private view returns (string memory names) {
        for (uint256 i; i < accepted.length; ++i) {
            if (done[accepted[i]] == 0) names = string.concat(names, text(accepted[i]), "; ");
        }
        for (uint256 i; i < refused.length; ++i) {
            if (done[keccak256(abi.encode(refused[i]))] != 0) continue;
            names = string.concat(names, "refused ", text(refused[i]), "; ");
        }
    }

    function text(bytes32 word) private pure returns (string memory) {
        uint256 length;
        while (length < 32 && word[length] != 0) ++length;
        bytes memory letters = new bytes(length);
        for (uint256 i; i < length; ++i) {
            letters[i] = word[i];
        }
        return string(letters);
    }

    function play(bytes4 selector, uint256 seed) private {
        uint256 second = uint256(keccak256(abi.encode(seed, 2)));
        // The one move that is told yes or no.
        if (selector == handler.serve.selector) second &= 1;
        bytes memory data = abi.encodePacked(
            selector, keccak256(abi.encode(seed, 1)), second, keccak256(abi.encode(seed, 3))
        );
        (bool kept, bytes memory why) = address(handler).call(data);
        if (kept) return;
        string memory name = vm.toString(uint256(uint32(selector)));
        vm.assertTrue(false, string.concat("move ", name, " reverts: ", string(why)));
    }

    function count() private {
        for (uint256 i; i < accepted.length; ++i) {
            done[accepted[i]] += handler.done(accepted[i]);
        }
        for (uint256 i; i < refused.length; ++i) {
            done[keccak256(abi.encode(refused[i]))] += handler.refused(refused[i]);
        }
    }

    function moves() private view returns (bytes4[] memory selectors) {
        bytes4[33] memory all = [
            handler.pass.selector,
            handler.skip.selector,
            handler.bond.selector,
            handler.unbond.selector,
            handler.withdrawStake.selector,
            handler.change.selector,
            handler.publish.selector,
            handler.defraud.selector,
            handler.repost.selector,
            handler.proposeRubbish.selector,
            handler.activate.selector,
            handler.equivocate.selector,
            handler.report.selector,
            handler.accuse.selector,
            handler.slash.selector,
            handler.collect.selector,
            handler.claim.selector,
            handler.claimMany.selector,
            handler.claimPacked.selector,
            handler.push.selector,
            handler.setRecipient.selector,
            handler.serve.selector,
            handler.fund.selector,
            handler.donate.selector,
            handler.deposit.selector,
            handler.exit.selector,
            handler.withdraw.selector,
            handler.announce.selector,
            handler.refute.selector,
            handler.withdrawAnnounced.selector,
            handler.cancel.selector,
            handler.pause.selector,
            handler.unpause.selector
        ];
        selectors = new bytes4[](all.length + 2);
        for (uint256 i; i < all.length; ++i) {
            selectors[i] = all[i];
        }
        selectors[all.length] = handler.handOver.selector;
        selectors[all.length + 1] = handler.usurp.selector;
    }

    function everything() private view {
        Root memory active = handler.activeRoot();
        Root memory pending = handler.pendingRoot();
        Person[] memory people = handler.persons();
        Staker[] memory cast = handler.stakers();
        recordsAreKept(active, pending);
        accountsAreKept(people);
        solvent(active, pending, people, cast);
        convictedRightly(cast);
        conserved();
        vm.assertEq(handler.fallen(), bytes32(0), "nothing recorded falls");
        vm.assertTrue(handler.quorumHeld(), "a root was posted without a quorum");
    }

    function end() private {
        handler.finish();
        everything();
    }

    function recordsAreKept(Root memory active, Root memory pending) private view {
        vm.assertEq(settlement.activeRoot(), active.said.root, "active root");
        vm.assertEq(settlement.pendingRoot(), pending.said.root, "pending root");
        Root memory triable = handler.triableRoot();
        ISettlement.RootRecord memory tried = settlement.triableRecord();
        vm.assertEq(tried.root, triable.said.root, "triable root");
        vm.assertEq(tried.activeAt, triable.activeAt, "triable until");
        vm.assertEq(settlement.isQuiet(), handler.isQuiet(), "quiet");
        handler.copiesAreKept();
        ISettlement.RootRecord memory record = settlement.activeRecord();
        vm.assertEq(record.totalEarned, active.said.totalEarned, "total earned");
        vm.assertEq(record.totalSpent, active.said.totalSpent, "total spent");
        vm.assertEq(record.epoch, active.said.epoch, "epoch");
        vm.assertEq(record.through, active.said.through, "last covered epoch");
        vm.assertEq(settlement.lastPostedEpoch(), handler.lastPosted(), "last posted epoch");
        vm.assertEq(registry.minTotal(), handler.minimumTotal(), "least total");
    }

    /// No double pay: what was paid for an account is what the books say, and never more than a root said it earned.
    function accountsAreKept(Person[] memory people) private view {
        uint256 claimed;
        for (uint256 i; i < people.length; ++i) {
            Person memory person = people[i];
            claimed += settlement.claimedOf(person.account);
            vm.assertEq(settlement.claimedOf(person.account), person.paid, "claimed");
            vm.assertLe(person.paid, person.entitled, "paid more than ever earned");
            IVault.Deposit memory held = vault.depositOf(person.account);
            vm.assertEq(held.deposited, person.deposited, "deposited");
            vm.assertEq(held.withdrawn, person.withdrawn, "withdrawn");
            vm.assertEq(held.payableAt, person.payableAt, "announced");
            (bool registered, uint256 bond,,) = registry.providerOf(person.account);
            vm.assertEq(registered, person.registered);
            vm.assertEq(bond, person.bond, "provider's bond");
        }
        vm.assertEq(claimed, handler.paid(), "all claims");
    }

    /// Each part holds to the unit what it owes, and what it owes is enough for everybody.
    function solvent(
        Root memory active,
        Root memory pending,
        Person[] memory people,
        Staker[] memory cast
    ) private view {
        uint256 pot = handler.fed() - handler.paid();
        vm.assertEq(settlement.pot(), pot, "pot");
        vm.assertEq(holds(address(settlement)), pot, "settlement holds the pot");

        uint256 deposits;
        uint256 bonds;
        for (uint256 i; i < people.length; ++i) {
            deposits += people[i].deposited - people[i].withdrawn;
            bonds += people[i].bond;
        }
        uint256 held = handler.funded() + deposits - handler.fed();
        vm.assertEq(vault.funded(), handler.funded(), "funded");
        vm.assertEq(vault.deposits(), deposits, "deposits");
        vm.assertEq(vault.fed(), handler.fed(), "fed");
        vm.assertEq(holds(address(vault)), held, "vault holds funds and deposits");

        uint256 stakes;
        for (uint256 i; i < cast.length; ++i) {
            stakes += cast[i].bonded + cast[i].leaving;
        }
        for (uint256 i; i < 3; ++i) {
            stakes += handler.shares([address(0x4E01), address(0x4E02), address(0x4E03)][i]);
        }
        vm.assertEq(holds(address(registry)), stakes + bonds, "registry holds stakes and bonds");

        enough(active, pending, people, held);
    }

    /// Every claim on the active root and every deposit can be paid, all together, whatever becomes of the pending one.
    function enough(Root memory active, Root memory pending, Person[] memory people, uint256 held)
        private
        view
    {
        bool lies = pending.lie != Lie.Honest && pending.lie != Lie.Omits;
        Root memory latest = pending.leaves.length == 0 ? active : pending;
        uint256 feeds = latest.said.totalEarned - handler.fed();
        vm.assertGe(held, feeds, "a root can always be fed");
        if (handler.tainted()) return;

        uint256 due;
        for (uint256 i; i < active.leaves.length; ++i) {
            due += active.leaves[i].earned - settlement.claimedOf(active.leaves[i].account);
        }
        vm.assertGe(active.said.totalEarned - handler.paid(), due, "the pot covers every claim");

        if (lies) (latest, feeds) = (active, active.said.totalEarned - handler.fed());
        uint256 owed;
        for (uint256 i = 1; i < people.length; ++i) {
            uint256 spent = latest.truth.length == 0 ? 0 : latest.truth[i].spent;
            owed += people[i].deposited - people[i].withdrawn - spent;
        }
        vm.assertGe(held - feeds, owed, "the vault covers every deposit");
    }

    /// Who is convicted signed a lie or two statements, and nobody else loses anything; the honest never.
    function convictedRightly(Staker[] memory cast) private view {
        uint256 total;
        uint256 unslashed;
        for (uint256 i; i < cast.length; ++i) {
            Staker memory staker = cast[i];
            IRegistry.Conviction memory conviction = registry.convictionOf(staker.account);
            if (staker.honest) vm.assertEq(conviction.reporter, address(0));
            vm.assertEq(conviction.reporter, staker.convictor);
            vm.assertEq(conviction.slashed, staker.slashed);
            vm.assertEq(registry.stakeOf(staker.account), staker.bonded, "stake");
            vm.assertEq(registry.unbondingOf(staker.account).amount, staker.leaving, "unbonding");
            vm.assertLe(staker.bonded, staker.most, "stake within its maximum");
            if (staker.validator) total += staker.bonded;
            if (staker.convictor != address(0) && !staker.slashed) ++unslashed;
        }
        vm.assertEq(registry.totalStake(), total, "total stake");
        vm.assertEq(registry.unslashed(), unslashed, "convicts to be slashed");
    }

    /// Every token is with somebody, and there are as many as ever.
    function conserved() private view {
        address[] memory all = handler.holders();
        uint256 sum;
        for (uint256 i; i < all.length; ++i) {
            sum += token.balanceOf(all[i]);
        }
        vm.assertEq(sum, token.totalSupply(), "tokens conserved");
        vm.assertEq(sum, 1_000_000_000 ether, "supply");
    }

    /// @dev What a part holds, without what was sent past the books.
    function holds(address part) private view returns (uint256) {
        return token.balanceOf(part) - handler.donated(part);
    }
}
