"""An upstream that nobody here wrote: the npm package ``@copilotkit/aimock``, run offline on loopback."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.gateway_process import GatewayProcess
from e2e.npm_packages import installed
from ports import free_port

KEY = "sk-aimock-e2e-key"
ANSWERS = Path(__file__).with_name("answers.json")


@pytest.fixture(scope="session")
def aimock() -> Iterator[str]:
    """The URL of a running aimock, which is installed first where it is not."""
    command = installed(Path(__file__).parent) / "node_modules" / ".bin" / "llmock"
    port = free_port()
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
