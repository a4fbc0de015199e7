"""What balancers and monitoring ask: whether the gateway is there, can serve, and how it does."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import attrs
import httpx
import pytest
from core.resources.conftest import ADMIN_KEY, Guarded
from core.resources.test_statistics_api import call
from prometheus_client.parser import text_string_to_metric_families

from aigateway_core.bootstrap import House, assemble
from aigateway_core.records import Attempt, CallRecord
from aigateway_core.secret import Secret
from aigateway_core.settings import ServerSettings, Settings
from aigateway_core.storage.database import Database

pytestmark = pytest.mark.anyio
_ORDER = ("provider", "model", "outcome", "kind", "result", "health")


async def samples(client: httpx.AsyncClient) -> dict[str, dict[tuple[str, ...], float]]:
    """The values of each metric, by the values of its labels."""
    response = await client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(response.text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[
                tuple(sample.labels[name] for name in _ORDER if name in sample.labels)
            ] = sample.value
    return found


def _requests(found: Mapping[str, Mapping[tuple[str, ...], float]]) -> float:
    return sum(found.get("aigateway_requests_total", {}).values())


async def recorded(house: House, client: httpx.AsyncClient, *records: CallRecord) -> dict[str, Any]:
    before = _requests(await samples(client))
    for record in records:
        house._books.recorder.put(record)
    async with asyncio.timeout(5):
        while _requests(found := await samples(client)) < before + len(records):  # noqa: ASYNC110 - the recorder writes
            await asyncio.sleep(0.02)
    return found


async def test_calls_are_counted_by_what_they_have_in_common(house: House, client: httpx.AsyncClient) -> None:
    tries = (
        Attempt(account_id="a", latency_ms=1, error_kind="overloaded"),
        Attempt(account_id="b", latency_ms=1, error_kind="overloaded"),
        Attempt(account_id="c", latency_ms=1),
    )
    found = await recorded(house, client, call(1, attempts=tries), call(2), call(3, outcome="client_gone", attempts=()))
    assert found["aigateway_requests_total"] == {
        ("acme", "m-1", "ok"): 2,
        ("acme", "other", "client_gone"): 1,
    }
    assert found["aigateway_attempts_total"] == {("acme", "ok"): 2, ("acme", "error"): 2}
    assert found["aigateway_upstream_errors_total"] == {("acme", "overloaded"): 2}
    assert found["aigateway_tokens_total"][("acme", "m-1", "input")] == 20
    assert found["aigateway_request_duration_seconds_count"] == {("acme",): 3}


async def test_an_attempt_counts_for_the_provider_that_was_asked(house: House, client: httpx.AsyncClient) -> None:
    tries = (
        Attempt(account_id="a", latency_ms=1, error_kind="server", provider_id="beta"),
        Attempt(account_id="b", latency_ms=1, provider_id="acme"),
    )
    found = await recorded(house, client, call(1, attempts=tries))
    assert found["aigateway_attempts_total"] == {("beta", "error"): 1, ("acme", "ok"): 1}
    assert found["aigateway_upstream_errors_total"] == {("beta", "server"): 1}
    assert set(found["aigateway_requests_total"]) == {("acme", "m-1", "ok")}


async def test_gauges_are_looked_up(house: House, client: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    await admin.post("/api/v1/proxies", json={"url": "http://one.test:1"})
    found = await samples(client)
    assert found["aigateway_outbound_proxies"] == {("healthy",): 1, ("degraded",): 0, ("down",): 0, ("off",): 0}
    assert found["aigateway_accounts_cooling"] == {("config-only",): 0}
    for name in (
        "requests_in_flight",
        "loop_stalls",
        "open_breakers",
        "queue_length",
        "records_dropped",
        "spool_bytes",
    ):
        assert found[f"aigateway_{name}"] == {(): 0}
    assert found["aigateway_tasks"][()] == len(asyncio.all_tasks())


async def test_names_that_callers_make_up_do_not_fill_the_memory(house: House, client: httpx.AsyncClient) -> None:
    names = [call(n, model=f"m-{n}") for n in range(300)]
    found = await recorded(
        house, client, *names, *(call(n, model=f"no-{n}", outcome="upstream_error") for n in range(9))
    )
    assert len(found["aigateway_requests_total"]) <= 202


async def test_it_is_ready_and_tells_more_to_who_may_know(house: House, client: httpx.AsyncClient) -> None:
    response = await client.get("/ready")
    assert response.status_code == 200
    told = response.json()
    assert told["status"] == "ok"
    assert told["redis"] == "not configured"
    assert told["spool"] == {"in_use": False, "bytes": 0}
    assert told["snapshot"]["age_seconds"] < 5
    house._readiness.stopping = True
    assert (await client.get("/ready")).status_code == 503


async def test_a_web_page_reads_nothing_of_it(client: httpx.AsyncClient) -> None:
    for headers in ({"origin": "https://evil.test"}, {"host": "evil.test"}):
        assert (await client.get("/metrics", headers=headers)).status_code == 401
        assert (await client.get("/ready", headers=headers)).json() == {"status": "ok"}


async def test_where_other_machines_can_ask_the_key_opens_more_than_one_word(settings: Settings) -> None:
    keys = attrs.evolve(settings.keys, client=Secret("c" * 40))
    far = House(assemble(attrs.evolve(settings, server=ServerSettings(host="0.0.0.0"), keys=keys)))
    await far.start()
    try:
        transport = httpx.ASGITransport(Guarded(far.app))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
            assert (await client.get("/ready")).json() == {"status": "ok"}
            assert (await client.get("/metrics")).status_code == 401
            client.headers["authorization"] = "Bearer " + "c" * 40
            assert (await client.get("/metrics")).status_code == 401
            client.headers["authorization"] = f"Bearer {ADMIN_KEY}"
            assert (await client.get("/metrics")).status_code == 200
            assert "snapshot" in (await client.get("/ready")).json()
    finally:
        await far.stop()


class Standing:
    """Brings a gateway into each of its states, with what brings it there."""

    def __init__(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        self._readiness = house._readiness
        self._patch = monkeypatch

    def take(self, state: str) -> None:
        readiness = self._readiness
        match state:
            case "the database is away":
                snapshots: Any = SimpleNamespace(age=60.0)
                self._patch.setattr(readiness, "snapshots", snapshots)
            case "the spool is in use":
                self._patch.setattr(readiness._ledger, "spooling", True)
            case "Redis is away":
                shared: Any = SimpleNamespace(connected=False)
                self._patch.setattr(readiness, "_state", shared)
            case "it starts":
                self._patch.setattr(readiness, "snapshots", None)
            case "it ends":
                self._patch.setattr(readiness, "stopping", True)


@pytest.mark.parametrize(
    ("state", "status", "word"),
    [
        ("all is well", 200, "ok"),
        ("the database is away", 200, "degraded"),
        ("the spool is in use", 200, "degraded"),
        ("Redis is away", 200, "degraded"),
        ("it starts", 503, "starting"),
        ("it ends", 503, "stopping"),
    ],
)
async def test_d_03_it_lives_in_every_state_and_is_ready_in_those_in_which_it_serves(
    house: House, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, state: str, status: int, word: str
) -> None:
    asked: list[str] = []
    read, transaction = Database.read, Database.transaction
    watch = {"read": read, "transaction": transaction}
    for name, method in watch.items():

        def told(self: Database, unit: Any, name: str = name, method: Any = method) -> Any:
            if asyncio.current_task() is task:
                asked.append(name)
            return method(self, unit)

        monkeypatch.setattr(Database, name, told)
    task = asyncio.current_task()
    Standing(house, monkeypatch).take(state)
    health, ready = await client.get("/health"), await client.get("/ready")
    monkeypatch.undo()
    assert (health.status_code, health.json()) == (200, {"status": "ok", "service": "aigateway"})
    assert (ready.status_code, ready.json()["status"]) == (status, word)
    assert asked == [], "neither asks the database"
