"""The way to Redis: every question has a time limit, and none is asked while Redis is known to be away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from redis.asyncio import Redis, Sentinel
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from aigateway_core.state.address import RedisAddress
from aigateway_core.state.away import AwayError, Command, is_about_the_value
from aigateway_core.state.breaker import Breaker

log = logging.getLogger(__name__)

LIMIT = 0.2
"""Seconds that a question may take, waiting for a connection and making one included."""

AWAY = (RedisError, OSError, TimeoutError, RuntimeError)
"""What the client raises where Redis is away. ``RuntimeError`` is uvloop's, for the first bytes that are written to a
connection which was reset as soon as it was made."""

_MOST_AT_ONCE = 16
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0


class Link:
    """A guarded client. :meth:`ask` sends commands in one pipeline and never takes longer than ``limit`` seconds."""

    def __init__(self, address: RedisAddress, limit: float = LIMIT) -> None:
        self._shown = address.shown
        self._client, *self._sentinels = _clients(address, limit)
        self._limit = limit
        self._breaker = Breaker(_FIRST_PAUSE, _LONGEST_PAUSE)
        self._turn = asyncio.Semaphore(_MOST_AT_ONCE)

    @property
    def up(self) -> bool:
        """Whether it is worth asking."""
        return self._breaker.closed

    @property
    def due(self) -> float:
        """Seconds until :meth:`probe` is to be called, while it is not :attr:`up`."""
        return self._breaker.due

    async def ask(self, *commands: Command) -> list[Any]:
        """The answers, in order; one that is an exception is about what stands under its key.

        Raises :class:`AwayError`.
        """
        if not self._breaker.closed:
            raise AwayError(asked=False)
        return await self._ask(commands)

    async def probe(self, *command: str | int) -> bool:
        """Try whether Redis is back, with a command that writes: a full or a read-only one still answers questions."""
        try:
            await self._ask([command])
        except AwayError:
            return False
        if not self._breaker.closed:
            log.warning("Redis at %s answers again", self._shown)
        self._breaker.succeeded()
        return True

    def listener(self) -> PubSub:
        """A subscription on a connection of its own."""
        return self._client.pubsub()

    async def aclose(self) -> None:
        """Close all connections."""
        for client in (self._client, *self._sentinels):
            await client.aclose()

    async def _ask(self, commands: Sequence[Command]) -> list[Any]:
        try:
            async with asyncio.timeout(self._limit), self._turn:
                pipeline = self._client.pipeline(transaction=False)
                for command in commands:
                    pipeline.execute_command(*command)
                answers: list[Any] = await pipeline.execute(raise_on_error=False)
        except AWAY as error:
            raise self._failed(error) from None
        for answer in answers:
            if isinstance(answer, Exception) and not is_about_the_value(answer):
                raise self._failed(answer)
        return answers

    def _failed(self, error: Exception) -> AwayError:
        if self._breaker.closed:
            # What an error of Redis says may hold what was sent: its name has to do.
            reason = str(error).partition(" ")[0] if isinstance(error, ResponseError) else ""
            log.warning(
                "Redis at %s does not answer (%s), the gateway goes on with what it knows",
                self._shown,
                reason if reason.isupper() else type(error).__name__,
            )
        self._breaker.failed()
        return AwayError(asked=True)


def _clients(address: RedisAddress, limit: float) -> list[Redis]:
    """The client to ask, and those that it asks where Redis is."""
    # Retries would multiply the limit: measured, 6 s instead of 0.2 s on a frozen server. With protocol 3 the client
    # (8.1) hands out connections that the server has closed while they were idle, and each of them fails a question.
    options: dict[str, Any] = {
        "socket_timeout": limit,
        "socket_connect_timeout": limit,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }
    if address.url is None:
        password = address.password.reveal() if address.password else None
        return [Redis(host=address.host, port=address.port, db=address.db, password=password, **options)]
    url = address.url.reveal()
    if urlsplit(url).scheme == "sentinel":
        return _through_sentinels(url, options)
    if address.password is not None:
        options["password"] = address.password.reveal()
    return [Redis.from_url(url, **options)]


def _through_sentinels(url: str, options: dict[str, Any]) -> list[Redis]:
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    name, _, db = parts.path.strip("/").partition("/")
    pairs = [host.rpartition(":") for host in hosts.split(",")]
    sentinels = [(host, int(port)) if colon else (port, 26379) for host, colon, port in pairs]
    own = parse_qs(parts.query).get("sentinel_password", [None])[0]
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        sentinels, sentinel_kwargs={**options, "password": own}, **options
    )
    found: Redis = sentinel.master_for(
        name,
        db=int(db or 0),
        username=unquote(user) or None,
        password=unquote(password) or None,
    )
    return [found, *sentinel.sentinels]


async def ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    """End these tasks. A cancellation that meets a timeout on its way can be lost, and so it is repeated."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=1.0)
    await asyncio.gather(*tasks, return_exceptions=True)
