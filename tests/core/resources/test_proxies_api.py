"""The pool of outbound proxies through the admin API."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio

URL = "socks5://user:pr0xy-pass@203.0.113.9.proxy.test:1080"


async def add(admin: httpx.AsyncClient, number: int = 1, **more: Any) -> dict[str, Any]:
    answer = await admin.post("/api/v1/proxies", json={"url": f"http://proxy-{number}.test:3128", **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def account(admin: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    body = {"provider_id": "acme", "auth_data": {"api_key": "sk-1234567890"}, **more}
    made: dict[str, Any] = (await admin.post("/api/v1/accounts", json=body)).json()
    return made


async def test_a_proxy_is_added_read_changed_and_removed(admin: httpx.AsyncClient) -> None:
    answer = await admin.post("/api/v1/proxies", json={"url": URL, "max_accounts": 3, "priority": 2})
    assert answer.status_code == 201
    made = answer.json()
    assert (made["url"], made["protocol"]) == ("socks5://user:***@203.0.113.9.proxy.test:1080", "socks5")
    assert (made["max_accounts"], made["current_accounts"], made["priority"]) == (3, 0, 2)
    assert (made["health_status"], made["is_active"], made["max_failures"]) == ("healthy", True, None)
    assert "pr0xy-pass" not in answer.text
    path = f"/api/v1/proxies/{made['id']}"
    assert (await admin.get(path)).json() == made
    listed = (await admin.get("/api/v1/proxies")).json()
    assert listed == {"data": [made], "total": 1, "limit": 20, "offset": 0}
    changed = (await admin.put(path, json={"is_active": False, "max_failures": 9})).json()
    assert (changed["is_active"], changed["max_failures"], changed["priority"]) == (False, 9, 2)
    assert (await admin.get("/api/v1/proxies?is_active=true")).json()["total"] == 0
    assert (await admin.delete(path)).status_code == 204
    assert (await admin.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "url: is missing"),
        ({"url": "ftp://x"}, "url: an outbound proxy is written scheme://host:port"),
        ({"url": "http://127.0.0.1:1"}, "url: is not a public address"),
        ({"url": URL, "max_accounts": -1}, "max_accounts: must be at least 0"),
        ({"url": URL, "max_accounts": "3"}, "max_accounts: expected an integer"),
        ({"url": URL, "weight": 0}, "weight: must be at least 1"),
        ({"url": URL, "colour": 1}, "colour: unknown key"),
    ],
)
async def test_what_cannot_be_is_told_with_its_path(admin: httpx.AsyncClient, body: dict[str, Any], told: str) -> None:
    answer = await admin.post("/api/v1/proxies", json=body)
    assert answer.status_code == 422
    assert told in answer.text
    assert "pr0xy-pass" not in answer.text


@pytest.mark.parametrize("query", ["health_status=ill", "is_active=yes", "limit=0", "offset=-1"])
async def test_a_query_that_makes_no_sense_is_refused(admin: httpx.AsyncClient, query: str) -> None:
    answer = await admin.get(f"/api/v1/proxies?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.text


async def test_the_same_proxy_twice_is_a_conflict(admin: httpx.AsyncClient) -> None:
    await add(admin)
    assert (await admin.post("/api/v1/proxies", json={"url": "http://proxy-1.test:3128"})).status_code == 409


async def test_nobody_but_an_admin_sees_the_pool(client: httpx.AsyncClient) -> None:
    for path in ("", "/1", "/assignments", "/plan"):
        assert (await client.get(f"/api/v1/proxies{path}")).status_code == 401
    assert (await client.post("/api/v1/proxies/recalculate")).status_code == 401


async def test_a_new_account_is_bound_when_it_is_made(admin: httpx.AsyncClient) -> None:
    proxy = await add(admin, max_accounts=1)
    first, second = await account(admin), await account(admin)
    assert (first["proxy_id"], second["proxy_id"]) == (proxy["id"], None)
    assert (await account(admin, egress="direct"))["proxy_id"] is None
    assert (await account(admin, proxy_url="http://own.test:1"))["proxy_id"] is None
    found = (await admin.get("/api/v1/proxies/assignments")).json()
    places = {place["account_id"]: place["proxy_id"] for place in found["data"]}
    assert places == {"config:config-only": None, first["id"]: proxy["id"], second["id"]: None}
    assert (found["total"], found["unassigned"]) == (3, 2)


async def test_a_plan_says_what_a_recalculation_then_does(admin: httpx.AsyncClient) -> None:
    first = await add(admin, 1, max_accounts=2)
    made = [(await account(admin))["id"] for _ in range(2)]
    second = await add(admin, 2, max_accounts=1)
    await admin.put(f"/api/v1/proxies/{first['id']}", json={"is_active": False})
    plan = (await admin.get("/api/v1/proxies/plan")).json()
    assert (plan["accounts"], plan["places"], plan["missing"]) == (3, 1, 2)
    assert {"account_id": "config:config-only", "from": None, "to": second["id"]} in plan["moves"]
    assert {"account_id": made[0], "from": first["id"], "to": None} in plan["moves"]
    assert (await admin.get(f"/api/v1/accounts/{made[0]}")).json()["proxy_id"] == first["id"]
    assert (await admin.post("/api/v1/proxies/recalculate")).json() == plan
    assert (await admin.get("/api/v1/accounts/config:config-only")).json()["proxy_id"] == second["id"]


async def test_what_would_move_if_one_died_is_known_beforehand(admin: httpx.AsyncClient) -> None:
    first, second = await add(admin, 1), await add(admin, 2, max_accounts=1)
    made = [(await account(admin))["id"] for _ in range(2)]
    plan = (await admin.get(f"/api/v1/proxies/plan?without={first['id']}")).json()
    assert plan["moves"] == [
        {"account_id": made[0], "from": first["id"], "to": second["id"]},
        {"account_id": made[1], "from": first["id"], "to": None},
    ]
    assert plan["missing"] == 1
    assert (await admin.get("/api/v1/proxies/plan?without=99")).status_code == 404
    refused = await admin.delete(f"/api/v1/proxies/{first['id']}")
    assert refused.status_code == 409
    assert made[1] in refused.text
