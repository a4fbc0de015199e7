"""The thread boundary, and what becomes of a unit of work when the database gets in its way."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from typing import Any
from uuid import uuid4

import pymysql
import pytest
from pymysql.connections import Connection
from services.private_servers import MariaDB

from aigateway_core.errors import ConflictError, NotFoundError, UnavailableError
from aigateway_core.records import Target
from aigateway_core.storage import (
    SYSTEM,
    AccountPatch,
    Actor,
    CallQuery,
    DatabaseLocation,
    MySQLServer,
    NewAccount,
    NewMapping,
    NewProxy,
    Storage,
)
from aigateway_core.storage.database import Change, Database, Session
from aigateway_core.storage.migrations import migrate
from aigateway_core.vault import KeyRing

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(location: DatabaseLocation) -> AsyncIterator[Database]:
    """A database with two threads, under the units of work of the tests' own."""
    migrate(location)
    opened = Database(location, threads=2)
    opened.bind()
    yield opened
    await opened.aclose()


def put(session: Session, name: str, value: str = "") -> None:
    session.entities.fact(name=name, value=value)
    session._db.flush()  # Pony holds writes back until it must


def facts(session: Session) -> list[str]:
    return sorted(row.name for row in session.entities.fact.select() if row.name != "writer")


def changed(name: str) -> Change:
    return Change(action="test", entity="fact", entity_id=name)


# Threads


async def test_units_run_on_a_bounded_number_of_threads_of_their_own(database: Database) -> None:
    def unit(session: Session) -> str:
        time.sleep(0.01)
        facts(session)
        return threading.current_thread().name

    names = set(await asyncio.gather(*(database.read(unit) for _ in range(12))))
    assert len(names) == 2
    assert threading.current_thread().name not in names


async def test_the_event_loop_goes_on_while_units_run(database: Database) -> None:
    ticks = 0
    working = asyncio.gather(*(database.read(lambda _: time.sleep(0.3)) for _ in range(2)))
    while not working.done():
        await asyncio.sleep(0.01)
        ticks += 1
    await working
    assert ticks >= 5


async def test_units_at_the_same_time_do_not_share_a_session(database: Database) -> None:
    both_in = threading.Barrier(2)

    def unit(session: Session) -> list[str]:
        seen = facts(session)
        both_in.wait(10)
        return seen

    assert list(await asyncio.gather(database.read(unit), database.read(unit))) == [[], []]


async def test_context_variables_are_seen_in_the_unit(database: Database) -> None:
    request: ContextVar[str] = ContextVar("request", default="none")
    request.set("r1")
    assert await database.read(lambda _: request.get()) == "r1"


async def test_a_caller_who_is_cancelled_leaves_the_threads_in_order(database: Database) -> None:
    entered, go = threading.Event(), threading.Event()

    def unit(session: Session) -> None:
        put(session, "slow")
        entered.set()
        go.wait(10)

    task = asyncio.create_task(database.transaction(unit))
    await asyncio.to_thread(entered.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go.set()
    for _ in range(500):
        if await database.transaction(facts) == ["slow"]:
            return
        await asyncio.sleep(0.02)
    pytest.fail("the unit that had begun never ended")


async def test_a_caller_waits_only_so_long(location: DatabaseLocation) -> None:
    migrate(location)
    impatient = Database(location, threads=1, patience=0.2)
    impatient.bind()
    go = threading.Event()
    ran: list[int] = []
    try:
        busy = asyncio.create_task(impatient.read(lambda _: go.wait(10)))
        await asyncio.sleep(0.05)
        with pytest.raises(UnavailableError, match="does not answer"):
            await impatient.read(lambda _: ran.append(1))
        with pytest.raises(UnavailableError):
            await busy
    finally:
        go.set()
        await impatient.aclose()
    assert ran == [], "a unit nobody waits for any more must not begin"


async def test_nothing_runs_after_the_end(database: Database) -> None:
    await database.aclose()
    await database.aclose()
    with pytest.raises(UnavailableError, match="closed"):
        await database.read(facts)


# All or nothing


async def test_a_unit_that_raises_changes_nothing(database: Database) -> None:
    def unit(session: Session) -> None:
        put(session, "half")
        raise NotFoundError("no")

    with pytest.raises(NotFoundError):
        await database.transaction(unit)
    assert await database.read(facts) == []


async def test_a_mistake_in_a_unit_is_shown_as_it_is_and_changes_nothing(database: Database) -> None:
    def unit(session: Session) -> None:
        put(session, "half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.transaction(unit)
    assert await database.read(facts) == []


async def test_what_contradicts_the_tables_is_a_conflict(database: Database) -> None:
    await database.transaction(lambda session: put(session, "once"))
    with pytest.raises(ConflictError):
        await database.transaction(lambda session: put(session, "once"))


async def test_a_unit_that_makes_a_mistake_in_sql_is_a_bug_and_not_an_outage(database: Database) -> None:
    with pytest.raises(Exception, match="no_such_table") as caught:
        await database.read(lambda session: session.select("SELECT 1 FROM no_such_table"))
    assert not isinstance(caught.value, UnavailableError)


async def test_a_transaction_reads_one_moment(database: Database) -> None:
    read_once, written = threading.Event(), threading.Event()

    def reader(session: Session) -> tuple[int, int]:
        first = session.select("SELECT COUNT(*) FROM audit_log")[0]
        read_once.set()
        written.wait(2)  # on SQLite the writer waits for us instead
        return first, session.select("SELECT COUNT(*) FROM audit_log")[0]

    def writer(_: Session) -> tuple[None, list[Change]]:
        return None, [changed("x")]

    reading = asyncio.create_task(database.transaction(reader))
    await asyncio.to_thread(read_once.wait, 10)
    writing = asyncio.create_task(database.change(SYSTEM, writer))
    writing.add_done_callback(lambda _: written.set())
    assert await reading == (0, 0)
    await writing


async def test_changes_wait_for_each_other_so_that_audit_ids_come_in_the_order_of_commits(database: Database) -> None:
    entered, go, second_began = threading.Event(), threading.Event(), threading.Event()

    def slow(_: Session) -> tuple[None, list[Change]]:
        entered.set()
        go.wait(10)
        return None, [changed("slow")]

    def quick(_: Session) -> tuple[None, list[Change]]:
        second_began.set()
        return None, [changed("quick")]

    first = asyncio.create_task(database.change(SYSTEM, slow))
    await asyncio.to_thread(entered.wait, 10)
    second = asyncio.create_task(database.change(SYSTEM, quick))
    assert not await asyncio.to_thread(second_began.wait, 0.5)
    go.set()
    await asyncio.gather(first, second)
    order = await database.read(lambda session: session.select("SELECT entity_id FROM audit_log ORDER BY id"))
    assert order == ["slow", "quick"]


# Repeating


async def test_a_unit_that_met_a_deadlock_is_repeated_as_a_whole(database: Database) -> None:
    tries = 0

    def unit(session: Session) -> None:
        nonlocal tries
        tries += 1
        put(session, "first")
        if tries < 3:
            raise pymysql.err.OperationalError(1213, "Deadlock found when trying to get lock")
        put(session, "second")

    await database.transaction(unit)
    assert (tries, await database.read(facts)) == (3, ["first", "second"])


async def test_d_11_a_unit_that_is_never_let_through_ends_in_an_outage(database: Database) -> None:
    tries = 0

    def unit(session: Session) -> None:
        nonlocal tries
        tries += 1
        put(session, "half")
        raise pymysql.err.OperationalError(1205, "Lock wait timeout exceeded")

    with pytest.raises(UnavailableError):
        await database.transaction(unit)
    assert (tries, await database.read(facts)) == (6, [])


@pytest.mark.services
async def test_d_11_two_units_that_block_each_other_both_get_done(mariadb_location: MySQLServer) -> None:
    """A real deadlock: each holds the row that the other wants. The server rolls one back; it is repeated."""
    migrate(mariadb_location)
    database = Database(mariadb_location, threads=2)
    database.bind()
    together = threading.Barrier(2)
    tries: list[str] = []

    def unit(first: str, second: str) -> Callable[[Session], None]:
        def run(session: Session) -> None:
            tries.append(first)
            session.execute_many("UPDATE storage_facts SET value = CONCAT(value, '+') WHERE name = ?", [(first,)])
            if len(tries) <= 2:
                together.wait(10)
            session.execute_many("UPDATE storage_facts SET value = CONCAT(value, '+') WHERE name = ?", [(second,)])

        return run

    def start(session: Session) -> None:
        put(session, "a", "0")
        put(session, "b", "0")

    try:
        await database.transaction(start)
        await asyncio.gather(database.transaction(unit("a", "b")), database.transaction(unit("b", "a")))
        assert len(tries) == 3
        rows = await database.read(lambda session: session.select("SELECT value FROM storage_facts WHERE name < 'c'"))
        assert rows == ["0++", "0++"]
    finally:
        await database.aclose()


# Connections that are cut


class Cutter:
    """Has the server cut a connection just before its nth command from now on, once."""

    def __init__(self, server: MariaDB) -> None:
        self._server = server
        self._nth = 0
        self.commands: list[bytes] = []
        self.cut = False

    def arm(self, nth: int) -> None:
        self._nth, self.commands, self.cut = nth, [], False

    def before(self, connection: Connection, command: object) -> None:
        if not threading.current_thread().name.startswith("storage") or self.cut or not self._nth:
            return
        self.commands.append(command if isinstance(command, bytes) else str(command).encode())
        if len(self.commands) == self._nth:
            self.cut = True
            self._server.execute(f"KILL {connection.thread_id()}")


@pytest.fixture
def cutter(mariadb: MariaDB, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cutter]:
    made = Cutter(mariadb)
    execute = Connection._execute_command

    def watched(connection: Connection, command: int, sql: object) -> Any:
        made.before(connection, sql)
        return execute(connection, command, sql)

    monkeypatch.setattr(Connection, "_execute_command", watched)
    yield made
    made.arm(0)


@pytest.mark.services
async def test_d_09_a_connection_cut_between_two_statements_loses_neither(
    mariadb_location: MySQLServer, mariadb: MariaDB
) -> None:
    """Pony alone reconnects here, runs the second statement, reports success and has lost the first."""
    migrate(mariadb_location)
    database = Database(mariadb_location, threads=1)
    database.bind()
    cuts: list[int] = []

    def unit(session: Session) -> None:
        put(session, "first")
        if not cuts:
            cuts.append(mariadb.kill_connections(mariadb_location.database))
        put(session, "second")

    try:
        await database.transaction(unit)
        assert cuts == [1]
        assert await database.read(facts) == ["first", "second"]
    finally:
        await database.aclose()


@pytest.mark.services
async def test_d_09_a_thousand_calls_arrive_once_wherever_the_connection_is_cut(
    mariadb_location: MySQLServer, mariadb: MariaDB, keyring: KeyRing, cutter: Cutter, noted: Callable[..., Any]
) -> None:
    """Whoever is told of an outage brings the same batch once more, as the ledger does."""
    rows = "SELECT COUNT(*), COUNT(DISTINCT id) FROM request_logs"
    summed = "SELECT SUM(requests) FROM call_stats WHERE dimension = 'all'"
    async with await Storage.open(mariadb_location, keyring, threads=1) as storage:
        for nth in range(1, 100):
            batch = [noted(f"{nth}-{number}") for number in range(1000)]
            cutter.arm(nth)
            try:
                await storage.calls.insert_many(batch)
            except UnavailableError:
                cutter.arm(0)
                await storage.calls.insert_many(batch)
            assert mariadb.execute(rows, database=mariadb_location.database) == [(1000 * nth,) * 2], cutter.commands
            assert mariadb.execute(summed, database=mariadb_location.database) == [(1000 * nth,)]
            if not cutter.cut:
                break
        assert 3 < nth < 99


@pytest.mark.services
async def test_d_10_every_change_is_whole_or_absent_wherever_its_connection_is_cut(
    mariadb_location: MySQLServer, keyring: KeyRing, actor: Actor, cutter: Cutter, noted: Callable[..., Any]
) -> None:
    async with await Storage.open(mariadb_location, keyring, threads=1) as storage:
        await storage.providers.upsert_installed("acme")
        new = NewAccount(provider_id="acme", auth_data={"k": "v"})
        account = await storage.accounts.create(new, actor)
        deeds: dict[str, Callable[[int], Any]] = {
            "account": lambda _: storage.accounts.create(new, actor),
            "update": lambda n: storage.accounts.update(account.id, AccountPatch(label=str(n)), actor),
            "key": lambda n: storage.keys.replace("admin", str(n), actor),
            "provider": lambda n: storage.providers.upsert_installed(f"p{n}", f"q{n}"),
            "calls": lambda n: storage.calls.insert_many([noted(f"{n}-{i}") for i in range(3)]),
        }

        async def state() -> dict[str, int]:
            entries = (await storage.audit.list(limit=10_000)).rows
            return {
                "accounts": (await storage.accounts.list()).total,
                "account audits": sum(entry.action == "account.create" for entry in entries),
                "update audits": sum(entry.action == "account.update" for entry in entries),
                "providers": len(await storage.providers.list()),
                "provider audits": sum(entry.action == "provider.create" for entry in entries),
                "keys": (await storage.keys.list()).total,
                "key audits": sum(entry.action == "key.create" for entry in entries),
                "calls": len(await storage.calls.list(CallQuery(limit=10_000))),
            }

        outages = 0
        for name, deed in deeds.items():
            for nth in range(1, 100):
                before = await state()
                cutter.arm(nth)
                try:
                    await deed(nth)
                    done = True
                except UnavailableError:
                    done = False
                    outages += 1
                reached = cutter.cut
                cutter.arm(0)
                after = await state()
                grown = {what: after[what] - before[what] for what in after if after[what] != before[what]}
                assert grown in _ALLOWED[name][done], (name, nth, cutter.commands)
                if not reached:
                    break
            assert nth > 3, f"{name} was never cut in the middle"
        assert outages <= len(deeds), "only a cut commit may end in an outage"


_ALLOWED: dict[str, dict[bool, list[dict[str, int]]]] = {
    "account": {True: [{"accounts": 1, "account audits": 1}], False: [{}]},
    "update": {True: [{"update audits": 1}], False: [{}]},
    "key": {True: [{"keys": 1, "key audits": 1}], False: [{}]},
    "provider": {True: [{"providers": 2, "provider audits": 2}], False: [{}]},
    "calls": {True: [{"calls": 3}], False: [{}]},
}


TABLES = ("accounts", "account_rests", "api_keys", "audit_log", "model_mappings", "proxy_bindings", "proxy_pool")
"""Those that the changes below could touch."""


def contents(mariadb: MariaDB, name: str) -> dict[str, tuple[int, int]]:
    """How many rows each table has, and a sum over all that is in them."""
    counted = " UNION ALL ".join(f"SELECT '{table}', COUNT(*) FROM {table}" for table in TABLES)
    rows = dict(mariadb.execute(counted, database=name))
    sums = dict(mariadb.execute(f"CHECKSUM TABLE {', '.join(TABLES)}", database=name))
    return {table: (rows[table], sums[f"{name}.{table}"]) for table in TABLES}


def grown(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> dict[str, int]:
    """Which tables have changed, and by how many rows."""
    return {table: after[table][0] - before[table][0] for table in after if after[table] != before[table]}


@pytest.mark.services
@pytest.mark.timeout(300)
async def test_d_10_what_a_cut_leaves_of_any_change_is_nothing_or_what_it_does_uncut(
    mariadb_location: MySQLServer, mariadb: MariaDB, keyring: KeyRing, actor: Actor, cutter: Cutter
) -> None:
    name = mariadb_location.database
    async with await Storage.open(mariadb_location, keyring, threads=1) as storage:
        await storage.providers.upsert_installed("acme")
        await storage.proxies.create(NewProxy(url="http://one.test:1", max_accounts=500), actor)

        async def account() -> str:
            made = await storage.accounts.create(NewAccount(provider_id="acme", auth_data={"k": "v"}), actor)
            return made.id

        async def key() -> str:
            made, _ = await storage.keys.create("client", "k", actor)
            return made.id

        async def nothing() -> str:
            return uuid4().hex

        deeds: dict[str, tuple[Callable[[], Any], Callable[[str], Any]]] = {
            "an account goes": (account, lambda each: storage.accounts.delete(each, actor)),
            "an account is bound": (account, lambda each: storage.bindings.claim(each, actor)),
            "tokens are kept": (account, lambda each: storage.tokens.keep(each, 0, {"access_token": "t"}, None)),
            "a login is asked for": (account, lambda each: storage.tokens.need_login(each, 0, "dead")),
            "a key is revoked": (key, lambda each: storage.keys.revoke(each, actor)),
            "a proxy comes": (
                nothing,
                lambda each: storage.proxies.create(NewProxy(url=f"http://{each}.test:1"), actor),
            ),
            "a mapping comes": (
                nothing,
                lambda each: storage.mappings.create(
                    NewMapping(alias=each, targets=(Target(provider="acme", model="m"),)), actor
                ),
            ),
        }
        for deed, (prepare, change) in deeds.items():
            subject = await prepare()
            before = contents(mariadb, name)
            await change(subject)
            effect = grown(before, contents(mariadb, name))
            assert effect, f"{deed}: it changes nothing"
            for nth in range(1, 100):
                subject = await prepare()
                before = contents(mariadb, name)
                cutter.arm(nth)
                try:
                    await change(subject)
                    expected = effect
                except UnavailableError:
                    expected = {}
                reached = cutter.cut
                cutter.arm(0)
                assert grown(before, contents(mariadb, name)) == expected, (deed, nth, cutter.commands)
                if not reached:
                    break
            assert nth > 3, f"{deed} was never cut in the middle"
