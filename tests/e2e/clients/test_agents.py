"""Coding agents with every provider: a file is written, another is read, and the last words tell what it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.clients.agents import AGENTS, Agent
from e2e.clients.errand import DEPTH, errand
from e2e.clients.tripwire import Tripwire, stretched
from e2e.gateway_process import GatewayProcess
from e2e.house import CLOUD_TARGETS, TARGETS, Target

pytestmark = pytest.mark.timeout(900)  # the first test waits for the packages


@pytest.fixture
def tripwire() -> Iterator[Tripwire]:
    with stretched() as wire:
        yield wire


@pytest.mark.parametrize("target", [*TARGETS, *CLOUD_TARGETS], ids=lambda target: target.provider)
@pytest.mark.parametrize("client", AGENTS, ids=lambda agent: agent.name)
def test_an_agent_works_on_files(
    client: Agent, target: Target, gateway: GatewayProcess, npm: Path, tmp_path: Path, tripwire: Tripwire
) -> None:
    # Agents ask for thinking, and a model that cannot think refuses that where nothing is translated.
    model = "gpt-5" if target.provider == "openai" else target.model
    mark = gateway.mark()
    last_words = errand(client, url=gateway.url, model=model, npm=npm, place=tmp_path / "desk", proxy=tripwire.url)
    assert last_words.startswith("The tool answered: ")
    assert DEPTH in last_words
    rows = gateway.rows(mark, 3)
    assert [(row["outcome"], row["streamed"]) for row in rows] == [("ok", True)] * 3
    assert [row["finish_reason"] for row in rows] == ["tool_calls", "tool_calls", "stop"]
    assert tripwire.asked == []
