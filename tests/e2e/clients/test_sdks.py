"""Every SDK with every provider: a tool is called, its answer arrives, and thoughts are shown where there are any."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.clients.jobs import ANSWER, ARGUMENTS, CLOCK, SDK, Job, Mode, thinker
from e2e.clients.node_sdks import NODE_SDKS
from e2e.clients.python_sdks import PYTHON_SDKS
from e2e.gateway_process import CLIENT_KEY, GatewayProcess
from e2e.house import CLOUD_TARGETS, TARGETS, Target

SDKS: tuple[SDK, ...] = (*PYTHON_SDKS, *NODE_SDKS)

pytestmark = pytest.mark.timeout(900)  # the first test waits for the packages


def ways() -> Iterator[Any]:
    for client in SDKS:
        for mode in client.modes:
            yield pytest.param(client, mode, id=f"{client.name}-{mode}")


everywhere = pytest.mark.parametrize("target", [*TARGETS, *CLOUD_TARGETS], ids=lambda target: target.provider)
in_every_way = pytest.mark.parametrize(("client", "mode"), list(ways()))


@everywhere
@in_every_way
def test_a_tool_is_called_and_its_answer_arrives(
    client: SDK, mode: Mode, target: Target, gateway: GatewayProcess, npm: Path
) -> None:
    mark = gateway.mark()
    outcome = client.run(Job(url=gateway.url, key=CLIENT_KEY, model=target.model, mode=mode, npm=npm))
    assert list(outcome.calls) == [{"name": CLOCK.name, "arguments": ARGUMENTS}]
    # What a client wraps around an answer is its own affair.
    assert outcome.text.startswith("The tool answered: ")
    assert ANSWER in outcome.text
    probes = client.probes.get(mode, 0)
    outcomes = [row["outcome"] for row in gateway.rows(mark, probes + 2)]
    assert outcomes == [*["invalid_request"] * probes, "ok", "ok"]


@everywhere
@in_every_way
def test_thinking_is_shown_and_goes_back(
    client: SDK, mode: Mode, target: Target, gateway: GatewayProcess, npm: Path
) -> None:
    model, shown = thinker(target, client)
    outcome = client.run(Job(url=gateway.url, key=CLIENT_KEY, model=model, mode=mode, npm=npm, thinking=True))
    assert list(outcome.calls) == [{"name": CLOCK.name, "arguments": ARGUMENTS}]
    assert ANSWER in outcome.text
    if mode != "runner":
        assert outcome.thinking.startswith("Thinking about: ") is shown
