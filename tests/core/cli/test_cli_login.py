"""``aigateway-core login`` as somebody types it, the browser played by the test."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml

from aigateway_core.testing import FakeIdentityProvider

Command = Callable[..., CompletedProcess[str]]
OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture
def idp(fake_identity_provider: FakeIdentityProvider) -> FakeIdentityProvider:
    return fake_identity_provider


@pytest.fixture
def configured(home: Path, idp: FakeIdentityProvider) -> Path:
    vendor = {"kind": "openai-compatible", "base_url": "http://127.0.0.1:9/v1", "models": ["m-1"]}
    providers = {"acme": {**vendor, "auth_strategy": "oauth", "auth_options": idp.auth_options}, "plain": vendor}
    path = home / "config.yaml"
    path.write_text(yaml.safe_dump({"providers": providers, "plugins": {"allowed": []}}), "utf-8")
    return path


class Terminal:
    """A login that runs; what it says on standard error is read up to the address to open."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from aigateway_core.cli import main; main()", "login", "acme", *arguments],
            cwd=home,
            env=os.environ | {"NO_COLOR": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        self.said = ""
        self.url = ""
        for line in self._process.stderr:
            self.said += line
            if match := re.match(r"http://\S+", line):
                self.url = match[0]
                break

    def interrupt(self) -> None:
        """As Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)

    def end(self, typed: str = "") -> tuple[int, str, str]:
        """Exit code, standard output, and all of standard error."""
        out, err = self._process.communicate(typed, timeout=30)
        return self._process.returncode, out, self.said + err


def get(url: str) -> tuple[int, str]:
    try:
        with OPEN.open(url, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def accounts(command: Command) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(command("accounts", "list", "--json").stdout)
    return listed


@pytest.mark.usefixtures("configured")
def test_a_browser_comes_back_to_the_command(home: Path, idp: FakeIdentityProvider, command: Command) -> None:
    terminal = Terminal(home, "--no-browser", "--json")
    back = idp.consent(terminal.url)
    origin = back.partition("/callback")[0]
    for other in (f"{origin}/", f"{origin}/callback?code=abcdefghijkl&state=wrong", f"{origin}/callback"):
        assert get(other)[0] == 404
    status, page = get(back)
    assert status == 200
    assert "close this page" in page
    code, out, err = terminal.end()
    assert code == 0, err
    account = json.loads(out)
    assert (account["label"], account["status"]) == ("user@example.com", "active")
    assert [each["id"] for each in accounts(command)] == [account["id"]]
    assert not any(secret in f"{out}{err}" for secret in idp.secrets)


@pytest.mark.usefixtures("configured")
def test_ctrl_c_does_not_lose_a_login_whose_code_is_spent(
    home: Path, idp: FakeIdentityProvider, command: Command
) -> None:
    idp.gate = threading.Event()
    terminal = Terminal(home, "--no-browser")
    get(idp.consent(terminal.url))
    deadline = time.monotonic() + 10
    while not idp.token_requests and time.monotonic() < deadline:
        time.sleep(0.01)
    terminal.interrupt()
    time.sleep(0.1)
    idp.gate.set()
    assert terminal.end()[0] == 130
    assert [each["label"] for each in accounts(command)] == ["user@example.com"]


@pytest.mark.usefixtures("configured")
def test_an_address_can_be_pasted_from_another_machine(home: Path, idp: FakeIdentityProvider) -> None:
    terminal = Terminal(home, "--paste", "--label", "mine")
    code, out, err = terminal.end(idp.consent(terminal.url) + "\n")
    assert code == 0, err
    assert "Logged in: the account mine" in out


@pytest.mark.usefixtures("configured")
def test_who_does_not_agree_gets_no_account(home: Path, idp: FakeIdentityProvider, command: Command) -> None:
    terminal = Terminal(home, "--no-browser")
    get(idp.refuse_consent(terminal.url))
    code, out, err = terminal.end()
    assert (code, out) == (1, "")
    assert "access_denied; nothing was stored" in err
    assert accounts(command) == []


@pytest.mark.usefixtures("configured")
def test_a_preferred_port_that_is_taken_is_not_told_to_the_provider(
    home: Path, idp: FakeIdentityProvider, configured: Path
) -> None:
    config = yaml.safe_load(configured.read_text())
    config["providers"]["acme"]["auth_options"]["redirect_ports"] = [int(idp.url.rpartition(":")[2])]
    configured.write_text(yaml.safe_dump(config))
    terminal = Terminal(home, "--no-browser")
    back = idp.consent(terminal.url)
    assert not back.startswith(idp.url)
    assert get(back)[0] == 200
    assert terminal.end()[0] == 0


@pytest.mark.usefixtures("configured")
def test_a_provider_without_a_login_says_what_to_do(command: Command) -> None:
    done = command("login", "plain")
    assert done.returncode == 1
    assert "aigateway-core accounts add plain" in done.stderr
    assert "no provider 'nobody'" in command("login", "nobody").stderr


@pytest.mark.usefixtures("configured")
def test_an_account_is_renewed_tested_and_shown_when_its_login_is_over(
    home: Path, idp: FakeIdentityProvider, command: Command
) -> None:
    terminal = Terminal(home, "--paste", "--json")
    code, out, err = terminal.end(idp.consent(terminal.url) + "\n")
    assert code == 0, err
    account = json.loads(out)["id"]
    assert command("accounts", "refresh", account).returncode == 0
    assert idp.refreshes == 1
    tested = command("accounts", "test", account)
    assert tested.returncode == 1
    assert "m-1 did not answer: the upstream cannot be reached (unavailable)" in tested.stderr
    idp.revoke()
    refused = command("accounts", "refresh", account)
    assert refused.returncode == 1
    assert "invalid_grant" in refused.stderr
    listed = command("accounts", "list").stdout
    assert "needs_login (the identity provider has ended the login (invalid_grant))" in listed
    assert "refresh_token …" in listed
    assert "token_url" not in listed
