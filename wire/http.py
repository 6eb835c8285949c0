"""HTTP between nodes: bounded canonical bodies, coded refusals, and no talk with another network.

    PeerError
    ├── PeerRefused        the peer answered with a coded refusal: do what `code` says
    ├── PeerMisbehaved     the peer answered with something that is not an answer; ask another
    └── PeerUnavailable    Recoverable: no answer in time

Every request and response carries `DPN-Network: chainId/settlement/version`; one of another network is refused, naming both values.
Answers may come packed (`wire.packing`) where that is asked for; the bounds are on what is unpacked. Requests never do.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeGuard, TypeVar

import aiohttp
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from chain.canonical import LARGEST_NUMBER, decode, encode, parse
from chain.errors import CodecError, Recoverable
from chain.typed import Domain
from chain.types import Address
from runtime.clock import Clock
from runtime.storage import DatabaseUnavailable
from wire.connections import MOST, Places
from wire.packing import ENCODING, most_packed, unpack
from wire.refusals import TABLE, Refused

log = logging.getLogger(__name__)

NETWORK_HEADER = "DPN-Network"
MAX_BODY = 131_072
MAX_ANSWER = 2 * 1024 * 1024
"""Bytes of an answer, unless whoever asks takes less."""
TIMEOUT_S = 10.0
BODY_S = 10.0
"""The longest that a request's body may take to arrive."""
LINGER_S = 1.0
"""How long what is left of a refused body is read, so that whoever sends it hears why; also if the sender is gone by then."""
IDLE_S = 30.0
"""The longest that a connection may wait for a request."""


class _NoStrangers(logging.Filter):
    """aiohttp logs every malformed request with its sender's address and a stack trace. Both are a stranger's to write, so such a
    request is not logged at all, and whatever else ends before or after `application` can answer it, without the address."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        record.msg, record.args = "a request could not be answered", ()
        return not isinstance(error, HttpProcessingError | web.RequestPayloadError | ConnectionError)


_server_log = logging.getLogger(f"{__name__}.server")
_server_log.addFilter(_NoStrangers())

M = TypeVar("M")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PeerError(Exception):
    """Base of what asking a peer can end in."""


class PeerRefused(PeerError):
    """A coded refusal; the fields are those of the envelope, as far as they are short, and times that a clock can hold."""

    def __init__(self, peer: str, status: int, error: Mapping[str, Any]) -> None:
        self.peer, self.status = peer, status
        code = error.get("code")
        self.code = code if is_code(code) else "internal"
        self.message = _printable(error.get("message", ""), 500)
        self.observer = _printable(error.get("observer", ""), 42)
        self.time, self.next_try = _second(error.get("time")), _second(error.get("nextTry"))
        evidence = error.get("evidence")
        items = list(evidence.items())[:16] if isinstance(evidence, dict) else []
        self.evidence = {_printable(k, 40): _printable(v, 200) for k, v in items}
        super().__init__(f"{peer} refused: {self.code}: {self.message}")


class PeerMisbehaved(PeerError):
    """An answer that is too large, packed in another way than asked for, no JSON, or signed by the wrong key."""


class PeerUnavailable(PeerError, Recoverable):
    """No answer in time."""


def is_code(value: object) -> TypeGuard[str]:
    """Whether a peer's word has the form of a code: what it says goes into logs and states."""
    return isinstance(value, str) and re.fullmatch("[a-z_]{1,40}", value) is not None


def _printable(value: object, most: int) -> str:
    """A peer's word, cut short, without what would begin another line of a log or move a terminal's cursor."""
    return "".join(one if one.isprintable() else "?" for one in str(value)[:most])


def _second(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_NUMBER else 0


def application(domain: Domain, observer: Address, clock: Clock, max_body: int = MAX_BODY) -> web.Application:
    """An application whose refusals are coded; add routes to it."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            theirs = request.headers.get(NETWORK_HEADER, str(domain))
            if theirs != str(domain):
                raise Refused("wrong_network", f"yours is {theirs[:90]}, mine is {domain}", {"yours": theirs[:90], "mine": str(domain)})
            response = await handler(request)
        except Refused as refused:
            response = refusal(refused, observer, clock.now())
        except CodecError as error:
            response = refusal(_of_codec(error), observer, clock.now())
        except web.HTTPRequestEntityTooLarge:
            response = refusal(Refused("body_too_large"), observer, clock.now())
        except web.HTTPMethodNotAllowed:
            response = refusal(Refused("method_not_allowed"), observer, clock.now())
        except web.HTTPNotFound:
            response = refusal(Refused("not_found"), observer, clock.now())
        except Recoverable as error:
            log.warning("%s %s could not be answered: %s", request.method, request.path, error)
            code = "database_unavailable" if isinstance(error, DatabaseUnavailable) else "chain_unavailable"
            response = refusal(Refused(code), observer, clock.now())
        except (web.HTTPException, ConnectionError):  # an answer of aiohttp's own, and nobody left to answer
            raise
        except Exception:  # the edge of the process: a mistake of our own costs one answer, and who asked is not to be found in the log
            log.exception("%s %s failed by a mistake of this program's", request.method, _route(request))
            response = refusal(Refused("internal"), observer, clock.now())
        response.headers[NETWORK_HEADER] = str(domain)
        return response

    return web.Application(middlewares=[guard], client_max_size=max_body)


def _route(request: web.Request) -> str:
    """The path as this node wrote it, `/v1/reports/{epoch}`: what stands in its places is somebody else's."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "a path"


def _of_codec(error: CodecError) -> Refused:
    evidence = {"at": error.path} if error.path else {}
    return Refused(error.code if error.code in TABLE else "malformed_json", error.detail, evidence)


def refusal(refused: Refused, observer: Address, now: float) -> web.Response:
    """The envelope of a refusal."""
    body = {
        "code": refused.code,
        "message": refused.message,
        "observer": observer,
        "time": int(now),
        "evidence": dict(refused.evidence),
        "nextTry": min(refused.next_try, LARGEST_NUMBER),  # the end of a far epoch is no number that peers read
    }
    return web.json_response({"error": body}, status=refused.status)


async def read(request: web.Request, struct: type[M]) -> M:
    """The request's body as a value of type `struct`; a coded refusal otherwise."""
    value: M = decode(struct, await body_of(request))
    return value


async def body_of(request: web.Request) -> bytes:
    """The request's body as received; `bad_encoding`, with nothing unpacked, if its headers say that it is packed in any way."""
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding != "identity":
        raise Refused("bad_encoding", "requests are not packed")
    try:
        async with asyncio.timeout(BODY_S):
            return await request.read()
    except TimeoutError:
        raise Refused("body_too_slow", f"{BODY_S:g} s is the limit") from None
    except web.RequestPayloadError:
        raise Refused("malformed_json", "the body does not come as its headers say") from None


def answer(value: Any, status: int = 200) -> web.Response:
    """A dataclass, or plain dictionaries and lists, in canonical form."""
    return web.Response(body=encode(value), status=status, content_type="application/json")


def packed_answer(request: web.Request, frame: bytes, most: int, content_type: str) -> web.Response:
    """What is packed in the frame, of at most `most` bytes: as it is to whoever takes it so, else unpacked."""
    if takes_packed(request.headers.getall("Accept-Encoding", [])):
        return web.Response(body=frame, content_type=content_type, headers={"Content-Encoding": ENCODING, "Vary": "Accept-Encoding"})
    return web.Response(body=unpack(frame, most), content_type=content_type, headers={"Vary": "Accept-Encoding"})


def takes_packed(accepted: Sequence[str]) -> bool:
    """Whether headers `Accept-Encoding` name the packing, and not with the weight 0."""
    for item in ",".join(accepted)[:1_000].lower().split(","):
        name, _, weight = item.partition(";")
        if name.strip() == ENCODING:
            return re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", weight) is None
    return False


class _Runner(web.AppRunner):
    """An application runner whose server has so many places and no more."""

    most = MOST

    @property
    def server(self) -> Any:
        server = super().server
        return None if server is None else Places(server, self.most)


async def serve(app: web.Application, host: str, port: int, most_connections: int = MOST) -> web.AppRunner:
    """Starts the application; `await runner.cleanup()` ends it. `OSError` if the address cannot be bound.

    Connections are bounded in number (`wire.connections`); one that sends no whole request for `IDLE_S` is closed.
    """
    # Unpacked by aiohttp, whatever a stranger sends would be unpacked before anybody has looked at it.
    bounds: dict[str, Any] = {"keepalive_timeout": IDLE_S, "lingering_time": LINGER_S, "auto_decompress": False}
    runner = _Runner(app, access_log=None, logger=_server_log, shutdown_timeout=2.0, **bounds)
    runner.most = most_connections
    await runner.setup()
    await web.TCPSite(runner, host, port, reuse_address=True).start()
    return runner


class Client:
    """Asks peers. `local_host` is the source address of its connections (None: any)."""

    def __init__(self, domain: Domain, local_host: str | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self._domain = domain
        connector = aiohttp.TCPConnector(local_addr=(local_host, 0) if local_host else None, limit_per_host=8)
        self._http = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            headers={NETWORK_HEADER: str(domain), "Accept-Encoding": ENCODING},
            auto_decompress=False,  # of whatever the peer says it is encoded in, without a bound of ours
        )

    async def close(self) -> None:
        await self._http.close()

    async def get(self, endpoint: str, path: str, most: int = MAX_ANSWER) -> bytes:
        """The body at `http://endpoint/path`, of at most `most` bytes once it is unpacked. Raises `PeerRefused`, `PeerMisbehaved` or
        `PeerUnavailable`."""
        return await self._request("GET", endpoint, path, None, most)

    async def post(self, endpoint: str, path: str, value: Any) -> bytes:
        """The answer to the canonical form of `value`. Raises as `get` does."""
        return await self._request("POST", endpoint, path, value if isinstance(value, bytes) else encode(value), MAX_ANSWER)

    async def _request(self, method: str, endpoint: str, path: str, body: bytes | None, most: int) -> bytes:
        try:
            async with self._http.request(method, f"http://{endpoint}{path}", data=body, allow_redirects=False) as response:
                theirs = response.headers.get(NETWORK_HEADER, "none")
                content = await self._bounded(response, endpoint, most if response.status == 200 else MAX_ANSWER)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:  # the last if the endpoint's host has no encoding
            raise PeerUnavailable(f"{endpoint} does not answer ({type(error).__name__})") from error
        if theirs != str(self._domain):
            raise PeerMisbehaved(f"{endpoint} serves network {_printable(theirs, 90)}, this node is on {self._domain}")
        if response.status != 200:
            raise PeerRefused(endpoint, response.status, _envelope(content))
        return content

    @staticmethod
    async def _bounded(response: aiohttp.ClientResponse, endpoint: str, most: int) -> bytes:
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("identity", ENCODING):
            raise PeerMisbehaved(f"{endpoint} answers in an encoding that was not asked for")
        packed = encoding == ENCODING
        bound = most_packed(most) if packed else most
        content = bytearray()
        async for chunk in response.content.iter_chunked(65_536):
            content += chunk
            if len(content) > bound:
                raise PeerMisbehaved(f"{endpoint} answers with more than {most} bytes")
        try:
            return unpack(bytes(content), most) if packed else bytes(content)
        except CodecError as error:
            raise PeerMisbehaved(f"{endpoint} answers with what does not unpack: {error}") from error


def _envelope(content: bytes) -> Mapping[str, Any]:
    try:
        error = parse(content)["error"]
    except (CodecError, KeyError, TypeError):
        return {}
    return error if isinstance(error, dict) else {}
