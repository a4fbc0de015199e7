"""Forms of tools that OpenAI's SDK has besides functions, with a vendor that has none of them."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

CLOCK: Any = {"name": "clock", "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}}}
PATCH: Any = {"type": "custom", "custom": {"name": "patch", "description": "Apply a patch"}}
anywhere = pytest.mark.parametrize("model", ["claude-opus-4-5", "glm-4.6"])
either_way = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def asked(client: openai.OpenAI, *, stream: bool, **fields: Any) -> tuple[dict[str, Any], str]:
    """The assistant's message and why it ended; a stream's deltas are put together as clients do."""
    if not stream:
        choice = client.chat.completions.create(**fields).choices[0]
        return choice.message.model_dump(exclude_none=True), choice.finish_reason
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    finish = ""
    for chunk in client.chat.completions.create(**fields, stream=True):
        for choice in chunk.choices:
            delta = choice.delta.model_dump(exclude_none=True)
            message["content"] += delta.get("content", "")
            if call := delta.get("function_call"):
                known = message.setdefault("function_call", {"name": "", "arguments": ""})
                known.update({name: known[name] + call.get(name, "") for name in known})
            for call in delta.get("tool_calls", ()):
                del call["index"]
                message.setdefault("tool_calls", []).append(call)
            finish = choice.finish_reason or finish
    return message, finish


@anywhere
@either_way
def test_a_client_of_the_older_functions_is_called_and_answered(
    model: str, stream: bool, openai_client: openai.OpenAI
) -> None:
    question: Any = {"role": "user", "content": 'use the tool clock with {"zone": "utc"}'}
    fields = {"model": model, "functions": [CLOCK]}
    if model == "glm-4.6":
        # GLM speaks this API itself and has no such field: the native path says so.
        with pytest.raises(openai.BadRequestError, match="functions"):
            asked(openai_client, stream=stream, messages=[question], **fields)
        return
    message, finish = asked(openai_client, stream=stream, messages=[question], **fields)
    assert finish == "function_call"
    assert message["function_call"]["name"] == "clock"
    assert json.loads(message["function_call"]["arguments"]) == {"zone": "utc"}
    told: Any = {"role": "function", "name": "clock", "content": "noon"}
    message, finish = asked(openai_client, stream=stream, messages=[question, message, told], **fields)
    assert finish == "stop"
    assert "noon" in message["content"]


@either_way
def test_a_custom_tool_is_called_with_its_text(stream: bool, openai_client: openai.OpenAI) -> None:
    question: Any = {"role": "user", "content": 'use the tool patch with {"input": "*** Begin"}'}
    fields = {"model": "claude-opus-4-5", "tools": [PATCH]}
    message, finish = asked(openai_client, stream=stream, messages=[question], **fields)
    [call] = message["tool_calls"]
    assert (finish, call["type"]) == ("tool_calls", "custom")
    assert {name: call["custom"][name] for name in ("name", "input")} == {"name": "patch", "input": "*** Begin"}
    told: Any = {"role": "tool", "tool_call_id": call["id"], "content": "applied"}
    message, _ = asked(openai_client, stream=stream, messages=[question, message, told], **fields)
    assert "applied" in message["content"]
