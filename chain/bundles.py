"""Bundles as files: what is to change, written once, signed by each validator for itself, and carried to the chain by anyone.

The file is TOML, and everything in it but `deadline` may be left out:

    deadline = 2027-01-31T12:00:00Z      # until when it may be applied, with its time zone
    min_total = "600000000000000000000"  # wei, as provider_bond
    delisted = ["0x..."]
    guardian = "0x..."                   # the zero address for nobody
    [rules]                              # only what differs from the rules in force
    max_rtt_us = 400000
    [[listings]]                         # who joins, or is listed with another maximum or endpoint
    account = "0x..."
    role = "validator"
    endpoint = "host:port"
    max_stake = "1000000000000000000000"
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from chain.canonical import decode, encode
from chain.messages import Bundle, Changes
from chain.parameters import ParameterError, integer_of, listings_of
from chain.rules import Rules, rules_of
from chain.typed import Domain, Signed, signer_of
from chain.types import ZERO_ADDRESS, Address, Wei, parse_address
from chain.view import ChainView

KEYS = {"deadline", "min_total", "provider_bond", "delisted", "listings", "guardian", "rules"}


@dataclass(frozen=True, slots=True)
class Draft:
    """Changes with the bundle that validators sign for them."""

    changes: Changes
    bundle: Bundle


def load_draft(file: Path, view: ChainView) -> Draft:
    """A bundle from its file, upon the chain as it is in `view`: what the file leaves out stays. `ParameterError` otherwise."""
    try:
        return _draft(tomllib.loads(file.read_text()), view)
    except OSError as error:
        raise ParameterError(f"{file} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ParameterError(f"{file} is not TOML: {error}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ParameterError(f"the bundle in {file} does not parse: {error}") from error


def _draft(table: Mapping[str, Any], view: ChainView) -> Draft:
    if unknown := table.keys() - KEYS:
        raise ParameterError(f"a bundle has no {', '.join(sorted(unknown))}")
    deadline = table.get("deadline")
    if not isinstance(deadline, datetime) or deadline.tzinfo is None:
        raise ParameterError("a bundle needs a deadline with its time zone, such as 2027-01-31T12:00:00Z")
    changes = Changes(
        min_total=Wei(integer_of("min_total", table.get("min_total", view.min_total))),
        provider_bond=Wei(integer_of("provider_bond", table.get("provider_bond", view.provider_bond))),
        delisted=tuple(parse_address(account) for account in table.get("delisted", ())),
        listed=listings_of(table.get("listings", ())),
        rules=_rules(table.get("rules", {}), view),
        replace_guardian="guardian" in table,
        guardian=parse_address(table["guardian"]) if "guardian" in table else ZERO_ADDRESS,
    )
    return Draft(changes, Bundle(view.bundle_nonce, int(deadline.timestamp()), changes.digest()))


def _rules(given: Mapping[str, Any], view: ChainView) -> bytes:
    """The rules with these values, canonical; empty if that changes none."""
    in_force: Rules = decode(Rules, view.rules)
    changed = encode(rules_of({**asdict(in_force), **given}))
    return b"" if changed == view.rules else changed


def signers_of(draft: Draft, signed: Iterable[Signed[Bundle]], domain: Domain) -> dict[Address, Signed[Bundle]]:
    """Who signed this very bundle, ascending, each once. `ParameterError` names a signature over another one."""
    found = {}
    for one in signed:
        signer = signer_of(one, domain)
        if one.message != draft.bundle:
            raise ParameterError(f"{signer} has signed another bundle: another file, another nonce, or a chain that has changed since")
        found[signer] = one
    return dict(sorted(found.items()))


def stake_of(signers: Sequence[Address], view: ChainView) -> tuple[Wei, Wei]:
    """The stake of those signers who are validators, and of all validators, wei; two thirds are needed."""
    stakes = {listing.account: listing.stake for listing in view.validators()}
    return Wei(sum(stakes.get(signer, 0) for signer in set(signers))), Wei(sum(stakes.values()))
