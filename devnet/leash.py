"""Runs a command that does not outlive the devnet: `python -I -S leash.py PARENT COMMAND …`.

Asks the kernel (Linux, `prctl(2)`, PR_SET_PDEATHSIG) to kill this process when its parent ends, then becomes the command, keeping its
process id. If the parent is gone already there is nobody to ask for, so nothing is started.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    """Does not return."""
    parent, command = int(argv[1]), argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        raise SystemExit("the devnet that wanted this process has ended")
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(sys.argv)
