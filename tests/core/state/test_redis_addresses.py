"""Redis by its URL, and through its sentinels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from core.state.state_contract import eventually
from services.private_servers import LOOPBACK, Redis, running
from typing_extensions import override

from aigateway_core.secret import Secret
from aigateway_core.state.address import RedisAddress
from aigateway_core.state.redis import RedisState

pytestmark = [pytest.mark.anyio, pytest.mark.services]


class Sentinel(Redis):
    """Watches one Redis, under the name ``gateway``."""

    def __init__(self, root: Path, watched: Redis) -> None:
        super().__init__(root)
        self._watched = watched

    @override
    def command(self, port: int) -> Sequence[str]:
        settings = self.root / "sentinel.conf"
        settings.write_text(f"bind {LOOPBACK}\nsentinel monitor gateway {LOOPBACK} {self._watched.port} 1\n", "ascii")
        program, *_ = super().command(port)
        return [program, str(settings), "--sentinel", "--port", str(port), "--dir", str(self.root)]


@pytest.fixture
def sentinel(own_redis: Redis, tmp_path: Path) -> Iterator[Sentinel]:
    with running(Sentinel(tmp_path, own_redis)) as sentinel:
        yield sentinel


async def test_a_redis_is_found_through_its_sentinels(own_redis: Redis, sentinel: Sentinel) -> None:
    url = f"sentinel://{LOOPBACK}:1,{LOOPBACK}:{sentinel.port}/gateway/2"
    state = RedisState(RedisAddress(url=Secret(url)), limit=10)
    await state.start()
    lease = await state.acquire("l", 30)
    assert lease is not None
    assert lease.shared
    here = RedisState(RedisAddress(url=Secret(f"redis://{LOOPBACK}:{own_redis.port}/2")), limit=10)
    await here.start()
    assert await here.acquire("l", 30) is None
    state.bind("c", "p", "m", "a")

    async def known() -> bool:
        return await here.bound("c", "p", "m") == "a"

    await eventually(known)
    for each in (state, here):
        await each.aclose()


async def test_without_a_sentinel_the_gateway_goes_on_alone(sentinel: Sentinel) -> None:
    sentinel.kill()
    state = RedisState(RedisAddress(url=Secret(f"sentinel://{LOOPBACK}:{sentinel.port}/gateway")))
    await state.start()
    lease = await state.acquire("l", 30)
    assert lease is not None
    assert not lease.shared
    await state.aclose()


def test_an_address_is_shown_without_what_is_secret() -> None:
    urls = {
        "redis://user:hunter@one:6380/0": "one:6380",
        "sentinel://:hunter@one:1,two:2/gateway?sentinel_password=hunter": "one:1,two:2",
    }
    for url, shown in urls.items():
        assert RedisAddress(url=Secret(url)).shown == shown
    assert RedisAddress(host="one", port=1, password=Secret("hunter")).shown == "one:1"
