"""What a worker takes from its gateway, and what from the configuration."""

from __future__ import annotations

from pathlib import Path

from core.cli.conftest import Command

from aigateway_core.cli import worker
from aigateway_core.settings import ServerSettings

INHERITED = ("--number=1", "--slot=1", "--link=0", "--listener=0", "--metrics=counted")


def test_a_worker_is_told_where_its_gateway_listens_and_how_many_there_are() -> None:
    running = ServerSettings(host="10.0.0.1", port=99, workers=4)
    words = worker.command(None, running, Path("counted"))
    assert {"--host=10.0.0.1", "--port=99", "--workers=4", "--metrics=counted"} <= set(words)


def test_workers_that_could_share_nothing_any_more_do_not_start(home: Path, process: Command) -> None:
    (home / "config.yaml").write_text("server: {workers: 1}\nredis: {enabled: false}\n")
    ended = process("worker", *INHERITED, "--host=127.0.0.1", "--port=9", "--workers=2", "--config=config.yaml")
    assert ended.returncode == 78
    assert "redis.enabled: 2 workers need Redis" in ended.stderr
