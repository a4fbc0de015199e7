"""Whatever happens to processes, the database and what they share while tokens are renewed: the account lives.

Several processes of one machine, over one real database file and one real identity provider that ends a login when a
spent token is used again; they crash between any two steps, and the database and the shared state go away at any time.
"""

from __future__ import annotations

import asyncio
import inspect
import sqlite3
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest
from core.dialects.profiles import budget
from core.token_house import PROVIDER, TokenHouse
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from typing_extensions import override

from aigateway_core import renewal, token_keeping
from aigateway_core.errors import LoginNeededError, UnavailableError, UpstreamError
from aigateway_core.state.memory import MemoryState
from aigateway_core.storage import SYSTEM, NewAccount, SQLiteFile, tokens
from aigateway_core.testing import FakeIdentityProvider

T = TypeVar("T")

CALLS = ["accounts.get", "tokens.claim", "provider.renew", "tokens.keep", "cache.put"]
STEPS = [f"{side} {call}" for call in CALLS for side in ("before", "after")]
MOST_PROCESSES = 3


class Killed(BaseException):
    """The process is no more: nothing catches this, and nothing of it goes on."""


@attrs.define
class World:
    """What is there for all processes; and the steps at which the database goes, and the first who comes there dies."""

    database: bool = True
    shared: bool = True
    database_goes_at: str = ""
    one_dies_at: str = ""


class Trouble:
    """Passes calls on to ``target``, unless that is away; ends the process, or takes the database away, at a step."""

    def __init__(self, name: str, target: Any, process: Process) -> None:
        self._name, self._target, self._process = name, target, process

    def __getattr__(self, method: str) -> Any:
        call: Callable[..., Any] = getattr(self._target, method)
        step = f"{self._name}.{method}"
        if not inspect.iscoroutinefunction(call):
            return call

        async def troubled(*args: Any, **more: Any) -> Any:
            self._process.reach(f"before {step}")
            if self._name in {"accounts", "tokens"} and not self._process.world.database:
                raise UnavailableError("the database does not answer")
            if self._name == "cache" and not self._process.world.shared:
                return None
            result = await call(*args, **more)
            self._process.reach(f"after {step}")
            return result

        return troubled


class Process:
    """One process: its house, and whether it is no more."""

    def __init__(self, world: World, house: TokenHouse) -> None:
        self.world = world
        self.house = house
        self.generation: int | None = None
        self.dead = False
        parts = house.renewals
        parts._accounts = Trouble("accounts", parts._accounts, self)  # type: ignore[assignment]
        parts._tokens = parts._keeper._tokens = Trouble("tokens", parts._tokens, self)  # type: ignore[assignment]
        parts._cache = Trouble("cache", parts._cache, self)  # type: ignore[assignment]
        object.__setattr__(house.entry, "renews", Trouble("provider", house.strategy, self))

    def reach(self, step: str) -> None:
        """A step of the protocol."""
        if step == self.world.database_goes_at:
            self.world.database = False
        if step == self.world.one_dies_at:
            self.world.one_dies_at, self.dead = "", True
        if self.dead:
            raise Killed


class Renewing(RuleBasedStateMachine):
    """``lost`` are the steps at which a kill may cost the account: the answer has come, and nobody has seen it."""

    grace = 0.0
    lost: frozenset[str] = frozenset({"after provider.renew"})

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name) / "gateway.db"
        self._state = MemoryState()
        self._world = World()
        self._processes: list[Process] = []
        self._gone: list[TokenHouse] = []
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(token_keeping, "_PAUSE", 0.01)
        self._patch.setattr(token_keeping, "_LAST_TRIES", 0.0)
        self._patch.setattr(tokens, "_GRACE_SECONDS", 0.03)
        self._patch.setattr(renewal, "_PATIENCE", 0.2)

    @initialize(shared=st.booleans())
    def begin(self, shared: bool) -> None:
        self._world.shared = shared
        self._idp = FakeIdentityProvider(grace=self.grace).start()
        first = self._run(self._open())
        row = self._run(
            first.house.storage.accounts.create(NewAccount(provider_id=PROVIDER, auth_data=self._idp.tokens()), SYSTEM)
        )
        self._account = row.id
        first.house.know(row)
        self._run(self._start())

    @rule()
    @precondition(lambda self: self._world.database and len(self._processes) < MOST_PROCESSES)
    def a_process_starts(self) -> None:
        self._run(self._start())

    @rule(data=st.data(), goes_at=st.sampled_from(["", *STEPS]), comes_back=st.booleans())
    @precondition(lambda self: len(self._processes) > 0)
    def one_is_killed_while_all_renew(self, data: st.DataObject, goes_at: str, comes_back: bool) -> None:
        """And the database may go away while they do, and come back soon."""
        self._world.one_dies_at = data.draw(st.sampled_from([step for step in STEPS if step not in self.lost]))
        self._world.database_goes_at = goes_at
        self._renew()
        self._world.one_dies_at = self._world.database_goes_at = ""
        self._kill(next((process for process in self._processes if process.dead), self._processes[0]))
        if comes_back:
            self.the_database_comes_back_after_a_while()
            self._renew()

    @rule(step=st.sampled_from(STEPS))
    def the_database_goes_away_while_all_renew(self, step: str) -> None:
        self._world.database_goes_at = step
        self._renew()
        self._world.database_goes_at = ""

    @rule()
    def all_renew_at_once(self) -> None:
        self._renew()

    @rule()
    def access_ends_before_its_time(self) -> None:
        self._idp.revoke_access()

    @rule(shared=st.booleans())
    def what_they_share_comes_and_goes(self, shared: bool) -> None:
        self._world.shared = shared

    @rule()
    def the_database_comes_back_after_a_while(self) -> None:
        """Whoever had claimed the token has had his time; who has something to store has not looked yet."""
        self._world.database = True
        self._time_passes()

    def _time_passes(self) -> None:
        with sqlite3.connect(self._path) as database:
            database.execute(
                "UPDATE accounts SET refresh_until = '2000-01-01 00:00:00.000000' WHERE refresh_until IS NOT NULL"
            )

    @invariant()
    def nobody_has_used_a_token_twice(self) -> None:
        assert self._idp.reuses == 0 if hasattr(self, "_idp") else True

    @override
    def teardown(self) -> None:
        try:
            if hasattr(self, "_account"):
                self._see_it_live()
        finally:
            self._patch.undo()
            for house in [*self._gone, *(process.house for process in self._processes)]:
                self._run(house.__aexit__())
            self._runner.close()
            self._folder.cleanup()
            if hasattr(self, "_idp"):
                self._idp.stop()

    def _see_it_live(self) -> None:
        """When all is well again, a new process has a good token, twice in a row."""
        self._world.database = self._world.shared = True
        for process in list(self._processes):
            self._kill(process)
        self._time_passes()
        process = self._run(self._start())
        for _ in range(2):
            self._run(process.house.renew(self._account))
            assert self._idp.accepts(self._run(process.house.token(self._account)))
        row = self._run(process.house.storage.accounts.get(self._account))
        assert (row.status, self._idp.reuses) == ("active", 0)
        assert not list((Path(self._folder.name) / "tokens").glob("*"))

    # -- processes

    async def _start(self) -> Process:
        process = await self._open()
        process.house.know(await process.house.storage.accounts.get(self._account))
        return process

    async def _open(self) -> Process:
        location, spool = SQLiteFile(self._path), Path(self._folder.name) / "tokens"
        house = TokenHouse(location, self._idp.auth_options, state=self._state, spool=spool)
        process = Process(self._world, await house.__aenter__())
        self._processes.append(process)
        return process

    def _kill(self, process: Process) -> None:
        self._processes.remove(process)
        self._gone.append(process.house)
        keeper = process.house.renewals._keeper
        if keeper._task is not None:
            keeper._task.cancel()
        self._run(asyncio.sleep(0))

    def _renew(self) -> None:
        """Let all of them renew at once; each comes by another token, or hears why it cannot now."""

        async def one(process: Process) -> None:
            house = process.house
            try:
                renewed = await house.renewals.renew(house.entry, house._held[self._account], process.generation)
            except LoginNeededError:
                raise
            except (Killed, UpstreamError, UnavailableError):
                return
            house._held[self._account], process.generation = renewed.account, renewed.generation

        async def all_of_them() -> None:
            async with asyncio.timeout(60):
                await asyncio.gather(*(one(process) for process in list(self._processes)))

        self._run(all_of_them())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)


class RenewingWithGrace(Renewing):
    """Where the provider forgives that an answer was lost, no step at all may cost the account."""

    grace = 60.0
    lost = frozenset()


TestRenewing = Renewing.TestCase
TestRenewing.settings = settings(budget(20), stateful_step_count=12)
TestRenewingWithGrace = RenewingWithGrace.TestCase
TestRenewingWithGrace.settings = settings(budget(10), stateful_step_count=12)
