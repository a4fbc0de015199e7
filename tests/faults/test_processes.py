"""What happens to the process of a gateway: it is told to end, stopped, or has too little of what it needs."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from e2e.gateway_process import CLIENT_KEY, GatewayProcess
from faults.crowds import Listener, each_his_own, endless, question, until
from faults.watched_gateway import CHAT, WatchedGateway
from scripted_upstream import ScriptedUpstream, whole

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

ANSWER = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"crowd","choices":[{"index":0,"finish_reason":"stop",'
    b'"message":{"role":"assistant","content":"hello"}}]}'
)
JSON = {"content-type": "application/json"}
Start = Callable[..., Any]


@pytest.fixture
async def start(scripted_upstream: ScriptedUpstream, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts a gateway that a test may end as it likes."""
    async with AsyncExitStack() as ends:

        async def run(*, at_once: int = 100, **config: Any) -> WatchedGateway:
            crowd = {
                "kind": "openai-compatible",
                "base_url": f"{scripted_upstream.url}/v1",
                "models": ["crowd"],
                "api_key": "sk-crowd-account-1",
            }
            config = {"providers": {"crowd": crowd}, "server": {"drain_timeout": 1}, **config}
            made = WatchedGateway(scripted_upstream, config, tmp_path / "gateway", at_once=at_once)
            await made.__aenter__()
            ends.callback(lambda: made.kill() if made.is_running else None)
            return made

        yield run


async def ended(gateway: WatchedGateway) -> int:
    """How it ended, once it has been told to."""
    return await asyncio.to_thread(gateway.stop)


async def test_p_02_endless_streams_are_ended_in_band_and_so_are_their_calls(
    start: Start, scripted_upstream: ScriptedUpstream
) -> None:
    gateway = await start()
    scripted_upstream.play(endless)
    listeners = [await Listener.ask(gateway, f"n-{number}") for number in range(50)]
    streams = [asyncio.create_task(each.whole()) for each in listeners]
    await until(lambda: all(len(each.heard) == 3 for each in listeners))
    began = time.monotonic()
    stopped = asyncio.create_task(ended(gateway))
    await asyncio.gather(*streams)
    assert await stopped == 0
    assert time.monotonic() - began < 10
    assert all(b'"error"' in each.last and b"shutting down" in each.last for each in listeners)
    await scripted_upstream.quiet()
    rows = gateway.rows_so_far(0)
    assert [row["outcome"] for row in rows if row["streamed"]] == ["truncated"] * 50
    gateway.assert_said_nothing()


async def test_p_03_what_waits_to_be_written_is_written_before_the_end(
    start: Start, scripted_upstream: ScriptedUpstream
) -> None:
    gateway = await start(recording={"flush_interval": 300, "batch_size": 100_000})
    scripted_upstream.play(whole(ANSWER))
    before = len(scripted_upstream.requests)
    async with gateway.client(event_hooks={}, headers={"authorization": f"Bearer {gateway.key}", **JSON}) as client:
        for _ in range(10):
            answers = await asyncio.gather(*(client.post(CHAT, content=question("x", stream=False)) for _ in range(30)))
            assert {answer.status_code for answer in answers} == {200}
    assert gateway.rows_so_far(0) == []
    assert await ended(gateway) == 0
    assert len(gateway.rows_so_far(0)) == len(scripted_upstream.requests) - before == 300


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_p_04_a_second_signal_ends_it_at_once_and_every_row_is_written(
    start: Start, scripted_upstream: ScriptedUpstream, second: signal.Signals
) -> None:
    gateway = await start(server={"drain_timeout": 60}, recording={"flush_interval": 300, "batch_size": 100_000})
    scripted_upstream.play(endless)
    listeners = [await Listener.ask(gateway, f"n-{number}") for number in range(20)]
    streams = [asyncio.create_task(each.whole()) for each in listeners]
    await until(lambda: all(len(each.heard) == 3 for each in listeners))
    gateway.signal(signal.SIGTERM)
    await asyncio.sleep(0.3)
    assert gateway.is_running
    began = time.monotonic()
    gateway.signal(second)
    await until(lambda: not gateway.is_running)
    # Half a second is what it may take; the rest is for a machine that has other things to do.
    assert time.monotonic() - began <= 0.5 + 0.5
    await asyncio.gather(*streams)
    assert all(b'"error"' in each.last for each in listeners)
    assert [row["outcome"] for row in gateway.rows_so_far(0) if row["streamed"]] == ["truncated"] * 20
    gateway.assert_said_nothing()


async def test_p_11_a_process_that_was_stopped_goes_on_as_if_nothing_had_been(
    start: Start, scripted_upstream: ScriptedUpstream
) -> None:
    gateway = await start()
    await gateway.begin()
    scripted_upstream.play(each_his_own(4, 1.0))
    listeners = [await Listener.ask(gateway, f"n-{number}") for number in range(10)]
    streams = [asyncio.create_task(each.whole()) for each in listeners]
    await until(lambda: all(each.heard for each in listeners))
    gateway.signal(signal.SIGSTOP)
    await asyncio.sleep(5)
    gateway.signal(signal.SIGCONT)
    await asyncio.gather(*streams)
    assert all(each.ended_well for each in listeners)
    await gateway.check()
    assert "stands still" not in gateway.output
    assert await ended(gateway) == 0


def processor_seconds(pid: int) -> float:
    """What a process has spent."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_p_12_one_that_may_open_few_files_turns_some_away_and_serves_again(
    start: Start, scripted_upstream: ScriptedUpstream
) -> None:
    gateway = await start()
    resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (gateway.open_files() + 40,) * 2)
    crowd = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(120)]
    spent = processor_seconds(gateway.pid)
    await asyncio.sleep(3)
    assert processor_seconds(gateway.pid) - spent < 1.5
    for _, writer in crowd:
        writer.close()
    await asyncio.sleep(1.5)
    scripted_upstream.play(whole(ANSWER))
    async with gateway.client(headers={"authorization": f"Bearer {gateway.key}", **JSON}) as client:
        assert (await client.post(CHAT, content=question("x", stream=False))).status_code == 200
    assert await ended(gateway) == 0
    assert "Traceback" not in gateway.output
    assert gateway.output.count("\n") < 40


async def test_p_12_one_that_cannot_write_its_log_serves(start: Start, scripted_upstream: ScriptedUpstream) -> None:
    gateway = await start()
    scripted_upstream.play(whole(ANSWER))
    # Nothing in its folder can grow any more, as on a disk that is full.
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (0, 0))
    async with gateway.client(headers={"authorization": f"Bearer {gateway.key}", **JSON}) as client:
        for _ in range(20):
            answer = await client.post(CHAT, content=question("x", stream=False))
            assert answer.status_code == 200
        assert (await client.get("/health")).status_code == 200


async def test_p_12_a_machine_without_a_place_for_temporary_files_is_good_enough(
    scripted_upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    """Python is told that there is none; several workers need one, and say so (core/cli/test_cli_server.py)."""
    (tmp_path / "sitecustomize.py").write_text("import tempfile\n\ntempfile.tempdir = '/nowhere'\n")
    section = {"kind": "openai-compatible", "base_url": f"{scripted_upstream.url}/v1", "models": ["crowd"]}
    config = {"plugins": {"allowed": []}, "providers": {"crowd": {**section, "api_key": "sk-crowd-account-1"}}}
    gateway = GatewayProcess(config, tmp_path / "gateway", environment={"PYTHONPATH": str(tmp_path)})
    await asyncio.to_thread(gateway.start)
    scripted_upstream.play(whole(ANSWER))
    headers = {"authorization": f"Bearer {CLIENT_KEY}", **JSON}
    async with httpx.AsyncClient(base_url=gateway.url, headers=headers, trust_env=False, timeout=30) as client:
        big = question("x" * (5 << 20), stream=False)
        assert (await client.post(CHAT, content=big)).status_code == 200
    assert await asyncio.to_thread(gateway.stop) == 0
    assert "Traceback" not in gateway.output
