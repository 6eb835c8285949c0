"""An allowance by signature (ERC-2612), so that a deposit is one transaction."""

from __future__ import annotations

from dataclasses import dataclass

from chain.keys import NodeKey
from chain.typed import digest_under, separator
from chain.types import U256, Address, Signature

VERSION = "1"
"""Of the token's EIP-712 domain, as OpenZeppelin's ERC20Permit has it."""


@dataclass(frozen=True, slots=True)
class Permit:
    """`owner` lets `spender` take `value` wei. nonce: the token's for the owner. deadline: the last second of block time it can be used."""

    owner: Address
    spender: Address
    value: U256
    nonce: U256
    deadline: U256


def sign_permit(permit: Permit, token: Address, token_name: str, chain_id: int, key: NodeKey) -> Signature:
    """The owner's signature, in the token's own domain."""
    return key.sign(digest_under(separator(token_name, VERSION, chain_id, token), permit))
