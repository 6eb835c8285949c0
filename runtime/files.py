"""How many files and connections a process may have open at once."""

from __future__ import annotations

import contextlib
import resource


def allow_open_files(needed: int) -> int:
    """Raises this process's own limit to `needed`, as far as the machine lets it; what the limit is then. It is never lowered."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return needed if soft == resource.RLIM_INFINITY else soft
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft
