"""Names and addresses: what a connection may lead to, for either engine; nothing here needs aiohttp."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import sys
from socket import AF_INET6, AF_UNSPEC, AddressFamily
from typing import TYPE_CHECKING

import httpx

from aigateway_core.addresses import Destinations
from aigateway_core.faults import AddressRefusedError

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult

OUR_OWN_SHORTAGE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
"""The machine has run out of descriptors, ports or memory: not the fault of whom we wanted to reach."""

_WITHOUT_WHAT_IS_NOT_THERE = 0 if sys.platform == "win32" else socket.AI_ADDRCONFIG
"""No IPv6 where the machine has none. Windows would know no ``localhost`` then while it is offline."""
_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class GuardedResolver:
    """Resolves names, and refuses those of which any address is out of bounds: a mixed answer tries to slip through.

    The connection goes to the very addresses that were judged, so a second answer of the name server changes nothing.
    ``destinations`` is None where nothing is judged; ``refusal`` is what is raised.
    """

    def __init__(self, destinations: Destinations | None, refusal: type[Exception] = AddressRefusedError) -> None:
        self._destinations = destinations
        self._refusal = refusal
        self._under_way: dict[tuple[str, int, AddressFamily], asyncio.Task[list[ResolveResult]]] = {}

    async def resolve(self, host: str, port: int = 0, family: AddressFamily = AF_UNSPEC) -> list[ResolveResult]:
        """The addresses of a name, in the form that aiohttp wants. Raises ``OSError``, or what refuses them."""
        answers = await asyncio.shield(self._lookup(host, port, family))
        judge = self._destinations
        if judge is not None and not all(judge.permits(host, port, answer["host"]) for answer in answers):
            raise self._refusal("the name leads to an address that is not public")
        return answers

    def _lookup(self, host: str, port: int, family: AddressFamily) -> asyncio.Task[list[ResolveResult]]:
        """One at a time for each name: there are few threads for lookups, and a name whose server is slow takes one."""
        key = host, port, family
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.create_task(look_up(host, port, family))
            task.add_done_callback(lambda done: self._found(key, done))
        return task

    def _found(self, key: tuple[str, int, AddressFamily], task: asyncio.Task[list[ResolveResult]]) -> None:
        del self._under_way[key]
        if not task.cancelled():
            task.exception()  # those who asked may all have left by now

    async def close(self) -> None:
        """Nothing is held: for aiohttp, whose resolvers are closed."""


async def look_up(host: str, port: int, family: AddressFamily) -> list[ResolveResult]:
    """What the machine knows of a name. Raises ``OSError``."""
    loop = asyncio.get_running_loop()
    infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family, flags=_WITHOUT_WHAT_IS_NOT_THERE)
    found: list[ResolveResult] = []
    for of, _, protocol, _, address in infos:
        name = str(address[0])
        if of == AF_INET6 and len(address) > 3 and address[3]:
            # A link-local address is none without its interface.
            name, _ = await loop.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
        found.append({"hostname": host, "host": name, "port": port, "family": of, "proto": protocol, "flags": _NUMERIC})
    return found


def detail_of(error: Exception) -> str:
    """The kind of failure alone: aiohttp's texts hold URLs and headers, and so secrets."""
    cause = getattr(error, "os_error", error)  # of an aiohttp.ClientConnectorError
    reason = cause.strerror if isinstance(cause, OSError) and cause.errno is not None else None
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__


def default_ssl_context() -> ssl.SSLContext:
    """Trusts what the machine trusts, and certifi's list besides, since small containers bring none of their own."""
    context = httpx.create_ssl_context(trust_env=False)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # some builds of Python leave it to a file of the system's
    context.load_default_certs()
    context.set_alpn_protocols(["http/1.1"])
    return context
