// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RewardToken} from "../src/RewardToken.sol";
import {IJudge} from "../src/interfaces/IJudge.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {IVault} from "../src/interfaces/IVault.sol";
import {Base} from "./Base.sol";

/// @dev Creates the contracts from the artifacts that a network is deployed from, so that the tests judge those very
/// bytes, whatever the tests themselves are compiled with. `DPN_ARTIFACTS` names another folder of them.
abstract contract Artifacts is Base {
    function newRewardToken(string memory name, string memory symbol, uint256 supply)
        internal
        returns (RewardToken)
    {
        return RewardToken(_create("RewardToken", abi.encode(name, symbol, supply)));
    }

    function newRegistry(
        IRegistry.Config memory config,
        IRegistry.Listing[] memory list,
        bytes memory rules
    ) internal returns (IRegistry) {
        return IRegistry(_create("Registry", abi.encode(config, list, rules)));
    }

    function newVault(IVault.Config memory config) internal returns (IVault) {
        return IVault(_create("Vault", abi.encode(config)));
    }

    function newJudge(address settlement) internal returns (IJudge) {
        return IJudge(_create("Judge", abi.encode(settlement)));
    }

    function newSettlement(ISettlement.Config memory config) internal returns (ISettlement) {
        return ISettlement(_create("Settlement", abi.encode(config)));
    }

    /// @dev As `new` does, also where the constructor reverts.
    function _create(string memory name, bytes memory arguments) private returns (address made) {
        string memory folder = vm.envOr("DPN_ARTIFACTS", string("chain/artifacts"));
        bytes memory code =
            bytes.concat(vm.getCode(string.concat(folder, "/", name, ".json")), arguments);
        assembly ("memory-safe") {
            made := create(0, add(code, 32), mload(code))
            if iszero(made) {
                returndatacopy(code, 0, returndatasize())
                revert(code, returndatasize())
            }
        }
    }
}
