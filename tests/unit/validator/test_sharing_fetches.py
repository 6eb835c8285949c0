"""What several tasks want is fetched by one of them, and nobody waits long for another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from chain.types import Digest
from validator.sharing import Sharing

ONE, OTHER = Digest(b"\x01" * 32), Digest(b"\x02" * 32)
LONG_S, SHORT_S = 60.0, 0.02


def fetching(content: bytes, fetched: list[bytes], *, wait: asyncio.Event | None = None) -> Callable[[], Awaitable[bytes]]:
    async def fetch() -> bytes:
        fetched.append(content)
        if wait is not None:
            await wait.wait()
        else:
            await asyncio.sleep(0)
        return content

    return fetch


def test_what_is_coming_is_fetched_once_and_everybody_has_it() -> None:
    async def scene() -> None:
        sharing, fetched = Sharing(LONG_S), list[bytes]()
        found = await asyncio.gather(
            *(sharing.once(ONE, fetching(b"it", fetched)) for _ in range(5)), sharing.once(OTHER, fetching(b"else", fetched))
        )
        assert found == [b"it"] * 5 + [b"else"]
        assert fetched == [b"it", b"else"]
        assert await sharing.once(ONE, fetching(b"again", fetched)) == b"again"  # nothing is kept here

    asyncio.run(scene())


def test_if_one_cannot_fetch_it_the_next_does() -> None:
    async def scene() -> None:
        sharing, fetched = Sharing(LONG_S), list[bytes]()

        async def in_vain() -> bytes:
            await asyncio.sleep(0)
            raise ValueError("not here")

        found = await asyncio.gather(
            sharing.once(ONE, in_vain), *(sharing.once(ONE, fetching(b"it", fetched)) for _ in range(3)), return_exceptions=True
        )
        assert isinstance(found[0], ValueError)
        assert found[1:] == [b"it"] * 3
        assert fetched == [b"it"]

    asyncio.run(scene())


@pytest.mark.parametrize("broken_off", [False, True])
def test_whoever_is_slow_or_broken_off_holds_up_nobody(broken_off: bool) -> None:
    async def scene() -> None:
        sharing, fetched, never = Sharing(LONG_S if broken_off else SHORT_S), list[bytes](), asyncio.Event()
        slow = asyncio.create_task(sharing.once(ONE, fetching(b"slow", fetched, wait=never)))
        await asyncio.sleep(0)
        other = asyncio.create_task(sharing.once(ONE, fetching(b"quick", fetched)))
        await asyncio.sleep(0)
        if broken_off:
            slow.cancel()
        assert await other == b"quick"
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow

    asyncio.run(scene())


def test_what_one_has_taken_is_passed_over_until_nobody_takes_any_more() -> None:
    async def scene() -> None:
        sharing = Sharing(LONG_S)
        with sharing.taking() as second:
            with sharing.taking() as first:
                assert first(ONE)
                assert first(ONE)
                assert not second(ONE)
                waiting = asyncio.create_task(sharing.wait_for([ONE, OTHER]))
                await asyncio.sleep(0)
                assert not waiting.done()
            await waiting
            assert not second(ONE)  # it may be here by now, which the second cannot have seen
        with sharing.taking() as third:
            assert third(ONE)

    asyncio.run(scene())


def test_what_is_taken_for_ever_is_waited_for_no_longer_than_patience_lasts() -> None:
    async def scene() -> None:
        sharing = Sharing(SHORT_S)
        with sharing.taking() as take:
            assert take(ONE)
            await sharing.wait_for([ONE])
        await sharing.wait_for([ONE])

    asyncio.run(scene())
