"""What is encoded here so that a process starts quickly is what the libraries make of it that others use: web3's call data, eth-account's
transactions and typed messages, eth-keyfile's keystores."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
from eth_abi.exceptions import EncodingError
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_keyfile.keyfile import create_keyfile_json, decode_keyfile_json
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from hypothesis import example, given, settings
from hypothesis import strategies as st
from web3 import Web3

from chain.abi import CONTRACTS, NotDeployed, artifact, call_data, creation_data, decode_output
from chain.flights import Fees, Flight, transaction
from chain.keys import SCRYPT_LIGHT, NodeKey, NotAKeystore, WrongPassphrase, decrypt, encrypt
from chain.permit import VERSION, Permit, sign_permit
from chain.typed import separator
from chain.types import Address

KEY = NodeKey(b"\x07" * 32)
EACH = settings().max_examples // 20
"""Examples for each of a hundred functions."""
TOKEN = Address("0x" + "ab" * 20)
Entry = dict[str, Any]
FUNCTIONS = [(name, entry) for name in CONTRACTS for entry in artifact(name)["abi"] if entry["type"] == "function"]
accounts = st.binary(min_size=20, max_size=20).map(lambda raw: Address("0x" + raw.hex()))


def values(parameter: Entry) -> st.SearchStrategy[Any]:
    """Any value of an ABI type."""
    kind: str = parameter["type"]
    if kind.endswith("[]"):
        return st.lists(values({**parameter, "type": kind[:-2]}), max_size=3)
    if kind == "tuple":
        return st.tuples(*map(values, parameter["components"]))
    if kind.startswith("uint"):
        return st.integers(0, 2 ** int(kind[4:]) - 1)
    plain: dict[str, st.SearchStrategy[Any]] = {
        "address": accounts,
        "bool": st.booleans(),
        "bytes": st.binary(max_size=70),
        "bytes1": st.binary(min_size=1, max_size=1),
        "bytes32": st.binary(min_size=32, max_size=32),
        "string": st.text(max_size=40),
    }
    return plain[kind]


def shown(value: Any) -> Any:
    """As web3 takes it: addresses with their capitals."""
    if isinstance(value, list | tuple):
        return [shown(item) for item in value]
    return to_checksum_address(value) if isinstance(value, str) and len(value) == 42 and value.startswith("0x") else value


def plain(value: Any) -> Any:
    """Without the difference of lists and tuples, and without an address's capitals."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.lower() if isinstance(value, str) else value


@settings(max_examples=EACH)
@given(st.data())
@pytest.mark.parametrize(("contract", "entry"), FUNCTIONS, ids=[f"{name}.{entry['name']}" for name, entry in FUNCTIONS])
def test_calls_and_answers_are_those_of_web3(contract: str, entry: Entry, data: st.DataObject) -> None:
    web3_contract = Web3().eth.contract(abi=[entry])
    arguments = data.draw(st.tuples(*map(values, entry["inputs"])))
    assert "0x" + call_data(contract, entry["name"], arguments).hex() == web3_contract.encode_abi(entry["name"], [*map(shown, arguments)])
    outputs = data.draw(st.tuples(*map(values, entry["outputs"])))
    decoded = decode_output(contract, entry["name"], TOKEN, encoded(entry, outputs))
    assert plain(decoded) == plain(outputs[0] if len(outputs) == 1 else outputs)


def encoded(entry: Entry, outputs: Any) -> bytes:
    """What web3 sends for a function that takes what this one returns."""
    mirrored = {
        "type": "function",
        "name": "f",
        "inputs": [{**one, "name": f"a{n}"} for n, one in enumerate(entry["outputs"])],
        "outputs": [],
    }
    return bytes.fromhex(Web3().eth.contract(abi=[mirrored]).encode_abi("f", [*map(shown, outputs)])[10:])


@settings(max_examples=EACH)
@given(st.data())
@pytest.mark.parametrize("contract", CONTRACTS)
def test_creations_are_those_of_web3(contract: str, data: st.DataObject) -> None:
    constructor = next(entry for entry in artifact(contract)["abi"] if entry["type"] == "constructor")
    arguments = data.draw(st.tuples(*map(values, constructor["inputs"])))
    creation = (
        Web3().eth.contract(abi=artifact(contract)["abi"], bytecode=artifact(contract)["bytecode"]).constructor(*map(shown, arguments))
    )
    assert "0x" + creation_data(contract, arguments).hex() == str(creation.data_in_transaction)


@pytest.mark.parametrize("argument", [b"\x07" * 31, b"\x07" * 33, b"", "0x" + "07" * 32, 7, None])
def test_what_is_not_exactly_of_its_type_is_not_encoded(argument: object) -> None:
    with pytest.raises(EncodingError):
        call_data("Settlement", "propose", (1, 1, argument))
    with pytest.raises(EncodingError):
        call_data("Settlement", "propose", (-1, 1, bytes(32)))


@pytest.mark.parametrize(
    ("contract", "function", "answer"),
    [
        ("Vault", "rate", b""),
        ("Vault", "rate", bytes(31)),
        ("RewardToken", "name", bytes(32)),
        ("RewardToken", "name", (32).to_bytes(32) + (2**255).to_bytes(32)),
        ("RewardToken", "name", (32).to_bytes(32) + (1).to_bytes(32) + b"\xff" + bytes(31)),
        ("Settlement", "recipientOf", b"\xff" * 32),
        ("Settlement", "isQuiet", (2).to_bytes(32)),
    ],
)
def test_an_answer_that_the_function_cannot_have_given_is_none_of_the_contract(contract: str, function: str, answer: bytes) -> None:
    with pytest.raises(NotDeployed, match=f"{TOKEN} is not a {contract}"):
        decode_output(contract, function, TOKEN, answer)


amounts = st.integers(0, 2**256 - 1)


@given(
    st.integers(1, 2**64), st.integers(0, 2**64 - 1), st.one_of(st.none(), accounts), st.binary(max_size=200), amounts,
    st.integers(21_000, 2**64), amounts, amounts,
)  # fmt: skip
@example(1, 0, None, b"", 0, 21_000, 0, 0)
def test_transactions_are_those_of_eth_account(
    chain_id: int, nonce: int, to: Address | None, data: bytes, value: int, gas: int, tip: int, maximum: int
) -> None:
    expected = Account.sign_transaction(
        {
            "type": 2,
            "chainId": chain_id,
            "nonce": nonce,
            "to": to_checksum_address(to) if to else b"",
            "value": value,
            "data": data,
            "gas": gas,
            "maxFeePerGas": maximum,
            "maxPriorityFeePerGas": tip,
        },
        KEY.secret(),
    )
    raw = transaction(KEY, chain_id, Flight(nonce, to, data, value, gas, Fees(tip, maximum), "", ()))
    assert raw == bytes(expected.raw_transaction)
    assert keccak(raw) == bytes(expected.hash)


@given(st.text(max_size=40), st.text(max_size=5), st.integers(0, 2**256 - 1), accounts)
def test_domains_are_those_of_eth_account(name: str, version: str, chain_id: int, contract: Address) -> None:
    domain = {"name": name, "version": version, "chainId": chain_id, "verifyingContract": contract}
    assert separator(name, version, chain_id, contract) == encode_typed_data(domain, {"Nothing": []}, {}).header


@given(accounts, accounts, amounts, amounts, amounts)
def test_permits_are_those_of_eth_account(owner: Address, spender: Address, value: int, nonce: int, deadline: int) -> None:
    permit = Permit(owner, spender, value, nonce, deadline)
    fields = {"owner": "address", "spender": "address", "value": "uint256", "nonce": "uint256", "deadline": "uint256"}
    types = {"Permit": [{"name": name, "type": kind} for name, kind in fields.items()]}
    domain = {"name": "DPN Reward", "version": VERSION, "chainId": 31337, "verifyingContract": TOKEN}
    encoded_ = encode_typed_data(domain, types, asdict(permit))
    expected = KEY.sign(keccak(b"\x19" + encoded_.version + encoded_.header + encoded_.body))
    assert sign_permit(permit, TOKEN, "DPN Reward", 31337, KEY) == expected


@pytest.mark.parametrize("passphrase", ["open", "", "Жßé \U0001f511"])
@pytest.mark.parametrize(("kdf", "work"), [("scrypt", 2**4), ("pbkdf2", 5)])
def test_keystores_are_exchanged_with_eth_keyfile(passphrase: str, kdf: Any, work: int) -> None:
    theirs = create_keyfile_json(KEY.secret(), passphrase.encode(), version=3, kdf=kdf, iterations=work)
    assert decrypt(json.dumps(theirs).encode(), passphrase).secret() == KEY.secret()
    ours = json.loads(encrypt(KEY, passphrase, scrypt_n=SCRYPT_LIGHT))
    assert decode_keyfile_json(ours, passphrase.encode()) == KEY.secret()
    assert [*ours, *ours["crypto"], *ours["crypto"]["kdfparams"]] == [
        *("address", "crypto", "id", "version"),
        *("cipher", "cipherparams", "ciphertext", "kdf", "kdfparams", "mac"),
        *("dklen", "n", "r", "p", "salt"),
    ]


def test_names_in_capitals_are_read_and_their_cost_is_looked_at() -> None:
    ours = json.loads(encrypt(KEY, "open", scrypt_n=2**4))
    crypto = ours["crypto"]
    loud = {"CipherText" if name == "ciphertext" else name.upper(): value for name, value in crypto.items()}
    loud["KDFPARAMS"] = {name.upper(): value for name, value in crypto["kdfparams"].items()}
    assert decrypt(json.dumps({**ours, "crypto": loud}).encode(), "open") == KEY
    loud["KDFPARAMS"]["N"] = 2**40
    with pytest.raises(NotAKeystore, match="beyond what any wallet uses"):
        decrypt(json.dumps({**ours, "crypto": loud}).encode(), "open")


@settings(max_examples=200)
@given(st.data())
def test_an_altered_keystore_is_opened_if_eth_keyfile_opens_it(data: st.DataObject) -> None:
    ours = json.loads(encrypt(KEY, "open", scrypt_n=2**4))
    del ours["address"]
    crypto = ours["crypto"]
    place = data.draw(st.sampled_from([crypto, crypto["kdfparams"], crypto["cipherparams"]]))
    name = data.draw(st.sampled_from(sorted(place)))
    before = place[name]
    changed: list[Any] = [None, 0, 1, -1, 16, 32, "", "0x", "zz", [], {}, True, 1.5]
    if isinstance(before, str):
        changed += ["0x" + before, before.upper(), before[2:], before + "00", "0" + before, "ff" * 16]
    place[name] = data.draw(st.sampled_from(changed))
    if data.draw(st.integers(0, 3)) == 0:
        del place[name]
    try:
        theirs = decode_keyfile_json(ours, b"open")
    except Exception:  # noqa: BLE001 - whatever it raises, it does not open it
        theirs = b""
    try:
        opened = decrypt(json.dumps(ours).encode(), "open").secret()
    except (NotAKeystore, WrongPassphrase):
        opened = b""
    assert opened in (theirs, b"")
    assert opened == theirs or len(theirs) != 32 or place.get(name) == 16
