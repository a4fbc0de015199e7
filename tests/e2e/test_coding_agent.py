"""What a coding agent sends: long, full of optional features, and the same to every model."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from e2e.gateway_process import CLIENT_KEY, GatewayProcess
from e2e.house import TARGETS, Target, Vendors

everywhere = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.provider)

EPHEMERAL = {"type": "ephemeral"}
BETAS = "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,effort-2025-11-24"


def tool(name: str, **properties: Any) -> dict[str, Any]:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"name": name, "description": f"The tool {name}.", "input_schema": schema}


def first_request(model: str) -> dict[str, Any]:
    question = (
        'use the tool Read with {"path": "/a"} and use the tool Bash with {"command": "ls", "options": {"all": true}}'
    )
    return {
        "model": model,
        "max_tokens": 32_000,
        "stream": True,
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1; cc_entrypoint=cli;"},
            {"type": "text", "text": "You are an agent.", "cache_control": EPHEMERAL},
            {"type": "text", "text": "Long instructions.", "cache_control": EPHEMERAL},
        ],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "<system-reminder>\nThe date is known.\n</system-reminder>\n"},
                    {"type": "text", "text": question, "cache_control": EPHEMERAL},
                ],
            },
            {"role": "system", "content": "Mind the working directory."},
        ],
        "tools": [
            tool("Read", path={"type": "string"}),
            tool("Bash", command={"type": "string"}, options={"type": "object"}),
            tool(
                "TodoWrite",
                todos={"type": "array", "items": {"type": "object", "properties": {"content": {"type": "string"}}}},
            ),
        ],
        "metadata": {"user_id": json.dumps({"device_id": "0" * 64, "account_uuid": "", "session_id": "5e551011"})},
        "thinking": {"type": "adaptive"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "medium"},
    }


def ask(gateway: GatewayProcess, body: dict[str, Any]) -> dict[str, Any]:
    """The message that a stream spells, with each block as it was closed."""
    headers = {
        "x-api-key": CLIENT_KEY,
        "anthropic-version": "2023-06-01",
        "anthropic-beta": BETAS,
        "accept": "application/json",
        "user-agent": "claude-cli/2.1.330 (external, cli)",
        "x-app": "cli",
        "x-claude-code-session-id": "5e551011-0000-4000-8000-000000000000",
    }
    response = httpx.post(
        f"{gateway.url}/v1/messages?beta=true", json=body, headers=headers, trust_env=False, timeout=30
    )
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    return spelt(response.text)


def spelt(stream: str) -> dict[str, Any]:
    message: dict[str, Any] = {}
    for frame in stream.strip().split("\n\n"):
        if frame.startswith(":"):
            continue
        name, data = frame.split("\n", 1)
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        match event["type"]:
            case "message_start":
                message = event["message"]
            case "content_block_start":
                assert event["index"] == len(message["content"])
                message["content"].append({**event["content_block"], "json": ""})
            case "content_block_delta":
                block = message["content"][event["index"]]
                key, piece = next((key, value) for key, value in event["delta"].items() if key != "type")
                key = {"partial_json": "json"}.get(key, key)
                block[key] += piece
            case "message_delta":
                message.update(event["delta"])
                message["usage"].update(event["usage"])
    message["content"] = [closed(block) for block in message["content"]]
    return message


def closed(block: dict[str, Any]) -> dict[str, Any]:
    text = block.pop("json")
    return {**block, "input": json.loads(text or "{}")} if block["type"] == "tool_use" else block


@everywhere
def test_a_coding_agent_works_with_every_model(target: Target, gateway: GatewayProcess, vendors: Vendors) -> None:
    body = first_request(target.model)
    answer = ask(gateway, body)
    calls = [block for block in answer["content"] if block["type"] == "tool_use"]
    assert [(call["name"], call["input"]) for call in calls] == [
        ("Read", {"path": "/a"}),
        ("Bash", {"command": "ls", "options": {"all": True}}),
    ]
    assert (answer["model"], answer["stop_reason"]) == (target.model, "tool_use")

    results = [
        {"type": "tool_result", "tool_use_id": calls[1]["id"], "content": "a.py", "is_error": False},
        {
            "type": "tool_result",
            "tool_use_id": calls[0]["id"],
            "content": [{"type": "text", "text": "no such file"}],
            "is_error": True,
        },
        {"type": "text", "text": "<system-reminder>\nGo on.\n</system-reminder>"},
    ]
    body["messages"] += [{"role": "assistant", "content": answer["content"]}, {"role": "user", "content": results}]
    ask(gateway, body)
    sent = vendors.named(target.provider).exchanges[-1].body.decode()
    assert "a.py" in sent
    assert "no such file" in sent
    assert "Mind the working directory." in sent
    if target.dialect != "anthropic":
        assert "billing" not in sent
        assert "cache_control" not in sent


@everywhere
def test_the_probes_of_a_coding_agent_are_answered(target: Target, gateway: GatewayProcess) -> None:
    headers = {"x-api-key": CLIENT_KEY, "anthropic-version": "2023-06-01"}
    with httpx.Client(base_url=gateway.url, headers=headers, trust_env=False, timeout=20) as client:
        assert client.head("/").status_code < 500
        question = {"model": target.model, "max_tokens": 1, "messages": [{"role": "user", "content": "quota"}]}
        answer = client.post("/v1/messages?beta=true", json=question).json()
    # Gemini signs what it says; its signature comes as a thought without words, for the client to send back.
    said = [block for block in answer["content"] if block["type"] != "thinking"]
    assert (answer["stop_reason"], said) == ("max_tokens", [{"type": "text", "text": "echo:"}])
