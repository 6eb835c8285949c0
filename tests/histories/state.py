"""All that can be read of a deployment, three times: as the contracts' getters tell it, as the reference has it, as the events fold to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

from chain.abi import artifact
from chain.events import ROLES
from chain.frauds import commitment
from chain.inprocess import InProcessBackend
from chain.network import Network
from chain.types import ZERO_ADDRESS, ZERO_DIGEST, Address, Digest, to_hex
from chain.view import ChainView
from tests.histories.table import ACCOUNTS
from tests.reference.network import DEAD, Reference
from tests.reference.values import Leaving, Provider, Root

State = dict[tuple[str, ...] | str, Any]
PLACES = {"registry": "Registry", "vault": "Vault", "settlement": "Settlement", "judge": "Judge", "token": "RewardToken"}
GAS = hex(6_000_000)


class Getters:
    """Reads at the time of the last call: in its block's frame, or if it was refused in that of the next block, whose time is set. A tenth
    of what web3 takes."""

    def __init__(self, backend: InProcessBackend, network: Network, *, mined: bool) -> None:
        self.backend, self.network, self._frame = backend, network, "latest" if mined else "pending"

    async def read(self, part: str, name: str, *arguments: object) -> Any:
        """The value of a getter, a tuple if it has several."""
        selector, inputs, outputs = _function(PLACES[part], name)
        data = to_hex(selector + encode(inputs, arguments))
        answer = await self.backend.request("eth_call", [{"to": getattr(self.network, part), "data": data, "gas": GAS}, self._frame])
        values = decode(outputs, bytes.fromhex(str(answer)[2:]))
        return values[0] if len(values) == 1 else values

    async def state(self, world: Reference) -> State:
        """Everything; `world` says which commitments and sums there are to ask for."""
        read, found = self.read, State()
        for name in ("activeRecord", "pendingRecord", "triableRecord", "candidate", "lastPostedEpoch", "isQuiet", "pot", "guard"):
            found[name] = await read("settlement", name)
        for name in ("activeRoot", "pendingRoot"):
            found[name] = await read("settlement", name)
        for name in ("validators", "totalStake", "minTotal", "rulesDigest", "providerBond", "bundleNonce", "unslashed"):
            found[name] = await read("registry", name)
        for number, role in enumerate(ROLES):
            found["listed", role] = [(a, maximum, stake, text) for a, _, maximum, stake, text in await read("registry", "listed", number)]
        found["limits"], found["fed"] = await read("vault", "limits"), await read("vault", "fed")
        for account in ACCOUNTS:
            for part, name in ACCOUNT_READS:
                found[name, account] = await read(part, name, account)
        for place in (*ACCOUNTS, self.network.registry, self.network.vault, self.network.settlement, DEAD):
            found["balance", place] = await read("token", "balanceOf", place)
        for key in world.judge.commitments:
            found["committed", to_hex(commitment(key[0], key[1].digest(), key[2]))] = bool(await read("judge", "committedAt", _digest(key)))
        for root, reporter in world.judge.sums:
            last, _, earned, leaves = await read("judge", "summed", root, reporter)
            found["summed", to_hex(root), reporter] = (last, earned, leaves)
        return found


ACCOUNT_READS = (
    ("settlement", "claimedOf"), ("settlement", "reputationOf"), ("settlement", "recipientOf"), ("registry", "unbondingOf"),
    ("registry", "convictionOf"), ("registry", "shareOf"), ("registry", "providerOf"), ("vault", "depositOf"),
)  # fmt: skip


def expected(world: Reference) -> State:
    """What the getters must say, by the reference."""
    s, r, v = world.settlement, world.registry, world.vault
    pending, triable, active = s.pending(), s.triable(), s.active()
    candidate = s.open_candidate()
    found: State = {
        "activeRecord": active.record(active.active_at if active.fate == "pending" else 0),
        "pendingRecord": pending.record(pending.active_at) if pending else Root().record(0),
        "triableRecord": triable.record(triable.active_at) if triable else Root().record(0),
        "activeRoot": active.root,
        "pendingRoot": pending.root if pending else ZERO_DIGEST,
        "candidate": (*candidate[:2], _attested(world, candidate[2])) if candidate else (0, 0, ZERO_DIGEST),
        "lastPostedEpoch": s.last_posted,
        "isQuiet": world.is_quiet(),
        "pot": s.pot,
        "guard": (s.guard.guardian, s.guard.since, s.guard.nominee, s.guard.paused_until, s.guard.pausable_from),
        "validators": (r.validators(), tuple(r.seats[one].stake for one in r.validators())),
        "totalStake": r.total_stake(),
        "minTotal": r.min_total,
        "rulesDigest": r.rules_digest,
        "providerBond": r.provider_bond,
        "bundleNonce": r.bundle_nonce,
        "unslashed": r.unslashed(),
        "limits": (v.rate, v.funded, v.deposits()),
        "fed": v.fed,
    }
    for role in ROLES:
        accounts: Iterable[Address] = r.validators() if role == "validator" else [one for one, seat in r.seats.items() if seat.role == role]
        found["listed", role] = [(one, r.seats[one].maximum, r.seats[one].stake, r.seats[one].endpoint) for one in accounts]
    for one in ACCOUNTS:
        standing, leaving, provider = s.standing(one), r.leaving.get(one, Leaving()), r.providers.get(one, Provider())
        conviction, account = r.convictions.get(one), v.account(one)
        exit_epoch = world.timing.epoch_at(account.exit_at) + 1 if account.exit_at else 0
        found["claimedOf", one] = standing.claimed
        found["reputationOf", one] = (standing.reputation, standing.epoch)
        found["recipientOf", one] = s.recipient_of(one)
        found["unbondingOf", one] = (leaving.amount, leaving.release_at)
        found["convictionOf", one] = (conviction.reporter, conviction.slashed) if conviction else (ZERO_ADDRESS, False)
        found["shareOf", one] = r.shares.get(one, 0)
        found["providerOf", one] = (provider.registered, provider.bond, provider.referrer, provider.release_at)
        found["depositOf", one] = (account.deposited, account.withdrawn, exit_epoch, account.exit_at, account.payable_at)
    for place in (*ACCOUNTS, world.network.registry, world.network.vault, world.network.settlement, DEAD):
        found["balance", place] = world.balances[place]
    for key in world.judge.commitments:
        found["committed", to_hex(_digest(key))] = True
    for (root, reporter), summed in world.judge.sums.items():
        last = summed.hashes[-1] if summed.hashes else ZERO_DIGEST
        found["summed", to_hex(root), reporter] = (last, summed.earned, len(summed.hashes))
    return found


def folded(view: ChainView, network: Network, second: int) -> State:
    """What the getters must say, by the events alone: all but the reputations, which stand in the roots' files, and balances."""
    pending, triable, active = view.pending_posting(second), view.triable_posting(second), view.active_posting(second)
    newest = view.proposed[-1] if view.proposed and view.posting(view.proposed[-1].epoch) is None else None
    g = view.guard
    found: State = {
        "activeRecord": _record(active, active.active_at if active and active.epoch not in view.activated else 0),
        "pendingRecord": _record(pending, pending.active_at if pending else 0),
        "triableRecord": _record(triable, triable.active_at if triable else 0),
        "activeRoot": active.root if active else ZERO_DIGEST,
        "pendingRoot": pending.root if pending else ZERO_DIGEST,
        "candidate": (newest.epoch, newest.round, newest.digest) if newest else (0, 0, ZERO_DIGEST),
        "lastPostedEpoch": view.posted[-1].epoch if view.posted else 0,
        "pot": view.pot,
        "guard": (g.guardian, g.since, g.nominee, g.paused_until, g.pausable_from),
        "validators": (tuple(one.account for one in view.listed("validator")), tuple(one.stake for one in view.listed("validator"))),
        "totalStake": sum(one.stake for one in view.listed("validator")),
        "minTotal": view.min_total,
        "rulesDigest": view.rules_digest,
        "providerBond": view.provider_bond,
        "bundleNonce": view.bundle_nonce,
        "unslashed": len(view.unslashed()),
        "limits": (network.rate, view.funded, view.total_deposits()),
        "fed": view.fed,
    }
    for role in ROLES:
        found["listed", role] = [(one.account, one.max_stake, one.stake, one.endpoint) for one in view.listed(role)]
    for one in ACCOUNTS:
        unbonding, conviction, deposit = view.unbonding.get(one), view.convictions.get(one), view.deposit_of(one)
        registered, former = view.registrations.get(one), view.former.get(one)
        found["claimedOf", one] = view.claimed.get(one, 0)
        found["reputation's epoch", one] = view.scored.get(one, 0)
        found["recipientOf", one] = view.recipient_of(one)
        found["unbondingOf", one] = (unbonding.amount, unbonding.release_at) if unbonding else (0, 0)
        found["convictionOf", one] = (conviction.reporter, conviction.slashed) if conviction else (ZERO_ADDRESS, False)
        found["shareOf", one] = view.shares.get(one, 0)
        if registered:
            found["providerOf", one] = (True, registered.bond, registered.referrer, 0)
        else:
            found["providerOf", one] = (False, former.bond, former.referrer, former.release_at) if former else (False, 0, ZERO_ADDRESS, 0)
        exit_epoch = 0 if deposit.exit_epoch is None else deposit.exit_epoch + 1
        found["depositOf", one] = (deposit.deposited, deposit.withdrawn, exit_epoch, deposit.exit_at, deposit.payable_at)
    for digest in view.commitments:
        found["committed", to_hex(digest)] = True
    for (root, reporter), summed in view.summed.items():
        found["summed", to_hex(root), reporter] = (summed.earned, summed.leaves)
    return found


def as_folded(state: State) -> State:
    """What of the getters' state the events alone tell."""
    found: State = {}
    for key, value in state.items():
        match key:
            case "isQuiet" | ("balance", _):
                continue
            case ("reputationOf", account):
                found["reputation's epoch", account] = value[1]
            case ("summed", root, reporter):
                found["summed", root, reporter] = value[1:]
            case _:
                found[key] = value
    return found


def difference(found: Mapping[Any, Any], wanted: Mapping[Any, Any]) -> dict[Any, tuple[Any, Any]]:
    """Where two states differ: what is found, what is wanted."""
    return {key: (found.get(key), wanted.get(key)) for key in {*found, *wanted} if found.get(key) != wanted.get(key)}


@cache
def _function(contract: str, name: str) -> tuple[bytes, list[str], list[str]]:
    entry = next(one for one in artifact(contract)["abi"] if one["type"] == "function" and one["name"] == name)
    inputs, outputs = ([_type(one) for one in entry[side]] for side in ("inputs", "outputs"))
    return keccak(text=f"{name}({','.join(inputs)})")[:4], inputs, outputs


def _type(item: Mapping[str, Any]) -> str:
    plain = str(item["type"])
    return plain.replace("tuple", f"({','.join(map(_type, item['components']))})") if plain.startswith("tuple") else plain


def _record(posted: Any, active_at: int) -> tuple[Any, ...]:
    if posted is None:
        return Root().record(0)
    p = posted
    return (p.root, p.total_earned, p.total_spent, p.epoch, p.through, p.round, active_at, p.signers)


def _digest(key: tuple[Address, Any, Digest]) -> Digest:
    return commitment(key[0], key[1].digest(), key[2])


def _attested(world: Reference, attestation: Any) -> Digest:
    from chain.typed import digest_of

    return digest_of(attestation, world.network.domain)
