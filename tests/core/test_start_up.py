"""What a start leaves for later: libraries that a gateway may never need cost time and memory all the same."""

from __future__ import annotations

import subprocess
import sys

import pytest

STARTS = "import aigateway_core.cli, aigateway_core.server.run, aigateway_core.bootstrap, sys; print(*sys.modules)"

COMMAND = """
import gc, runpy, sys
sys.argv[1:] = ["--version"]
before = gc.get_stats()[2]["collections"]
try:
    runpy.run_module("aigateway_core", run_name="__main__")
except SystemExit:
    print(gc.get_stats()[2]["collections"] - before)
"""


@pytest.fixture(scope="module")
def imported() -> set[str]:
    told = subprocess.run([sys.executable, "-c", STARTS], capture_output=True, text=True, check=True)
    return set(told.stdout.split())


@pytest.mark.parametrize("library", ["aiohttp", "aiohttp_socks", "redis", "prometheus_client", "jinja2", "markdown_it"])
def test_a_gateway_that_does_not_use_a_library_does_not_load_it(imported: set[str], library: str) -> None:
    assert "aigateway_core.gateway" in imported
    assert library not in imported


def test_the_collector_rests_while_a_command_is_loaded() -> None:
    said = (
        "import gc, runpy, sys; sys.argv[1:] = ['--version']; gc.collect(); before = gc.get_stats()[2]['collections']"
    )
    run = "runpy.run_module('aigateway_core', run_name='__main__')"
    code = f"{said}\ntry:\n    {run}\nexcept SystemExit:\n    print(gc.get_stats()[2]['collections'] - before)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    version, collections = told.stdout.split("\n")[:2]
    assert version.startswith("aigateway-core ")
    assert collections == "0"
