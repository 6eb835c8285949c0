"""`python -m devnet.validators.liar --config FILE`: a validator that proposes what nobody computed, and is honest in all else.

Its candidates have a sound manifest, whose every byte it serves, and the root of another tree: the others have to recompute it to know.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from chain.messages import EpochAttestation
from chain.types import Digest
from chain.view import Listing
from runtime.loop import run as start
from validator.candidates import Candidates, Inventories
from validator.config import ValidatorConfig
from validator.manifests import Basis
from validator.node import run
from wire.node import main

FALSE_ROOT = Digest(bytes([0xFA]) * 32)


class FalseCandidates(Candidates):
    """Builds candidates with a root that is no outcome; judges others' as they are to be judged."""

    async def build(self, basis: Basis, ready: Inventories, round_: int, others: Sequence[Listing]) -> EpochAttestation | None:
        said = await super().build(basis, ready, round_, others)
        return None if said is None else replace(said, root=FALSE_ROOT)


if __name__ == "__main__":
    sys.exit(
        main("validator", ValidatorConfig, partial(run, candidates=FalseCandidates), Path(sys.argv[sys.argv.index("--config") + 1]), start)
    )
