"""The Responses API of the official SDK, whole and streamed, against vendors that speak something else."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from e2e.gateway_process import GatewayProcess
from e2e.house import TARGETS, Target, Vendors
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


@pytest.mark.parametrize("target", [one for one in TARGETS if one.provider != "openai"], ids=lambda one: one.provider)
def test_case_123_what_needs_memory_is_refused_in_words(target: Target, openai_client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="previous_response") as caught:
        openai_client.responses.create(model=target.model, input="and then?", previous_response_id="resp_1")
    assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("model", ["gpt-4o", "gpt-5"])
def test_openai_remembers_what_it_was_asked_to_store(
    model: str, mode: str, openai_client: openai.OpenAI, vendors: Vendors, gateway: GatewayProcess
) -> None:
    mark = gateway.mark()
    first = ask(openai_client, mode, model=model, input="one")
    second = ask(openai_client, mode, model=model, input="two", previous_response_id=first.id)
    assert (second.output_text, second.model) == ("echo: two [turn 2]", model)
    assert vendors.openai.exchanges[-1].path == "/v1/responses"
    assert vendors.openai.exchanges[-1].json["previous_response_id"] == first.id
    assert [row["native"] for row in gateway.rows(mark, 2)] == [1, 1]


@pytest.mark.parametrize("mode", MODES)
def test_openais_own_fields_tools_and_reasoning_pass(mode: str, openai_client: openai.OpenAI, vendors: Vendors) -> None:
    request: dict[str, Any] = {
        "model": "gpt-5",
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "tools": [{"type": "web_search"}, {"type": "code_interpreter", "container": {"type": "auto"}}],
        "reasoning": {"effort": "high", "summary": "concise"},
        "prompt_cache_key": "k",
        "truncation": "auto",
        "max_tool_calls": 3,
    }
    history: list[Any] = [{"role": "user", "content": "hello"}]
    first = ask(openai_client, mode, input=history, **request)
    sent = vendors.openai.exchanges[-1].json
    assert {name: sent[name] for name in request} == request
    reasoning = first.output[0]
    assert reasoning.type == "reasoning"
    # The vendor refuses encrypted reasoning that it did not give out, to the last character.
    history += [item.model_dump(exclude_none=True) for item in first.output]
    told = ask(openai_client, mode, input=[*history, {"role": "user", "content": "again"}], **request)
    assert told.output_text == "echo: again [turn 2]"


@pytest.mark.parametrize("mode", MODES)
def test_a_chat_client_is_served_by_a_model_that_has_responses_alone(
    mode: str, openai_client: openai.OpenAI, vendors: Vendors
) -> None:
    messages: Any = [{"role": "user", "content": "hello"}]
    if mode == "whole":
        text = openai_client.chat.completions.create(model="gpt-5-codex", messages=messages).choices[0].message.content
    else:
        with openai_client.chat.completions.stream(model="gpt-5-codex", messages=messages) as stream:
            text = stream.get_final_completion().choices[0].message.content
    assert text == "echo: hello [turn 1]"
    assert (vendors.openai.exchanges[-1].path, vendors.openai.exchanges[-1].json["store"]) == ("/v1/responses", False)


def test_a_responses_client_is_served_by_a_model_that_has_chat_alone(
    openai_client: openai.OpenAI, vendors: Vendors
) -> None:
    assert "hello" in openai_client.responses.create(model="gpt-4o-audio-preview", input="hello").output_text
    assert vendors.openai.exchanges[-1].path == "/v1/chat/completions"


def test_an_unknown_model_is_the_sdks_not_found(openai_client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        openai_client.responses.create(model="nobody-1", input="hi")
