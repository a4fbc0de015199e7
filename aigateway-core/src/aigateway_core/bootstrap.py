"""The composition root: puts the gateway together from its settings. The one file that may import everything.

Three steps, since each can fail for reasons of its own and the command line wants to tell them apart: :func:`assemble`
(of :mod:`aigateway_core.assembly`) loads the plugins and builds the providers (no I/O), :func:`open_storage` opens the
database and brings its tables up to date, :class:`House` is the running gateway.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

from aigateway_core.access import Access, Role
from aigateway_core.accounts import AccountSelector
from aigateway_core.addresses import Destinations, password_in
from aigateway_core.administration import Administration
from aigateway_core.app import Lifespan, create_app
from aigateway_core.assembly import Assembly as Assembly
from aigateway_core.assembly import assemble as assemble
from aigateway_core.assembly import base_urls
from aigateway_core.bookkeeping import Bookkeeping, token_folder
from aigateway_core.catalogue import Catalogue
from aigateway_core.credentials import Credentials, secrets_of
from aigateway_core.egress import Egress
from aigateway_core.egress.health import ProxyHealthBook
from aigateway_core.egress.upkeep import ProxyUpkeep, origins
from aigateway_core.engine import Transports
from aigateway_core.errors import UnavailableError
from aigateway_core.first_look import FirstLook as FirstLook
from aigateway_core.first_look import blind_look as blind_look
from aigateway_core.first_look import first_look as first_look
from aigateway_core.first_look import look
from aigateway_core.gateway import Gateway
from aigateway_core.guesses import Guesses
from aigateway_core.key_limits import KeyLimits
from aigateway_core.live import LiveSnapshot, editions, outbound_proxies
from aigateway_core.metrics import Share as Share
from aigateway_core.office import office
from aigateway_core.proxy_pool import ProxyPool
from aigateway_core.readiness import Readiness
from aigateway_core.renewal import Renewals
from aigateway_core.restraint import Restraint
from aigateway_core.routing import Router
from aigateway_core.secret import Secret
from aigateway_core.settings import Settings, UpstreamSettings
from aigateway_core.snapshot import CurrentSnapshot, Snapshot
from aigateway_core.standings import Standings
from aigateway_core.state import State
from aigateway_core.state.tokens import SealedTokens
from aigateway_core.storage import Actor, Storage
from aigateway_core.stores import key_ring, redis_address, shared_state
from aigateway_core.stores import location as location
from aigateway_core.stores import open_storage as open_storage
from aigateway_core.token_spool import TokenSpool
from aigateway_core.upstream import Limits
from aigateway_core.vault import key_id

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_OPENINGS = 1.0


def limits(settings: UpstreamSettings) -> Limits:
    """The deadlines of a call."""
    return Limits(
        connect=settings.connect_timeout,
        first_byte=settings.first_byte_timeout,
        idle=settings.idle_timeout,
        total=settings.total_timeout,
        max_response_bytes=settings.max_response_bytes,
    )


def restraint(settings: UpstreamSettings) -> Restraint:
    """How much is asked of a vendor in trouble."""
    return Restraint(settings.retry_budget, settings.breaker_failures, ambiguous=settings.retry_ambiguous)


_SHARE_OF_INTERVAL = 0.75
"""Rounds begin 0.8 to 1.2 intervals after each other: a lock that is held for less is free again for the next one."""


class House:
    """The gateway, put together; :attr:`app` serves it. Its lifespan opens and closes what it needs.

    ``share`` is what one of several workers counts its part of the metrics in. ``keep`` is given an admin key
    that was made late, since the start had to do without the database at first, before the key counts.
    """

    def __init__(
        self, assembly: Assembly, share: Share | None = None, keep: Callable[[Secret], None] = lambda _: None
    ) -> None:
        settings = assembly.settings
        self._assembly = assembly
        self._keep = keep
        self._administration: Administration | None = None
        self._opened = AsyncExitStack()
        self._snapshot = CurrentSnapshot()
        self._secrets: tuple[Snapshot | None, Sequence[Secret], tuple[Secret, ...]] = (None, (), ())
        self._state = shared_state(settings.redis, self._snapshot.edition_of)
        self._credentials = Credentials()
        self._destinations = Destinations.allowing(settings.security.allow_private_hosts)
        self._transports = Transports(self._destinations)
        self._pool = ProxyPool()
        self._standings = Standings()
        self._health = ProxyHealthBook(
            max_failures=settings.proxy.max_failures, retry_interval=settings.proxy.health_check_interval or 60.0
        )
        self._egress = Egress(self._transports, self._snapshot, self._pool, self._health)
        in_trouble = restraint(settings.upstream)
        self._books = Bookkeeping(assembly, self._state, self._snapshot, in_trouble, share)
        self._readiness = Readiness(lambda: self._snapshot.value.version, self._state, assembly.ledger)
        router = Router(assembly.providers, self._snapshot)
        gateway = Gateway(
            router=router,
            selector=AccountSelector(self._snapshot, self._state, self._standings.note),
            egress=self._egress,
            credentials=self._credentials,
            recorder=self._books.recorder,
            key_limits=KeyLimits(self._state),
            limits=limits(settings.upstream),
            max_attempts=settings.upstream.max_attempts,
            patience=settings.upstream.patience,
            learn=self._standings.learn,
            restraint=in_trouble,
        )
        self.app = create_app(
            gateway,
            access(settings, self._snapshot, self._state, self._readiness),
            Catalogue(router, self._snapshot),
            self.administration,
            self._readiness,
            self._books.metrics,
            Lifespan(self.start, self.stop),
        )

    async def start(self) -> None:
        """Open what is needed, and begin to record.

        The snapshot is loaded before the first request. While the database is away there is none: then every request is
        refused as one that came too early, and the database is asked again until it answers.
        """
        async with AsyncExitStack() as opened:
            opened.push_async_callback(self._state.aclose)
            await self._state.start()
            opened.push_async_callback(self._transports.aclose)
            try:
                await opened.enter_async_context(await self._open())
            except UnavailableError as error:
                log.warning("%s; the gateway starts without it, and serves as soon as it answers", error.message)
                opening = asyncio.create_task(self._open_later(), name="open the database")
                opened.push_async_callback(_ended, opening)
            self._opened = opened.pop_all()

    async def _open(self, *, late: bool = False) -> AsyncExitStack:
        """Everything that needs the database; the stack that is returned closes it."""
        assembly = self._assembly
        async with AsyncExitStack() as opened:
            storage = await opened.enter_async_context(await open_storage(assembly.settings))
            await storage.providers.upsert_installed(*(entry.id for entry in assembly.providers))
            if late:
                await look(assembly, storage, keep=self._keep)
            # What outlives a restart of them is in Redis, with what tells whether their key is still the same.
            await storage.rests.forget_configured()
            renewals = self._credentials.renewals = _renewals(assembly.settings, storage, self._egress, self._state)
            await renewals.start()
            opened.push_async_callback(self._credentials.aclose)
            live = LiveSnapshot(
                self._snapshot,
                storage,
                assembly.providers,
                assembly.accounts,
                assembly.marks(key_ring(assembly.settings).fingerprint),
                state=self._state,
                credentials=self._credentials,
            )
            opened.push_async_callback(live.aclose)
            await live.start()
            self._pool.open(storage, live.notice)
            self._standings.open(storage.accounts, storage.rests, live.notice)
            opened.push_async_callback(self._standings.aclose)
            upkeep = self._upkeep()
            upkeep.start()
            opened.push_async_callback(upkeep.aclose)
            self._administration = office(
                storage, assembly, self._egress, self._destinations, renewals, live.notice, self._state
            )
            opened.push_async_callback(self._administration.logins.aclose)
            self._books.start(storage)
            opened.push_async_callback(self._books.aclose)
            self._readiness.snapshots = live
            return opened.pop_all()

    async def _open_later(self) -> None:
        told = ""
        while True:
            await asyncio.sleep(_SECONDS_BETWEEN_OPENINGS)
            try:
                stack = await self._open(late=True)
            except UnavailableError:
                continue
            except Exception as error:  # noqa: BLE001 - without this task the gateway would never serve
                if str(error) != told:
                    told = str(error)
                    log.error("the gateway cannot begin to serve: %s", error)
            else:
                await self._opened.enter_async_context(stack)
                log.warning("the database answers: the gateway serves")
                return

    def _upkeep(self) -> ProxyUpkeep:
        """What watches over the outbound proxies."""
        settings = self._assembly.settings.proxy
        bases = [url for each in self._assembly.configured.providers for url in base_urls(each).values()]
        urls = [settings.health_check_url] if settings.health_check_url else bases
        return ProxyUpkeep(
            self._health,
            self._snapshot,
            self._transports,
            self._pool,
            targets=origins(urls),
            interval=settings.health_check_interval,
            its_turn=self._checks_proxies,
        )

    async def _checks_proxies(self) -> bool:
        """Whether this worker is the one that checks the proxies now: the lock is left to end by itself."""
        interval = self._assembly.settings.proxy.health_check_interval
        return await self._state.acquire("proxy-checks", _SHARE_OF_INTERVAL * interval) is not None

    def stopping(self) -> None:
        """No more requests are taken: say so, while those that are under way come to their end."""
        self._readiness.stopping = True

    def stalled(self) -> None:
        """Something has blocked the event loop: count it."""
        self._books.stalls += 1

    async def stop(self) -> None:
        """Write what is left, then let go of everything in the reverse order, whatever of it fails."""
        self.stopping()
        await self._opened.aclose()

    def administration(self) -> Administration:
        """What the admin API changes accounts with. Raises :class:`UnavailableError` until the start is over."""
        if self._administration is None:
            raise UnavailableError("the gateway is starting")
        return self._administration

    def secrets(self) -> tuple[Secret, ...]:
        """Every secret that is in use now, for the log to leave out; the same tuple while they are the same."""
        snapshot, tokens = self._snapshot.value, self._credentials.tokens
        if self._secrets[0] is not snapshot or self._secrets[1] is not tokens:
            settings, configured = self._assembly.settings, self._assembly.configured
            redis = redis_address(settings.redis)
            keys = [settings.keys.admin, settings.keys.client, settings.keys.master, settings.database.password]
            keys += [redis.password, redis.url, redis.password_in_url]
            accounts = [*self._assembly.accounts, *(each for group in snapshot.accounts.values() for each in group)]
            holders = [
                each for provider in configured.providers for each in (provider.config, provider.strategy_config)
            ]
            holders += [sink.config for sink in configured.sinks]
            holders += [account.credential for account in accounts]
            found = {secret for holder in holders for secret in secrets_of(holder)}
            found |= {Secret(part) for proxy in snapshot.proxies.values() if (part := password_in(proxy.url))}
            found.update(tokens)
            self._secrets = (snapshot, tokens, (*found, *(key for key in keys if key is not None)))
        return self._secrets[2]


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def access(settings: Settings, snapshot: CurrentSnapshot, state: State, readiness: Readiness) -> Access:
    """The door, as the settings want it."""
    ring = key_ring(settings)
    given: dict[Role, Secret | None] = {"admin": settings.keys.admin, "client": settings.keys.client}
    return Access(
        snapshot,
        verify=ring.verify,
        key_id=key_id,
        client_auth=settings.server.client_auth,
        local=settings.server.is_local,
        fixed={role: key for role, key in given.items() if key is not None},
        guesses=Guesses(
            state,
            {
                "client": settings.security.wrong_client_keys_per_minute,
                "admin": settings.security.wrong_admin_keys_per_minute,
            },
            settings.server.trusted_proxies,
            keyed_hash=ring.hash_key,
        ),
        known=lambda: readiness.snapshots is not None,
        sure=lambda: readiness.sees_changes,
    )


COMMAND_LINE = Actor(id="cli")
"""Who the audit log names for what was typed."""


@asynccontextmanager
async def administration(assembly: Assembly) -> AsyncIterator[Administration]:
    """What the command line changes accounts with: the same rules and the same store as a running gateway's own.

    Raises what :func:`open_storage` raises. A running gateway sees each change by its version; with Redis it is told.
    """
    snapshot = CurrentSnapshot()
    state = shared_state(assembly.settings.redis, snapshot.edition_of)
    async with await open_storage(assembly.settings) as storage, aclosing(state):
        rows = await storage.load_snapshot()
        known_as = editions(rows, assembly.marks(key_ring(assembly.settings).fingerprint))
        snapshot.value = Snapshot(proxies=outbound_proxies(rows), editions=known_as)
        await state.start()
        await storage.providers.upsert_installed(*(entry.id for entry in assembly.providers))

        async def changed() -> None:
            state.announce(await storage.version())

        destinations = Destinations.allowing(assembly.settings.security.allow_private_hosts)
        async with aclosing(Transports(destinations)) as transports:
            pool = ProxyPool()
            pool.open(storage)
            egress = Egress(transports, snapshot, pool, ProxyHealthBook())
            renewals = _renewals(assembly.settings, storage, egress, state)
            # Without a Redis that answers, what others know of resting accounts cannot be told here.
            known = state if state.connected else None
            made = office(storage, assembly, egress, destinations, renewals, changed, known)
            # Whoever presses Ctrl-C stops waiting; what was spent for a login or a token is not lost by that.
            async with aclosing(renewals), aclosing(made.logins):
                yield made


def _renewals(settings: Settings, storage: Storage, egress: Egress, state: State) -> Renewals:
    ring = key_ring(settings)
    spool = TokenSpool(token_folder(settings), ring)
    return Renewals(storage.accounts, storage.tokens, egress, SealedTokens(state, ring), spool)


async def reset_admin_key(settings: Settings) -> Secret:
    """Revoke every stored admin key and make a new one. Raises what :func:`open_storage` raises."""
    async with await open_storage(settings) as storage:
        _, key = await storage.keys.replace("admin", "admin-key reset", COMMAND_LINE)
    return key
