"""What can go wrong in `chain`, cut by what a caller can do.

ChainError
├── CodecError            bytes that are not what they claim; refuse them, with `code`
│   └── SignatureError    a signature that is malformed, malleable or another's
├── DeploymentError       the contracts found are not the ones expected; do not go on
│   └── ParameterError    `chain.parameters`: a file of parameters is wrong; correct it
├── RpcError, Reverted, BackendUnavailable (+ Recoverable)                          `chain.backend`
├── ContractError: ContractRefused, NotDeployed                                     `chain.abi`
├── BlockMissing (+ Recoverable)                                                    `chain.client`
├── TransactionFailed; TransactionPending, NonceTaken, OthersWait (+ Recoverable)   `chain.sender`
├── KeyFileError: NotAKeystore, WrongPassphrase, KeyExists                          `chain.keys`
└── MerkleError                                                                     `chain.merkle`

Recoverable               mixed in where trying again later is the right answer
"""

from __future__ import annotations


class ChainError(Exception):
    """Base of everything this package raises on purpose."""


class Recoverable(Exception):
    """The same call may succeed later: a loop goes on to its next tick, and only for these."""


class CodecError(ChainError):
    """Bytes or values refused while parsing. `code` is stable and machine-readable, `path` says where."""

    def __init__(self, code: str, detail: str, path: str = "") -> None:
        self.code, self.detail, self.path = code, detail, path
        super().__init__(f"{code}: {detail}" + (f" (at {path})" if path else ""))

    def under(self, key: str) -> CodecError:
        """The same, as it is called from one level up: `key` is a field's name or `[index]`."""
        joined = key + self.path if not self.path or self.path.startswith("[") else f"{key}.{self.path}"
        return type(self)(self.code, self.detail, joined)


class SignatureError(CodecError):
    """A signature that does not prove what the message says. Codes: `bad_signature`, `wrong_signer`."""


class DeploymentError(ChainError):
    """A deployment that is not the one it should be; names the value found and the value expected."""
