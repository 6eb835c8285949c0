"""`python -m chain`: a development chain on loopback until SIGTERM or SIGINT. Exit status: 0 told to stop, 2 wrong use, 1 no start."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from chain.types import Address, parse_address

ETHER = 10**18


def parse_fund(text: str) -> tuple[Address, int]:
    """`0xaddress:ether`, the amount possibly with a fraction, as address and wei."""
    address, colon, amount = text.partition(":")
    try:
        wei = Decimal(amount if colon else "1000") * ETHER
        if not 0 <= wei < 2**128 or wei != int(wei):
            raise ValueError(amount)
        return parse_address(address), int(wei)
    except (InvalidOperation, ValueError):
        raise argparse.ArgumentTypeError(f"{text!r} is not an account and its ether, like 0xabc...:1000") from None


def main(argv: Sequence[str] | None = None) -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m chain", description="Serve a development chain as JSON-RPC over HTTP.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8545, help="port to listen on, 0 for a free one (default: %(default)s)")
    parser.add_argument("--chain-id", type=int, default=31337, help="chain id (default: %(default)s)")
    parser.add_argument(
        "--fund",
        type=parse_fund,
        action="append",
        default=[],
        metavar="ADDRESS:ETHER",
        help="an account that has money at genesis; may be repeated",
    )
    parser.add_argument("--finality", type=int, default=1, help="blocks that 'finalized' lies behind (default: %(default)s)")
    options = parser.parse_args(argv)
    if not (0 <= options.port < 65536 and 0 < options.chain_id < 2**53 and options.finality >= 0):
        parser.error("a port is below 65536, a chain id from 1 to 2^53 - 1, finality not negative")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    return asyncio.run(_serve(options))


async def _serve(options: argparse.Namespace) -> int:
    from chain.devchain.server import DevChain, DevChainConfig

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    chain = DevChain(
        DevChainConfig(
            host=options.host,
            port=options.port,
            chain_id=options.chain_id,
            balances=dict(options.fund),
            finality_blocks=options.finality,
        )
    )
    try:
        await chain.start()
    except OSError as error:
        print(
            f"The chain cannot listen on {options.host}:{options.port}: {error.strerror or error}. "
            "Choose another --port, or stop what listens there.",
            file=sys.stderr,
        )
        return 1
    print(f"chain {options.chain_id} listening on {chain.url}", flush=True)
    stopping, failing = asyncio.create_task(stop.wait()), asyncio.create_task(chain.wait())
    await asyncio.wait([stopping, failing], return_when=asyncio.FIRST_COMPLETED)
    if failing.done():
        failing.result()
    stopping.cancel()
    failing.cancel()
    await chain.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
