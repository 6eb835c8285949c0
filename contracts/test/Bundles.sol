// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {Network} from "./Network.sol";

/// @dev Two more of Foundry's cheat codes.
interface Blocks {
    function roll(uint256 number) external;
    function getBlockNumber() external view returns (uint256);
}

/// @dev How the validators of a network change it together, and how one of them is found out.
abstract contract Bundles is Network {
    uint256 internal constant ALWAYS = type(uint256).max;
    address internal constant REPORTER = address(0x4E9047);
    bytes32 internal constant SALT = keccak256("salt");

    // Bundles

    /// @dev A bundle that leaves everything as it was deployed.
    function nothing() internal view returns (IRegistry.Changes memory changes) {
        changes.minTotal = minTotal();
        changes.providerBond = PROVIDER_BOND;
    }

    function delisting(address account) internal view returns (IRegistry.Changes memory changes) {
        changes = nothing();
        changes.delisted = new address[](1);
        changes.delisted[0] = account;
    }

    function listing(address account, IRegistry.Role role, uint96 most, string memory endpoint)
        internal
        view
        returns (IRegistry.Changes memory changes)
    {
        changes = nothing();
        changes.listed = new IRegistry.Listing[](1);
        changes.listed[0] = IRegistry.Listing(account, role, most, endpoint);
    }

    /// @dev What validators sign, from the words of the specification.
    function bundleDigest(
        address deployment,
        uint256 chain,
        uint256 nonce,
        uint256 deadline,
        IRegistry.Changes memory changes
    ) internal pure returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256(
                    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
                ),
                keccak256("DPN"),
                keccak256("1"),
                chain,
                deployment
            )
        );
        bytes32 bundle = keccak256(
            abi.encode(
                keccak256("Bundle(uint256 nonce,uint256 deadline,bytes32 changes)"),
                nonce,
                deadline,
                keccak256(abi.encode(changes))
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, bundle));
    }

    /// @dev Signatures of the validators in `bitmap` over the next bundle.
    function signBundle(IRegistry.Changes memory changes, uint256 deadline, uint256 bitmap)
        internal
        view
        returns (bytes memory)
    {
        uint256 nonce = registry.bundleNonce();
        address deployment = address(settlement);
        return sign(bundleDigest(deployment, block.chainid, nonce, deadline, changes), bitmap);
    }

    /// @dev Applies a bundle that every validator signed.
    function carry(IRegistry.Changes memory changes) internal {
        registry.change(changes, ALWAYS, signBundle(changes, ALWAYS, staked()));
    }

    function refuse(IRegistry.Changes memory changes, bytes memory refusal) internal {
        bytes memory signatures = signBundle(changes, ALWAYS, staked());
        vm.expectRevert(refusal);
        registry.change(changes, ALWAYS, signatures);
    }

    /// @dev The accounts that can sign, by position in `accounts`.
    function staked() internal view returns (uint256 bitmap) {
        for (uint256 i; i < accounts.length; ++i) {
            (IRegistry.Role role, uint256 stake) = seatOf(accounts[i]);
            if (role == IRegistry.Role.Validator && stake != 0) bitmap |= 1 << i;
        }
    }

    function seatOf(address account) internal view returns (IRegistry.Role role, uint256 stake) {
        stake = registry.stakeOf(account);
        if (stake != 0) role = registry.listingOf(account).role;
    }

    // Time

    /// @dev Goes to the first second of quiet after an epoch nobody posted.
    function warpToQuiet(uint256 epoch) internal {
        vm.warp(end(epoch) + POST_WINDOW + 1);
    }

    // Stake

    function unbond(address account, uint256 amount) internal {
        vm.prank(account);
        registry.unbond(account, amount);
    }

    // Frauds

    function convict(address account) internal {
        vm.prank(address(judge));
        registry.convict(account, REPORTER);
    }

    /// @dev Two statements of one validator about one epoch and round, shown by the reporter.
    function reportEquivocation(uint256 index, uint256 epoch) internal {
        ISettlement.EpochAttestation memory a;
        a.epoch = epoch;
        ISettlement.EpochAttestation memory b;
        b.epoch = epoch;
        b.root = keccak256("other");
        bytes memory signatureA = signOne(settlement.digestOf(a), keys[index]);
        bytes memory signatureB = signOne(settlement.digestOf(b), keys[index]);
        bytes32 name = "equivocates";
        commitTo(keccak256(abi.encode(name, a, signatureA, b, signatureB)));
        vm.prank(REPORTER);
        judge.equivocates(a, signatureA, b, signatureB, SALT);
    }

    /// @dev The reporter commits to its evidence; the next block comes.
    function commitTo(bytes32 evidence) internal {
        bytes32 commitment = judge.commitmentOf(REPORTER, evidence, SALT);
        vm.prank(REPORTER);
        judge.commit(commitment);
        Blocks blocks = Blocks(address(vm));
        blocks.roll(blocks.getBlockNumber() + 1);
    }
}
