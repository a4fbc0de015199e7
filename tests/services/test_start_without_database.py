"""Gateways that are started before their MariaDB: they wait for it, and serve soon after it has come."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from e2e.gateway_process import ADMIN_KEY, CLIENT_KEY, GatewayProcess
from services.load import MODEL, QuickVendor
from services.private_servers import MariaDB, Redis

pytestmark = [pytest.mark.services, pytest.mark.timeout(120)]

MASTER_KEY = "q4pSbq7n0cYF2L1g3Wm5u8xJt6dKz9vHhRfEaQwXyTU="
QUESTION = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def vendor() -> Iterator[QuickVendor]:
    quick = QuickVendor("key-1")
    quick.start()
    yield quick
    quick.stop()


@pytest.fixture(params=[(1, True), (2, True), (1, False)], ids=["one process", "two workers", "D_17 without Redis too"])
def gateway(
    request: pytest.FixtureRequest, vendor: QuickVendor, own_mariadb: MariaDB, own_redis: Redis, tmp_path: Path
) -> Iterator[GatewayProcess]:
    """Started while its database is away."""
    own_mariadb.execute("CREATE DATABASE test_late")
    own_mariadb.stop()
    workers, has_redis = request.param
    if not has_redis:
        own_redis.kill()
    config: dict[str, Any] = {
        "server": {"workers": workers},
        "providers": vendor.config(api_key="key-1"),
        "database": {
            "engine": "mysql",
            "host": own_mariadb.host,
            "port": own_mariadb.port,
            "user": own_mariadb.user,
            "password": own_mariadb.password,
            "database": "test_late",
        },
        "redis": {"enabled": True, "url": own_redis.url},
        "plugins": {"allowed": []},
    }
    process = GatewayProcess(config, tmp_path / "gateway", environment={"AIGATEWAY_MASTER_KEY": MASTER_KEY})
    process.start()
    yield process
    assert process.stop() == 0, process.output
    assert "Traceback" not in process.output, process.output


def ask(gateway: GatewayProcess, key: str = CLIENT_KEY) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=QUESTION, headers=headers, timeout=20)


def test_d_06_it_waits_for_the_database_and_serves_soon_after_it_has_come(
    gateway: GatewayProcess, own_mariadb: MariaDB
) -> None:
    assert httpx.get(f"{gateway.url}/health").status_code == 200
    assert httpx.get(f"{gateway.url}/ready").status_code == 503
    for key in (CLIENT_KEY, "nobody's"):
        refused = ask(gateway, key)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert not any(word in refused.text for word in (own_mariadb.host, str(own_mariadb.port), "test_late"))
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    assert httpx.get(f"{gateway.url}/api/v1/accounts", headers=headers).status_code == 503
    own_mariadb.start()
    began = time.monotonic()
    while httpx.get(f"{gateway.url}/ready").status_code != 200:
        assert time.monotonic() - began < 60, gateway.output
        time.sleep(0.05)
    # Five seconds on a machine that has time.
    assert time.monotonic() - began <= 20.0
    # Each worker comes to it by itself.
    while time.monotonic() - began < 5.0:
        time.sleep(0.2)
    assert {ask(gateway).status_code for _ in range(20)} == {200}
    assert ask(gateway, "nobody's").status_code == 401
