"""Accounts behind outbound proxies, with a real gateway, real proxies and a vendor that sees who comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Any

import httpx
import pytest
from e2e.gateway_process import CLIENT_KEY, GatewayProcess
from e2e.house import KEYS, Vendors
from outbound_proxies import HttpProxy, Socks5Proxy

CHAT = {"model": "beta-large", "messages": [{"role": "user", "content": "hello"}]}


class Doors:
    """Outbound proxies on an event loop of their own, since the tests are synchronous."""

    def __init__(self) -> None:
        self.http = HttpProxy("user", "pr0xy-canary-1")
        self.socks = Socks5Proxy("user", "pr0xy-canary-2")
        self._ready, self._over = Event(), asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Doors:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *error: object) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    def close(self, door: HttpProxy | Socks5Proxy) -> None:
        """Let nobody in any more."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(door._server.close)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with self.http, self.socks:
            self._ready.set()
            await self._over.wait()


@pytest.fixture
def doors() -> Iterator[Doors]:
    with Doors() as made:
        yield made


@pytest.fixture
def house(start_gateway: Callable[..., GatewayProcess], vendors: Vendors) -> GatewayProcess:
    """A gateway without accounts, in front of one vendor."""
    return start_gateway(
        {
            "providers": {"beta": vendors.providers(keys=False)["beta"]},
            "plugins": {"allowed": []},
            "security": {"allow_private_hosts": ["127.0.0.1"]},
            "proxy": {"health_check_interval": 0.5, "max_failures": 2},
        }
    )


def ask(house: GatewayProcess) -> httpx.Response:
    return httpx.post(
        f"{house.url}/v1/chat/completions",
        json=CHAT,
        headers={"authorization": f"Bearer {CLIENT_KEY}"},
        timeout=30,
    )


def add_proxy(house: GatewayProcess, url: str, **more: Any) -> int:
    return int(house.admin("POST", "/proxies", {"url": url, **more})["id"])


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_each_account_goes_out_by_its_own_proxy_and_the_log_says_by_which(
    house: GatewayProcess, vendors: Vendors, doors: Doors
) -> None:
    first = add_proxy(house, doors.http.url, max_accounts=1)
    second = add_proxy(house, doors.socks.url, max_accounts=1)
    accounts = [house.add_account("beta", KEYS["beta"]) for _ in range(2)]
    since = house.mark()
    for _ in range(4):
        answer = ask(house)
        assert answer.status_code == 200, answer.text
    rows = house.rows(since, 4)
    assert {row["account_id"]: row["proxy_id"] for row in rows} == dict(zip(accounts, (first, second), strict=True))
    assert [row["attempts"][0]["proxy_id"] for row in rows] == [row["proxy_id"] for row in rows]
    address = vendors.beta.url.removeprefix("http://")
    assert address in doors.http.asked
    assert address in doors.socks.asked
    for canary in ("pr0xy-canary-1", "pr0xy-canary-2"):
        assert canary not in house.output


def test_u_36_an_account_without_a_place_gets_a_clear_503_and_nothing_goes_out(
    house: GatewayProcess, vendors: Vendors, doors: Doors
) -> None:
    proxy = add_proxy(house, doors.http.url, max_accounts=1)
    bound, _ = house.add_account("beta", KEYS["beta"]), house.add_account("beta", KEYS["beta"])
    places = house.admin("GET", "/proxies/assignments")["data"]
    assert {"account_id": bound, "proxy_id": proxy} in places
    house.admin("DELETE", f"/accounts/{bound}")
    house.admin("PUT", f"/proxies/{proxy}", {"is_active": False})
    seen = len(vendors.beta.exchanges)
    answer = ask(house)
    assert answer.status_code == 503
    assert "no outbound proxy has room" in answer.json()["error"]["message"]
    assert int(answer.headers["retry-after"]) >= 1
    assert len(vendors.beta.exchanges) == seen
    house.admin("PUT", f"/proxies/{proxy}", {"is_active": True})
    answer = ask(house)
    assert answer.status_code == 200, answer.text
    assert len(vendors.beta.exchanges) == seen + 1


def test_u_35_a_proxy_that_dies_is_passed_over_noticed_and_comes_back(
    house: GatewayProcess, vendors: Vendors, doors: Doors
) -> None:
    dying = add_proxy(house, doors.socks.url, max_accounts=1)
    add_proxy(house, doors.http.url, max_accounts=1)
    for _ in range(2):
        house.add_account("beta", KEYS["beta"])
    doors.close(doors.socks)
    for _ in range(6):
        answer = ask(house)
        assert answer.status_code == 200, answer.text
    until(lambda: house.admin("GET", f"/proxies/{dying}")["health_status"] == "down")
    plan = house.admin("GET", "/proxies/plan")
    assert (plan["places"], plan["missing"]) == (1, 1)
    house.admin("PUT", f"/proxies/{dying}", {"url": doors.http.url.replace("127.0.0.1", "localhost")})
    until(lambda: house.admin("GET", f"/proxies/{dying}")["last_checked_at"] is not None)
    assert house.admin("GET", f"/proxies/{dying}")["health_status"] == "healthy"
