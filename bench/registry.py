"""A Registry that lists more of a role than the 32 of the deployed one, for measurements of networks larger than there can be."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

from chain import parameters
from chain.abi import artifact

ROOT = Path(__file__).resolve().parent.parent
SOURCE = "contracts/src/Registry.sol"
LIMIT = "MAX_PER_ROLE = {};"
SETTINGS = {
    "evmVersion": "prague",
    "viaIR": True,
    "optimizer": {"enabled": True, "runs": 1_000_000},
    "metadata": {"bytecodeHash": "none", "appendCBOR": False},
    "outputSelection": {SOURCE: {"Registry": ["evm.bytecode.object", "evm.deployedBytecode"]}},
}
"""As the default profile of foundry.toml."""
SCRIPT = """
const read = path => ({contents: require("fs").readFileSync(path.startsWith("@") ? `node_modules/${path}` : path, "utf8")});
console.log(require("solc").compile(require("fs").readFileSync(0, "utf8"), {import: read}));
"""


def list_up_to(most: int) -> None:
    """From now on this process deploys networks with room for so many of a role: the same source, with another number in it."""
    if most <= parameters.MAX_PER_ROLE:
        return
    source = (ROOT / SOURCE).read_text()
    changed = source.replace(LIMIT.format(parameters.MAX_PER_ROLE), LIMIT.format(most))
    if changed == source:
        raise RuntimeError(f"{SOURCE} says its limit in another way")
    asked = {"language": "Solidity", "sources": {SOURCE: {"content": changed}}, "settings": SETTINGS}
    ran = subprocess.run(("node", "-e", SCRIPT), input=json.dumps(asked), capture_output=True, text=True, check=True, cwd=ROOT)
    made = json.loads(ran.stdout)["contracts"][SOURCE]["Registry"]["evm"]
    code = bytes.fromhex(made["deployedBytecode"]["object"])
    artifact("Registry").update(bytecode=made["bytecode"]["object"], deployedBytecodeSha256=hashlib.sha256(code).hexdigest())
    parameters.MAX_PER_ROLE = most
