"""The document of the API, as an installed gateway serves it, and whether the gateway keeps to it whatever it is asked.

schemathesis makes requests from the document, good and bad ones, and holds every answer against it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from e2e.gateway_process import ADMIN_KEY, CLIENT_KEY, GatewayProcess
from e2e.house import Vendors

GUESSING = {"security": {"wrong_client_keys_per_minute": 0, "wrong_admin_keys_per_minute": 0}}
"""Whoever checks what becomes of wrong keys shows many of them."""

CONFIG = Path(__file__).with_name("schemathesis.toml")
COMMAND = str(Path(sys.executable).with_name("schemathesis"))


def test_it_is_in_the_wheel_and_served(gateway: GatewayProcess) -> None:
    with urllib.request.urlopen(f"{gateway.url}/openapi.json", timeout=10) as answer:
        document = json.load(answer)
    assert (document["openapi"], "/v1/messages" in document["paths"]) == ("3.1.0", True)
    with urllib.request.urlopen(f"{gateway.url}/docs", timeout=10) as answer:
        assert b"<!doctype html>" in answer.read(100)


def run(gateway: GatewayProcess, key: str, paths: str) -> None:
    options = ["--no-color", "--header", f"Authorization: Bearer {key}", "--include-path-regex", paths]
    done = subprocess.run(
        [COMMAND, "--config-file", str(CONFIG), "run", f"{gateway.url}/openapi.json", *options],
        cwd=gateway.folder,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    # A failure begins with its check, and its request may be long: both ends of the report are worth reading.
    report = done.stdout if len(done.stdout) < 16_000 else f"{done.stdout[:8000]}\n[...]\n{done.stdout[-8000:]}"
    assert done.returncode == 0, f"{report}\n{done.stderr[-2000:]}"
    assert "Test cases" in done.stdout


@pytest.mark.timeout(300)
def test_the_admin_api_keeps_to_it(start_gateway: Callable[..., GatewayProcess], vendors: Vendors) -> None:
    run(start_gateway({"providers": vendors.providers(), **GUESSING}), ADMIN_KEY, "^/api/|^/[a-z.]*$")


@pytest.mark.timeout(300)
def test_what_clients_ask_keeps_to_it(start_gateway: Callable[..., GatewayProcess], vendors: Vendors) -> None:
    gateway = start_gateway({"providers": vendors.providers(), **GUESSING})
    try:
        run(gateway, CLIENT_KEY, "^/v1(beta)?/(?!tunedModels)")
    finally:
        for vendor in vendors.all:
            vendor.violations.clear()  # nonsense for a vendor's own API is passed on as it came
