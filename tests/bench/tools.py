"""The programs that measuring takes: the upstream and the load generator of our own, built here, and wrk."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

SOURCES = Path(__file__).parent / "native"
_WRK = SOURCES / "wrk.lua"
_GRACE = 20.0
"""Seconds that a tool may take beyond what it was asked for."""


def build(folder: Path) -> None:
    """Compile what is in ``native``, where the program is older than its source. Raises :class:`SystemExit`."""
    folder.mkdir(parents=True, exist_ok=True)
    for source in sorted(SOURCES.glob("*.c")):
        program = folder / source.stem
        if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
            continue
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            raise SystemExit("bench: no C compiler; on Debian: apt install gcc libc6-dev")
        command = [compiler, "-O2", "-Wall", "-Wextra", "-o", str(program), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"bench: {source.name} does not compile:\n{done.stderr[-2000:]}")


@attrs.frozen(kw_only=True)
class Load:
    """What is to be sent, and for how long. Times are in seconds; see ``native/load.c``."""

    port: int
    connections: int
    requests: Sequence[bytes]
    chunks: int
    warmup: float
    seconds: float
    ramp: float = 0.0


class OwnLoad:
    """``native/load.c``: for streams, and for whole answers where wrk is not there."""

    name = "load.c"

    def __init__(self, programs: Path, folder: Path) -> None:
        self._program = programs / "load"
        self._folder = folder

    def run(self, load: Load) -> dict[str, Any]:
        """Put the load on, and tell what came back."""
        files = _written(load.requests, self._folder)
        times = (load.port, load.connections, load.warmup, load.seconds, load.ramp, load.chunks)
        command = [str(self._program), *map(str, times), *map(str, files)]
        patience = load.warmup + load.seconds + _GRACE
        told: dict[str, Any] = json.loads(_output(command, patience))
        return told


class Wrk:
    """wrk, for whole answers: a tool that nobody has to take our word for."""

    name = "wrk"

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder

    @classmethod
    def found(cls, folder: Path) -> Wrk | None:
        """It, if it is installed."""
        program = shutil.which("wrk")
        return cls(program, folder) if program else None

    def run(self, load: Load) -> dict[str, Any]:
        """Put the load on, for whole seconds and without a warm-up, and tell what came back."""
        files = _written(load.requests, self._folder)
        command = [self._program, "-t1", f"-c{load.connections}", f"-d{max(1, round(load.seconds))}s"]
        command += [
            "--timeout",
            "60s",
            "-s",
            str(_WRK),
            f"http://127.0.0.1:{load.port}/",
            "--",
            str(load.connections),
            *map(str, files),
        ]
        told: dict[str, Any] = json.loads(_output(command, load.seconds + _GRACE).splitlines()[-1])
        return told


def _written(requests: Sequence[bytes], folder: Path) -> list[Path]:
    files = [folder / f"request-{number}" for number in range(len(requests))]
    for file, request in zip(files, requests, strict=True):
        file.write_bytes(request)
    return files


def _output(command: Sequence[str], patience: float) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=patience, check=False)
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name} failed: {done.stdout[-500:]}{done.stderr[-500:]}")
    return done.stdout
