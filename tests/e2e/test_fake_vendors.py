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
from e2e.fakes.gemini import GeminiWire
from e2e.fakes.glm import GLMWire
from e2e.fakes.openai import OpenAIWire
from e2e.fakes.responses import ResponsesWire
from e2e.fakes.server import FakeVendor
from e2e.gemini_talker import GeminiTalker
from e2e.openai_talker import OpenAITalker
from e2e.responses_talker import ResponsesTalker
from e2e.talkers import MODES, PIXEL, Mode, Talker, ToolSpec
from google import genai
from google.genai import types

KEY = "sk-known"
PLAIN = {"accept-encoding": "identity"}
CLOCK = ToolSpec(name="clock", arguments=("tz",))
CALL = {"id": "a", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
TOOL = {"type": "function", "function": {"name": "clock", "parameters": CLOCK.schema}}


def format_of(schema: dict[str, Any]) -> dict[str, Any]:
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


BLOCK_TOOL = {"name": "clock", "input_schema": CLOCK.schema}
USE = {"type": "tool_use", "id": "a", "name": "clock", "input": {}}
TEXT = {"type": "text", "text": "first"}
FORGED = {"type": "thinking", "thinking": "t", "signature": "forged"}
BUDGET = {"type": "enabled", "budget_tokens": 1024}
RESULT = {"type": "tool_result", "tool_use_id": "a", "content": "noon"}
USER = {"role": "user", "content": "hello"}
ITEM_CALL = {"type": "function_call", "call_id": "a", "name": "clock", "arguments": "{}"}
ITEM_OUTPUT = {"type": "function_call_output", "call_id": "a", "output": "noon"}
SKIP = "skip_thought_signature_validator"
FUNCTION_CALL = {"functionCall": {"id": "a", "name": "clock", "args": {}}}
ANSWERED: dict[str, Any] = {"functionResponse": {"id": "a", "name": "clock", "response": {"output": "noon"}}}
USER_PART: tuple[str, dict[str, Any]] = ("user", {"text": "x"})


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


def contents(*said: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {"contents": [{"role": role, "parts": [part]} for role, part in said]}


def parts(*said: dict[str, Any]) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": list(said)}]}


def signed(signature: str) -> dict[str, Any]:
    return {**FUNCTION_CALL, "thoughtSignature": signature}


UNSIGNED = signed(SKIP)


def other(key: str) -> dict[str, Any]:
    return {"functionResponse": {**ANSWERED["functionResponse"], key: "other"}}


def declared(*functions: dict[str, Any]) -> dict[str, Any]:
    return {"tools": [{"functionDeclarations": list(functions)}]}


def calling(mode: str, *names: str) -> dict[str, Any]:
    return {
        "toolConfig": {"functionCallingConfig": {"mode": mode, **({"allowedFunctionNames": names} if names else {})}}
    }


def config(**fields: Any) -> dict[str, Any]:
    return {"generationConfig": fields}


def item_picture(url: str) -> dict[str, Any]:
    return {"type": "input_image", "detail": "auto", "image_url": url}


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


def openai_client(vendor: FakeVendor) -> openai.OpenAI:
    return openai.OpenAI(api_key=KEY, base_url=f"{vendor.url}/v1", max_retries=0, default_headers=PLAIN)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("vendor", [OpenAIWire], indirect=True)
def test_the_openai_sdk_is_content_with_the_fake_openai(vendor: FakeVendor, mode: Mode) -> None:
    with openai_client(vendor) as client:
        converse(OpenAITalker(client, "gpt-4o", mode, system="Be kind", tools=[CLOCK]))
    assert vendor.violations == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("model", ["gpt-4o", "gpt-5"])
@pytest.mark.parametrize("vendor", [ResponsesWire], indirect=True)
def test_the_openai_sdk_is_content_with_the_fake_responses(vendor: FakeVendor, model: str, mode: Mode) -> None:
    options: dict[str, Any] = {"include": ["reasoning.encrypted_content"]} if model == "gpt-5" else {}
    with openai_client(vendor) as client:
        converse(ResponsesTalker(client, model, mode, system="Be kind", tools=[CLOCK], **options))
    assert vendor.violations == []


@pytest.mark.parametrize(
    ("vendor", "path", "body"),
    [
        (OpenAIWire, OpenAIWire.path, {"model": "gpt-4o", "messages": [{"role": "system", "content": "Be kind"}]}),
        (
            ResponsesWire,
            ResponsesWire.path,
            {"model": "gpt-4o", "input": [{"type": "message", "role": "developer", "content": "Be kind"}]},
        ),
    ],
    indirect=["vendor"],
)
def test_a_fake_answers_a_system_prompt_alone(vendor: FakeVendor, path: str, body: dict[str, Any]) -> None:
    status, answer = post(vendor, path, body, authorization=f"Bearer {KEY}")
    assert (status, "[system: Be kind] [turn 0]" in json.dumps(answer)) == (200, True), answer


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
    options: dict[str, Any] = {"thinking": {"type": "enabled", "budget_tokens": 2000}} if thinking else {}
    with anthropic.Anthropic(api_key=KEY, base_url=vendor.url, max_retries=0, default_headers=PLAIN) as client:
        converse(AnthropicTalker(client, "claude-sonnet-5", mode, system="Be kind", tools=[CLOCK], **options))
    assert vendor.violations == []


@pytest.mark.parametrize("mode", ["whole", "stream"])
@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-3-flash"])
@pytest.mark.parametrize("vendor", [GeminiWire], indirect=True)
def test_the_google_sdk_is_content_with_the_fake_gemini(vendor: FakeVendor, model: str, mode: Mode) -> None:
    options = types.HttpOptions(base_url=vendor.url, api_version="v1beta", headers=PLAIN, timeout=10_000)
    thinking = types.ThinkingConfig(include_thoughts=True)
    with genai.Client(api_key=KEY, http_options=options) as client:
        converse(GeminiTalker(client, model, mode, system="Be kind", tools=[CLOCK], thinking_config=thinking))
        counted = client.models.count_tokens(model=model, contents="hello")
    assert counted.total_tokens
    assert vendor.violations == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"surprise": 1}, "surprise"),
        ({"systemInstruction": "Be kind"}, "systemInstruction"),
        ({"systemInstruction": {"parts": [{"text": ""}]}}, "system_instruction"),
        ({"contents": []}, "contents is not specified"),
        (parts(), "at least one parts"),
        (parts({"text": ""}), "oneof field"),
        (parts({}), "oneof field"),
        (parts({"text": "x", "cache_control": {}}), "cacheControl"),
        (parts({"text": "x", "inlineData": {"mimeType": "image/png", "data": PIXEL}}), "oneof field"),
        (parts({"inlineData": {"mimeType": "image/x-icon", "data": PIXEL}}), "MIME"),
        (parts({"inlineData": {"mimeType": "image/png", "data": "n!"}}), "base64"),
        (parts({"functionCall": {"name": "clock", "args": {}}}), "the model's"),
        (parts({"text": "x", "thought": True}), "the model's"),
        (contents(("assistant", {"text": "x"})), "valid role"),
        (contents(("user", {"text": "x"}), ("model", {"text": "y"})), "end with a user role"),
        (contents(("user", {"text": "x"}), ("model", FUNCTION_CALL), ("user", {"text": "y"})), "number of function"),
        (contents(("user", {"text": "x"}), ("model", FUNCTION_CALL), ("user", other("name"))), "answers no call"),
        (contents(("user", {"text": "x"}), ("model", FUNCTION_CALL), ("user", other("id"))), "answers no call"),
        (contents(("user", {"text": "x"}), ("model", FUNCTION_CALL), ("user", ANSWERED)), "thought_signature"),
        (contents(("user", {"text": "x"}), ("model", signed("Zm9yZ2Vk")), ("user", ANSWERED)), "not valid"),
        (contents(("user", {"text": "x"}), ("model", {"text": "y", "thoughtSignature": SKIP}), USER_PART), "not valid"),
        (contents(("model", UNSIGNED), ("user", ANSWERED)), "immediately after"),
        (contents(USER_PART, ("model", {"text": "y"}), ("model", UNSIGNED), ("user", ANSWERED)), "immediately after"),
        (contents(("user", ANSWERED)), "number of function"),
        (declared({"name": "1st"}), "function name"),
        (declared({"name": "t"}, {"name": "t"}), "Duplicate"),
        (declared({"name": "t", "strict": True}), "strict"),
        (declared({"name": "t", "parameters": {"type": "OBJECT", "additionalProperties": False}}), "additionalProp"),
        (declared({"name": "t", "parameters": {"type": "OBJECT", "$schema": "x"}}), "$schema"),
        (declared({"name": "t", "parameters": {"type": "ARRAY"}}), "items"),
        (declared({"name": "t", "parameters": {"type": "THING"}}), "type"),
        (declared({"name": "t", "parameters": {"type": "OBJECT"}, "parametersJsonSchema": {}}), "exclude"),
        (declared({"name": "t", "parametersJsonSchema": {}}), "of an object"),
        ({"tools": [{"googleSearch": {}}, {"functionDeclarations": [{"name": "t"}]}]}, "beside"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}, "without function_declarations"),
        ({**declared({"name": "t"}), **calling("AUTO", "t")}, "allowed_function_names"),
        ({**declared({"name": "t"}), **calling("ANY", "u")}, "allowed_function_names"),
        ({**declared({"name": "t"}), **calling("SOME")}, "mode"),
        (config(temperature=3), "temperature"),
        (config(temperature="1"), "temperature"),
        (config(maxOutputTokens=0), "maxOutputTokens"),
        (config(stopSequences=list("abcdef")), "stop_sequences"),
        (config(max_tokens=5), "maxTokens"),
        (config(responseJsonSchema={"type": "object"}), "response_mime_type"),
        (config(responseMimeType="text/html"), "response_mime_type"),
        (config(thinkingConfig={"thinkingLevel": "ENORMOUS"}), "thinkingLevel"),
        (config(thinkingConfig={"thinkingLevel": "LOW", "thinkingBudget": 5}), "only one"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("vendor", [GeminiWire], indirect=True)
def test_the_fake_gemini_refuses(vendor: FakeVendor, change: dict[str, Any], said: str) -> None:
    body = {**parts({"text": "hello"}), **change}
    status, answer = post(vendor, "/v1beta/models/gemini-3-flash:generateContent", body, x_goog_api_key=KEY)
    assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert any(said in violation for violation in vendor.violations), vendor.violations


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (config(thinkingConfig={"thinkingLevel": "LOW"}), "level"),
        ({**config(responseMimeType="application/json"), **declared({"name": "t"})}, "response mime type"),
    ],
)
@pytest.mark.parametrize("vendor", [GeminiWire], indirect=True)
def test_the_fake_geminis_older_models_refuse(vendor: FakeVendor, change: dict[str, Any], said: str) -> None:
    body = {**parts({"text": "hello"}), **change}
    assert post(vendor, "/v1beta/models/gemini-2.5-pro:generateContent", body, x_goog_api_key=KEY)[0] == 400
    assert any(said in violation for violation in vendor.violations), vendor.violations


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
        ({"model": "gpt-5-codex"}, "only supported in v1/responses"),
        ({"model": "o3-pro"}, "only supported in v1/responses"),
        ({"model": "gpt-5.5", "tools": [TOOL]}, "use /v1/responses"),
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
    ("change", "said"),
    [
        ({"surprise": 1}, "Unknown parameter"),
        ({"messages": []}, "Unknown parameter"),
        ({"previous_response_id": "resp_0"}, "not found"),
        ({"model": "gpt-4o-audio-preview"}, "only supported in v1/chat/completions"),
        ({"temperature": 2.5}, "temperature"),
        ({"max_output_tokens": 5}, "max_output_tokens"),
        ({"input": []}, "empty array"),
        ({"input": [{"role": "narrator", "content": "x"}]}, "Input should be"),
        ({"input": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}, "Input should be"),
        ({"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}]}, "Supported values"),
        ({"input": [{"role": "user", "content": [item_picture("http://x/y.png")]}]}, "image"),
        ({"input": [ITEM_CALL]}, "No tool output"),
        ({"input": [ITEM_OUTPUT]}, "No tool call"),
        ({"input": [ITEM_CALL, ITEM_OUTPUT, ITEM_OUTPUT]}, "Duplicate"),
        ({"input": [{**ITEM_CALL, "id": "call_1"}, ITEM_OUTPUT]}, "begins with 'fc_'"),
        ({"input": [{**ITEM_CALL, "call_id": "a" * 65}]}, "call_id"),
        ({"input": [{"type": "reasoning", "id": "rs_1", "summary": []}, ITEM_CALL, ITEM_OUTPUT]}, "verified"),
        ({"input": [USER, {"type": "reasoning", "id": "rs_1", "summary": []}]}, "following item"),
        ({"tools": [{"type": "function", "name": "t", "parameters": {}, "strict": False}]}, "type object"),
        ({"tools": [{"type": "function", "name": "t"}]}, "Field required"),
        ({"tools": [{"type": "function", "name": "t", "parameters": CLOCK.schema, "strict": True}]}, "additional"),
        ({"tool_choice": "required"}, "together with"),
        ({"reasoning": {"effort": "low"}}, "reasoning.effort"),
        ({"model": "gpt-5", "temperature": 0.5}, "temperature"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("vendor", [ResponsesWire], indirect=True)
def test_the_fake_responses_refuses(vendor: FakeVendor, change: dict[str, Any], said: str) -> None:
    body = {"model": "gpt-4o", "input": "hello", "store": False, **change}
    status, answer = post(vendor, "/v1/responses", body, authorization=f"Bearer {KEY}")
    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")
    assert any(said in violation for violation in vendor.violations), vendor.violations


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
        (format_of({"type": "integer", "minimum": 1}), "'minimum' is not supported"),
        (format_of({"type": "object"}), "explicitly set to false"),
        ({"tools": [{**BLOCK_TOOL, "strict": True}]}, "explicitly set to false"),
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
        (turns(("user", "x"), ("assistant", "prefill")), "does not support assistant message prefill"),
        ({**turns(("assistant", "prefill ")), "model": "claude-sonnet-4-5"}, "trailing whitespace"),
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
        (GeminiWire, "/v1beta/models/gemini-3-flash:generateContent", {"status": "PERMISSION_DENIED"}),
    ],
    indirect=["vendor"],
)
def test_an_unknown_key_is_refused_and_is_no_violation(vendor: FakeVendor, path: str, shape: dict[str, str]) -> None:
    status, answer = post(vendor, path, {}, authorization="Bearer sk-unknown")
    assert status in (401, 403)
    assert shape.items() <= answer["error"].items()
    assert vendor.violations == []
