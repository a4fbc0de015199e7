"""``aigateway-core server`` as a process: its screen, its admin key, and how it ends."""

from __future__ import annotations

import http.client
import json
import os
import pty
import select
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ports import free_port

Command = Callable[..., subprocess.CompletedProcess[str]]

SERVER = [sys.executable, "-c", "from aigateway_core.cli import main; main()", "server"]
CONFIG = """
providers:
  vendor: {kind: openai-compatible, base_url: "http://127.0.0.1:9/v1", models: [m-1], auth_strategy: none}
plugins: {allowed: []}
"""
CLIENT_KEY = "Jm3xQ0v9_tTzKp2LwB7RaYc5NdGhUeSiFoVq81WnXrM"


@pytest.fixture
def configured(home: Path) -> Path:
    """A home with a provider that needs no account."""
    (home / "config.yaml").write_text(CONFIG, "utf-8")
    return home


@pytest.fixture
def port() -> int:
    return free_port()


class Running:
    """A gateway, and what it has printed."""

    def __init__(self, process: subprocess.Popen[bytes], output: int) -> None:
        self.process = process
        self._output = output
        self.seen = ""

    def read_until(self, words: str) -> str:
        """Everything printed so far, once ``words`` are in it."""
        deadline = time.monotonic() + 30
        while words not in self.seen:
            assert time.monotonic() < deadline, self.seen
            if select.select([self._output], [], [], 0.1)[0]:
                self.seen += os.read(self._output, 65536).decode("utf-8", "replace").replace("\r\n", "\n")
        return self.seen


@contextmanager
def running(port: int, *, on_terminal: bool = False, **environ: str) -> Iterator[Running]:
    """Start the gateway; at the end it gets a SIGTERM, and has to end well."""
    ours, theirs = pty.openpty() if on_terminal else os.pipe()
    with subprocess.Popen(
        [*SERVER, "--port", str(port)],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"TERM": "dumb", "COLUMNS": "80"} | environ,
    ) as process:
        os.close(theirs)
        try:
            yield Running(process, ours)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
            os.close(ours)


def status(port: int, path: str, key: str | None = None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"authorization": f"Bearer {key}"} if key else {})
    found = connection.getresponse().status
    connection.close()
    return found


def test_s_12_without_a_terminal_the_admin_key_is_in_a_file_for_its_owner(configured: Path, port: int) -> None:
    file = configured / "home-data" / "aigateway" / "admin-key"
    with running(port) as gateway:
        screen = gateway.read_until("Next: ")
        assert f"listens on http://127.0.0.1:{port}\n" in screen
        assert f"  admin key  in {file}, which only you can read" in screen
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        key = file.read_text().strip()
        assert key not in screen
        assert status(port, "/health") == 200
        assert status(port, "/api/v1/accounts") == 401
        assert status(port, "/api/v1/accounts", key) == 200
    with running(port) as gateway:
        assert "admin key" not in gateway.read_until("Next: ")
        assert status(port, "/api/v1/accounts", key) == 200


def test_an_admin_key_that_cannot_be_kept_is_not_made(configured: Path, port: int, process: Command) -> None:
    file = configured / "home-data" / "aigateway" / "admin-key"
    (file / "in the way").mkdir(parents=True)
    for _ in range(2):
        result = process("server", "--port", str(port))
        assert (result.returncode, result.stdout) == (78, "")
        said = result.stderr.splitlines()[-1]
        assert said.startswith(f"aigateway-core: a first admin key cannot be kept in {file} (")
        assert "AIGATEWAY_ADMIN_KEY" in said
    (file / "in the way").rmdir()
    file.rmdir()
    with running(port) as gateway:
        gateway.read_until("Next: ")
        assert status(port, "/api/v1/accounts", file.read_text().strip()) == 200


def test_at_a_terminal_the_admin_key_is_on_the_screen_once_and_nothing_else_comes_before_it(
    configured: Path, port: int
) -> None:
    with running(port, on_terminal=True) as gateway:
        screen = gateway.read_until("Next: ")
        assert screen.startswith("aigateway ")
        (line,) = [line for line in screen.splitlines() if line.startswith("  admin key  ")]
        assert status(port, "/api/v1/accounts", line.split()[-1]) == 200
    assert not (configured / "home-data" / "aigateway" / "admin-key").exists()
    with running(port, on_terminal=True) as gateway:
        assert "gwadm_" not in gateway.read_until("Next: ")


def test_the_screen_offers_a_question_that_the_gateway_takes(configured: Path, port: int) -> None:
    with running(port) as gateway:
        gateway.read_until('"content":"hello"')
        said = '-H \'Content-Type: application/json\' -d \'{"model":"m-1",'
        assert f"curl -s 127.0.0.1:{port}/v1/chat/completions {said}" in gateway.seen
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        question = {"model": "m-1", "messages": [{"role": "user", "content": "hello"}]}
        header = {"content-type": "application/json"}
        connection.request("POST", "/v1/chat/completions", json.dumps(question), header)
        reply = connection.getresponse()
        # Nothing listens where this vendor should be: the question came as far as the vendor.
        assert reply.status >= 500
        assert "cannot be reached" in json.loads(reply.read())["error"]["message"]
        connection.close()


def test_an_account_that_the_command_adds_is_used_by_the_running_gateway(
    configured: Path, port: int, command: Command
) -> None:
    (configured / "config.yaml").write_text(CONFIG.replace("none", "api_key"))
    with running(port) as gateway:
        assert "Next: aigateway-core accounts add vendor" in gateway.read_until("add vendor")
        assert status(port, "/v1/models/m-1") == 404
        assert command("accounts", "add", "vendor", "--api-key", "-", stdin="k-1234567890").returncode == 0
        deadline = time.monotonic() + 15
        while status(port, "/v1/models/m-1") != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_s_12_a_gateway_that_others_can_reach_needs_a_client_key(configured: Path, port: int, process: Command) -> None:
    result = process("server", "--host", "0.0.0.0", "--port", str(port))
    assert (result.returncode, result.stdout) == (78, "")
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("aigateway-core: ")]
    assert line.startswith("aigateway-core: server.host: 0.0.0.0 can be reached from other machines")
    assert not (configured / "home-data" / "aigateway" / "admin-key").exists()


def test_a_gateway_that_is_open_to_all_says_so_at_every_start(configured: Path, port: int) -> None:
    for _ in range(2):
        with running(port, AIGATEWAY__SERVER__CLIENT_AUTH="open", AIGATEWAY__SERVER__HOST="0.0.0.0") as gateway:
            screen = gateway.read_until("Next: ")
            assert "server.client_auth is open: whoever can reach the gateway spends its accounts" in screen
            assert "  clients    need no key, FROM ANYWHERE\n" in screen
            assert status(port, "/v1/models") == 200


def test_a_client_key_from_the_environment_is_asked_for(configured: Path, port: int) -> None:
    with running(port, AIGATEWAY_CLIENT_KEY=CLIENT_KEY) as gateway:
        screen = gateway.read_until("Next: ")
        assert "  clients    need a key\n" in screen
        assert CLIENT_KEY not in screen
        assert status(port, "/v1/models") == 401
        assert status(port, "/v1/models", CLIENT_KEY) == 200


def test_p_13_a_port_that_is_taken_is_one_line_and_no_key_is_lost(
    configured: Path, port: int, process: Command
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        result = process("server", "--port", str(port))
    assert result.returncode not in (0, 2)
    assert "Traceback" not in result.stderr
    assert "listens on" not in result.stdout
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("aigateway-core: ")]
    assert str(port) in line
    kept = configured / "home-data" / "aigateway" / "admin-key"
    with running(port) as gateway:
        gateway.read_until("Next: ")
        assert status(port, "/api/v1/accounts", kept.read_text().strip()) == 200


def test_more_than_one_worker_is_refused_with_the_reason(configured: Path, process: Command) -> None:
    result = process("server", AIGATEWAY__SERVER__WORKERS="2")
    assert result.returncode == 78
    assert "more than one worker needs Redis" in result.stderr


def test_p_12_several_workers_without_a_place_for_what_they_count_say_what_to_do(
    configured: Path, process: Command, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import tempfile\n\ntempfile.tempdir = '/nowhere'\n")
    several = {"AIGATEWAY__SERVER__WORKERS": "2", "AIGATEWAY__REDIS__ENABLED": "true"}
    result = process("server", **several, PYTHONPATH=str(tmp_path))
    assert result.returncode == 78
    assert "set TMPDIR to one that can be written to, or use one worker" in result.stderr
    assert "Traceback" not in result.stderr


UNFIT = {
    "a setting that nobody knows": ("server: {prot: 1}\n", {}, "server.prot"),
    "a setting that cannot be": ("server: {port: 99999}\n", {}, "server.port"),
    "no YAML": ("server: [\n", {}, "config.yaml"),
    "a key that is too short": ("", {"AIGATEWAY_ADMIN_KEY": "s3cr3t-canary"}, "AIGATEWAY_ADMIN_KEY"),
    "a master key that is none": ("", {"AIGATEWAY_MASTER_KEY": "s3cr3t-canary"}, "AIGATEWAY_MASTER_KEY"),
    "a secret that is nowhere": ("database: {password: {file: gone}}\n", {}, "database.password"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_p_13_what_cannot_be_is_one_line_that_names_it_and_an_exit_code(
    name: str, configured: Path, port: int, process: Command
) -> None:
    config, environ, named = UNFIT[name]
    if config:
        (configured / "config.yaml").write_text(config)
    result = process("server", "--port", str(port), **environ)
    assert (result.returncode, result.stdout) == (78, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("aigateway-core: ")
    assert named in line
    assert "s3cr3t-canary" not in line
