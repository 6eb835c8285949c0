"""An allowance by signature (ERC-2612), so that a deposit is one transaction."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from chain.keys import NodeKey
from chain.types import Address, Signature, Wei

VERSION = "1"
"""Of the token's EIP-712 domain, as OpenZeppelin's ERC20Permit has it."""


@dataclass(frozen=True, slots=True)
class Permit:
    """`owner` lets `spender` take `value` wei. nonce: the token's for the owner. deadline: the last second of block time it can be used."""

    owner: Address
    spender: Address
    value: Wei
    nonce: int
    deadline: int


def sign_permit(permit: Permit, token: Address, token_name: str, chain_id: int, key: NodeKey) -> Signature:
    """The owner's signature, in the token's own domain."""
    from eth_account.messages import encode_typed_data
    from eth_utils.crypto import keccak

    fields = {"owner": "address", "spender": "address", "value": "uint256", "nonce": "uint256", "deadline": "uint256"}
    types = {"Permit": [{"name": name, "type": kind} for name, kind in fields.items()]}
    domain = {"name": token_name, "version": VERSION, "chainId": chain_id, "verifyingContract": token}
    encoded = encode_typed_data(domain, types, asdict(permit))
    return key.sign(keccak(b"\x19" + encoded.version + encoded.header + encoded.body))
