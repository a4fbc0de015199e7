"""The official clients, as they are published, against the gateway; they are installed first where they are not.

At the end of the run stands a table, client by provider, which is also written beside the packages.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.clients.node_sdks import copy_scripts
from e2e.clients.table import Results
from e2e.gateway_process import GatewayProcess
from e2e.house import Target
from e2e.npm_packages import FOLDER, installed

RESULTS = pytest.StashKey[Results]()


@pytest.fixture
def gateway(gateway: GatewayProcess, target: Target, request: pytest.FixtureRequest) -> GatewayProcess:
    """The one that has this provider."""
    if target.provider != "antigravity":
        return gateway
    of_cloud_code: GatewayProcess = request.getfixturevalue("cloud_gateway")
    return of_cloud_code


@pytest.fixture(scope="session", autouse=True)
def npm() -> Path:
    """The folder with the packages, and the scripts that use them."""
    folder = installed(Path(__file__).parent)
    copy_scripts(folder)
    return folder


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RESULTS] = Results()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    if {"client", "target"} <= params.keys() and (report.when == "call" or report.outcome != "passed"):
        client = params["client"].name
        results = item.config.stash.setdefault(RESULTS, Results())
        results.add(client, params["target"].provider, report.outcome)
        if report.skipped:
            results.reasons[client] = report.longrepr[2]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    results = config.stash.get(RESULTS, Results())
    if FOLDER not in os.environ or not results.counts:
        return
    lines = results.lines()
    terminalreporter.section("clients")
    for line in lines:
        terminalreporter.write_line(line)
    (Path(os.environ[FOLDER]) / "clients.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
