"""A request that has passed through two gateways is passed on by no third."""

from __future__ import annotations

import contextvars
import json

import httpx
import pytest

from aigateway_core.relaying import FIRST, RELAYED, agent
from aigateway_core.server.inspection import Inspected, Inspector, Refusal
from aigateway_core.upstream import Upstream

pytestmark = pytest.mark.anyio


def inspected(user_agent: str) -> tuple[Inspected | Refusal, str]:
    """What the guard makes of a request by this client, and what upstreams would be told on its behalf."""
    scope = {
        "http_version": "1.1",
        "path": "/v1/messages",
        "raw_path": b"/v1/messages",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"user-agent", user_agent.encode())],
    }
    here = contextvars.copy_context()
    return here.run(Inspector().inspect, scope), here.get(agent, FIRST)


@pytest.mark.parametrize(("user_agent", "told"), [("curl/8", FIRST), ("", FIRST), (FIRST, RELAYED)])
def test_a_gateway_may_stand_behind_one_other(user_agent: str, told: str) -> None:
    found, said = inspected(user_agent)
    assert not isinstance(found, Refusal)
    assert said == told


def test_u_31_what_was_relayed_already_is_refused() -> None:
    found, _ = inspected(RELAYED)
    assert isinstance(found, Refusal)
    assert found.status == 508
    assert "base_url" in found.message


async def test_upstreams_are_told_on_whose_behalf() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["user-agent"])
        return httpx.Response(200, content=json.dumps({}))

    upstream = Upstream(httpx.MockTransport(answer))
    await upstream.post("https://api.example.com/", json={})
    token = agent.set(RELAYED)
    await upstream.post("https://api.example.com/", json={})
    agent.reset(token)
    await upstream.post("https://api.example.com/", json={}, headers={"User-Agent": "the plugin's own"})
    assert seen == [FIRST, RELAYED, "the plugin's own"]
