"""The contracts' rules as plain Python over integers, from docs/contracts.md and the interfaces: what every call does, or is refused with.

`Reference` is all contracts together with the token's balances and the time. A call that is refused changes nothing. Signatures are the
names of their signers here, a path is the tree it is from, and a digest is the message it is of: whoever compares this with the contracts
makes real ones of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from chain.network import Network
from chain.parameters import DeploymentParameters
from chain.types import Address
from tests.reference.judge import JudgeRules
from tests.reference.registry import RegistryRules
from tests.reference.settlement import SettlementRules
from tests.reference.values import Refused, require
from tests.reference.vault import VaultRules

DEAD = Address("0x000000000000000000000000000000000000dead")


class Reference:
    """A deployment just made, with the Vault funded. now: the block time of the next call, seconds, set by whoever calls."""

    def __init__(self, network: Network, parameters: DeploymentParameters, now: int, balances: dict[Address, int]) -> None:
        self.network, self.timing, self.now = network, network.timing, now
        self.balances: Counter[Address] = Counter(balances)
        self.registry = RegistryRules(self, parameters)
        self.vault = VaultRules(self, parameters)
        self.settlement = SettlementRules(self, parameters.guardian)
        self.judge = JudgeRules(self)

    def call(self, part: str, name: str, caller: Address, arguments: Sequence[Any]) -> Any:
        """What a function gives back, a batch its skips; `Refused`, with nothing changed, otherwise."""
        before = self._copy()
        try:
            return getattr(getattr(self, part), name)(caller, *arguments)
        except Refused:
            self.restore(before)
            raise

    def refusal(self, part: str, name: str, caller: Address, arguments: Sequence[Any], now: int) -> str | None:
        """The error a call at this time would be refused with, None if it would not; changes nothing."""
        before, since = self._copy(), self.now
        self.now = now
        try:
            getattr(getattr(self, part), name)(caller, *arguments)
        except Refused as refused:
            return refused.name
        finally:
            self.restore(before)
            self.now = since
        return None

    def move(self, sender: Address, to: Address, amount: int) -> None:
        """A transfer of tokens; everyone has approved everything."""
        require(self.balances[sender] >= amount, "ERC20InsufficientBalance")
        self.balances[sender] -= amount
        self.balances[to] += amount

    def is_quiet(self) -> bool:
        """Whether stake, lists and deposits may change."""
        if self.settlement.triable() is not None or self.registry.unslashed():
            return False
        ended = self.last_ended()
        return ended in (0, self.settlement.last_posted) or self.now > self.timing.post_end(ended)

    def last_ended(self) -> int:
        return max(0, self.timing.epoch_at(self.now) - 1)

    def save(self) -> dict[str, Any]:
        """Everything, for `restore`."""
        return self._copy() | {"now": self.now}

    def restore(self, saved: dict[str, Any]) -> None:
        for name, value in saved.items():
            if name in ("now", "balances"):
                setattr(self, name, value.copy() if name == "balances" else value)
            else:
                vars(getattr(self, name)).update({key: _copied(one) for key, one in value.items()})

    def _copy(self) -> dict[str, Any]:
        parts = {"registry": self.registry, "vault": self.vault, "settlement": self.settlement, "judge": self.judge}
        return {name: {key: _copied(value) for key, value in vars(part).items()} for name, part in parts.items()} | {
            "balances": self.balances.copy()
        }


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, dict) else value
