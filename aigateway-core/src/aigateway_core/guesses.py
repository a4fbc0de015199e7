"""Wrong keys: only so many from one place, whoever stands there, and never at the cost of a key that was right there.

They are counted over all workers where these share a state. While a place has to wait, no key from there is looked at
but those that have opened the same door from the same place before, whichever worker kept it: people behind one address
are not shut out by the one among them whose key is wrong, and a guesser learns nothing.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Literal, TypeAlias

from aigateway_core.errors import ClientError, ErrorKind
from aigateway_core.state import State
from aigateway_core.state.recent import Recent

log = logging.getLogger(__name__)

Role: TypeAlias = Literal["client", "admin"]
Door: TypeAlias = Role | Literal["login"]
"""What a key opens; the state of a login opens the callback."""

_SHOWN: Mapping[Door, str] = {"client": "client keys", "admin": "admin keys", "login": "answers to logins"}
_LOGINS_PER_MINUTE = 20

_MOST_PLACES = 10_000
_MARKED_SECONDS = 86_400.0
"""How long the other workers can find out that a key was right somewhere, from when they were told the last time."""
_SAME_NETWORK = 64
"""Bits that all addresses of one IPv6 customer share: whoever has one has 2^64 of them."""


class GuessLimitError(ClientError):
    """So many wrong keys came from there that none is looked at for now."""

    kind = ErrorKind.RATE_LIMIT


class Guesses:
    """Counts wrong keys by where they come from.

    ``per_minute`` is how many are looked at, 0 for any number. ``trusted`` are addresses and networks of reverse
    proxies, whose word about where a request comes from is taken. ``keyed_hash`` is that of all workers: by it they
    tell each other which keys were right and where, and nobody else learns which these are. Without it they do not.
    """

    def __init__(
        self,
        state: State,
        per_minute: Mapping[Role, int],
        trusted: Iterable[str] = (),
        *,
        keyed_hash: Callable[[str], str] | None = None,
    ) -> None:
        self._state = state
        self._keyed_hash = keyed_hash
        self._per_minute = per_minute
        self._trusted = [ip_network(each) for each in trusted]
        self._waiting: Recent[tuple[Door, str], float] = Recent(_MOST_PLACES)
        # A plain dictionary, since every request looks into it.
        self._right: dict[tuple[Door, str, int], float] = {}
        """Which keys were right, where, and until when the other workers need not be told again."""
        self.somebody_waits = False

    def place(self, peer: str, header: Callable[[str], str | None]) -> str:
        """Where a request comes from: the peer, or what trusted proxies in between say of it (``X-Forwarded-For``).

        Each proxy adds to the end whom it heard from, so that only the end can be trusted, as far as it was written by
        proxies that are. ``header`` gives one of the request's headers.
        """
        if not self._trusted and ":" not in peer:
            return peer
        found = _address(peer)
        for said in reversed((header("x-forwarded-for") or "").split(",")) if self._trusted else ():
            if found is None or not any(found in network for network in self._trusted):
                break
            if (before := _address(said)) is None:
                break
            found = before
        if isinstance(found, IPv6Address):
            return str(ip_network((int(found), _SAME_NETWORK), strict=False))
        return str(found or peer)

    async def refuse(self, role: Door, place: str, keys: Sequence[str]) -> None:
        """Raises :class:`GuessLimitError` while keys from this place are not to be looked at.

        It need not be asked before :attr:`somebody_waits`.
        """
        until = self._waiting.get((role, place))
        if until is None or not keys:
            return
        if (left := until - time.monotonic()) <= 0:
            self._waiting.pop((role, place), None)
            self.somebody_waits = len(self._waiting) > 0
        elif not (
            any((role, place, hash(key)) in self._right for key in keys)
            or await self._was_right_elsewhere(role, place, keys)
        ):
            raise _too_many(left, role)

    def note_right(self, role: Door, place: str, keys: Sequence[str]) -> None:
        """One of these keys has opened the door."""
        now = time.monotonic()
        for key in keys:
            # Of Python's hash, whose secret is this process' own, nobody learns the key.
            found = role, place, hash(key)
            if self._right.get(found, 0.0) <= now:
                self._right[found] = now + _MARKED_SECONDS / 2
                if len(self._right) > _MOST_PLACES:
                    del self._right[next(iter(self._right))]
                if self._keyed_hash is not None:
                    self._state.mark(self._keyed_hash(f"right-{role}-{place}-{key}"), _MARKED_SECONDS)

    async def _was_right_elsewhere(self, role: Door, place: str, keys: Sequence[str]) -> bool:
        """Whether one of these keys has opened this door from this place, but another worker's."""
        if self._keyed_hash is None:
            return False
        for key in keys:
            if await self._state.marked(self._keyed_hash(f"right-{role}-{place}-{key}")):
                return True
        return False

    async def note_wrong(self, role: Door, place: str) -> None:
        """None of its keys has. Raises :class:`GuessLimitError` when that was one too many."""
        most = _LOGINS_PER_MINUTE if role == "login" else self._per_minute[role]
        if not most:
            return
        allowance = await self._state.spend(f"wrong-{role}-{place}", most)
        if allowance.granted:
            return
        if self._waiting.get((role, place)) is None:
            hint = "; if that is a reverse proxy, name it in server.trusted_proxies" if not self._trusted else ""
            log.warning("too many wrong %s from %s: it has to wait%s", _SHOWN[role], place, hint)
        self._waiting[role, place] = time.monotonic() + allowance.wait
        self.somebody_waits = True
        raise _too_many(allowance.wait, role)


def _too_many(wait: float, role: Door) -> GuessLimitError:
    shown = "answers to logins" if role == "login" else "keys"
    message = f"too many wrong {shown} from this address; try again in {max(1, math.ceil(wait))} s"
    return GuessLimitError(message, retry_after=wait)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """An address as proxies write them: IPv6 in brackets or not, with its port or not."""
    text = text.strip()
    host = text[1:].partition("]")[0] if text.startswith("[") else text
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        found = ip_address(host)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found
