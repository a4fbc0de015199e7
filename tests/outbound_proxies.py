"""Outbound proxies for tests, on loopback: one that speaks HTTP (CONNECT and absolute-form), one that speaks SOCKS5.

Both write down what was asked of them (``asked``: ``host:port``), ask for credentials when given some, and misbehave on
demand: ``stall_at`` names the step after which they fall silent, ``refuse_with`` the answer they give to every request.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from base64 import b64encode
from contextlib import suppress
from typing import ClassVar
from urllib.parse import quote


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


class _Proxy:
    scheme: ClassVar[str]

    def __init__(self, username: str | None = None, password: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.username = username
        self.password = password
        self.asked: list[str] = []
        self.open = 0
        self.stall_at: str | None = None
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> _Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """With the credentials it asks for."""
        credentials = f"{self.username}:{quote(self.password, safe='')}@" if self.username else ""
        return f"{self.scheme}://{credentials}{self.address}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.open += 1
        try:
            await self._speak(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()

    async def _speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise AssertionError("a proxy has a protocol")

    async def _stall(self, step: str, reader: asyncio.StreamReader) -> None:
        if self.stall_at == step:
            while await reader.read(65536):
                pass
            raise EOFError

    async def _relay(self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Every name leads to loopback, so that one which only a proxy could resolve shows who did.
        port = self.asked[-1].rpartition(":")[2]
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", int(port))
        try:
            upstream_writer.write(first)
            await asyncio.gather(_pipe(reader, upstream_writer), _pipe(upstream_reader, writer))
        finally:
            upstream_writer.close()


class HttpProxy(_Proxy):
    """CONNECT for https targets, absolute-form for http ones. ``heads`` are the heads of the requests it got.

    ``refuse_with`` is written in place of an answer, and ``garbage`` in place of what comes through a tunnel.
    """

    scheme = "http"

    def __init__(self, username: str | None = None, password: str = "", tls: ssl.SSLContext | None = None) -> None:
        super().__init__(username, password, tls)
        self.heads: list[bytes] = []
        self.refuse_with: bytes | None = None
        self.garbage: bytes | None = None

    async def _speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._stall("accept", reader)
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
        self.asked.append(target if method == "CONNECT" else _authority(target))
        await self._stall("request", reader)
        if (answer := self._refusal(head)) is not None:
            writer.write(answer)
        elif method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await self._stall("tunnel", reader)
            if self.garbage is None:
                await self._relay(b"", reader, writer)
            else:
                await reader.read(1)
                writer.write(self.garbage)
        else:
            origin = "/" + target.split("/", 3)[3]
            await self._relay(_for_origin(head).replace(target.encode(), origin.encode(), 1), reader, writer)

    def _refusal(self, head: bytes) -> bytes | None:
        if self.username is not None:
            expected = b64encode(f"{self.username}:{self.password}".encode())
            if b"basic " + expected.lower() not in head.lower():
                return b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"
        return self.refuse_with


def _for_origin(head: bytes) -> bytes:
    """The head without what was for the proxy alone (RFC 9110 §11.7.2); one request to a connection keeps it simple."""
    first, *fields = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    kept = [line for line in fields if not line.lower().startswith((b"proxy-authorization:", b"connection:"))]
    return b"\r\n".join((first, *kept, b"Connection: close", b"", b""))


def _authority(target: str) -> str:
    host = target.split("/", 3)[2]
    return host if ":" in host else f"{host}:80"


class Socks5Proxy(_Proxy):
    """RFC 1928, with RFC 1929 when it has a username. ``refuse_with`` is the reply code (5: connection refused).

    ``version`` is what it calls itself, so that 4 is nonsense.
    """

    scheme = "socks5"

    def __init__(self, username: str | None = None, password: str = "") -> None:
        super().__init__(username, password)
        self.refuse_with = 0
        self.version = 5

    async def _speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._stall("accept", reader)
        _, methods = await reader.readexactly(2)
        offered = await reader.readexactly(methods)
        method = 2 if self.username is not None else 0
        writer.write(bytes([self.version, method if method in offered else 0xFF]))
        await self._stall("greeting", reader)
        if method == 2 and not await self._authenticate(reader, writer):
            return
        host, port = await self._request(reader)
        self.asked.append(f"{host}:{port}")
        await self._stall("request", reader)
        writer.write(bytes([5, self.refuse_with, 0, 1, 0, 0, 0, 0, 0, 0]))
        if self.refuse_with == 0:
            await self._stall("tunnel", reader)
            await self._relay(b"", reader, writer)

    async def _authenticate(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        await reader.readexactly(1)
        username = await reader.readexactly((await reader.readexactly(1))[0])
        password = await reader.readexactly((await reader.readexactly(1))[0])
        right = (username.decode(), password.decode()) == (self.username, self.password)
        writer.write(bytes([1, 0 if right else 1]))
        return right

    @staticmethod
    async def _request(reader: asyncio.StreamReader) -> tuple[str, int]:
        kind = (await reader.readexactly(4))[3]
        if kind == 1:
            host = socket.inet_ntoa(await reader.readexactly(4))
        elif kind == 4:
            host = socket.inet_ntop(socket.AF_INET6, await reader.readexactly(16))
        else:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        return host, int.from_bytes(await reader.readexactly(2), "big")
