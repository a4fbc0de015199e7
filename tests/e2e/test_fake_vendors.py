"""The fake vendors are what the other tests stand on: the SDKs talk to them directly, and what is wrong is refused."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from e2e.anthropic_talker import AnthropicTalker
from e2e.fakes.anthropic import AnthropicWire
from e2e.fakes.glm import GLMWire
from e2e.fakes.openai import OpenAIWire
from e2e.fakes.server import FakeVendor
from e2e.openai_talker import OpenAITalker
from e2e.talkers import MODES, PIXEL, Mode, Talker, ToolSpec

KEY = "sk-known"
CLOCK = ToolSpec(name="clock", arguments=("tz",))
CALL = {"id": "a", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
TOOL = {"type": "function", "function": {"name": "clock", "parameters": CLOCK.schema}}
BLOCK_TOOL = {"name": "clock", "input_schema": CLOCK.schema}
USE = {"type": "tool_use", "id": "a", "name": "clock", "input": {}}
TEXT = {"type": "text", "text": "first"}
FORGED = {"type": "thinking", "thinking": "t", "signature": "forged"}
BUDGET = {"type": "enabled", "budget_tokens": 1024}
RESULT = {"type": "tool_result", "tool_use_id": "a", "content": "noon"}
USER = {"role": "user", "content": "hello"}


@pytest.fixture
def vendor(request: pytest.FixtureRequest) -> Iterator[FakeVendor]:
    fake = FakeVendor(request.param(), [KEY])
    fake.start()
    yield fake
    fake.stop()


def post(vendor: FakeVendor, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    named = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    request = urllib.request.Request(vendor.url + path, json.dumps(body).encode(), named)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def turns(*messages: tuple[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content} for role, content in messages]}


def picture(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def converse(talker: Talker) -> None:
    first = talker.say("hello, wörld 日本 🎉")
    assert first.text == "echo: hello, wörld 日本 🎉 [system: Be kind] [turn 1]"
    assert first.finish == "stop"
    asked = talker.say('use the tool clock with {"tz": "Zürich"}')
    assert [(call.name, call.arguments) for call in asked.calls] == [("clock", {"tz": "Zürich"})]
    assert asked.finish == "tools"
    assert talker.answer({asked.calls[0].id: "noon"}).text == "The tool answered: noon"
    assert "[images: 1] [turn 3]" in talker.say("look", images=[PIXEL]).text


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("vendor", [OpenAIWire], indirect=True)
def test_the_openai_sdk_is_content_with_the_fake_openai(vendor: FakeVendor, mode: Mode) -> None:
    client = openai.OpenAI(
        api_key=KEY, base_url=f"{vendor.url}/v1", max_retries=0, default_headers={"accept-encoding": "identity"}
    )
    converse(OpenAITalker(client, "gpt-4o", mode, system="Be kind", tools=[CLOCK]))
    assert vendor.violations == []


@pytest.mark.parametrize("mode", ["whole", "stream"])
@pytest.mark.parametrize("vendor", [GLMWire], indirect=True)
def test_the_fake_glm_answers_like_glm(vendor: FakeVendor, mode: Mode) -> None:
    body: dict[str, Any] = {"model": "glm-4.7", "messages": [USER], "stream": mode == "stream"}
    if mode == "whole":
        _, answer = post(vendor, GLMWire.path, body, authorization=f"Bearer {KEY}")
        assert answer["choices"][0]["message"]["reasoning_content"] == "Thinking about: hello"
    else:
        request = urllib.request.Request(
            vendor.url + GLMWire.path,
            json.dumps(body).encode(),
            {"content-type": "application/json", "authorization": f"Bearer {KEY}"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            frames = response.read().decode().removesuffix("\n\n").split("\n\n")
        assert frames.pop() == "data: [DONE]"
        chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames]
        assert all(chunk["choices"][0]["delta"]["role"] == "assistant" for chunk in chunks)
        assert ["usage" in chunk for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
        assert "finish_reason" in chunks[-1]["choices"][0]
    assert vendor.violations == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("thinking", [False, True])
@pytest.mark.parametrize("vendor", [AnthropicWire], indirect=True)
def test_the_anthropic_sdk_is_content_with_the_fake_anthropic(vendor: FakeVendor, mode: Mode, thinking: bool) -> None:
    client = anthropic.Anthropic(
        api_key=KEY, base_url=vendor.url, max_retries=0, default_headers={"accept-encoding": "identity"}
    )
    options: dict[str, Any] = {"thinking": {"type": "enabled", "budget_tokens": 2000}} if thinking else {}
    converse(AnthropicTalker(client, "claude-sonnet-5", mode, system="Be kind", tools=[CLOCK], **options))
    assert vendor.violations == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"surprise": 1}, "Unrecognized request argument supplied: surprise"),
        ({"temperature": "1"}, "valid number"),
        ({"temperature": 2.5}, "temperature"),
        ({"stop": list("abcde")}, "stop"),
        ({"stop": []}, "stop"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"tools": []}, "tools"),
        ({"tools": [{"type": "function", "function": {"name": "no spaces"}}]}, "name"),
        ({"tools": [{"type": "function", "function": {"name": "t", "parameters": {}}}]}, "type: "),
        ({"tools": [{"type": "function", "function": {"name": "t", "parameters": {"type": "object"}}}]}, "properties"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "other"}}}, "other"),
        ({"max_tokens": 5, "max_completion_tokens": 5}, "at the same time"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"model": "gpt-5", "max_tokens": 5}, "max_completion_tokens"),
        ({"model": "gpt-5", "temperature": 0.5}, "temperature"),
        ({"reasoning_effort": "low"}, "reasoning_effort"),
        ({"model": "gpt-5", "reasoning_effort": "enormous"}, "Input should be"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "narrator", "content": "x"}]}, "role"),
        ({"messages": [{"role": "user", "content": []}]}, "empty array"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}, "empty string"),
        ({"messages": [{"role": "user", "content": "x", "cache_control": {}}]}, "Extra inputs"),
        (turns(("user", [picture("http://x/y.png")])), "image"),
        (turns(("user", [picture("data:image/png;base64,no!")])), "image"),
        (turns(("system", [picture("https://x/y.png")])), "content"),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "a"}]}, "must be a response"),
        ({"messages": [USER, {"role": "assistant", "content": None}]}, "content"),
        ({"messages": [USER, {"role": "assistant", "content": "x", "reasoning_content": "y"}]}, "Extra inputs"),
        ({"messages": [USER, {"role": "assistant", "tool_calls": [CALL]}]}, "must be followed"),
        ({"messages": [USER, {"role": "assistant", "tool_calls": [CALL]}, USER]}, "must be followed"),
        ({"messages": [USER, {"role": "assistant", "tool_calls": [{**CALL, "id": "a" * 41}]}]}, "41"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "no spaces"}}}, "name"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("vendor", [OpenAIWire], indirect=True)
def test_the_fake_openai_refuses(vendor: FakeVendor, change: dict[str, Any], said: str) -> None:
    body = {"model": "gpt-4o", "messages": [USER], **change}
    status, answer = post(vendor, "/v1/chat/completions", body, authorization=f"Bearer {KEY}")
    assert status == 400
    assert answer["error"]["type"] == "invalid_request_error"
    assert any(said in violation for violation in vendor.violations)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"model": "glm-1"}, "1211"),
        ({"n": 1}, "1210"),
        ({"max_completion_tokens": 5}, "1210"),
        ({"max_tokens": 131_073}, "1210"),
        ({"temperature": 0}, "1210"),
        ({"stop": ["a", "b"]}, "1210"),
        ({"stop": "a"}, "1214"),
        ({"tools": [TOOL], "tool_choice": "required"}, "1210"),
        ({"tools": [TOOL], "tool_stream": True}, "1210"),
        ({"thinking": "enabled"}, "1214"),
        ({"model": "glm-5.3", "thinking": {"type": "disabled"}}, "1210"),
        ({"reasoning_effort": "high"}, "1210"),
        ({"response_format": {"type": "json_schema"}}, "1210"),
        ({"user_id": "short"}, "1210"),
        ({"parallel_tool_calls": True}, "1210"),
        ({"messages": []}, "1214"),
        ({"messages": [{"role": "system", "content": "x"}]}, "1214"),
        ({"messages": [{"role": "developer", "content": "x"}, USER]}, "1214"),
        ({"messages": [USER, {"role": "assistant", "content": None, "tool_calls": [CALL]}]}, "1214"),
        ({"messages": [USER, {"role": "tool", "content": "x", "tool_call_id": "a"}]}, "1214"),
        (turns(("user", [{"type": "text", "text": "x"}, picture("https://x/y.png")])), "1210"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("vendor", [GLMWire], indirect=True)
def test_the_fake_glm_refuses(vendor: FakeVendor, change: dict[str, Any], code: str) -> None:
    body = {"model": "glm-4.6", "messages": [USER], **change}
    status, answer = post(vendor, GLMWire.path, body, authorization=f"Bearer {KEY}")
    assert (status, answer["error"]["code"]) == (400, code)
    assert vendor.violations


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"max_tokens": None}, "valid integer"),
        ({"surprise": 1}, "surprise: Extra inputs are not permitted"),
        ({"context_management": {"edits": []}}, "context_management"),
        ({"temperature": 1.5}, "temperature"),
        ({"temperature": 0.5, "thinking": {"type": "enabled", "budget_tokens": 1024}}, "temperature"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1000}}, "1024"),
        ({"thinking": {"type": "enabled", "budget_tokens": 4096}}, "max_tokens"),
        ({"stop_sequences": [" "]}, "stop_sequences"),
        ({"tool_choice": {"type": "auto"}}, "tool_choice"),
        ({"tools": [BLOCK_TOOL, BLOCK_TOOL]}, "unique"),
        ({"tools": [{"name": "t", "input_schema": {}}]}, "input_schema"),
        ({"system": [{"type": "text", "text": ""}]}, "non-empty"),
        (turns(), "at least one message"),
        (turns(("user", "")), "non-empty content"),
        (turns(("user", [{"type": "text", "text": " "}])), "non-whitespace"),
        (turns(("user", [USE])), "not allowed in user"),
        (turns(("user", "x"), ("assistant", [USE])), "without `tool_result`"),
        (turns(("user", "x"), ("assistant", [USE]), ("user", "never mind")), "without `tool_result`"),
        (turns(("user", "x"), ("assistant", [USE]), ("user", [TEXT, RESULT])), "before other"),
        (turns(("user", "x"), ("assistant", [USE]), ("user", [RESULT, RESULT])), "single result"),
        (turns(("user", [RESULT])), "unexpected `tool_use_id`"),
        (turns(("user", "x"), ("assistant", [{**USE, "id": "a.b"}])), "pattern"),
        (turns(("user", "x"), ("assistant", [FORGED])), "signature"),
        ({**turns(("user", "x"), ("assistant", [USE]), ("user", [RESULT])), "thinking": BUDGET}, "Expected `thinking`"),
        (turns(("assistant", "prefill ")), "trailing whitespace"),
        (turns(("system", "too early"), ("user", "x")), "must follow a user"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("vendor", [AnthropicWire], indirect=True)
def test_the_fake_anthropic_refuses(vendor: FakeVendor, change: dict[str, Any], said: str) -> None:
    body = {"model": "claude-sonnet-5", "max_tokens": 4096, "messages": [USER], **change}
    status, answer = post(vendor, "/v1/messages", body, x_api_key=KEY, anthropic_version="2023-06-01")
    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")
    assert any(said in violation for violation in vendor.violations)


@pytest.mark.parametrize("vendor", [AnthropicWire], indirect=True)
def test_the_fake_anthropic_wants_a_version_and_has_no_sampling_in_the_newest(vendor: FakeVendor) -> None:
    body = {"model": "claude-sonnet-5", "max_tokens": 10, "messages": [USER], "temperature": 1}
    assert post(vendor, "/v1/messages", body, x_api_key=KEY)[0] == 400
    assert post(vendor, "/v1/messages", body, x_api_key=KEY, anthropic_version="2026-10-21")[0] == 400
    assert post(vendor, "/v1/messages", body, x_api_key=KEY, anthropic_version="2023-06-01")[0] == 200


@pytest.mark.parametrize(
    ("vendor", "path", "shape"),
    [
        (OpenAIWire, "/v1/chat/completions", {"code": "invalid_api_key"}),
        (GLMWire, GLMWire.path, {"code": "1002"}),
        (AnthropicWire, "/v1/messages", {"type": "authentication_error"}),
    ],
    indirect=["vendor"],
)
def test_an_unknown_key_is_refused_and_is_no_violation(vendor: FakeVendor, path: str, shape: dict[str, str]) -> None:
    status, answer = post(vendor, path, {}, authorization="Bearer sk-unknown")
    assert status == 401
    assert shape.items() <= answer["error"].items()
    assert vendor.violations == []
