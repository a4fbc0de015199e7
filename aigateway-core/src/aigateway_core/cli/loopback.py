"""Waits on this machine for a browser to come back from a login."""

from __future__ import annotations

import asyncio
import html
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qsl, urlsplit

from aigateway_core.plugin import Redirect

_PAGE = (
    "<!doctype html><html lang=en><head><meta charset=utf-8><title>aigateway</title></head>"
    "<body><p>{}</p></body></html>"
)
_LONGEST_LINE = 16 << 10


class Heard:
    """What has come in so far."""

    def __init__(self, path: str) -> None:
        self.state = ""
        self.answer: asyncio.Future[Mapping[str, str]] = asyncio.get_running_loop().create_future()
        self._path = path

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection. What is not the answer that is waited for is not told apart from nothing."""
        with suppress(OSError, ValueError, asyncio.LimitOverrunError, asyncio.IncompleteReadError, TimeoutError):
            async with asyncio.timeout(10):
                status, text = self._heard(await reader.readuntil(b"\r\n"))
                while (await reader.readuntil(b"\r\n")).strip():
                    pass
                writer.write(_response(status, text))
                await writer.drain()
        writer.close()

    def _heard(self, line: bytes) -> tuple[str, str]:
        method, _, rest = line.decode("ascii", "replace").partition(" ")
        parts = urlsplit(rest.rpartition(" ")[0])
        query = dict(parse_qsl(parts.query))
        mine = self.state and query.get("state") == self.state
        if method != "GET" or parts.path != self._path or not mine:
            return "404 Not Found", "There is nothing here."
        if not self.answer.done():
            self.answer.set_result(query)
        return "200 OK", "The answer has arrived. The terminal shows what comes of it; you can close this page."


class Loopback:
    """Listens for one answer; :attr:`redirect_uri` is where the identity provider has to send it."""

    def __init__(self, redirect_uri: str, heard: Heard) -> None:
        self.redirect_uri = redirect_uri
        self._heard = heard

    async def answer(self, state: str, seconds: float) -> Mapping[str, str]:
        """The parameters of the answer that has this state. Raises :class:`TimeoutError`."""
        self._heard.state = state
        async with asyncio.timeout(seconds):
            return await self._heard.answer


@asynccontextmanager
async def listening(redirect: Redirect) -> AsyncIterator[Loopback]:
    """A listener on the first port of ``redirect`` that is free, else on any (RFC 8252 §7.3)."""
    host, heard = redirect.host.strip("[]"), Heard(redirect.path)
    server = await _server(heard, host, redirect.ports)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield Loopback(f"http://{redirect.host}:{port}{redirect.path}", heard)


async def _server(heard: Heard, host: str, ports: Sequence[int]) -> asyncio.Server:
    for port in ports:
        with suppress(OSError):
            return await asyncio.start_server(heard.serve, host, port, limit=_LONGEST_LINE)
    return await asyncio.start_server(heard.serve, host, 0, limit=_LONGEST_LINE)


def _response(status: str, text: str) -> bytes:
    body = _PAGE.format(html.escape(text)).encode()
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {len(body)}\r\n"
        "cache-control: no-store\r\ncontent-security-policy: default-src 'none'\r\nreferrer-policy: no-referrer\r\n"
        "connection: close\r\n\r\n"
    )
    return head.encode() + body
