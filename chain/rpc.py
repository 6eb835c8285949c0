"""A `Backend` over HTTP: any node that speaks JSON-RPC."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from urllib.parse import SplitResult, unquote, urlsplit

import aiohttp

from chain.backend import LIMIT_EXCEEDED, BackendUnavailable, RpcError
from chain.errors import ChainError
from chain.nesting import too_deep

MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""Longer answers are refused instead of read; a range of logs can be asked for in parts."""
MOST_SAID = 500
"""Characters kept of what a node says."""
NO_ANSWERS = (401, 402, 403, 429, 502, 503, 504)
"""HTTP statuses of a node that does not serve this caller, or not now, whatever its body says."""
LIMITS = ("rate limit", "too many requests", "limit exceeded", "request limit", "daily request count", "compute units")
SHORTEST_SECRET = 6


class NotAnRpcUrl(ChainError, ValueError):
    """A setting that cannot be a node's URL; the URL itself is often a secret and not repeated."""


class RpcBackend:
    """JSON-RPC by HTTP POST to one URL, one connection pool per instance, opened by the first request.

    `timeout_s` bounds a whole request, `connect_timeout_s` its connection. Nothing is repeated here: repeating a read is
    the caller's tick, repeating a transaction is `chain.sender`'s. A `session` that is passed in is used and not closed.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 15.0,
        connect_timeout_s: float = 3.0,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise NotAnRpcUrl("The RPC URL is not an http or https address with a host name: check --rpc or rpc_urls.")
        self._url, self._secrets = url, _secrets(parts)
        self.endpoint = parts.hostname if parts.port is None else f"{parts.hostname}:{parts.port}"
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, connect=connect_timeout_s)
        self._session, self._own_session = session, session is None
        self._ids = itertools.count(1)

    async def request(self, method: str, params: Sequence[object]) -> object:
        """See `Backend.request`."""
        request_id = next(self._ids)
        body = json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": list(params)})
        answer = self._parse(await self._post(body.encode()))
        if (refusal := answer.get("error")) is not None:
            raise self._refusal(refusal)
        if answer.get("id") != request_id:
            raise BackendUnavailable(
                self.endpoint, f"its answer carries the id {self._clean(repr(answer.get('id')))} instead of {request_id}"
            )
        if "result" not in answer:
            raise BackendUnavailable(self.endpoint, "its answer has neither a result nor an error")
        return answer["result"]

    async def close(self) -> None:
        """See `Backend.close`."""
        if self._own_session and self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _post(self, body: bytes) -> bytes:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        try:
            async with self._session.post(
                self._url, data=body, headers={"Content-Type": "application/json"}, timeout=self._timeout, allow_redirects=False
            ) as response:
                answer = bytearray()
                async for chunk in response.content.iter_chunked(65536):
                    answer += chunk
                    if len(answer) > MAX_ANSWER_BYTES:
                        raise BackendUnavailable(self.endpoint, f"its answer is longer than {MAX_ANSWER_BYTES} bytes")
                if response.status in NO_ANSWERS or (response.status != 200 and not answer.lstrip().startswith(b"{")):
                    raise BackendUnavailable(self.endpoint, f"HTTP status {response.status}")
                return bytes(answer)
        except TimeoutError as error:
            raise BackendUnavailable(self.endpoint, f"nothing came within {self._timeout.total} s") from error
        except aiohttp.ClientError as error:
            # The text of aiohttp's own errors may hold the whole URL, so only their kind is kept.
            raise BackendUnavailable(self.endpoint, type(error).__name__) from None
        except OSError as error:
            raise BackendUnavailable(self.endpoint, error.strerror or type(error).__name__) from error

    def _parse(self, answer: bytes) -> dict[str, object]:
        if too_deep(answer):
            raise BackendUnavailable(self.endpoint, "its answer nests too deeply")
        try:
            parsed: object = json.loads(answer)
        except ValueError:
            raise BackendUnavailable(self.endpoint, "its answer is not JSON") from None
        if not isinstance(parsed, dict):
            raise BackendUnavailable(self.endpoint, "its answer is not a JSON-RPC object")
        return parsed

    def _refusal(self, error: object) -> RpcError | BackendUnavailable:
        if not isinstance(error, dict) or not isinstance(error.get("code"), int):
            return BackendUnavailable(self.endpoint, "its error has no code")
        code, said = error["code"], self._clean(str(error.get("message", "")))
        too_much = code == LIMIT_EXCEEDED and "results" in said  # asked for at once, and not too often
        if not too_much and (code in (LIMIT_EXCEEDED, 429) or any(words in said.lower() for words in LIMITS)):
            return BackendUnavailable(self.endpoint, f"it limits its callers: {said}")
        return RpcError(code, said, error.get("data"))

    def _clean(self, said: str) -> str:
        """What a node says, in short and on one line, without what is secret of the URL: some repeat it in their refusals."""
        for secret in self._secrets:
            said = said.replace(secret, "…")
        return "".join(one if one.isprintable() else " " for one in said[:MOST_SAID])


def _secrets(parts: SplitResult) -> list[str]:
    """The pieces of the URL behind and before the host that may be a key, as written and decoded, longest first."""
    fields = [field.partition("=")[2] or field for field in parts.query.split("&")]
    pieces = [parts.username or "", parts.password or "", *parts.path.split("/"), *fields, parts.path, parts.query, parts.fragment]
    both = {form for piece in pieces for form in (piece, unquote(piece)) if len(form) >= SHORTEST_SECRET}
    return sorted(both, key=len, reverse=True)
