"""The windows of a real network, in seconds, as parameters of its deployment."""

from __future__ import annotations

from typing import Any

WINDOWS: dict[str, Any] = {
    "epoch_length": 86_400,
    "slots_per_epoch": 144,
    "intake": 1_800,
    "post_window": 21_600,
    "challenge": 43_200,
    "margin": 3_600,
    "round_length": 1_200,
    "exit_delay": 2_592_000,
    "bond_delay": 1_814_400,
    "unbond_delay": 1_814_400,
}
