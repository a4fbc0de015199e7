"""What blocks the event loop is told while it does, and where."""

from __future__ import annotations

import asyncio
import logging
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import pytest

from aigateway_core.server import stalls
from aigateway_core.server.stalls import StallWatch

pytestmark = pytest.mark.anyio


class Watched:
    """A watched loop; ``count`` are the stalls that were told of."""

    def __init__(self) -> None:
        self.count = 0
        self.watch = StallWatch(self._count)

    def _count(self) -> None:
        self.count += 1


@pytest.fixture
async def watched(caplog: pytest.LogCaptureFixture) -> AsyncIterator[Watched]:
    caplog.set_level(logging.WARNING, stalls.__name__)
    made = Watched()
    made.watch.start()
    await asyncio.sleep(0.2)
    yield made
    made.watch.stop()


async def until(text: str, caplog: pytest.LogCaptureFixture) -> None:
    async with asyncio.timeout(10):
        while text not in caplog.text:  # noqa: ASYNC110 - a thread writes it
            await asyncio.sleep(0.02)


async def test_c_21_the_place_that_blocks_the_loop_is_told_while_it_blocks(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    def careless() -> float:
        time.sleep(1.5)  # as a plugin might that does not know better
        return time.time()

    went_on = careless()
    (told,) = caplog.records
    assert told.created < went_on - 0.2
    assert re.search(rf"stands still .* it is at {re.escape(__file__)}:\d+ careless < ", told.message)
    await until("the event loop runs again, after 1.", caplog)
    assert watched.count == 1


async def test_a_c_function_that_lets_no_thread_run_is_told_of_right_afterwards(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    began = time.perf_counter()
    sum(range(1_000_000))
    sum(range(int(1_500_000 / (time.perf_counter() - began))))
    await until("stands still", caplog)
    assert __file__ in caplog.records[0].message


async def test_the_same_place_is_counted_again_and_told_once(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        time.sleep(0.9)  # noqa: ASYNC251 - that is the fault
        await asyncio.sleep(0.3)
    assert watched.count == 2
    assert caplog.text.count("stands still") == 1


async def test_a_loop_that_waits_is_none_that_stands_still(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    await asyncio.sleep(1.2)
    for _ in range(10):
        await asyncio.to_thread(time.sleep, 0.05)
    assert (watched.count, caplog.text) == (0, "")


@pytest.mark.parametrize(("passed", "spent", "awake"), [(0.11, 0.0, True), (20.0, 0.01, False), (6.0, 0.6, True)])
def test_a_process_that_was_stopped_saw_nothing(passed: float, spent: float, awake: bool) -> None:
    assert stalls._was_awake(passed, spent) is awake


async def test_nothing_is_left_of_it(caplog: pytest.LogCaptureFixture) -> None:
    watch = StallWatch()
    watch.start()
    thread = watch._thread
    watch.stop()
    assert thread is not None
    assert not thread.is_alive()
    time.sleep(0.8)  # noqa: ASYNC251 - it would be told of
    assert caplog.text == ""


PROGRAM = """
import asyncio, logging, os, signal, time
from aigateway_core.server.run import serve
from aigateway_core.settings import ServerSettings

logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")

async def app(scope, receive, send):
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": message["type"] + ".complete"})
    await send({"type": "lifespan.shutdown.complete"})

def careless():
    time.sleep(1.2)

def listening():
    asyncio.get_running_loop().call_later(0.3, careless)
    asyncio.get_running_loop().call_later(2.0, os.kill, os.getpid(), signal.SIGTERM)

serve(app, ServerSettings(port=0), on_listening=listening, on_stall=lambda: print("stalled", flush=True))
"""


def test_a_server_watches_its_loop() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["stalled"]
    assert re.search(r"ERROR the event loop stands still .* it is at <string>:\d+ careless < ", done.stderr)
    assert "WARNING the event loop runs again, after " in done.stderr
