"""Accounts that come from a login in a browser: begun here, answered at the callback or by a pasted address.

The command line and the admin API both log in through this. A login is begun by somebody who may change accounts; what
comes back carries a state that is good once and for ten minutes, and only that tells whose answer it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import urlsplit
from uuid import uuid4

import attrs

from aigateway_core.addresses import Destinations, proxy_url_problems
from aigateway_core.errors import (
    ConflictError,
    ErrorKind,
    GatewayError,
    InvalidEntityError,
    InvalidRequestError,
    NotFoundError,
    UnavailableError,
    UpstreamError,
)
from aigateway_core.login_answers import Answer as Answer
from aigateway_core.plugin import BegunLogin, Login, LogsIn
from aigateway_core.records import Account
from aigateway_core.renewal import WaysOut, token_upstream
from aigateway_core.secret import Secret, scrub
from aigateway_core.snapshot import ProviderEntry
from aigateway_core.storage.rows import UNSET, AccountPatch, Actor, NewAccount, Page, StoredAccount
from aigateway_core.structuring import StructuringError, structure

log = logging.getLogger(__name__)

SECONDS = 600.0
"""How long a login waits for its answer."""

IDENTITY = "identity"
"""Where an account's metadata says who logged in."""

_PAGE = 200

_STOP_SECONDS = 16.0
"""How long a stop waits for logins under way: longer than one request to an identity provider may take."""


class LoginStore(Protocol):
    """Where begun logins wait; each may raise :class:`UnavailableError`."""

    async def put(self, state: str, provider_id: str, data: Mapping[str, Any], seconds: float) -> None:
        """Keep what belongs to a login."""

    async def take(self, state: str) -> tuple[str, dict[str, Any]]:
        """Provider and data, once. Raises :class:`NotFoundError`."""

    async def refused(self, provider_id: str, reason: str, actor: Actor) -> None:
        """Write down that a login came to nothing."""


class AccountStore(Protocol):
    """Where accounts are kept."""

    async def list(
        self, *, provider_id: str | None, is_active: bool | None, limit: int, offset: int
    ) -> Page[StoredAccount]:
        """A page of them."""

    async def get(self, account_id: str) -> StoredAccount:
        """One of them. Raises :class:`NotFoundError`."""

    async def create(self, new: NewAccount, actor: Actor) -> StoredAccount:
        """Add one."""

    async def update(self, account_id: str, patch: AccountPatch, actor: Actor) -> StoredAccount:
        """Change one."""


@attrs.frozen(kw_only=True)
class LoginWish:
    """How a login shall go: ``account_id`` renews the login of that account; without it, of the one that logs in."""

    redirect_uri: str | None = None
    label: str = ""
    account_id: str | None = None
    proxy_url: str | None = attrs.field(default=None, repr=False)
    accept_risk: bool = False


class BindingStore(Protocol):
    """Where it is kept which outbound proxy an account goes out by."""

    async def claim(self, account_id: str, actor: Actor, *, reserve_seconds: float | None = None) -> int | None:
        """The account's outbound proxy, bound now if it was not; for an account to come, only for so long."""

    async def give_back(self, account_id: str, actor: Actor) -> None:
        """End the reservation for an account that does not come."""


class Logins:
    """Begins and finishes logins. ``changed`` lets the request path of a running gateway see the account at once."""

    def __init__(
        self,
        waiting: LoginStore,
        accounts: AccountStore,
        bindings: BindingStore,
        providers: Sequence[ProviderEntry],
        ways_out: WaysOut,
        destinations: Destinations,
        changed: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._waiting = waiting
        self._accounts = accounts
        self._bindings = bindings
        self._providers = {entry.id: entry for entry in providers}
        self._ways_out = ways_out
        self._destinations = destinations
        self._tell_of_change = changed
        self._under_way: dict[tuple[Answer, str | None], asyncio.Task[str]] = {}

    async def start(self, provider_id: str, body: Mapping[str, Any], callback: str, actor: Actor) -> dict[str, Any]:
        """Begin a login whose answer goes to ``callback``, unless the body names another address.

        Raises :class:`NotFoundError`, :class:`InvalidEntityError`, and :class:`ConflictError` while the provider's risk
        is not accepted.
        """
        entry, strategy = self._entry(provider_id)
        wish = _wish(body)
        if entry.risk and not wish.accept_risk:
            raise ConflictError(f"read this, and say accept_risk: true if you agree: {entry.risk}")
        redirect_uri = wish.redirect_uri or callback
        await self._check(provider_id, wish, redirect_uri)
        begun = strategy.begin_login(redirect_uri)
        kept = {
            **attrs.asdict(wish),
            "redirect_uri": redirect_uri,
            "verifier": begun.verifier.reveal(),
            "new_id": str(uuid4()),
            "issuer": begun.issuer,
            "actor": actor.id,
        }
        await self._waiting.put(begun.state.reveal(), provider_id, kept, SECONDS)
        return {
            "url": begun.url,
            "state": begun.state.reveal(),
            "redirect_uri": redirect_uri,
            "expires_in": int(SECONDS),
            "risk": entry.risk,
        }

    async def complete(self, answer: Answer, provider_id: str | None = None, request_id: str | None = None) -> str:
        """Finish the login that this answers: the account's id, made or mended.

        Whatever happens, the answer is good no more; but whoever brings it while it is looked at, as a browser does
        that reloads, waits for the same end. Who stops waiting does not stop it: a code is spent by being shown.
        Raises :class:`NotFoundError` when no login waits for it, :class:`InvalidRequestError` when the login was
        refused, and :class:`UpstreamError`.
        """
        asked = (answer, provider_id)
        task = self._under_way.get(asked)
        if task is None:
            task = self._under_way[asked] = asyncio.create_task(
                self._taken(answer, provider_id, request_id), name="finish a login"
            )
            task.add_done_callback(lambda task: self._ended(asked, task))
        return await asyncio.shield(task)

    def _ended(self, asked: tuple[Answer, str | None], task: asyncio.Task[str]) -> None:
        del self._under_way[asked]
        if not task.cancelled():
            task.exception()  # told already, also where nobody waits for it any more

    async def aclose(self) -> None:
        """Wait for logins under way, but not for ever: what is ended then is written down."""
        if self._under_way:
            _, late = await asyncio.wait(self._under_way.values(), timeout=_STOP_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _taken(self, answer: Answer, provider_id: str | None, request_id: str | None) -> str:
        owner, kept = await self._waiting.take(answer.state)
        actor = Actor(id=str(kept["actor"]), request_id=request_id)
        try:
            if provider_id not in (None, owner):
                raise NotFoundError(f"this is the answer to a login at {owner!r}, not at {provider_id!r}")
            row = await self._complete(owner, kept, answer, actor)
        except GatewayError as error:
            await self._refused(owner, error.message, actor)
            raise
        except asyncio.CancelledError:
            await self._refused(owner, "the gateway was stopped before the login was finished", actor)
            raise
        except (Exception, SystemExit) as error:
            log.exception("the login at %s failed inside the gateway", owner)
            failure = UpstreamError(ErrorKind.INTERNAL, "the login failed inside the gateway; its log says why")
            await self._refused(owner, failure.message, actor)
            raise failure from error
        finally:
            with suppress(GatewayError):
                # That of a new account is a binding by now, and stays.
                await self._bindings.give_back(kept["new_id"], actor)
            if self._tell_of_change is not None:
                await self._tell_of_change()
        return row.id

    async def _refused(self, owner: str, reason: str, actor: Actor) -> None:
        log.warning("a login at %s was not finished: %s", owner, reason)
        with suppress(UnavailableError):
            await self._waiting.refused(owner, reason, actor)

    async def _complete(self, owner: str, kept: Mapping[str, Any], answer: Answer, actor: Actor) -> StoredAccount:
        entry, strategy = self._entry(owner)
        if kept["issuer"] is not None and answer.issuer not in (None, kept["issuer"]):
            raise InvalidRequestError("the answer comes from another identity provider than the one that was asked")
        if answer.error or not answer.code:
            raise InvalidRequestError(f"the identity provider did not log you in: {_printable(answer.error)}")
        wish = structure({name: kept[name] for name in attrs.fields_dict(LoginWish)}, LoginWish)
        named = await self._accounts.get(wish.account_id) if wish.account_id else None
        draft = await self._draft(entry, wish, named, str(kept["new_id"]), actor)
        login = await self._finished(entry, strategy, kept, answer, draft)
        return await self._store(entry, login, wish, named, draft.id, actor)

    def _entry(self, provider_id: str) -> tuple[ProviderEntry, LogsIn]:
        entry = self._providers.get(provider_id)
        if entry is None:
            names = ", ".join(sorted(self._providers)) or "none"
            raise NotFoundError(f"there is no provider {provider_id[:64]!r}; there are: {names}")
        if entry.logs_in is None:
            raise ConflictError(
                f"the provider {entry.id!r} has no login: its auth strategy is {entry.strategy_name!r}; "
                f"add an account instead: aigateway-core accounts add {entry.id}"
            )
        return entry, entry.logs_in

    async def _check(self, provider_id: str, wish: LoginWish, redirect_uri: str) -> None:
        problems = []
        if not _leads_back(redirect_uri):
            problems.append("redirect_uri: expected an http or https URL")
        problems += proxy_url_problems(wish.proxy_url, "proxy_url", self._destinations)
        if wish.account_id and (await self._accounts.get(wish.account_id)).provider_id != provider_id:
            problems.append("account_id: is an account of another provider")
        if problems:
            raise InvalidEntityError(problems)

    async def _draft(
        self, entry: ProviderEntry, wish: LoginWish, named: StoredAccount | None, new_id: str, actor: Actor
    ) -> Account:
        """The account that logs in, as far as it is known: bound to its outbound proxy before the first packet."""
        proxy_url = wish.proxy_url or (named.proxy_url if named else None)
        draft = Account(id=named.id if named else new_id, provider_id=entry.id, proxy_url=proxy_url)
        if named is not None:
            return attrs.evolve(draft, proxy_id=named.proxy_id, egress=named.egress)
        if proxy_url is not None:
            return draft
        return attrs.evolve(draft, proxy_id=await self._bindings.claim(new_id, actor, reserve_seconds=SECONDS))

    async def _finished(
        self, entry: ProviderEntry, strategy: LogsIn, kept: Mapping[str, Any], answer: Answer, draft: Account
    ) -> Login:
        """What the login brought, asked for by the way out that the account will have."""
        begun = BegunLogin(
            url="", state=Secret(answer.state), redirect_uri=kept["redirect_uri"], verifier=Secret(kept["verifier"])
        )
        upstream = await token_upstream(self._ways_out, entry, draft)
        try:
            login = await strategy.finish_login(begun, answer.code, upstream)
            structure(dict(login.auth_data), entry.strategy.credential, "auth_data")
        except UpstreamError as error:
            error.message = scrub(error.message, (begun.verifier, Secret(answer.code)))
            raise
        return login

    async def _store(
        self,
        entry: ProviderEntry,
        login: Login,
        wish: LoginWish,
        named: StoredAccount | None,
        new_id: str,
        actor: Actor,
    ) -> StoredAccount:
        row = named or await self._known(entry.id, login.identity)
        if row is not None and login.identity and row.metadata.get(IDENTITY) not in (None, login.identity):
            raise ConflictError("somebody else logged in than this account belongs to: nothing was changed")
        metadata = {**(row.metadata if row else {}), **login.metadata}
        if login.identity:
            metadata[IDENTITY] = login.identity
        if row is None:
            new = NewAccount(
                id=new_id,
                provider_id=entry.id,
                auth_data=login.auth_data,
                label=wish.label or login.identity,
                metadata=metadata,
                proxy_url=wish.proxy_url,
                expires_at=login.expires_at,
            )
            made = await self._accounts.create(new, actor)
            if made.proxy_url is None:
                await self._bindings.claim(made.id, actor)
            return made
        patch = AccountPatch(
            auth_data=login.auth_data,
            metadata=metadata,
            label=wish.label or UNSET,
            proxy_url=UNSET if wish.proxy_url is None else wish.proxy_url,
            expires_at=login.expires_at,
        )
        return await self._accounts.update(row.id, patch, actor)

    async def _known(self, provider_id: str, identity: str) -> StoredAccount | None:
        """The account that this person has here already."""
        offset = 0
        while identity:
            page = await self._accounts.list(provider_id=provider_id, is_active=None, limit=_PAGE, offset=offset)
            for row in page.rows:
                if row.metadata.get(IDENTITY) == identity:
                    return row
            offset += len(page.rows)
            if not page.rows or offset >= page.total:
                break
        return None


def _wish(body: Mapping[str, Any]) -> LoginWish:
    try:
        return structure(dict(body), LoginWish)
    except StructuringError as error:
        raise InvalidEntityError(list(map(str, error.problems))) from error


def _leads_back(redirect_uri: str) -> bool:
    """Whether a browser can be sent there with an answer (RFC 6749 §3.1.2)."""
    try:
        parts = urlsplit(redirect_uri)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.fragment


def _printable(error: str) -> str:
    """A code of an answer, which anybody may have written."""
    return error[:64] if error.isascii() and error.replace("_", "").isalnum() else "no code came back"
