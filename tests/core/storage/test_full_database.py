"""A server whose disk is full: an outage for what is written, none for what is read, and over once there is room."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from services.private_servers import MariaDB, running

from aigateway_core.errors import UnavailableError
from aigateway_core.storage import SYSTEM, MySQLServer, Storage
from aigateway_core.vault import KeyRing

pytestmark = [pytest.mark.anyio, pytest.mark.services]

MIB = 1 << 20
ROOM = 160 * MIB
"""For an empty server, and some more."""


@pytest.fixture
def small_mariadb(tmp_path: Path) -> Iterator[MariaDB]:
    """A server on a disk of its own, that is soon full."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "none", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only who may mount a file system has a small one")
    try:
        with running(MariaDB(disk)) as server:
            yield server
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """A file that takes all the room there is left."""
    path = disk / "ballast"
    with closing(path.open("wb", buffering=0)) as file:
        for size in (MIB, 4096):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return path


async def test_d_11_a_full_disk_takes_no_row_and_still_answers_and_all_is_well_when_there_is_room(
    small_mariadb: MariaDB, mysql_location: Callable[..., MySQLServer], keyring: KeyRing, noted: Callable[..., Any]
) -> None:
    with small_mariadb.database() as name:
        location = mysql_location(small_mariadb, name, read_timeout=2.0)
        async with await Storage.open(location, keyring, threads=2) as storage:
            await storage.calls.insert_many([noted("before")])
            ballast = await asyncio.to_thread(fill, small_mariadb.root)
            written, refused = 1, False
            for number in range(200):
                batch = [noted(f"{number}-{row}", error="x" * 1000) for row in range(200)]
                began = time.monotonic()
                try:
                    await storage.calls.insert_many(batch)
                    written += len(batch)
                except UnavailableError:
                    refused = True
                    break
                finally:
                    assert time.monotonic() - began < 20
            assert refused, "the disk was never full"
            assert await storage.version() == 0
            ballast.unlink()
            await storage.calls.insert_many(batch)
            await storage.keys.create("client", "k", SYSTEM)
            rows = "SELECT COUNT(*), COUNT(DISTINCT id) FROM request_logs"
            assert small_mariadb.execute(rows, database=name) == [(written + len(batch),) * 2]
