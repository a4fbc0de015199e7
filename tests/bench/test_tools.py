"""The tools of the benchmark count what they shall, and see what is wrong with an answer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench.modes import EVERY, Mode, chosen
from bench.targets import KEYS, Upstream
from bench.tools import Load, OwnLoad, Wrk, build
from services.private_servers import running

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")

HEADERS = {"authorization": f"Bearer {KEYS[1]}"}
WHOLE, STREAM = Mode("whole", "native", "small", 4), Mode("stream", "native", "small", 4)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("programs")
    build(folder)
    return folder


@pytest.fixture
def upstream(programs: Path, tmp_path: Path) -> Iterator[Upstream]:
    with running(Upstream(tmp_path, programs)) as upstream:
        yield upstream


def load(upstream: Upstream, mode: Mode, *, chunks: int | None = None, headers: dict[str, str] = HEADERS) -> Load:
    requests = mode.requests(upstream.port, headers)
    wanted = mode.chunks if chunks is None else chunks
    return Load(port=upstream.port, connections=4, requests=requests, chunks=wanted, warmup=0.05, seconds=0.2)


@pytest.fixture
def own(programs: Path, tmp_path: Path) -> OwnLoad:
    return OwnLoad(programs, tmp_path)


def test_what_the_load_generator_counts_is_what_the_upstream_was_asked(upstream: Upstream, own: OwnLoad) -> None:
    told = own.run(load(upstream, WHOLE))
    asked = upstream.counts()
    assert told["failed"] == 0
    assert 0 < told["requests"] < told["all"]
    # One request of each connection is on its way when time is up.
    assert asked["requests"] - told["all"] in range(5)
    assert asked["keys"] == [0, asked["requests"], 0]


def test_every_event_of_a_stream_is_counted(upstream: Upstream, own: OwnLoad) -> None:
    upstream.script(chunks=100, interval_ms=0)
    told = own.run(load(upstream, STREAM))
    assert told["failed"] == 0
    assert told["all_chunks"] >= 98 * told["all"] > 0


def test_a_stream_that_lacks_an_event_has_failed(upstream: Upstream, own: OwnLoad) -> None:
    upstream.script(chunks=99, interval_ms=0)
    told = own.run(load(upstream, STREAM))
    assert told["failed"] == told["all"] > 0


def test_a_paced_stream_takes_its_time(upstream: Upstream, own: OwnLoad) -> None:
    upstream.script(chunks=11, interval_ms=10)
    told = own.run(load(upstream, STREAM, chunks=9))
    assert told["failed"] == 0
    assert told["p50"] >= 100_000
    assert 10_000 <= told["first_content_p50"] < told["p50"]
    assert told["first_byte_p50"] < told["first_content_p50"]


def test_times_are_told_finer_than_by_the_sixty_fourth_of_a_power_of_two(upstream: Upstream, own: OwnLoad) -> None:
    # What two gateways add to a first content is less than such a step where events are 10 ms apart.
    upstream.script(chunks=11, interval_ms=10)
    told = own.run(load(upstream, STREAM, chunks=9))
    for name in ("p50", "p99", "first_content_p50", "first_content_p99"):
        nanoseconds = round(told[name] * 1000)
        step = 1 << (nanoseconds.bit_length() - 7)
        assert abs(nanoseconds % step - step // 2) > 500, name  # a coarse step is told by its middle


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer sk-upstream-9"}, {"authorization": "Bearer another"}]
)
def test_the_upstream_refuses_a_key_that_it_does_not_know(
    upstream: Upstream, own: OwnLoad, headers: dict[str, str]
) -> None:
    told = own.run(load(upstream, WHOLE, headers=headers))
    assert told["failed"] == told["all"] > 0
    assert "bad key" in told["refusal"]


def test_the_upstream_refuses_another_dialect(upstream: Upstream, own: OwnLoad) -> None:
    told = own.run(load(upstream, Mode("whole", "translated", "small", 4)))
    assert told["failed"] == told["all"] > 0


def test_wrk_tells_the_same_as_the_load_generator(upstream: Upstream, tmp_path: Path) -> None:
    wrk = Wrk.found(tmp_path)
    if wrk is None:
        pytest.skip("wrk is not installed")
    right, wrong = wrk.run(load(upstream, WHOLE)), wrk.run(load(upstream, WHOLE, headers={}))
    assert right["failed"] == 0 < right["requests"]
    assert wrong["failed"] == wrong["requests"] > 0


@pytest.mark.parametrize("mode", EVERY, ids=lambda mode: mode.name)
def test_a_request_is_as_large_as_its_mode_says(mode: Mode) -> None:
    body: dict[str, Any] = json.loads(mode.body)
    assert body["model"] == "gpt-4o-mini"
    assert bool(body.get("stream")) is mode.streamed
    if mode.size == "agent":
        assert len(body["tools"]) == 30
        assert 180_000 < len(mode.body) < 220_000
    else:
        assert 800 < len(mode.body) < 1200


def test_every_other_request_names_its_conversation() -> None:
    named, unnamed = WHOLE.requests(1, {})
    assert b"x-session-id: conversation-########" in named
    assert b"x-session-id" not in unnamed


def test_modes_are_chosen_by_their_names() -> None:
    assert [mode.name for mode in chosen(["whole-native-small-*"])] == [
        f"whole-native-small-c{count}" for count in (1, 16, 64)
    ]
    with pytest.raises(SystemExit, match="no mode is called whole-nativ"):
        chosen(["whole-nativ"])
