"""The real gateway: its command in a process of its own, with a configuration file, a port and a database."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ports import free_port

ADMIN_KEY = "e2e-admin-7Yq2mVx0cT4nR8kLw1ZsPd6G"
CLIENT_KEY = "e2e-client-Hb5uJf9aQe3XoNi7CtMy2WvK"

COMMAND = (str(Path(sys.executable).with_name("aigateway-core")), "server")

_FLUSH = 0.02
_SETTLED = 0.1
_PATIENCE = 15.0
_START_SECONDS = 90.0

_UNSAID = {"status_code": None, "error_kind": None, "scope": None, "dispatched": True, "proxy_id": None}
"""What an attempt is where the database says nothing of it."""


class GatewayProcess:
    """``config`` is the configuration without address and database; ``client_key`` None asks for none.

    ``environment`` are further variables.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        folder: Path,
        *,
        client_key: str | None = CLIENT_KEY,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = folder / "aigateway.db"
        self._config = config
        self._client_key = client_key
        self._more = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "config.yaml"
        path.write_text(yaml.safe_dump(self._whole_config()))
        command = [*COMMAND, "--config", str(path)]
        with (self.folder / "output.txt").open("ab") as output:
            self._process = subprocess.Popen(
                command, cwd=self.folder, env=self._environment(), stdout=output, stderr=output
            )
        self._wait_until_healthy(self._process)

    def stop(self) -> int:
        """End it as an operator would, and tell how it ended."""
        assert self._process is not None
        self._process.terminate()
        try:
            return self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    @property
    def pid(self) -> int:
        """The process that was started."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def open_files(self) -> int:
        """How many files and connections it has open."""
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())

    def workers(self) -> dict[int, int]:
        """Of a gateway with several workers, the process of each; during a rolling restart the newest of a place."""
        found: dict[int, int] = {}
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        for child in map(int, children):
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
                found |= {int(word[9:]): child for word in words if word.startswith(b"--number=")}
        return found

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(20)

    @property
    def output(self) -> str:
        """Everything it has printed so far."""
        return (self.folder / "output.txt").read_text(errors="replace")

    def mark(self) -> int:
        """The number of the newest log row, those that are on their way included; for :meth:`rows`, as ``since``."""
        time.sleep(_SETTLED)
        return self.newest()

    def newest(self) -> int:
        """The number of the newest log row that has been written."""
        with self._read_database() as database:
            return int(database.execute("SELECT coalesce(max(seq), 0) FROM request_logs").fetchone()[0])

    def rows(self, since: int, count: int) -> list[dict[str, Any]]:
        """The log rows after ``since``, oldest first: exactly ``count``, waited for."""
        deadline = time.monotonic() + _PATIENCE
        while len(self.rows_so_far(since)) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(_SETTLED)  # a row too many would come in the next batches
        rows = self.rows_so_far(since)
        assert len(rows) == count, f"{len(rows)} log rows instead of {count}: {rows}"
        return rows

    def row(self, request_id: str) -> dict[str, Any]:
        """The log row of one request, waited for."""
        deadline = time.monotonic() + _PATIENCE
        while not (found := self._rows("request_id = ?", request_id)) and time.monotonic() < deadline:
            time.sleep(0.005)
        assert len(found) == 1, found
        return found[0]

    def rows_so_far(self, since: int) -> list[dict[str, Any]]:
        """The log rows after ``since`` that have been written by now."""
        return self._rows("seq > ?", since)

    def _rows(self, condition: str, value: int | str) -> list[dict[str, Any]]:
        with self._read_database() as database:
            database.row_factory = sqlite3.Row
            found = database.execute(f"SELECT * FROM request_logs WHERE {condition} ORDER BY seq", (value,)).fetchall()
        return [{**dict(row), "attempts": [_UNSAID | each for each in json.loads(row["attempts"])]} for row in found]

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """Call the admin API."""
        headers = {"authorization": f"Bearer {ADMIN_KEY}", "content-type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/api/v1{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as response:
            content = response.read()
        return json.loads(content) if content else None

    def command(self, *words: str) -> str:
        """What another command says, in the same folder and with the same settings; it has to succeed."""
        call = [COMMAND[0], *words, "--config", str(self.folder / "config.yaml")]
        done = subprocess.run(
            call, cwd=self.folder, env=self._environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def add_account(self, provider: str, key: str, label: str = "") -> str:
        """Add an account with a key of this provider; its id."""
        auth_data = {"token" if provider == "glm" else "api_key": key}
        account = self.admin("POST", "/accounts", {"provider_id": provider, "label": label, "auth_data": auth_data})
        return str(account["id"])

    def _whole_config(self) -> dict[str, Any]:
        return {
            "database": {"engine": "sqlite", "path": str(self.database)},
            "recording": {"flush_interval": _FLUSH},
            **self._config,
            "server": {"host": "127.0.0.1", "port": self.port, **self._config.get("server", {})},
        }

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AIGATEWAY")}
        # A proxy that does not exist: the gateway must not look at it.
        keys = {"AIGATEWAY_ADMIN_KEY": ADMIN_KEY, "HTTP_PROXY": "http://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:9"}
        if self._client_key is not None:
            keys["AIGATEWAY_CLIENT_KEY"] = self._client_key
        return {
            **kept,
            **keys,
            **self._more,
            "HOME": str(self.folder),
            "XDG_DATA_HOME": str(self.folder),
            "XDG_CONFIG_HOME": str(self.folder),
        }

    def _wait_until_healthy(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            assert process.poll() is None, f"the gateway ended with {process.returncode}:\n{self.output}"
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=2):
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.05)
        process.kill()
        raise AssertionError(f"the gateway did not answer in time:\n{self.output}")

    def _read_database(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=10)
