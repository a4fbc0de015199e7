"""Redis with a replica that takes over, as its sentinels decide; and in cluster mode, which wants keys one by one."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import anyio
import pytest
import redis
from core.state.state_contract import StateContract
from ports import free_port
from services.private_servers import LOOPBACK, Redis, running
from typing_extensions import override

from aigateway_core.secret import Secret
from aigateway_core.state.address import RedisAddress
from aigateway_core.state.redis import RedisState

pytestmark = [pytest.mark.services, pytest.mark.timeout(90)]

SECONDS = 30.0
"""How long a failover may take, the sentinels' own deliberation included."""


class Replica(Redis):
    """Follows another Redis."""

    def __init__(self, root: Path, followed: Redis) -> None:
        super().__init__(root)
        self._followed = followed

    @override
    def command(self, port: int) -> Sequence[str]:
        return [*super().command(port), "--replicaof", f"{LOOPBACK} {self._followed.port}"]


class HastySentinel(Redis):
    """Watches one Redis, under the name ``gateway``, and is quick to put its replica in its place."""

    def __init__(self, root: Path, watched: Redis) -> None:
        super().__init__(root)
        self._watched = watched

    @override
    def command(self, port: int) -> Sequence[str]:
        settings = self.root / "sentinel.conf"
        lines = [
            f"bind {LOOPBACK}",
            f"sentinel monitor gateway {LOOPBACK} {self._watched.port} 1",
            "sentinel down-after-milliseconds gateway 500",
            "sentinel failover-timeout gateway 3000",
        ]
        settings.write_text("\n".join(lines) + "\n", "ascii")
        program, *_ = super().command(port)
        return [program, str(settings), "--sentinel", "--port", str(port), "--dir", str(self.root)]


class ClusterNode(Redis):
    """A cluster of one: it refuses commands over keys of several slots, as every cluster does."""

    @override
    def command(self, port: int) -> Sequence[str]:
        # Its other port would be this one and ten thousand, which may be too large for a port.
        return [*super().command(port), "--cluster-enabled", "yes", "--cluster-port", str(free_port())]


def folder(root: Path, name: str) -> Path:
    made = root / name
    made.mkdir()
    return made


@pytest.mark.anyio
async def test_d_14_after_a_failover_the_replica_is_asked(own_redis: Redis, tmp_path: Path) -> None:
    with (
        running(Replica(folder(tmp_path, "replica"), own_redis)) as replica,
        running(HastySentinel(folder(tmp_path, "sentinel"), own_redis)) as sentinel,
    ):
        with redis.Redis(host=LOOPBACK, port=sentinel.port) as asked, anyio.fail_after(SECONDS):
            while not asked.execute_command("SENTINEL", "REPLICAS", "gateway"):  # noqa: ASYNC110 - it learns by and by
                await anyio.sleep(0.1)
        url = Secret(f"sentinel://{LOOPBACK}:{sentinel.port}/gateway")
        state = RedisState(RedisAddress(url=url), limit=2)
        await state.start()
        before = await state.acquire("before", 60)
        assert before is not None
        assert before.shared
        turns = [await state.take_turn("p", "m") for _ in range(5)]
        own_redis.kill()
        # Nobody waits for it: meanwhile there are turns and locks of this worker's own.
        began = time.monotonic()
        turns += [await state.take_turn("p", "m") for _ in range(5)]
        assert len(turns) == len(set(turns)) == 10
        with anyio.fail_after(SECONDS):
            number = 0
            while True:
                number += 1
                lease = await state.acquire(f"after-{number}", 60)
                if lease is not None and lease.shared:
                    break
                await anyio.sleep(0.1)
        with redis.Redis(host=LOOPBACK, port=replica.port) as promoted:
            assert promoted.role()[0] == b"master"
            assert any(f"after-{number}".encode() in key for key in promoted.scan_iter())
        assert state.connected
        assert time.monotonic() - began < SECONDS
        await state.aclose()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterNode]:
    with running(ClusterNode(tmp_path_factory.mktemp("cluster"))) as node:
        with redis.Redis(host=LOOPBACK, port=node.port) as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            deadline = time.monotonic() + SECONDS
            while "'ok'" not in repr(client.execute_command("CLUSTER INFO")):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            # It is a cluster indeed: what reaches over slots is refused.
            with pytest.raises(redis.exceptions.ResponseError, match="same slot"):
                client.mget("one", "two")
        yield node


class TestRedisInClusterMode(StateContract):
    """All that the state promises, where no command may touch keys of two slots."""

    @pytest.fixture
    def prefix(self) -> str:
        """Keys of this test's own."""
        return f"{secrets.token_hex(4)}:"

    @pytest.fixture
    async def state(self, cluster: ClusterNode, prefix: str) -> AsyncIterator[RedisState]:
        state = RedisState(RedisAddress(host=cluster.host, port=cluster.port), prefix, limit=10)
        await state.start()
        yield state
        assert state.connected
        await state.aclose()

    @pytest.fixture
    async def other(self, cluster: ClusterNode, prefix: str) -> AsyncIterator[RedisState]:
        other = RedisState(RedisAddress(host=cluster.host, port=cluster.port), prefix, limit=10)
        await other.start()
        yield other
        await other.aclose()
