"""Collects what the checks compare, once the scenes are over: raw RPC, the validators' archives, the providers' own stores."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from chain.types import Address, Digest
from devnet.archives import NotServed, manifest_digest, proofs_of, tree_of
from devnet.checks import RECEIPTED
from devnet.facts import Account, Tree
from devnet.layout import Place, delay_s
from devnet.network import Devnet
from devnet.observer import Observer
from devnet.rawchain import PostedLog
from wire.addresses import group_prefix, parse_ip
from wire.agreement import LeafPath

ATTEMPTS = 4
"""A root may become active while its leaves are read: then they are read again."""
LOOKS, LOOK_AGAIN_S = 10, 0.5


async def manifests(devnet: Devnet, eye: Observer, posted: tuple[PostedLog, ...]) -> dict[int, dict[str, str]]:
    """Per posted epoch what each validator names as its manifest."""
    places = devnet.layout.of("validator")
    found: dict[int, dict[str, str]] = {}
    for log in posted:
        for _ in range(LOOKS):  # a root may have been posted a moment ago: validators see it at their next look
            said = await asyncio.gather(*(manifest_digest(eye.client, place, log.epoch) for place in places))
            if all(said):
                break
            await asyncio.sleep(LOOK_AGAIN_S)
        found[log.epoch] = dict(zip((place.name for place in places), said, strict=True))
    return found


async def evidence(devnet: Devnet, eye: Observer, posted: tuple[PostedLog, ...]) -> dict[int, Mapping[Address, frozenset[str]]]:
    """Per covered epoch and provider the proofs in the manifests, from the first validator that serves every byte."""
    found: dict[int, Mapping[Address, frozenset[str]]] = {}
    for log in posted:
        for place in devnet.layout.of("validator"):
            try:
                found.update(await proofs_of(eye.client, place, log.manifest_digest))
            except NotServed:
                continue
            break
    return found


async def trees(devnet: Devnet, eye: Observer, posted: tuple[PostedLog, ...]) -> dict[int, Tree]:
    """Per posted epoch its state file as a tree, from the first validator that serves every byte."""
    found: dict[int, Tree] = {}
    for log in posted:
        for place in devnet.layout.of("validator"):
            try:
                tree = await tree_of(eye.client, place, log.state_digest, devnet.network.treasury)
            except NotServed:
                continue
            found[log.epoch] = Tree(tree.root, len(tree.leaves), sum(leaf.earned for leaf in tree.leaves))
            break
    return found


async def leaves(devnet: Devnet, eye: Observer) -> tuple[Digest, dict[str, dict[str, LeafPath | None]]]:
    """The active root and, per provider, the leaf that each validator serves; read while the root stays the same."""
    for _ in range(ATTEMPTS):
        root = await eye.chain.active_root()
        found = {place.name: await _leaves_of(devnet, eye, devnet.address(place.name)) for place in devnet.layout.of("provider")}
        served = [leaf for by_validator in found.values() for leaf in by_validator.values()]
        if await eye.chain.active_root() == root and all(leaf is None or leaf.root == root for leaf in served):
            return root, found
    return root, found


async def _leaves_of(devnet: Devnet, eye: Observer, account: Address) -> dict[str, LeafPath | None]:
    places = devnet.layout.of("validator")
    served = await asyncio.gather(*(eye.leaf(place, account) for place in places))
    return dict(zip((place.name for place in places), served, strict=True))


async def account(devnet: Devnet, eye: Observer, place: Place, balance_before: int) -> Account:
    """A provider's money and standing by `eth_call`."""
    address = devnet.address(place.name)
    balance, claimed = await asyncio.gather(eye.balance(address), eye.chain.number("claimedOf(address)", address))
    reputation, epoch = await eye.chain.call(devnet.network.settlement, "reputationOf(address)", ["uint256", "uint256"], address)
    return Account(balance_before, balance, claimed, reputation, epoch)


def proven(status: Mapping[str, Any]) -> dict[int, str]:
    """By epoch the digest of the newest proof, where the provider holds the receipts it needs."""
    return {int(one["epoch"]): str(one["digest"]) for one in status.get("newestProofs", ()) if one.get("outcome") == RECEIPTED}


def least_rtt_us(devnet: Devnet) -> dict[str, dict[str, int]]:
    """By provider and master, what light takes there and back; nothing without a relay."""
    layout = devnet.layout
    return {
        provider.name: {
            master.name: int(2 * delay_s(provider, master) * 1_000_000) if layout.relayed else 0 for master in layout.of("master")
        }
        for provider in layout.of("provider")
    }


def prefixes(devnet: Devnet) -> dict[str, str]:
    """By provider, the prefix of its public address."""
    return {place.name: group_prefix(parse_ip(place.public_host)) for place in devnet.layout.of("provider")}
