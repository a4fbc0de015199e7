"""Coding agents with every provider: a file is written, another is read, and the last words tell what it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.clients.agents import AGENTS, Agent, Desk
from e2e.clients.tripwire import Tripwire, stretched
from e2e.gateway_process import CLIENT_KEY, GatewayProcess
from e2e.house import TARGETS, Target

pytestmark = pytest.mark.timeout(900)  # the first test waits for the packages

FOUND = "the-fjord-is-637-metres-deep"
WRITTEN = "moor-at-the-east-pier"


@pytest.fixture
def tripwire() -> Iterator[Tripwire]:
    with stretched() as wire:
        yield wire


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.provider)
@pytest.mark.parametrize("client", AGENTS, ids=lambda agent: agent.name)
def test_an_agent_works_on_files(
    client: Agent, target: Target, gateway: GatewayProcess, npm: Path, tmp_path: Path, tripwire: Tripwire
) -> None:
    home, folder = tmp_path / "home", tmp_path / "files"
    home.mkdir()
    folder.mkdir()
    (folder / "depth.txt").write_text(FOUND, encoding="utf-8")
    desk = Desk(
        url=gateway.url,
        key=CLIENT_KEY,
        model=_model(client, target),
        home=home,
        folder=folder,
        npm=npm,
        proxy=tripwire.url,
    )
    steps = [client.write(folder / "order.txt", WRITTEN), client.read(folder / "depth.txt")]
    task = " then ".join(f"use the tool {name} with {json.dumps(given)}" for name, given in steps)
    mark = gateway.mark()
    last_words = client.work(task, desk)
    assert last_words.startswith("The tool answered: ")
    assert FOUND in last_words
    assert (folder / "order.txt").read_text(encoding="utf-8").strip() == WRITTEN
    rows = gateway.rows(mark, 3)
    assert [(row["outcome"], row["streamed"]) for row in rows] == [("ok", True)] * 3
    assert [row["finish_reason"] for row in rows] == ["tool_calls", "tool_calls", "stop"]
    assert tripwire.asked == []


def _model(client: Agent, target: Target) -> str:
    """Codex asks for encrypted reasoning, which OpenAI refuses of models that do not reason."""
    return "gpt-5" if target.provider == "openai" and client.name.startswith("Codex") else target.model
