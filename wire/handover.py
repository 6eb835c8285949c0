"""The last bytes of a connection that is about to be closed by force."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import termios

HAND_OVER_S = 3.0
"""The longest that a stream which has failed waits for its last bytes to be taken."""
_LOOK_S = 0.02


async def handed_over(*sockets: socket.socket, within_s: float = HAND_OVER_S) -> None:
    """Returns once the kernels of the other ends have everything that was sent, or after `within_s` seconds: a close before, of a socket
    that is set to end in a reset or holds something unread, would drop what is under way."""
    loop = asyncio.get_running_loop()
    until = loop.time() + within_s
    while loop.time() < until and any(_under_way(one) for one in sockets):  # noqa: ASYNC110 - the kernel tells nobody
        await asyncio.sleep(_LOOK_S)


def _under_way(one: socket.socket) -> bool:
    """Whether something sent has not been acknowledged; not for a socket that has failed."""
    size = bytearray(4)
    try:
        fcntl.ioctl(one.fileno(), termios.TIOCOUTQ, size)
        return any(size) and one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    except (OSError, ValueError):
        return False
