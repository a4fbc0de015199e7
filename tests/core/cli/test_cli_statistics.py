"""The commands for what happened, as an operator types them, over calls that were recorded."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aigateway_core.bootstrap import open_storage
from aigateway_core.records import CallRecord
from aigateway_core.settings import load

Command = Callable[..., subprocess.CompletedProcess[str]]


def call(number: int, **more: object) -> CallRecord:
    values = {
        "id": f"c{number}",
        "request_id": f"req-{number}",
        "created_at": datetime.now(UTC) - timedelta(minutes=10 - number),
        "dialect": "anthropic",
        "client_key_id": "-",
        "outcome": "ok",
        "status_code": 200,
        "latency_ms": 120,
        "model": "m-\x1b[31m1",
        "provider_id": "acme" if number else "globex",
        "input_tokens": 7,
        "output_tokens": 3,
    }
    return CallRecord(**{**values, **more})  # type: ignore[arg-type]


async def write(*records: CallRecord) -> None:
    async with await open_storage(load()) as storage:
        await storage.calls.insert_many(records)


@pytest.fixture
def calls(home: Path) -> None:
    """Three calls of the last minutes, the newest of them refused by its vendor."""
    failed = call(2, outcome="upstream_error", error_kind="overloaded", status_code=529, account_id="a-7")
    asyncio.run(write(call(0), call(1), failed))


@pytest.mark.usefixtures("calls")
def test_logs_show_the_last_calls_in_their_order(command: Command) -> None:
    lines = command("logs").stdout.splitlines()
    assert [line.split()[-1] for line in lines] == ["req-0", "req-1", "req-2"]
    assert "529  upstream_error" in lines[2]
    assert "overloaded" in lines[2]
    assert "\x1b" not in "".join(lines), "what callers make up must not steer the terminal"
    assert len(command("logs", "--provider", "globex").stdout.splitlines()) == 1
    (only,) = map(json.loads, command("logs", "--account", "a-7", "--json").stdout.splitlines())
    assert (only["id"], only["error_kind"]) == ("c2", "overloaded")
    assert [line.split()[-1] for line in command("logs", "--limit", "1").stdout.splitlines()] == ["req-2"]


@pytest.mark.usefixtures("calls")
def test_an_outcome_that_no_call_can_have_is_refused_with_those_that_it_can(command: Command) -> None:
    assert len(command("logs", "--outcome", "upstream_error").stdout.splitlines()) == 1
    refused = command("logs", "--outcome", "nonsense")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert all(outcome in refused.stderr for outcome in ("nonsense", "upstream_error", "client_gone"))


@pytest.mark.usefixtures("calls")
def test_stats_add_up(command: Command) -> None:
    told = json.loads(command("stats", "--json").stdout)
    assert (told["total"]["requests"], told["total"]["errors"], told["total"]["input_tokens"]) == (3, 1, 21)
    shown = command("stats").stdout
    assert [line.split()[:3] for line in shown.splitlines() if line.startswith("acme")] == [["acme", "2", "1"]]
    assert "overloaded" in shown


def listen_to_sigint() -> None:
    """Of shells that run these tests in the background, a process learns to ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.usefixtures("calls")
def test_followed_logs_go_on_with_what_comes(home: Path) -> None:
    command = [sys.executable, "-c", "from aigateway_core.cli import main; main()", "logs", "--follow", "--limit", "1"]
    with subprocess.Popen(command, cwd=home, stdout=subprocess.PIPE, text=True, preexec_fn=listen_to_sigint) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline().split()[-1] == "req-2"
            asyncio.run(write(call(9)))
            assert process.stdout.readline().split()[-1] == "req-9"
        finally:
            process.send_signal(signal.SIGINT)
        assert process.stdout.read() == ""
    assert process.returncode == 0


def test_with_nothing_recorded_there_is_nothing_to_show(command: Command) -> None:
    assert command("logs").stdout == ""
    assert json.loads(command("stats", "--json").stdout)["total"]["requests"] == 0
