"""MariaDB and Redis servers of the tests' own: on loopback and a free port, gone with the tests.

A pytest plugin: it brings the marker ``services``, the option ``--services`` and the fixtures below. Tests that are
marked, or that have a parameter which is, are left out unless ``--services`` or ``AIGATEWAY_TEST_SERVICES=1`` asks for
them; once they are asked for, a server that is not there makes them fail.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pymysql
import pytest
from ports import free_port
from services.provide import environment, find, prefix
from typing_extensions import override

LOOPBACK = "127.0.0.1"
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class PrivateServer(ABC):
    """A server process on a port of its own.

    It keeps its port over restarts, and dies with the process that started it.
    """

    start_seconds = 60.0

    def __init__(self, root: Path) -> None:
        self.root = root
        self.host = LOOPBACK
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start, and wait until the server answers."""
        # Between the choice of a port and its use somebody else may take it; a port that was ours is asked for again.
        for _ in range(5):
            port = self.port or free_port()
            self._process = self._spawn(port)
            if self._came_up(port):
                self.port = port
                return
            still_there = self._process.poll() is None
            self.kill()
            if still_there:  # the port is not what is wrong
                break
        raise AssertionError(f"the server does not start:\n{self.log()}")

    def stop(self) -> None:
        """Ask the server to end, and wait until it has."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)

    def kill(self) -> None:
        """End the server at once, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)

    def freeze(self) -> None:
        """Let the server accept connections and answer nothing, as a machine does that has stalled."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        os.kill(self.pid, signal.SIGCONT)

    def log(self) -> str:
        """The end of what the server said."""
        path = self.root / "log"
        return path.read_text("utf-8", "replace")[-3000:] if path.exists() else ""

    @abstractmethod
    def command(self, port: int) -> Sequence[str]:
        """How to start the server."""

    @abstractmethod
    def answers(self, port: int) -> bool:
        """Whether the server is there."""

    def environment(self, program: Path) -> dict[str, str]:
        """The environment that the program is started with."""
        return environment(program)

    def _spawn(self, port: int) -> subprocess.Popen[bytes]:
        command = self.command(port)
        with (self.root / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment(Path(command[0])),
                preexec_fn=_die_with_parent,
                process_group=0,  # an interrupt from the keyboard is for the tests alone
            )

    def _came_up(self, port: int) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + self.start_seconds
        while time.monotonic() < deadline and self._process.poll() is None:
            if self.answers(port):
                return True
            time.sleep(0.02)
        return False


class MariaDB(PrivateServer):
    """A MariaDB server.

    ``user`` may do everything in the databases that :meth:`database` makes, and nothing elsewhere.
    """

    user = "gateway"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.password = secrets.token_urlsafe(12)
        self._data = root / "data"
        self._socket = root / "socket"

    @override
    def start(self) -> None:
        new = not self._data.exists()
        if new:
            self._initialise()
        super().start()
        if new:
            self.execute(f"CREATE USER {self.user}@'{LOOPBACK}' IDENTIFIED BY '{self.password}'")
            self.execute(f"GRANT ALL PRIVILEGES ON `test\\_%`.* TO {self.user}@'{LOOPBACK}'")

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """A new, empty database with the server's own (unfit) defaults; it is dropped afterwards."""
        name = f"test_{secrets.token_hex(6)}"
        self.execute(f"CREATE DATABASE {name} CHARACTER SET latin1")
        try:
            yield name
        finally:
            self.execute(f"DROP DATABASE IF EXISTS {name}")

    def execute(self, statement: str, *values: object, database: str | None = None) -> list[tuple[Any, ...]]:
        """Run a statement as the server's administrator and return its rows."""
        with contextlib.closing(self._administrator(database)) as connection, connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())

    def kill_connections(self, database: str) -> int:
        """Cut every connection to this database; returns how many there were."""
        listing = "SELECT id FROM information_schema.processlist WHERE db = %s AND id <> CONNECTION_ID()"
        cut = 0
        for (number,) in self.execute(listing, database):
            with contextlib.suppress(pymysql.err.OperationalError):  # it ended by itself meanwhile
                self.execute(f"KILL {number}")
                cut += 1
        return cut

    @override
    def command(self, port: int) -> Sequence[str]:
        program = _program("mariadbd")
        return [
            str(program),
            *self._common(program),
            f"--socket={self._socket}",
            f"--pid-file={self.root / 'pid'}",
            f"--bind-address={LOOPBACK}",
            f"--port={port}",
            "--skip-log-bin",
            "--performance-schema=OFF",
            "--innodb-buffer-pool-size=32M",
            "--innodb-doublewrite=0",
            # 0 would lose committed rows when the server is killed, which is what some tests are about.
            "--innodb-flush-log-at-trx-commit=2",
            "--max-connections=200",
        ]

    @override
    def answers(self, port: int) -> bool:
        # A server that is there speaks first. (PyMySQL leaks the socket of a connection that nobody accepts.)
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), 1.0) as connection:
            return bool(connection.recv(1))
        return False

    def _initialise(self) -> None:
        program = _program("mariadb-install-db")
        options = ["--auth-root-authentication-method=normal", "--skip-test-db"]
        command = [str(program), *self._common(program), *options]
        done = subprocess.run(command, env=environment(program), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]

    def _common(self, program: Path) -> list[str]:
        # The server refuses to run as root unless it is told so.
        user = ["--user=root"] if os.geteuid() == 0 else []
        return [
            "--no-defaults",
            f"--basedir={prefix(program)}",
            f"--datadir={self._data}",
            # A server that starts sweeps this folder, also of what another one that starts has just made there.
            f"--tmpdir={self.root}",
            "--skip-name-resolve",
            "--innodb-log-file-size=10M",
            *user,
        ]

    def _administrator(self, database: str | None) -> Any:
        return pymysql.connect(
            unix_socket=str(self._socket),
            user="root",
            database=database,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=2,
        )


class Redis(PrivateServer):
    """A Redis server that keeps nothing on disk."""

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://{self.host}:{self.port}/0"

    @override
    def command(self, port: int) -> Sequence[str]:
        options = {"--bind": LOOPBACK, "--port": str(port), "--save": "", "--appendonly": "no", "--dir": str(self.root)}
        return [str(_program("redis-server")), *(word for option in options.items() for word in option)]

    @override
    def answers(self, port: int) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), 1.0) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        return False


ServerT = TypeVar("ServerT", bound=PrivateServer)


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _program(name: str) -> Path:
    program = find(name)
    if program is None:
        pytest.fail(f"{name} is not on this machine: python tests/services/provide.py gets it", pytrace=False)
    return program


@contextlib.contextmanager
def running(server: ServerT) -> Iterator[ServerT]:
    """The server, started; it ends with the block."""
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """A MariaDB server that many tests share: use a database of it, and leave it running."""
    with running(MariaDB(tmp_path_factory.mktemp("mariadb"))) as server:
        yield server


@pytest.fixture
def own_mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """A MariaDB server for one test, to be stopped, frozen and killed."""
    with running(MariaDB(tmp_path_factory.mktemp("mariadb"))) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A Redis server that many tests share: use keys of your own, and leave it running."""
    with running(Redis(tmp_path_factory.mktemp("redis"))) as server:
        yield server


@pytest.fixture
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A Redis server for one test, to be stopped, frozen and killed."""
    with running(Redis(tmp_path_factory.mktemp("redis"))) as server:
        yield server


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--services", action="store_true", help="run the tests that need MariaDB or Redis as well")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "services: needs a MariaDB or Redis server (see --services)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--services") or os.environ.get("AIGATEWAY_TEST_SERVICES") == "1":
        return
    left_out = [item for item in items if item.get_closest_marker("services")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
