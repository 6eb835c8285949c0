"""What can go wrong in a provider.

ProviderError
├── UnusableStatement   signed by the wrong one, about somebody else, or impossible: it is not held; `code` says why
├── NoPeer              nobody is listed on chain who could be asked (+ Recoverable)
└── ForeignStore        `provider.store`: the folder is another provider's; give this one its own

CommandFailed (`runtime.terminal`): a command ends; the sentence is for the person, `exit_code` for the shell
├── NothingToDo         5: there is nothing to claim, or it is done already
├── FeeTooHigh          6: the transaction costs more than the share allowed
├── RootMoved           4: a newer root became active meanwhile; the same command again looks at that one
└── NoActiveRoot, NoVerifiedLeaf                                                    `wire.leaves`
"""

from __future__ import annotations

from chain.errors import Recoverable
from runtime.terminal import CommandFailed
from runtime.terminal import NothingToDo as NothingToDo


class ProviderError(Exception):
    """Base of everything this package raises on purpose."""


class UnusableStatement(ProviderError):
    """Codes are those of `wire.refusals`: `not_listed`, `wrong_subject`, `unknown_epoch`, `bad_statement`, or a signature's."""

    def __init__(self, code: str, detail: str) -> None:
        self.code, self.detail = code, detail
        super().__init__(f"{code}: {detail}")


class NoPeer(ProviderError, Recoverable):
    """The chain lists no node of a role yet; it may later."""

    def __init__(self, role: str) -> None:
        self.role = role
        super().__init__(f"the chain lists no {role} at present: nothing can be done before it does")


class FeeTooHigh(CommandFailed):
    exit_code = 6


class RootMoved(CommandFailed):
    exit_code = 4
