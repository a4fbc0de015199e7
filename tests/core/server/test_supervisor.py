"""The supervisor and its workers as processes: when it goes on, when it gives up, and with what exit code."""

from __future__ import annotations

import http.client
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ports import free_port

from aigateway_core.server import supervisor as supervising

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def start(port: int, tmp_path: Path) -> Iterator[Start]:
    """Starts a supervisor with so many workers; its output goes to ``output`` in the folder, which has its Python."""
    started: list[subprocess.Popen[bytes]] = []
    python(tmp_path).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python(tmp_path).chmod(0o755)

    def run(workers: int) -> subprocess.Popen[bytes]:
        program = Path(__file__).with_name("worker_process.py")
        with (tmp_path / "output").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, str(program), str(port), str(workers)],
                env=os.environ | {"FOLDER": str(tmp_path), "PROGRAM": str(python(tmp_path))},
                stdout=output,
                stderr=output,
            )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait(10)


def python(folder: Path) -> Path:
    """What workers are started with."""
    return folder / "python"


def said(folder: Path) -> str:
    return (folder / "output").read_text()


def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def who(port: int) -> tuple[int, int]:
    """The number and the process of the worker that answers on a new connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/")
    number, pid, _ = connection.getresponse().read().split()
    connection.close()
    return int(number), int(pid)


def slot(port: int) -> int:
    """The slot of the worker that answers on a new connection."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
        return int(answer.read().split()[2])


def starts(folder: Path, number: int) -> int:
    file = folder / f"starts-{number}"
    return len(file.read_text()) if file.exists() else 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_of_them_and_the_port_is_free(start: Start, port: int, tmp_path: Path, number: int) -> None:
    supervisor = start(2)
    until(lambda: starts(tmp_path, 2))
    _, pid = who(port)
    supervisor.send_signal(number)
    assert supervisor.wait(20) == 0
    assert said(tmp_path).count("listening\n") == 1
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(ConnectionRefusedError):
        who(port)


@pytest.mark.parametrize("code", [78, 3, 1])
def test_where_no_worker_can_start_the_end_is_theirs_and_comes_at_once(start: Start, tmp_path: Path, code: int) -> None:
    (tmp_path / "refuse-1").write_text(str(code))
    assert start(3).wait(20) == code
    assert starts(tmp_path, 1) == 1
    assert (starts(tmp_path, 2), starts(tmp_path, 3)) == (0, 0)
    assert "worker 1 could not start" in said(tmp_path)
    assert "the gateway ends, since no worker can start" in said(tmp_path)
    assert "listening" not in said(tmp_path)


def test_one_that_cannot_start_is_tried_again_more_and_more_slowly_while_others_serve(
    start: Start, port: int, tmp_path: Path
) -> None:
    (tmp_path / "refuse-2").write_text("3")
    supervisor = start(2)
    until(lambda: starts(tmp_path, 2) >= 3)
    assert who(port)[0] == 1
    (tmp_path / "refuse-2").unlink()
    until(lambda: who(port)[0] == 2)
    assert starts(tmp_path, 2) <= 6
    supervisor.terminate()
    assert supervisor.wait(20) == 0


def test_when_all_have_died_and_none_can_start_any_more_it_ends(start: Start, port: int, tmp_path: Path) -> None:
    supervisor = start(1)
    until(lambda: "listening" in said(tmp_path))
    (tmp_path / "refuse-1").write_text("9")
    os.kill(who(port)[1], signal.SIGKILL)
    assert supervisor.wait(30) == 9
    assert starts(tmp_path, 1) == 5
    assert "worker 1 was killed by signal 9" in said(tmp_path)


def test_a_port_that_is_taken_is_told_before_any_worker_is_started(start: Start, port: int, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert start(2).wait(20) != 0
    assert "cannot listen on 127.0.0.1" in said(tmp_path)
    assert starts(tmp_path, 1) == 0


def test_a_slot_is_one_workers_alone_until_it_has_ended(start: Start, port: int, tmp_path: Path) -> None:
    supervisor = start(1)
    until(lambda: "listening" in said(tmp_path))
    assert slot(port) == 1
    supervisor.send_signal(signal.SIGHUP)
    # The new worker of the same place was started while the old one still served.
    until(lambda: "slot 1 is free" in said(tmp_path))
    assert slot(port) == 2
    os.kill(who(port)[1], signal.SIGKILL)
    until(lambda: "slot 2 is free" in said(tmp_path))
    until(lambda: slot(port) == 1)
    supervisor.terminate()
    assert supervisor.wait(20) == 0


def test_a_slot_is_free_whatever_is_wrong_with_what_was_left_in_it(
    start: Start, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GONE", "no such folder")
    supervisor = start(1)
    until(lambda: "listening" in said(tmp_path))
    os.kill(who(port)[1], signal.SIGKILL)
    until(lambda: starts(tmp_path, 1) == 2)
    assert slot(port) == 1
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(20) == 0
    assert "no such folder" in said(tmp_path)
    assert "Traceback" not in said(tmp_path)


def test_while_no_worker_can_be_spawned_it_tries_again_and_hears_whoever_asks_for_a_restart(
    start: Start, port: int, tmp_path: Path
) -> None:
    supervisor = start(2)
    until(lambda: starts(tmp_path, 2) and {who(port)[0] for _ in range(4)} == {1, 2})
    away = python(tmp_path).rename(tmp_path / "away")
    supervisor.send_signal(signal.SIGHUP)
    until(lambda: "rolling restart given up" in said(tmp_path))
    until(lambda: (found := who(port))[0] == 2 and not os.kill(found[1], signal.SIGKILL))
    until(lambda: said(tmp_path).count("worker 2 cannot be started: No such file or directory") >= 2)
    assert who(port)[0] == 1
    away.rename(python(tmp_path))
    until(lambda: who(port)[0] == 2)
    supervisor.send_signal(signal.SIGHUP)
    until(lambda: "rolling restart: done" in said(tmp_path))
    supervisor.terminate()
    assert supervisor.wait(20) == 0


def test_where_none_serves_and_none_can_be_spawned_it_ends(start: Start, port: int, tmp_path: Path) -> None:
    supervisor = start(1)
    until(lambda: "listening" in said(tmp_path))
    python(tmp_path).unlink()
    os.kill(who(port)[1], signal.SIGKILL)
    assert supervisor.wait(30) == 3
    assert "the gateway ends, since no worker can start" in said(tmp_path)


def test_where_the_first_one_cannot_be_spawned_it_ends(start: Start, tmp_path: Path) -> None:
    python(tmp_path).chmod(0o644)
    assert start(2).wait(30) == 3
    assert "worker 1 cannot be started: Permission denied" in said(tmp_path)
    assert "listening" not in said(tmp_path)


def test_a_longer_time_to_drain_holds_from_the_next_rolling_restart_on(
    start: Start, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARD_END", "0.5")
    supervisor = start(1)
    until(lambda: "listening" in said(tmp_path))
    (tmp_path / "drain").write_text("30")
    supervisor.send_signal(signal.SIGHUP)
    until(lambda: "rolling restart: done" in said(tmp_path) and slot(port) == 2)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/slow")
    time.sleep(0.5)
    supervisor.terminate()
    assert connection.getresponse().read().split()[2] == b"2"
    connection.close()
    assert supervisor.wait(20) == 0
    assert "did not end in time" not in said(tmp_path)


def test_however_often_a_worker_could_not_be_started_there_is_a_pause_and_another_try() -> None:
    pauses = [supervising._pause(deaths) for deaths in (0, 1, 2, 3, 100, 5_000)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (0.0, pauses[-2])
