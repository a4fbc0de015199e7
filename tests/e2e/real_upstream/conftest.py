"""An upstream that nobody here wrote: the npm package ``@copilotkit/aimock``, run offline on loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.gateway_process import GatewayProcess

PACKAGE = "@copilotkit/aimock@1.43.0"
FOLDER = "AIGATEWAY_TEST_NPM_FOLDER"
KEY = "sk-aimock-e2e-key"
ANSWERS = Path(__file__).with_name("answers.json")


@pytest.fixture(scope="session")
def aimock() -> Iterator[str]:
    """The URL of a running aimock, which is installed first where it is not."""
    if FOLDER not in os.environ:
        pytest.skip(f"needs npm and {FOLDER}: run tox -e real-upstream")
    folder = Path(os.environ[FOLDER])
    command = folder / "node_modules" / ".bin" / "llmock"
    if not command.exists():
        _install(folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [command, "--port", str(port), "--fixtures", ANSWERS, "--strict", "--validate-on-load", "--log-level", "warn"],
        env={**os.environ, "AIMOCK_API_KEYS": KEY},
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{url}/health", server)
        yield url
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(scope="module")
def gateway(start_gateway: Callable[..., GatewayProcess], aimock: str) -> GatewayProcess:
    """A gateway with every kind of provider in front of it."""
    providers: dict[str, dict[str, Any]] = {
        "openai": {"base_url": f"{aimock}/v1"},
        "glm": {"base_url": f"{aimock}/v1"},
        "acme": {"kind": "anthropic-compatible", "base_url": aimock, "models": ["claude-*"]},
        "beta": {"kind": "openai-compatible", "base_url": f"{aimock}/v1", "models": ["beta-*"]},
    }
    return start_gateway({"providers": {name: {**section, "api_key": KEY} for name, section in providers.items()}})


def _install(folder: Path) -> None:
    # tox hands on where certificates are under OpenSSL's name alone; Node has a name of its own for it.
    certificates = os.environ.get("NODE_EXTRA_CA_CERTS", os.environ.get("SSL_CERT_FILE", ""))
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), PACKAGE]
    subprocess.run(command, check=True, timeout=100, env={**os.environ, "NODE_EXTRA_CA_CERTS": certificates})


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        assert server.poll() is None, "aimock did not start"
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except urllib.error.HTTPError:
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    raise AssertionError("aimock did not answer in time")
