"""The endpoints for what happened, as an operator asks them, over a gateway that has taken calls."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from aigateway_core.bootstrap import House
from aigateway_core.records import Attempt, CallRecord

pytestmark = pytest.mark.anyio
NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
SPAN = {"since": NOON.isoformat(), "until": (NOON + timedelta(hours=3)).isoformat()}


def call(number: int, **more: Any) -> CallRecord:
    values: dict[str, Any] = {
        "id": f"c{number}",
        "request_id": f"r{number}",
        "created_at": NOON + timedelta(minutes=number),
        "dialect": "openai-chat",
        "client_key_id": "k1" if number % 2 else "-",
        "outcome": "ok",
        "status_code": 200,
        "latency_ms": 100,
        "model": "m-1",
        "provider_id": "acme",
        "account_id": "a1",
        "input_tokens": 10,
        "output_tokens": 1,
        "attempts": (Attempt(account_id="a1", latency_ms=90, status_code=200),),
    }
    return CallRecord(**{**values, **more})


@pytest.fixture
async def calls(house: House, admin: httpx.AsyncClient) -> None:
    """Ten calls from noon on, a minute apart; the last of them failed, an hour later."""
    for number in range(9):
        house._books.recorder.put(call(number))
    failed: dict[str, Any] = {"outcome": "upstream_error", "error_kind": "rate_limit", "status_code": 429}
    house._books.recorder.put(call(60, **failed, account_id="a2", latency_ms=900))
    async with asyncio.timeout(5):
        while len((await admin.get("/api/v1/stats/logs")).json()["data"]) < 10:  # noqa: ASYNC110 - the recorder writes
            await asyncio.sleep(0.02)


async def get(admin: httpx.AsyncClient, path: str, **query: Any) -> Any:
    response = await admin.get(f"/api/v1/stats/{path}", params=query)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.usefixtures("calls")
async def test_logs_are_newest_first_and_go_on_where_a_page_ended(admin: httpx.AsyncClient) -> None:
    first = await get(admin, "logs", limit=6)
    second = await get(admin, "logs", limit=6, before=first["next"])
    ids = [each["id"] for each in first["data"] + second["data"]]
    assert ids == ["c60", *(f"c{n}" for n in range(8, -1, -1))]
    assert second["next"] is None
    assert first["data"][1]["created_at"] == (NOON + timedelta(minutes=8)).isoformat().replace("+00:00", "Z")
    assert first["data"][1]["attempts"][0]["account_id"] == "a1"


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"provider": "acme"}, 10),
        ({"provider": "globex"}, 0),
        ({"account": "a2"}, 1),
        ({"model": "m-1"}, 10),
        ({"outcome": "upstream_error"}, 1),
        ({"key": "k1"}, 4),
        ({"since": (NOON + timedelta(minutes=8)).isoformat()}, 2),
        ({"until": (NOON + timedelta(minutes=8)).isoformat()}, 8),
        ({"since": (NOON + timedelta(minutes=8)).isoformat().replace("+00:00", "Z"), "key": "-"}, 2),
        ({"offset": 7}, 3),
    ],
)
@pytest.mark.usefixtures("calls")
async def test_logs_are_filtered(admin: httpx.AsyncClient, query: dict[str, Any], count: int) -> None:
    assert len((await get(admin, "logs", **query))["data"]) == count


@pytest.mark.usefixtures("calls")
async def test_the_summary_adds_up_everything_and_each_part(admin: httpx.AsyncClient) -> None:
    found = await get(admin, "summary", **SPAN)
    total = found["total"]
    assert (total["requests"], total["errors"]) == (10, 1)
    assert (total["input_tokens"], total["output_tokens"], total["latency_avg_ms"]) == (100, 10, 180)
    assert 50 < total["latency_p50_ms"] <= 100
    assert 750 < total["latency_p95_ms"] <= 1000
    assert found["errors_by_kind"] == {"rate_limit": 1}
    assert {row["name"]: row["requests"] for row in found["by_account"]} == {"a1": 9, "a2": 1}
    assert {row["name"]: row["requests"] for row in found["by_key"]} == {"-": 6, "k1": 4}
    assert [row["name"] for row in found["by_model"]] == ["m-1"]
    assert [row["name"] for row in found["by_provider"]] == ["acme"]
    nothing = await get(admin, "summary", since="2020-01-01T00:00:00Z", until="2020-01-02T00:00:00Z")
    assert nothing["total"]["requests"] == 0
    assert nothing["total"]["latency_p50_ms"] is None


@pytest.mark.usefixtures("calls")
async def test_the_timeseries_has_a_point_for_every_hour_and_day(admin: httpx.AsyncClient) -> None:
    hours = await get(admin, "timeseries", **SPAN)
    assert [point["requests"] for point in hours["data"]] == [9, 1, 0]
    assert hours["interval"] == "hour"
    one = await get(admin, "timeseries", **SPAN, account="a2")
    assert [point["requests"] for point in one["data"]] == [0, 1, 0]
    days = await get(admin, "timeseries", **SPAN, interval="day")
    assert [(point["requests"], point["errors"]) for point in days["data"]] == [(10, 1)]
    assert days["data"][0]["time"].endswith("T00:00:00Z")


@pytest.mark.parametrize(
    ("path", "query", "place"),
    [
        ("logs", {"limit": 0}, "limit"),
        ("logs", {"limit": 1001}, "limit"),
        ("logs", {"outcome": "fine"}, "outcome"),
        ("logs", {"since": "yesterday"}, "since"),
        ("summary", {"since": "2026-05-04T12:00:00Z", "until": "2026-05-04T12:00:00Z"}, "since"),
        ("timeseries", {"interval": "week"}, "interval"),
        ("timeseries", {"since": "2020-01-01T00:00:00Z"}, "since"),
        ("timeseries", {"model": "m", "key": "k"}, "key"),
        ("proxies/1", {"days": 0}, "days"),
    ],
)
async def test_a_wrong_query_is_named(admin: httpx.AsyncClient, path: str, query: dict[str, Any], place: str) -> None:
    response = await admin.get(f"/api/v1/stats/{path}", params=query)
    assert response.status_code == 400, response.text
    assert place in response.text


_LAST, _FIRST = "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"


@pytest.mark.parametrize("path", ["summary", "timeseries", "timeseries?interval=day"])
@pytest.mark.parametrize(
    "query",
    [
        {"since": "9999-12-31T22:00:00Z", "until": _LAST},
        {"since": "9999-12-30T22:00:00Z", "until": _LAST},
        {"since": _FIRST, "until": "0001-01-01T12:00:00Z"},
        {"until": _FIRST},
        {"until": "0001-01-01T12:00:00Z"},
        {"since": _FIRST},
        {"since": _LAST},
    ],
)
async def test_the_ends_of_time_are_no_errors_of_the_gateway(
    admin: httpx.AsyncClient, path: str, query: dict[str, str]
) -> None:
    name, _, more = path.partition("?")
    said = query | dict([more.split("=")] if more else [])
    answer = await admin.get(f"/api/v1/stats/{name}", params=said)
    assert answer.status_code == 200 or answer.json()["error"]["code"] == "invalid_request", answer.text


@pytest.mark.usefixtures("calls")
async def test_since_the_beginning_of_time_is_everything(admin: httpx.AsyncClient) -> None:
    assert (await get(admin, "summary", since=_FIRST))["total"]["requests"] == 10


@pytest.mark.parametrize(
    "path",
    [
        "stats/proxies/9223372036854775808",
        "stats/proxies/99999999999999999999999",
        "proxies/99999999999999999999999",
    ],
)
async def test_a_number_beyond_all_columns_is_not_found(admin: httpx.AsyncClient, path: str) -> None:
    assert (await admin.get(f"/api/v1/{path}")).status_code == 404


@pytest.mark.parametrize("path", ["stats/logs", "accounts", "keys"])
@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0000000000019999"},
        {"limit": "000000000001" + "9" * 30},
        {"offset": "00000000000099999999999999999999"},
        {"offset": "0" * 12 + "1" * 5000},
    ],
)
async def test_a_number_has_no_more_digits_than_are_looked_at(
    admin: httpx.AsyncClient, path: str, query: dict[str, str]
) -> None:
    answer = await admin.get(f"/api/v1/{path}", params=query)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] == "invalid_request"


async def test_what_a_proxy_carried_is_told_by_day_and_for_today(house: House, admin: httpx.AsyncClient) -> None:
    made = (await admin.post("/api/v1/proxies", json={"url": "http://one.test:1"})).json()["id"]
    assert (await get(admin, f"proxies/{made}"))["data"] == []
    now = datetime.now(UTC)
    tries = (
        Attempt(account_id="a1", latency_ms=30, error_kind="server", proxy_id=made),
        Attempt(account_id="a1", latency_ms=20, proxy_id=made),
    )
    house._books.recorder.put(call(1, created_at=now, attempts=tries))
    async with asyncio.timeout(5):
        found = await get(admin, f"proxies/{made}", days=7)
        while not found["data"] or not found["today"]["requests"]:
            found = await get(admin, f"proxies/{made}", days=7)
            await asyncio.sleep(0.02)
    assert found["today"] == {"requests": 2, "errors": 1}
    (row,) = found["data"]
    assert row == {
        "proxy_id": made,
        "provider_id": "acme",
        "date": now.date().isoformat(),
        "request_count": 2,
        "success_count": 1,
        "error_count": 1,
        "total_latency_ms": 50,
    }
    assert (await admin.get(f"/api/v1/proxies/{made}")).json()["usage_count"] == 2
    assert (await admin.get("/api/v1/stats/proxies/999")).status_code == 404


@pytest.mark.parametrize("path", ["logs", "summary", "timeseries", "proxies/1"])
async def test_a_client_sees_nothing_of_it(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(f"/api/v1/stats/{path}")).status_code == 401
