"""What clients put into requests besides text: it arrives, or the client is told."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import httpx
import openai
import pytest
from e2e.gateway_process import CLIENT_KEY, GatewayProcess
from e2e.house import TARGETS, Target, Vendors

pytestmark = pytest.mark.anyio

FORCING = [target for target in TARGETS if target.provider != "glm"]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
CLOCK: Any = {"name": "clock", "input_schema": {"type": "object", "properties": {"tz": {"type": "string"}}}}
WEATHER: Any = {"name": "weather", "input_schema": SCHEMA}
FUNCTIONS: Any = [
    {"type": "function", "function": {"name": tool["name"], "parameters": tool["input_schema"]}}
    for tool in (CLOCK, WEATHER)
]
BOTH = 'use the tool clock with {} and use the tool weather with {"city": "Oslo"}'

everywhere = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.provider)
where_calls_can_be_forced = pytest.mark.parametrize("target", FORCING, ids=lambda target: target.provider)
# Gemini has no field that keeps a model from calling several at a time.
where_calls_can_be_counted = pytest.mark.parametrize(
    "target", [target for target in FORCING if target.provider != "gamma"], ids=lambda target: target.provider
)


def user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


@everywhere
def test_a_stop_text_ends_the_answer_for_the_anthropic_sdk(
    target: Target, anthropic_client: anthropic.Anthropic
) -> None:
    message = anthropic_client.messages.create(
        model=target.model, max_tokens=100, messages=user("one STOP two"), stop_sequences=["STOP", "never"]
    )
    assert message.content[0].type == "text"
    assert message.content[0].text.rstrip() == "echo: one"
    if target.provider == "acme":
        assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "STOP")


@everywhere
def test_a_stop_text_ends_the_answer_for_the_openai_sdk(target: Target, openai_client: openai.OpenAI) -> None:
    completion = openai_client.chat.completions.create(model=target.model, messages=user("one STOP two"), stop="STOP")
    assert (completion.choices[0].message.content or "").rstrip() == "echo: one"
    assert completion.choices[0].finish_reason == "stop"


@where_calls_can_be_forced
@pytest.mark.parametrize(
    ("choice", "called"), [({"type": "any"}, "clock"), ({"type": "tool", "name": "weather"}, "weather")]
)
def test_the_anthropic_sdk_can_force_a_tool(
    target: Target, choice: Any, called: str, anthropic_client: anthropic.Anthropic
) -> None:
    message = anthropic_client.messages.create(
        model=target.model, max_tokens=100, messages=user("hello"), tools=[CLOCK, WEATHER], tool_choice=choice
    )
    assert [block.name for block in message.content if block.type == "tool_use"] == [called]


@where_calls_can_be_forced
@pytest.mark.parametrize(
    ("choice", "called"), [("required", "clock"), ({"type": "function", "function": {"name": "weather"}}, "weather")]
)
def test_the_openai_sdk_can_force_a_tool(
    target: Target, choice: Any, called: str, openai_client: openai.OpenAI
) -> None:
    completion = openai_client.chat.completions.create(
        model=target.model, messages=user("hello"), tools=FUNCTIONS, tool_choice=choice
    )
    calls = completion.choices[0].message.tool_calls or []
    assert [call.function.name for call in calls if call.type == "function"] == [called]


@everywhere
def test_either_sdk_can_forbid_tools(
    target: Target, openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic
) -> None:
    completion = openai_client.chat.completions.create(
        model=target.model, messages=user(BOTH), tools=FUNCTIONS, tool_choice="none"
    )
    assert not completion.choices[0].message.tool_calls
    message = anthropic_client.messages.create(
        model=target.model, max_tokens=100, messages=user(BOTH), tools=[CLOCK, WEATHER], tool_choice={"type": "none"}
    )
    # Gemini signs what it says, and the signature stands in a thinking block of its own.
    assert {block.type for block in message.content} - {"thinking"} == {"text"}


@where_calls_can_be_counted
def test_either_sdk_can_ask_for_one_call_at_a_time(
    target: Target, openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic
) -> None:
    completion = openai_client.chat.completions.create(
        model=target.model, messages=user(BOTH), tools=FUNCTIONS, parallel_tool_calls=False
    )
    assert len(completion.choices[0].message.tool_calls or []) == 1
    message = anthropic_client.messages.create(
        model=target.model,
        max_tokens=100,
        messages=user(BOTH),
        tools=[CLOCK, WEATHER],
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
    )
    assert [block.type for block in message.content].count("tool_use") == 1


@everywhere
def test_a_tool_name_that_is_too_long_for_the_vendor_comes_back_as_it_was(
    target: Target, anthropic_client: anthropic.Anthropic
) -> None:
    name = "mcp__a_server_with_a_long_name__" + "and_a_tool_with_a_longer_one_still_" * 2
    tool: Any = {"name": name, "input_schema": {"type": "object", "properties": {}}}
    choice: Any = {"type": "tool", "name": name} if target.provider != "glm" else {"type": "auto"}
    message = anthropic_client.messages.create(
        model=target.model, max_tokens=100, messages=user("hello"), tools=[tool], tool_choice=choice
    )
    if target.provider != "glm":
        assert [block.name for block in message.content if block.type == "tool_use"] == [name]


@everywhere
def test_ids_of_another_vendor_are_made_to_fit(target: Target, anthropic_client: anthropic.Anthropic) -> None:
    use = {"type": "tool_use", "id": "toolu_" + "0123456789" * 6, "name": "clock", "input": {}}
    result = {"type": "tool_result", "tool_use_id": use["id"], "content": [{"type": "text", "text": "noon"}]}
    turns: list[Any] = [*user("time?"), {"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    message = anthropic_client.messages.create(model=target.model, max_tokens=100, messages=turns, tools=[CLOCK])
    assert message.content[0].type == "text"
    assert message.content[0].text == "The tool answered: noon"


@everywhere
def test_ids_that_only_openai_likes_are_made_to_fit(target: Target, openai_client: openai.OpenAI) -> None:
    call = {"id": "call.with space:1", "type": "function", "function": {"name": "clock", "arguments": ""}}
    turns: list[Any] = [
        *user("time?"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": [{"type": "text", "text": "noon"}]},
    ]
    completion = openai_client.chat.completions.create(model=target.model, messages=turns, tools=FUNCTIONS)
    assert completion.choices[0].message.content == "The tool answered: noon"


# On the native path the vendor judges the history.
@pytest.mark.parametrize("target", [one for one in TARGETS if one.dialect != "anthropic"], ids=lambda one: one.provider)
def test_a_history_that_a_cancelled_client_left_behind_is_mended(
    target: Target, anthropic_client: anthropic.Anthropic
) -> None:
    use = {"type": "tool_use", "id": "toolu_1", "name": "clock", "input": {}}
    orphan = {"type": "tool_result", "tool_use_id": "toolu_9", "content": "late"}
    turns: list[Any] = [
        *user("time?"),
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [orphan, {"type": "text", "text": "never mind"}]},
    ]
    message = anthropic_client.messages.create(model=target.model, max_tokens=100, messages=turns, tools=[CLOCK])
    assert message.content[0].type == "text"
    assert "never mind" in message.content[0].text


@everywhere
def test_system_texts_in_the_middle_arrive(
    target: Target, openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic, vendors: Vendors
) -> None:
    turns: list[Any] = [*user("hello"), {"role": "system", "content": "Mind the gap"}]
    anthropic_client.messages.create(model=target.model, max_tokens=100, messages=turns)
    assert "Mind the gap" in vendors.named(target.provider).exchanges[-1].body.decode()
    told: list[Any] = [
        {"role": "developer", "content": "Be kind"},
        *user("hello"),
        {"role": "system", "content": "Mind the gap"},
    ]
    if target.provider != "glm":
        told.append({"role": "user", "content": "and now"})
    openai_client.chat.completions.create(model=target.model, messages=told)
    sent = vendors.named(target.provider).exchanges[-1].body.decode()
    assert "Be kind" in sent
    assert "Mind the gap" in sent


@where_calls_can_be_forced
def test_a_schema_for_the_answer_arrives(
    target: Target, openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic, vendors: Vendors
) -> None:
    form: Any = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}
    openai_client.chat.completions.create(model=target.model, messages=user("where?"), response_format=form)
    anthropic_client.messages.create(
        model=target.model,
        max_tokens=100,
        messages=user("where?"),
        output_config={"format": {"type": "json_schema", "schema": SCHEMA}},
    )
    for exchange in vendors.named(target.provider).exchanges[-2:]:
        if target.provider == "acme":
            assert exchange.json["output_config"]["format"]["schema"] == SCHEMA
        elif target.provider == "gamma":
            assert exchange.json["generationConfig"]["responseJsonSchema"] == SCHEMA
        else:
            assert exchange.json["response_format"]["json_schema"]["schema"] == SCHEMA


def test_fields_that_the_gateway_does_not_know_survive_the_native_path(
    openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic, vendors: Vendors
) -> None:
    openai_client.chat.completions.create(
        model="gpt-5", messages=user("hello"), prompt_cache_key="k", verbosity="low", store=False, seed=7
    )
    sent = vendors.openai.exchanges[-1].json
    assert (sent["prompt_cache_key"], sent["verbosity"], sent["store"], sent["seed"]) == ("k", "low", False, 7)
    anthropic_client.messages.create(
        model="claude-sonnet-5",
        max_tokens=10,
        messages=user("hello"),
        service_tier="standard_only",
        extra_headers={"anthropic-beta": "context-management-2025-06-27"},
        extra_body={"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}},
    )
    exchange = vendors.acme.exchanges[-1]
    assert exchange.json["context_management"] == {"edits": [{"type": "clear_tool_uses_20250919"}]}
    assert exchange.json["service_tier"] == "standard_only"
    assert exchange.headers["anthropic-version"] == "2026-10-21"


def test_fields_that_no_other_vendor_has_are_dropped_and_named(anthropic_client: anthropic.Anthropic) -> None:
    response = anthropic_client.messages.with_raw_response.create(
        model="gpt-4o",
        max_tokens=10,
        messages=user("hello"),
        extra_body={"context_management": {"edits": []}, "speed": "fast", "top_k": 5},
    )
    assert "top_k" in response.headers["x-aigateway-dropped"]


@pytest.mark.parametrize("field", [{"n": 2}, {"logprobs": True}])
def test_what_would_change_the_answer_is_refused_across_dialects(
    field: dict[str, Any], openai_client: openai.OpenAI
) -> None:
    with pytest.raises(openai.BadRequestError, match=next(iter(field))):
        openai_client.chat.completions.create(model="claude-sonnet-5", messages=user("hello"), **field)


@pytest.mark.parametrize("model", ["beta/beta-large", "acme/claude-sonnet-5", "openai/gpt-4o", "glm/glm-4.6"])
def test_a_provider_can_be_named_in_front_of_the_model(
    model: str, openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic, gateway: GatewayProcess
) -> None:
    mark = gateway.mark()
    assert openai_client.chat.completions.create(model=model, messages=user("hello")).model == model
    assert anthropic_client.messages.create(model=model, max_tokens=10, messages=user("hello")).model == model
    provider, _, upstream_model = model.partition("/")
    for row in gateway.rows(mark, 2):
        assert (row["provider_id"], row["model"], row["upstream_model"]) == (provider, model, upstream_model)


def test_the_models_are_listed_for_either_sdk(
    openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic
) -> None:
    by_openai = {model.id for model in openai_client.models.list()}
    by_anthropic = {model.id for model in anthropic_client.models.list()}
    assert {"gpt-4o", "glm-4.6"} <= by_openai
    assert by_openai == by_anthropic


@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
async def test_case_161_the_key_may_come_in_either_header(header: str, gateway: GatewayProcess) -> None:
    shown = {header: f"Bearer {CLIENT_KEY}" if header == "authorization" else CLIENT_KEY}
    async with httpx.AsyncClient(base_url=gateway.url, trust_env=False) as client:
        body = {"model": "glm-4.6", "messages": user("hello"), "max_tokens": 9}
        for path in ("/v1/messages", "/v1/chat/completions"):
            assert (await client.post(path, json=body, headers=shown)).status_code == 200


async def test_many_conversations_at_once_do_not_mix(gateway: GatewayProcess) -> None:
    async def by_openai(number: int) -> str | None:
        model = TARGETS[number % 4].model
        completion = await one.chat.completions.create(model=model, messages=user(f"number {number}"))
        return completion.choices[0].message.content

    async def by_anthropic(number: int) -> str:
        model = TARGETS[number % 4].model
        async with two.messages.stream(model=model, max_tokens=50, messages=user(f"number {number}")) as stream:
            return await stream.get_final_text()

    async with (
        openai.AsyncOpenAI(api_key=CLIENT_KEY, base_url=f"{gateway.url}/v1", max_retries=0) as one,
        anthropic.AsyncAnthropic(api_key=CLIENT_KEY, base_url=gateway.url, max_retries=0) as two,
    ):
        told = await asyncio.gather(
            *(by_openai(number) for number in range(40)), *(by_anthropic(number) for number in range(40))
        )
    assert told == [f"echo: number {number} [turn 1]" for number in range(40)] * 2
