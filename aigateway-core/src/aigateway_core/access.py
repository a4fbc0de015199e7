"""Who may come in: keys against the snapshot's hashes. An admin key is no client key, and the other way round."""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from ipaddress import ip_address
from typing import Literal, TypeAlias

from aigateway_core.errors import ForbiddenError, UnauthorizedError, UnavailableError
from aigateway_core.guesses import Guesses
from aigateway_core.guesses import Role as Role
from aigateway_core.records import Caller
from aigateway_core.secret import Secret
from aigateway_core.snapshot import CurrentSnapshot, KeyEntry

ClientAuth: TypeAlias = Literal["auto", "required", "open"]

_REFUSAL: Mapping[Role, str] = {
    "client": "a valid client key is required: Authorization: Bearer <key>, x-api-key: <key>, or x-goog-api-key: <key>",
    "admin": "a valid admin key is required: Authorization: Bearer <key>",
}
"""The same words for a missing, a malformed, an unknown and a revoked key: nothing is to be learnt from them."""


_NO_WEB_PAGE = (
    "a web page may not spend the accounts of a gateway that asks for no key; "
    "set AIGATEWAY_CLIENT_KEY and send that key, or call the gateway by a name of this machine's own (localhost)"
)
"""What a browser sends on behalf of any page that its user has open: a form (it names the page's origin), or, where the
page's own name has been bent to this machine (DNS rebinding), anything at all (it names the page's host)."""

_TOO_EARLY = "the gateway is starting: its database does not answer yet"
_CANNOT_TELL = "the gateway does not know this key, and cannot look it up: its database does not answer"
_SOON = 2.0
_ENVIRONMENT = "environment"
"""Who calls with a key that the environment gives."""
_MOST_VERIFIED = 10_000
FORWARDED = frozenset(
    {"forwarded", "via", "x-forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port"}
    | {"x-forwarded-server", "x-forwarded-by", "x-original-forwarded-for", "x-real-ip", "x-client-ip", "true-client-ip"}
    | {"cf-connecting-ip"}
)
"""Headers of which each means that somebody else sent the request to a front server, a tunnel or a proxy."""


def clients_need_a_key(client_auth: ClientAuth, *, local: bool, has_keys: bool) -> bool:
    """The rule of ``server.client_auth``: ``auto`` asks for no key only on this machine, and until one was made."""
    if client_auth == "auto":
        return not local or has_keys
    return client_auth == "required"


class Access:
    """Decides on keys.

    ``verify`` tells whether a key fits a stored hash (None fits none), ``key_id`` gives the public part of a key, empty
    when it has none. ``fixed`` are the keys that the environment gives, by role; a fixed admin key is the only one.
    ``local`` tells whether the gateway is there for this machine alone.
    ``known`` tells whether the stored keys have been read yet, ``sure`` whether there can be no others by now.
    ``guesses`` counts keys that were wrong; whoever asks for an admission tells it what came of it.
    """

    def __init__(
        self,
        snapshot: CurrentSnapshot,
        *,
        verify: Callable[[str, str | None], bool],
        key_id: Callable[[str], str],
        client_auth: ClientAuth,
        local: bool,
        fixed: Mapping[Role, Secret] | None = None,
        known: Callable[[], bool] = lambda: True,
        sure: Callable[[], bool] = lambda: True,
        guesses: Guesses,
    ) -> None:
        self._snapshot = snapshot
        self._verify = verify
        self._key_id = key_id
        self._client_auth = client_auth
        self._local = local
        self._fixed = dict(fixed or {})
        self.guesses = guesses
        self._stored_keys_known = known
        self._pepper = os.urandom(32)
        self._verified: dict[bytes, tuple[str, str]] = {}
        """Of keys that were right, by what only this process can make of them: their public part and their hash."""
        self._sure = sure

    @property
    def clients_need_a_key(self) -> bool:
        """Whether client endpoints ask for a key now."""
        has_keys = "client" in self._fixed or self._snapshot.value.client_keys_exist
        return clients_need_a_key(self._client_auth, local=self._local, has_keys=has_keys)

    def asks_for_a_key(self, role: Role, *, forwarded: bool) -> bool:
        """Whether such a request has to show a key; where it need not, the one that it shows is no guess."""
        return role != "client" or self.clients_need_a_key or (forwarded and self._client_auth != "open")

    def admit(
        self,
        role: Role,
        keys: Sequence[str],
        *,
        origin: str | None = None,
        host: str = "localhost",
        forwarded: bool = False,
    ) -> Caller:
        """The caller that one of the keys belongs to; ``origin`` and ``host`` are the headers of that name.

        ``forwarded`` when it is not the peer who asks: then it needs a key, wherever the peer is.

        Raises :class:`UnauthorizedError`, :class:`ForbiddenError` for a web page where no key is asked for, and
        :class:`UnavailableError` before the stored keys have been read, when nobody is known, and while the database
        is away for a key that may have been made meanwhile: whoever is told 401 throws a good key away.
        """
        caller: Caller | None = None
        for key in keys:
            if (caller := self._known(role, key)) is not None:
                break
        # Whoever has a stored key shows that these have been read.
        is_stored = caller is not None and caller.id != _ENVIRONMENT
        if not is_stored and (caller is None or role == "client") and not self._stored_keys_known():
            raise UnavailableError(_TOO_EARLY, retry_after=_SOON)
        if caller is not None:
            return caller
        if self.asks_for_a_key(role, forwarded=forwarded):
            if not self._sure() and any(self._may_be_stored(role, key) for key in keys):
                raise UnavailableError(_CANNOT_TELL, retry_after=_SOON)
            if not keys:
                self._entry("")  # as much work as a wrong key is: no refusal comes sooner than another
            raise UnauthorizedError(_REFUSAL[role])
        # A page of another origin cannot send a header that holds a key unless the server agreed beforehand.
        if (origin is not None and not keys) or not (self._client_auth == "open" or _is_our_own(host)):
            raise ForbiddenError(_NO_WEB_PAGE)
        return Caller(id="-", role="client")

    def are_all_clients(self, keys: Sequence[str]) -> bool:
        """Whether each of these keys is a client's that is good: then none of them is a guess."""
        return all(self._known("client", key) is not None for key in keys)

    def admit_reader(
        self, keys: Sequence[str], *, origin: str | None = None, host: str = "localhost", forwarded: bool = False
    ) -> Caller:
        """Who may look at how the gateway does: an admin, and on this machine anybody but a web page.

        Raises :class:`UnauthorizedError` and :class:`UnavailableError`, as :meth:`admit` does.
        """
        if self._local and not forwarded and origin is None and _is_our_own(host):
            return Caller(id="-", role="admin")
        return self.admit("admin", keys)

    def _may_be_stored(self, role: Role, key: str) -> bool:
        """Whether a key that is not known could be one all the same: of this form, and none of its name is known."""
        if role == "admin" and "admin" in self._fixed:
            return False
        name = self._key_id(key)
        return bool(name) and name not in self._snapshot.value.keys

    def _known(self, role: Role, key: str) -> Caller | None:
        fixed = self._fixed.get(role)
        if fixed is not None:
            if hmac.compare_digest(fixed.reveal().encode(), key.encode("utf-8", "surrogateescape")):
                return Caller(id=_ENVIRONMENT, role=role)
            if role == "admin":
                return None
        entry = self._entry(key)
        if entry is None or entry.caller.role != role:
            return None
        expired = entry.expires_at is not None and entry.expires_at <= datetime.now(UTC)
        return None if expired else entry.caller

    def _entry(self, key: str) -> KeyEntry | None:
        """What is stored of this key; that it fits a hash is found out once for each hash."""
        mark = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=32, key=self._pepper).digest()
        if (known := self._verified.get(mark)) is not None:
            entry = self._snapshot.value.keys.get(known[0])
            if entry is not None and entry.hash == known[1]:
                return entry
        name = self._key_id(key)
        entry = self._snapshot.value.keys.get(name)
        # One that nobody has is hashed like one that is wrong: time does not tell them apart.
        if not self._verify(key, None if entry is None else entry.hash) or entry is None:
            return None
        if len(self._verified) >= _MOST_VERIFIED:
            self._verified.clear()
        self._verified[mark] = name, entry.hash
        return entry


def _is_our_own(host: str) -> bool:
    """Whether this is a name that every machine has for itself, and no stranger's name that was bent to this one.

    The names of ``server.allowed_hosts`` are none: who asks by those may come from anywhere.
    """
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    name = name.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
