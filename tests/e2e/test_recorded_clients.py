"""What the official clients sent once, sent again: to every provider, byte for byte but for the model and the key.

The recordings are made by ``e2e.clients.record``. Each request has the answer that the upstream gave at the time; any
other provider has to give the same, since the models behind them all are one.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from e2e.answers import heard
from e2e.clients.errand import DEPTH
from e2e.clients.jobs import ANSWER
from e2e.gateway_process import CLIENT_KEY, GatewayProcess
from e2e.house import TARGETS, Target

RECORDED = Path(__file__).parent / "recorded"
FILES = sorted(RECORDED.glob("*.json"))
DIALECTS = {
    "/v1/chat/completions": "openai-chat",
    "/v1/messages": "anthropic",
    "/v1/responses": "openai-responses",
}
THINKS = {"gpt-4o": "gpt-5"}
"""The streamed conversations ask for thinking; where nothing is translated, a model that cannot think refuses that."""

PROOFS = (ANSWER, DEPTH)
"""What the tools answered, which no model could have guessed."""

GEMINI = re.compile(r"(/v1(?:beta)?/models/)[^:]+(:\w+)")


def conversations() -> Iterator[Any]:
    for path in FILES:
        for mode, requests in json.loads(path.read_text(encoding="utf-8"))["conversations"].items():
            for target in TARGETS:
                yield pytest.param(requests, target, id=f"{path.stem}-{mode}-{target.provider}")


@pytest.mark.parametrize(("requests", "target"), list(conversations()))
def test_a_recorded_conversation_is_answered_by_every_provider(
    requests: list[dict[str, Any]], target: Target, gateway: GatewayProcess
) -> None:
    for request in requests:
        answer = send(gateway, request, THINKS.get(target.model, target.model))
        assert answer.status_code == request["status"], answer.text
        if answer.status_code == 200:
            streamed = answer.headers["content-type"].startswith("text/event-stream")
            said = heard(dialect(request), answer.content, streamed=streamed)
            expected = request["answer"]
            # What is wrapped around the answer of a tool differs with the upstream's API.
            assert said.text.partition(":")[0] == expected["text"].partition(":")[0]
            assert [proof in said.text for proof in PROOFS] == [proof in expected["text"] for proof in PROOFS]
            assert list(said.calls) == [(call["name"], json.loads(call["arguments"])) for call in expected["calls"]]


def dialect(request: dict[str, Any]) -> str:
    return DIALECTS.get(request["path"].partition("?")[0], "gemini")


def send(gateway: GatewayProcess, request: dict[str, Any], model: str) -> httpx.Response:
    headers = {name: value.replace("{key}", CLIENT_KEY) for name, value in request["headers"].items()}
    path = GEMINI.sub(rf"\g<1>{model}\g<2>", request["path"])
    body = request["body"] if dialect(request) == "gemini" else {**request["body"], "model": model}
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=30) as client:
        return client.request(request["method"], path, headers=headers, json=body)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_recording_has_no_key_and_nothing_of_a_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for secret in (CLIENT_KEY, socket.gethostname(), "/tmp/", "127.0.0.1", "localhost", "@example"):
        assert secret not in text
    for conversation in json.loads(text)["conversations"].values():
        for request in conversation:
            named = {"authorization", "x-api-key", "x-goog-api-key"} & request["headers"].keys()
            assert {request["headers"][name].removeprefix("Bearer ") for name in named} == {"{key}"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_recording_has_no_long_text_of_other_people(path: Path) -> None:
    assert path.stat().st_size < 40_000
    texts = list(strings(json.loads(path.read_text(encoding="utf-8"))))
    ours = re.compile(r"use the tool |gw1\.|Z3cx|\{\"|Chunk ID|The tool answered|claude-code-2025")
    assert [text for text in texts if len(text) > 120 and not ours.match(text)] == []


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from strings(one)
