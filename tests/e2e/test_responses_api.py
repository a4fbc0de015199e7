"""The Responses API of the official SDK, whole and streamed, against vendors that speak something else."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from e2e.gateway_process import GatewayProcess
from e2e.house import TARGETS, Target
from openai.types.responses import Response

TOOL = {
    "type": "function",
    "name": "clock",
    "description": "Tells the time.",
    "parameters": {"type": "object", "properties": {"tz": {"type": "string"}}, "required": ["tz"]},
    "strict": False,
}
MODES = ("whole", "stream")


def ask(client: openai.OpenAI, mode: str, **request: Any) -> Response:
    """The answer, by the SDK's plain call or by its stream helper."""
    if mode == "whole":
        answer: Response = client.responses.create(**request)
        return answer
    with client.responses.stream(**request) as stream:
        kinds = [event.type for event in stream]
        assert kinds[0] == "response.created"
        assert kinds[-1] == "response.completed"
        return stream.get_final_response()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.provider)
def test_a_conversation_with_a_tool(
    target: Target, mode: str, openai_client: openai.OpenAI, gateway: GatewayProcess
) -> None:
    history: list[Any] = [{"role": "user", "content": 'use the tool clock with {"tz": "UTC"}'}]
    request = {"model": target.model, "instructions": "Be brief.", "tools": [TOOL], "store": False}
    called = ask(openai_client, mode, input=history, **request)
    assert called.model == target.model
    [call] = [item for item in called.output if item.type == "function_call"]
    assert (call.name, call.arguments.replace(" ", "")) == ("clock", '{"tz":"UTC"}')
    history += [item.model_dump(exclude_none=True) for item in called.output]
    history.append({"type": "function_call_output", "call_id": call.call_id, "output": "noon"})
    told = ask(openai_client, mode, input=history, **request)
    assert told.output_text == "The tool answered: noon"
    assert told.usage is not None
    assert told.usage.input_tokens > 0
    assert told.usage.output_tokens > 0


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.provider)
def test_a_question_that_is_only_a_string(target: Target, openai_client: openai.OpenAI) -> None:
    assert "hello there" in openai_client.responses.create(model=target.model, input="hello there").output_text


def test_what_needs_memory_is_refused_in_words(openai_client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="previous_response"):
        openai_client.responses.create(model="gpt-4o", input="and then?", previous_response_id="resp_1")


def test_an_unknown_model_is_the_sdks_not_found(openai_client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        openai_client.responses.create(model="nobody-1", input="hi")
