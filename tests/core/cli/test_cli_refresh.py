"""``aigateway-core accounts refresh``, and whoever does not wait for its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import yaml

from aigateway_core.testing import FakeIdentityProvider

Command = Callable[..., CompletedProcess[str]]


def test_whoever_presses_ctrl_c_once_the_token_is_spent_loses_no_login(
    home: Path, process: Command, fake_identity_provider: FakeIdentityProvider
) -> None:
    idp = fake_identity_provider
    account = added(home, process, idp)
    idp.gate = threading.Event()
    asked = subprocess.Popen(
        [sys.executable, "-c", "from aigateway_core.cli import main; main()", "accounts", "refresh", account],
        cwd=home,
        env=os.environ | {"NO_COLOR": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    began = time.monotonic()
    while idp.refreshes == 0 and time.monotonic() - began < 30:
        time.sleep(0.02)
    asked.send_signal(signal.SIGINT)
    time.sleep(0.2)
    idp.gate.set()
    _, said = asked.communicate(timeout=30)
    assert asked.returncode == 130, said
    again = process("accounts", "refresh", account)
    assert again.returncode == 0, again.stderr
    assert (idp.refreshes, idp.reuses) == (2, 0)


def added(home: Path, process: Command, idp: FakeIdentityProvider) -> str:
    """The id of an account that logged in."""
    vendor = {"kind": "openai-compatible", "base_url": "http://127.0.0.1:9/v1", "models": ["m-1"]}
    providers = {"acme": {**vendor, "auth_strategy": "oauth", "auth_options": idp.auth_options}}
    (home / "config.yaml").write_text(yaml.safe_dump({"providers": providers, "plugins": {"allowed": []}}), "utf-8")
    made = process("accounts", "add", "acme", "--auth-data", "-", "--json", stdin=json.dumps(idp.tokens()))
    assert made.returncode == 0, made.stderr
    account: str = json.loads(made.stdout)["id"]
    return account
