"""No consumer is let to a role's machine, be it listed by its address or by a name."""

from __future__ import annotations

import asyncio
import ipaddress

import pytest

from chain.keys import NodeKey
from chain.types import Digest, Wei
from chain.view import BlockStamp, ChainView, Listing
from provider.sessions.egress import Resolver
from provider.sessions.surroundings import Surroundings


@pytest.mark.usefixtures("socket_enabled")
def test_listed_addresses_and_names_and_the_own_address_are_known() -> None:
    account = NodeKey(b"\x05" * 32).address
    endpoints = ("203.0.113.7:8100", "[2001:4860::7]:8100", "127.1:8100", "no-such-name.invalid:8100")
    listings = tuple(Listing(account, "resolver", endpoint, Wei(1), Wei(1)) for endpoint in endpoints)
    view = ChainView(BlockStamp(1, Digest(bytes(32)), 1), listings)

    async def scene() -> None:
        async def newest() -> ChainView:
            return view

        resolver = Resolver()
        try:
            own, roles = await Surroundings("198.51.100.9", "", newest, resolver).places()
        finally:
            resolver.close()
        assert ipaddress.ip_address("198.51.100.9") in own
        assert roles == {ipaddress.ip_address(one) for one in ("203.0.113.7", "2001:4860::7", "127.0.0.1")}

    asyncio.run(scene())
