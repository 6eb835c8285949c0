"""What a master is told besides what every node is."""

from __future__ import annotations

from dataclasses import dataclass

from master.checks import MAX_DIALS
from master.dialback import TIMEOUT_S
from master.echo import MAX_EXCHANGES
from master.report import MAX_PROVIDERS
from runtime.config import NodeConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterConfig(NodeConfig):
    """`port` is both UDP's and TCP's, and the one of the endpoint listed on chain.

    dial_timeout_s: how long a dial-back may take. max_dials: dial-backs at once. max_exchanges: exchanges remembered in one slot.
    max_providers: providers remembered in one epoch.
    """

    dial_timeout_s: float = TIMEOUT_S
    max_dials: int = MAX_DIALS
    max_exchanges: int = MAX_EXCHANGES
    max_providers: int = MAX_PROVIDERS
