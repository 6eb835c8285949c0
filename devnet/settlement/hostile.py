"""Validators whose keys the demo holds. They behave until the first root, and then sign what they like.

They serve what they sign on their listed endpoints, by a validator's own paths: whoever withholds cannot be judged, and these can.
"""

from __future__ import annotations

from aiohttp import web

from chain.canonical import encode
from chain.keys import NodeKey
from chain.typed import Domain, sign
from chain.types import Address, Digest, to_hex
from devnet.layout import Place
from devnet.settlement.actors import Actor
from runtime.clock import SystemClock
from wire import paths
from wire.agreement import InventoryIndex
from wire.files import chunks_of, index_of, sha256
from wire.http import answer, application, serve
from wire.messages import Inventory
from wire.refusals import Refused


class Shelf:
    """What the hostile ones serve, all of them the same: bodies by their paths."""

    def __init__(self) -> None:
        self._bodies: dict[str, bytes] = {}

    def put(self, path: str, body: bytes) -> None:
        self._bodies[path] = body

    def get(self, path: str) -> bytes:
        """The body under a path; `Refused` (`not_found`) if there is none."""
        if path not in self._bodies:
            raise Refused("not_found")
        return self._bodies[path]

    def put_file(self, data: bytes) -> Digest:
        """A file chunk by chunk; its digest."""
        index = encode(index_of(data))
        for blob in (*chunks_of(data), index):
            self.put(f"/v1/blobs/{to_hex(sha256(blob))}", blob)
        return sha256(index)


class HostileValidator:
    """One of them: a key, an endpoint, and a server on it from `open` to `close`."""

    def __init__(self, place: Place, actor: Actor, domain: Domain, shelf: Shelf) -> None:
        self.place, self.actor = place, actor
        self.behaves = True
        self._domain, self._shelf = domain, shelf
        self._runner: web.AppRunner | None = None

    @property
    def address(self) -> Address:
        return self.actor.address

    @property
    def key(self) -> NodeKey:
        return self.actor.key

    async def open(self) -> None:
        """`OSError` if the endpoint is taken."""
        app = application(self._domain, self.address, SystemClock())
        app.router.add_get("/v1/inventories/{epoch}", self._inventory)
        app.router.add_get("/v1/{path:.+}", self._file)
        self._runner = await serve(app, self.place.bind_host, self.place.port)

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _inventory(self, request: web.Request) -> web.Response:
        """While it behaves: that no provider has shown it anything, which is true."""
        if not self.behaves:
            raise Refused("not_found")
        epoch = paths.number(request.match_info["epoch"])
        index = self._shelf.put_file(encode(InventoryIndex(epoch, ())))
        return answer(sign(Inventory(self.address, epoch, 0, index), self._domain, self.key))

    async def _file(self, request: web.Request) -> web.Response:
        return web.Response(body=self._shelf.get(request.path), content_type="application/octet-stream")
