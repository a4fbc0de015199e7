"""The servers of the tests' own do what the tests rely on."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pymysql
import pytest
from services.private_servers import MariaDB, Redis

pytestmark = pytest.mark.services

TESTS = Path(__file__).resolve().parents[1]

PARENT = """
import sys, time
from pathlib import Path
from services.private_servers import MariaDB, Redis
root = Path(sys.argv[1])
servers = [MariaDB(root / "mariadb"), Redis(root / "redis")]
for server in servers:
    server.root.mkdir()
    server.start()
print(*(server.pid for server in servers), flush=True)
time.sleep(60)
"""


def rows(server: MariaDB, database: str) -> list[tuple[object, ...]]:
    return server.execute("SELECT n FROM numbers ORDER BY n", database=database)


def connect(server: MariaDB, database: str) -> pymysql.Connection:
    return pymysql.connect(
        host=server.host, port=server.port, user=server.user, password=server.password, database=database
    )


def is_alive(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def ping(server: Redis) -> bytes:
    with socket.create_connection((server.host, server.port), 2.0) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(16)


def test_mariadb_answers_its_user_on_loopback_only(mariadb: MariaDB) -> None:
    with mariadb.database() as name, contextlib.closing(connect(mariadb, name)) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT DATABASE(), @@bind_address")
        assert cursor.fetchone() == (name, "127.0.0.1")


def test_the_user_of_the_tests_cannot_reach_other_databases(mariadb: MariaDB) -> None:
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        connect(mariadb, "mysql")


def test_redis_answers(redis_server: Redis) -> None:
    assert ping(redis_server) == b"+PONG\r\n"


def test_a_database_is_gone_after_its_block(mariadb: MariaDB) -> None:
    with mariadb.database() as name:
        assert (name,) in mariadb.execute("SHOW DATABASES")
    assert (name,) not in mariadb.execute("SHOW DATABASES")


def test_committed_rows_outlive_a_kill_and_the_port_stays(own_mariadb: MariaDB) -> None:
    with own_mariadb.database() as name:
        own_mariadb.execute("CREATE TABLE numbers (n INT PRIMARY KEY) ENGINE=InnoDB", database=name)
        port = own_mariadb.port
        for number in range(20):
            own_mariadb.execute("INSERT INTO numbers VALUES (%s)", number, database=name)
        own_mariadb.kill()
        own_mariadb.start()
        assert own_mariadb.port == port
        assert rows(own_mariadb, name) == [(number,) for number in range(20)]


def test_cut_connections_are_counted_and_cut(mariadb: MariaDB) -> None:
    with mariadb.database() as name:
        connection = connect(mariadb, name)
        assert mariadb.kill_connections(name) == 1
        with pytest.raises(pymysql.err.OperationalError):
            connection.query("SELECT 1")


def test_a_frozen_server_accepts_and_does_not_answer(own_redis: Redis) -> None:
    own_redis.freeze()
    with socket.create_connection((own_redis.host, own_redis.port), 2.0) as connection:
        connection.settimeout(0.3)
        connection.sendall(b"PING\r\n")
        with pytest.raises(TimeoutError):
            connection.recv(16)
    own_redis.thaw()
    assert ping(own_redis) == b"+PONG\r\n"


def test_the_servers_die_with_the_process_that_started_them(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(is_alive, pids))
        parent.send_signal(signal.SIGKILL)
        parent.wait(30)
    deadline = time.monotonic() + 30
    while any(map(is_alive, pids)):
        assert time.monotonic() < deadline, "a server outlived the process that started it"
        time.sleep(0.05)
