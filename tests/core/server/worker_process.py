"""A supervisor, or one of its workers, as a process: ``worker_process.py PORT WORKERS`` or with ``--number``.

A worker looks into the folder ``FOLDER`` of the environment: ``refuse-N`` holds the exit code that worker N ends with,
``drain`` the seconds that its requests have at the end.
The supervisor starts the program ``PROGRAM`` for each, where that is said.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path
from typing import Any

import falcon.asgi

from aigateway_core import logs
from aigateway_core.server import supervisor
from aigateway_core.server.link import WorkerEnd
from aigateway_core.server.run import serve
from aigateway_core.server.supervisor import supervise
from aigateway_core.settings import LogSettings, ServerSettings


def main() -> None:
    logs.configure(LogSettings(format="text"))
    said = [word.lstrip("-").split("=") for word in sys.argv[1:] if word.startswith("--")]
    if said:
        work({name: [int(value) for each, value in said if each == name] for name, _ in said})
    else:
        command = [os.environ.get("PROGRAM", sys.executable), __file__]
        settings = ServerSettings(port=int(sys.argv[1]), workers=int(sys.argv[2]), drain_timeout=1.0)
        supervisor._HARD_END_SECONDS = float(os.environ.get("HARD_END", "20"))
        supervise(command, settings, on_listening=listening, on_gone=gone)


def listening() -> None:
    os.write(1, b"listening\n")


def gone(slot: int) -> None:
    os.write(1, b"slot %d is free\n" % slot)
    if "GONE" in os.environ:
        raise OSError(os.environ["GONE"])


def work(said: dict[str, list[int]]) -> None:
    folder, number = Path(os.environ["FOLDER"]), said["number"][0]
    with (folder / f"starts-{number}").open("a") as starts:
        starts.write("x")
    refuse = folder / f"refuse-{number}"
    if refuse.exists():
        sys.exit(int(refuse.read_text()))
    app = falcon.asgi.App()
    whoami = Whoami(number, said["slot"][0])
    app.add_route("/", whoami)
    app.add_route("/slow", whoami, suffix="slow")
    listeners = [socket.socket(fileno=each) for each in said["listener"]]
    drain = folder / "drain"
    settings = ServerSettings(drain_timeout=float(drain.read_text()) if drain.exists() else 1.0)
    serve(app, settings, listeners=listeners, link=WorkerEnd.inherited(said["link"][0]))


class Whoami:
    def __init__(self, number: int, slot: int) -> None:
        self._who = f"{number} {os.getpid()} {slot}"

    async def on_get(self, req: Any, resp: falcon.asgi.Response) -> None:
        resp.text = self._who

    async def on_get_slow(self, req: Any, resp: falcon.asgi.Response) -> None:
        await asyncio.sleep(4)
        resp.text = self._who


if __name__ == "__main__":
    main()
