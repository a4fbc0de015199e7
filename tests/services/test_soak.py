"""A soak: very many mixed requests over two workers, after which nothing has grown and every count agrees.

``--requests`` says how many: ``tox -e soak`` asks 200,000, other runs 2,000. Whether anything grows is judged once
there are enough of them for a line through the figures to mean something; the counts have to agree always.

Then there is one that keeps its pace for ``--minutes``, at ``--share`` of what gateway, clients and vendors can carry
together on this machine, which is measured first: half an hour in ``tox -e soak``, some seconds in other runs.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest
import redis
from e2e.gateway_process import CLIENT_KEY, GatewayProcess
from faults.crowds import quantile
from outbound_proxies import Socks5Proxy
from scripted_upstream import ScriptedUpstream
from services.private_servers import MariaDB, Redis
from services.soak.clients import Clients
from services.soak.figures import Figures, gauges, slope
from services.soak.questions import CLIENTS, FAULTS, MODELS, Question, questions
from services.soak.vendor import KEYS, SoakVendor

pytestmark = [pytest.mark.anyio, pytest.mark.services, pytest.mark.timeout(7200)]

MASTER_KEY = "q4pSbq7n0cYF2L1g3Wm5u8xJt6dKz9vHhRfEaQwXyTU="
DATABASE = "test_soak"
WORKERS = 2
STEPS = 50
LONG, SIXTHS = 30, 6
"""Minutes after which there is enough to judge by: the last five of them are compared with the first."""

ENOUGH = 20_000
"""Requests that are the warming up of a soak; whether anything grows is judged by at least as many after them."""

PROXIED = "messages"
"""The provider whose accounts go by an outbound proxy."""

ATTEMPTS = """SELECT COALESCE(tried.provider, provider_id), tried.proxy, COALESCE(tried.dispatched, '1'), COUNT(*)
 FROM request_logs, JSON_TABLE(attempts, '$[*]' COLUMNS (provider VARCHAR(64) PATH '$.provider_id',
 proxy INT PATH '$.proxy_id', dispatched VARCHAR(8) PATH '$.dispatched')) AS tried GROUP BY 1, 2, 3"""
"""How many attempts there were by provider, outbound proxy, and whether anything was sent."""


@attrs.frozen(eq=False)
class Site:
    """All that stands while it is soaked."""

    vendor: SoakVendor
    gateway: GatewayProcess
    database: MariaDB
    redis: Redis

    def select(self, statement: str) -> list[tuple[Any, ...]]:
        return self.database.execute(statement, database=DATABASE)


@pytest.fixture
def requests(request: pytest.FixtureRequest) -> int:
    count: int = request.config.getoption("--requests")
    return count


@pytest.fixture
async def site(own_mariadb: MariaDB, own_redis: Redis, tmp_path: Path) -> AsyncIterator[Site]:
    """A gateway before three vendors, with three accounts for each."""
    own_mariadb.execute(f"CREATE DATABASE {DATABASE}")
    async with ScriptedUpstream() as upstream, Socks5Proxy() as proxy:
        vendor = SoakVendor(upstream)
        environment = {"AIGATEWAY_MASTER_KEY": MASTER_KEY}
        gateway = GatewayProcess(config(vendor, own_mariadb, own_redis), tmp_path / "gateway", environment=environment)
        try:
            await asyncio.to_thread(furnish, gateway, proxy)
            yield Site(vendor, gateway, own_mariadb, own_redis)
        finally:
            gateway.kill()


def config(vendor: SoakVendor, mariadb: MariaDB, state: Redis) -> dict[str, Any]:
    return {
        "server": {"workers": WORKERS},
        "providers": vendor.providers,
        "database": {
            "engine": "mysql",
            "host": mariadb.host,
            "port": mariadb.port,
            "user": mariadb.user,
            "password": mariadb.password,
            "database": DATABASE,
        },
        "redis": {"enabled": True, "host": state.host, "port": state.port},
        "security": {"allow_private_hosts": ["127.0.0.1"]},
        # Vendors and proxy share their process with the clients, on a machine that may have other things to do.
        # At the end of a step only those are left that fail, slowly: several in a row, upon which a breaker would open.
        "upstream": {"connect_timeout": 60, "breaker_failures": 0},
        "plugins": {"allowed": []},
    }


def furnish(gateway: GatewayProcess, proxy: Socks5Proxy) -> None:
    """Start it, and give each provider its accounts."""
    gateway.start()
    gateway.admin("POST", "/proxies", {"url": proxy.url, "max_accounts": len(KEYS)})
    for provider in ("chat", "messages", "contents"):
        for key in KEYS:
            new = {"provider_id": provider, "auth_data": {"api_key": key}}
            gateway.admin("POST", "/accounts", new if provider == PROXIED else {**new, "egress": "direct"})


def test_the_mix_is_what_a_soak_is_to_be_made_of() -> None:
    asked = list(questions(20_000))
    fates = Counter(each.fate for each in asked)
    assert 0.69 < sum(each.streamed for each in asked) / len(asked) < 0.72
    assert 0.09 < sum(fates[fate] for fate in fates if fate.startswith("leaves")) / len(asked) < 0.11
    assert 0.045 < sum(fates[fate] for fate in FAULTS) / len(asked) < 0.055
    assert {(each.dialect, each.model, each.streamed) for each in asked} == {
        (dialect, model, streamed) for dialect in CLIENTS for model in MODELS.values() for streamed in (True, False)
    }


async def test_k_01_k_07_nothing_grows_and_every_count_agrees(site: Site, requests: int) -> None:
    clients = Clients(site.gateway.url, CLIENT_KEY, site.vendor)
    workers = sorted(site.gateway.workers().values())
    assert len(workers) == WORKERS
    await asyncio.sleep(1.5)  # every worker knows of the accounts by then
    seen: list[Moment] = []
    for step in range(STEPS):
        await clients.ask(requests * (step + 1) // STEPS - requests * step // STEPS)
        seen.append(await moment(site, clients.asked, workers))
    assert clients.asked == requests
    await all_went_well(site, clients, workers)
    if requests >= 2 * ENOUGH:
        nothing_grows([each for each in seen if each.asked > ENOUGH])


async def all_went_well(site: Site, clients: Clients, workers: Sequence[int]) -> None:
    """End the gateway: nothing has happened that was not meant to, and all of it was written down."""
    assert not clients.surprises, (len(clients.surprises), clients.surprises[:10])
    assert not site.vendor.violations, site.vendor.violations[:10]
    assert sorted(site.gateway.workers().values()) == workers
    assert await asyncio.to_thread(site.gateway.stop) == 0, site.gateway.output
    assert "Traceback" not in site.gateway.output
    every_row_is_there_once(site, clients.asked)
    counts_agree(site)


@attrs.frozen
class Moment:
    """What the workers take after so many requests; ``tasks`` are those of their event loops."""

    asked: int
    figures: Figures
    tasks: float


async def moment(site: Site, asked: int, workers: Sequence[int]) -> Moment:
    told = await asyncio.to_thread(gauges, site.gateway.url)
    assert told["aigateway_records_dropped"] == 0
    found = Moment(asked, Figures.of(workers), told["aigateway_tasks"])
    sys.stdout.write(f"{found}\n")
    return found


def every_row_is_there_once(site: Site, requests: int) -> None:
    """One row for each request; of clients that left at once the gateway need not have heard."""
    rows = Counter(name for (name,) in site.select("SELECT request_id FROM request_logs"))
    assert set(rows.values()) == {1}
    missing = [each for each in questions(requests) if f"soak-{each.number}" not in rows]
    assert {each.fate for each in missing} <= {"leaves_at_once"}
    assert len(rows) + len(missing) == requests


def counts_agree(site: Site) -> None:
    """The vendor's calls are the attempts of the rows, and those are the sums by day."""
    asked = Counter[str]()
    for (_, wire), count in site.vendor.calls.items():
        asked[wire] += count
    sent, proxied = Counter[str](), 0
    for provider, proxy, dispatched, count in site.select(ATTEMPTS):
        assert (proxy is not None) == (provider == PROXIED)
        proxied += count if proxy is not None else 0
        sent[provider] += count if dispatched in {"1", "true"} else 0
    assert sent == asked
    rows = site.select("SELECT COUNT(*) FROM request_logs")
    for dimension in ("all", "all/day", "provider/day", "account/day", "key/day"):
        assert site.select(f"SELECT SUM(requests) FROM call_stats WHERE dimension = '{dimension}'") == rows
    assert site.select("SELECT SUM(request_count), COUNT(DISTINCT date) FROM proxy_stats") in (
        [(proxied, 1)],
        [(proxied, 2)],
    )
    if site.select("SELECT COUNT(DISTINCT date) FROM proxy_stats") == [(1,)]:
        with redis.Redis(host=site.redis.host, port=site.redis.port) as counted:
            assert sum(int(counted.get(key)) for key in counted.keys("stats:proxy:*:requests:today")) == proxied


def nothing_grows(seen: Sequence[Moment]) -> None:
    """For each further ten thousand requests: at most a MiB of memory in each worker, and nothing else."""
    per = 10_000
    grown = {
        "memory": slope([(each.asked / per, each.figures.memory) for each in seen]) / WORKERS,
        "files": slope([(each.asked / per, each.figures.files) for each in seen]),
        "threads": slope([(each.asked / per, each.figures.threads) for each in seen]),
        "tasks": slope([(each.asked / per, each.tasks) for each in seen]),
    }
    sys.stdout.write(f"grown for each {per} requests: {grown}\n")
    assert grown["memory"] <= 1.0, grown
    assert max(grown["files"], grown["threads"], grown["tasks"]) <= 1.0, grown


async def test_k_02_at_a_steady_pace_the_slowest_get_no_slower_and_nothing_grows(
    site: Site, pytestconfig: pytest.Config
) -> None:
    minutes: float = pytestconfig.getoption("--minutes")
    share: float = pytestconfig.getoption("--share")
    clients = Clients(site.gateway.url, CLIENT_KEY, site.vendor)
    workers = sorted(site.gateway.workers().values())
    await asyncio.sleep(1.5)  # every worker knows of the accounts by then
    await clients.capacity(min(1.0, minutes * 10))  # what is made at the first request is made by then
    most = await clients.capacity(min(20.0, minutes * 20))
    seen, slowest = [await moment(site, clients.asked, workers)], []
    for _ in range(SIXTHS):
        clients.took.clear()
        await clients.keep_pace(share * most, minutes * 60 / SIXTHS)
        slowest.append(quantile(clients.took, 0.99))
        seen.append(await moment(site, clients.asked, workers))
    sys.stdout.write(
        f"{share:.0%} of {most:.0f} questions a second for {minutes:g} minutes; "
        f"p99 of each sixth in ms: {[round(each * 1000) for each in slowest]}\n"
    )
    await all_went_well(site, clients, workers)
    if minutes >= LONG:
        assert slowest[-1] <= 1.2 * slowest[0], slowest
        nothing_grows([each for each in seen if each.asked > ENOUGH])


async def test_k_06_clients_that_come_back_again_and_again_leave_no_file_open(site: Site, requests: int) -> None:
    """Streams that their clients leave after the first event, each on a connection of its own."""
    await asyncio.sleep(1.5)  # every worker knows of the accounts by then
    workers = list(site.gateway.workers().values())
    coming = (each for each in questions(1_000_000) if each.fate == "leaves_midway")
    left = asyncio.Semaphore(50)

    async def come(question: Question) -> None:
        async with left, aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
            headers = {"authorization": f"Bearer {CLIENT_KEY}", "content-type": "application/json", **question.headers}
            url = f"{site.gateway.url}{question.path}"
            async with session.post(url, data=question.body, headers=headers) as answer:
                assert answer.status == 200
                assert await answer.content.readany()

    async def wave(count: int) -> Moment:
        await asyncio.gather(*(come(question) for question in itertools.islice(coming, count)))
        await asyncio.sleep(2)  # the gateway has seen them leave, and told of it
        return await moment(site, count, workers)

    # With the first of them each worker makes what it then keeps.
    _, before, after = [await wave(min(requests // 5, 5000)) for _ in range(3)]
    assert after.figures.files <= before.figures.files + 10, (before, after)
    assert after.tasks <= before.tasks + 10, (before, after)
    assert await asyncio.to_thread(site.gateway.stop) == 0, site.gateway.output
    assert "Traceback" not in site.gateway.output
