"""Numbered cases of the translation sheet that only a running gateway can show, in every client's dialect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import httpx
import pytest
from e2e.fakes.vendor import Script
from e2e.gateway_process import CLIENT_KEY, GatewayProcess
from e2e.house import Vendors

HI = [{"role": "user", "content": "one two three"}]
CONTENTS = [{"role": "user", "parts": [{"text": "one two three"}]}]


@attrs.frozen
class Door:
    """Where clients of one dialect ask, how they ask for a stream, and what a silent stream says meanwhile."""

    path: str
    body: dict[str, Any]
    streamed: str
    keepalive: bytes

    def post(self, gateway: GatewayProcess, model: str, *, stream: bool = False, **headers: str) -> httpx.Response:
        """Ask for an answer with nothing in the request but what must be there."""
        path = (self.streamed if stream else self.path).format(model=model)
        body = self.body if "{model}" in self.path else {**self.body, "model": model, "stream": stream}
        shown = {"authorization": f"Bearer {CLIENT_KEY}"} | headers
        return httpx.post(gateway.url + path, json=body, headers=shown, timeout=30, trust_env=False)


DOORS = {
    "anthropic": Door("/v1/messages", {"max_tokens": 99, "messages": HI}, "/v1/messages", b'{"type":"ping"}'),
    "openai-chat": Door("/v1/chat/completions", {"messages": HI}, "/v1/chat/completions", b": keep-alive\n\n"),
    "openai-responses": Door("/v1/responses", {"input": "one two three"}, "/v1/responses", b": keep-alive\n\n"),
    "gemini": Door(
        "/v1beta/models/{model}:generateContent",
        {"contents": CONTENTS},
        "/v1beta/models/{model}:streamGenerateContent?alt=sse",
        b"\n\n\n",
    ),
}
through_every_door = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())


@pytest.fixture(scope="module")
def lively(start_gateway: Callable[..., GatewayProcess], vendors: Vendors) -> GatewayProcess:
    """A gateway that says something every fifth of a second."""
    return start_gateway({"providers": vendors.providers(), "server": {"keepalive_interval": 0.2}})


@through_every_door
def test_case_100_a_silent_upstream_does_not_make_a_silent_stream(
    door: Door, lively: GatewayProcess, vendors: Vendors
) -> None:
    vendors.beta.script(Script(pause=0.5), model="beta-slow")
    told = door.post(lively, "beta-slow", stream=True)
    assert told.status_code == 200
    assert door.keepalive in told.content
    assert b"three" in told.content


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("dialect", DOORS)
def test_case_157_a_wrong_key_is_refused_before_any_upstream_is_asked(
    dialect: str, stream: bool, gateway: GatewayProcess, vendors: Vendors
) -> None:
    before = len(vendors.beta.exchanges)
    told = DOORS[dialect].post(gateway, "beta-1", stream=stream, authorization="Bearer not-the-key")
    assert told.status_code == 401
    # Google's clients know no such header, and repeat no 401.
    assert told.headers.get("x-should-retry") == (None if dialect == "gemini" else "false")
    assert told.headers["content-type"].startswith("application/json")
    assert len(vendors.beta.exchanges) == before


UNKNOWN_MODEL = {
    "anthropic": {"type": "not_found_error"},
    "openai-chat": {"code": "model_not_found"},
    "openai-responses": {"code": "model_not_found"},
    "gemini": {"status": "NOT_FOUND", "code": 404},
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("dialect", DOORS)
def test_case_158_an_unknown_model_is_a_404_in_every_dialect(
    dialect: str, stream: bool, gateway: GatewayProcess
) -> None:
    told = DOORS[dialect].post(gateway, "llama-0815", stream=stream)
    assert told.status_code == 404
    error = told.json()["error"]
    assert {name: error[name] for name in UNKNOWN_MODEL[dialect]} == UNKNOWN_MODEL[dialect]
    assert "llama-0815" in error["message"]


@through_every_door
@pytest.mark.parametrize("header", ["authorization", "x-api-key", "x-goog-api-key"])
def test_case_161_the_key_may_come_in_any_header_and_the_valid_one_counts(
    door: Door, header: str, gateway: GatewayProcess
) -> None:
    wrong = dict.fromkeys(("authorization", "x-api-key", "x-goog-api-key"), "not-the-key")
    wrong["authorization"] = "Bearer not-the-key"
    right = f"Bearer {CLIENT_KEY}" if header == "authorization" else CLIENT_KEY
    assert door.post(gateway, "beta-1", **wrong).status_code == 401
    assert door.post(gateway, "beta-1", **(wrong | {header: right})).status_code == 200


@through_every_door
def test_case_162_a_stream_is_a_stream_whatever_the_client_says_it_accepts(door: Door, gateway: GatewayProcess) -> None:
    told = door.post(gateway, "beta-1", stream=True, accept="application/json")
    assert told.headers["content-type"].startswith("text/event-stream")
    assert told.content.count(b"data: ") > 1
