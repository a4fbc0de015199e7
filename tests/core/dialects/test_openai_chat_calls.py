"""Calls are told in the form in which the client declared its tools, with what their maker wants back."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from openai.types.chat import ChatCompletion

from aigateway_core.dialects.anthropic import Anthropic
from aigateway_core.dialects.gemini import Gemini
from aigateway_core.dialects.openai_chat import OpenAIChat
from aigateway_core.dialects.openai_responses import OpenAIResponses
from aigateway_core.dialects.sse import SseParser
from aigateway_core.errors import UpstreamError
from aigateway_core.events import unfold
from aigateway_core.model import (
    ChatRequest,
    ChatResponse,
    FinishReason,
    JsonObject,
    Part,
    TextPart,
    ThinkingPart,
    ToolCallPart,
)

CHAT = OpenAIChat()
HI: JsonObject = {"role": "user", "content": "hi"}
GRAMMAR: JsonObject = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /x+/"}}
PATCH: JsonObject = {"type": "custom", "custom": {"name": "patch", "description": "d", "format": GRAMMAR}}
CLOCK: JsonObject = {"name": "clock", "parameters": {"type": "object", "properties": {}}}

OLD = CHAT.decode_request({"model": "m", "messages": [HI], "functions": [CLOCK]})
CUSTOM = CHAT.decode_request(
    {"model": "m", "messages": [HI], "tools": [PATCH, {"type": "function", "function": CLOCK}]}
)


def answer(*parts: Part, reason: FinishReason = "tool_calls") -> ChatResponse:
    return ChatResponse(id="chatcmpl-1", model="m", parts=parts, finish_reason=reason)


def whole(response: ChatResponse, request: ChatRequest) -> JsonObject:
    """The choice of a whole answer, which the official SDK understands."""
    body = CHAT.encode_response(response, request)
    ChatCompletion.model_validate_json(orjson.dumps(body), strict=True)
    choice: JsonObject = body["choices"][0]
    return {name: choice[name] for name in ("message", "finish_reason")}


def streamed(response: ChatResponse, request: ChatRequest) -> JsonObject:
    """The choice that a client puts together from the stream of the same answer."""
    encoder = CHAT.stream_encoder(request)
    wire = b"".join([encoder.encode(event) for event in unfold(response)]) + encoder.end()
    message: JsonObject = {"content": None, "refusal": None}
    finish = None
    for event in SseParser().feed(wire)[:-1]:
        [choice] = orjson.loads(event.data)["choices"]
        grow(message, choice["delta"])
        finish = finish or choice["finish_reason"]
    for call in message.get("tool_calls", []):
        del call["index"]
    if not (message.get("tool_calls") or message.get("function_call")):
        message["content"] = message["content"] or ""
    else:
        message["content"] = message["content"] or None
    return {"message": message, "finish_reason": finish}


def grow(target: JsonObject, delta: JsonObject) -> None:
    """As the SDK's own accumulator: text grows, objects are merged, calls are found by their index."""
    for name, value in delta.items():
        if name == "tool_calls":
            calls = target.setdefault(name, [])
            for fragment in value:
                known = next((call for call in calls if call["index"] == fragment["index"]), None)
                if known is None:
                    calls.append(fragment)
                else:
                    grow(known, {key: part for key, part in fragment.items() if key != "index"})
        elif isinstance(value, dict) and isinstance(target.get(name), dict):
            grow(target[name], value)
        elif isinstance(value, str) and isinstance(target.get(name), str) and name != "role":
            target[name] += value
        elif value is not None or name not in target:
            target[name] = value


def told(response: ChatResponse, request: ChatRequest) -> JsonObject:
    """The choice, once it is sure that a stream tells the same."""
    choice = whole(response, request)
    assert streamed(response, request) == choice
    return choice


def message(response: ChatResponse, request: ChatRequest) -> JsonObject:
    said: JsonObject = told(response, request)["message"]
    return said


# -- the older field


def test_a_function_of_the_older_field_is_called_in_the_older_form() -> None:
    choice = told(answer(TextPart("let me see"), ToolCallPart("c1", "clock", '{"tz":1}')), OLD)
    assert choice == {
        "finish_reason": "function_call",
        "message": {
            "role": "assistant",
            "content": "let me see",
            "refusal": None,
            "function_call": {"name": "clock", "arguments": '{"tz":1}'},
        },
    }


def test_the_older_form_has_a_place_for_one_call() -> None:
    calls = (ToolCallPart("c1", "clock", ""), ToolCallPart("c2", "clock", '{"tz":2}'))
    assert message(answer(*calls), OLD)["function_call"] == {"name": "clock", "arguments": "{}"}
    for upstream in (OpenAIChat(), OpenAIResponses()):
        assert upstream.encode_request(OLD)["parallel_tool_calls"] is False
    assert Anthropic().encode_request(OLD)["tool_choice"]["disable_parallel_tool_use"] is True


def test_an_answer_without_a_call_looks_the_same_in_either_form() -> None:
    assert told(answer(TextPart("noon"), reason="stop"), OLD)["finish_reason"] == "stop"


def test_a_conversation_in_the_older_form_goes_on() -> None:
    said = message(answer(ToolCallPart("c1", "clock", '{"tz":1}')), OLD)
    result = {"role": "function", "name": "clock", "content": "noon"}
    request = CHAT.decode_request({"model": "m", "messages": [HI, said, result], "functions": [CLOCK]})
    call, answered = request.messages[1].parts[0], request.messages[2].parts[0]
    assert (call.name, call.arguments, answered.call_id) == ("clock", '{"tz":1}', call.id)


# -- free text


@pytest.mark.parametrize("upstream", [OpenAIChat(), Anthropic(), Gemini()], ids=lambda dialect: dialect.name)
def test_a_custom_tool_is_a_function_with_one_text_for_other_vendors(upstream: Any) -> None:
    sent = orjson.dumps(upstream.encode_request(CUSTOM)["tools"])
    assert b'"patch"' in sent
    assert b'"input"' in sent
    assert b"start: /x+/" in sent
    assert upstream.losses(CUSTOM).dropped == ()


def test_a_custom_tool_stays_one_where_the_vendor_has_them() -> None:
    expected = {
        "type": "custom",
        "name": "patch",
        "description": "d",
        "format": {"type": "grammar", "syntax": "lark", "definition": "start: /x+/"},
    }
    assert OpenAIResponses().encode_request(CUSTOM)["tools"][0] == expected


def test_a_call_of_a_custom_tool_carries_its_text() -> None:
    parts = (ToolCallPart("c1", "patch", '{"input":"*** Begin\\n"}'), ToolCallPart("c2", "clock", ""))
    assert message(answer(*parts), CUSTOM)["tool_calls"] == [
        {"id": "c1", "type": "custom", "custom": {"name": "patch", "input": "*** Begin\n"}},
        {"id": "c2", "type": "function", "function": {"name": "clock", "arguments": "{}"}},
    ]


def test_a_custom_call_in_the_history_is_wrapped_again() -> None:
    said = message(answer(ToolCallPart("c1", "patch", '{"input":"x"}')), CUSTOM)
    request = CHAT.decode_request({"model": "m", "messages": [HI, said], "tools": [PATCH]})
    assert request.messages[1].parts == (ToolCallPart("c1", "patch", '{"input":"x"}'),)


@pytest.mark.parametrize("arguments", ["", '{"input":"*** Be'])
def test_a_text_that_the_limit_cut_off_is_not_told_as_a_call(arguments: str) -> None:
    choice = told(answer(TextPart("so"), ToolCallPart("c1", "patch", arguments), reason="length"), CUSTOM)
    assert "tool_calls" not in choice["message"]
    assert choice["finish_reason"] == "length"


@pytest.mark.parametrize("tell", [whole, streamed])
def test_a_text_that_is_broken_off_in_a_finished_answer_is_an_error(tell: Any) -> None:
    with pytest.raises(UpstreamError, match="broke off"):
        tell(answer(ToolCallPart("c1", "patch", '{"input":"*** Be')), CUSTOM)


# -- what the maker of the thinking wants back

TOOLS = CHAT.decode_request(
    {"model": "m", "messages": [HI], "tools": [{"type": "function", "function": CLOCK}], "reasoning_effort": "low"}
)
CALL = ToolCallPart("c1", "clock", "{}")


def back(response: ChatResponse) -> tuple[Part, ...]:
    """The parts of the turn that a client returns as it got it."""
    request = CHAT.decode_request({"model": "m", "messages": [HI, message(response, TOOLS)]})
    return request.messages[1].parts


def signature(of: JsonObject) -> Any:
    return of["extra_content"]["google"]["thought_signature"]


def test_geminis_signature_of_a_call_travels_where_googles_own_endpoint_puts_it() -> None:
    second = ToolCallPart("c2", "clock", "{}")
    parts = (ThinkingPart("hm", origin="gemini"), ThinkingPart("", None, "gemini", "c2ln"), CALL, second)
    first, other = message(answer(*parts), TOOLS)["tool_calls"]
    assert signature(first).startswith("gw1.gemini.")
    assert "extra_content" not in other
    assert back(answer(*parts)) == (ThinkingPart("hm"), ThinkingPart("", None, "gemini", "c2ln"), CALL, second)


def test_geminis_signature_of_a_text_travels_on_the_message() -> None:
    parts = (TextPart("noon"), ThinkingPart("", "c2ln", "gemini"))
    assert signature(message(answer(*parts, reason="stop"), TOOLS)).startswith("gw1.gemini.")
    assert back(answer(*parts, reason="stop")) == parts


@pytest.mark.parametrize(
    "thinking",
    [
        ThinkingPart("hm", "c2ln", "anthropic"),
        ThinkingPart("", "c2ln", "openai-responses"),
        ThinkingPart("", None, "anthropic", "eHl6"),
    ],
    ids=["signed", "signature_alone", "redacted"],
)
def test_what_others_signed_before_a_call_travels_sealed(thinking: ThinkingPart) -> None:
    [call] = message(answer(thinking, CALL), TOOLS)["tool_calls"]
    assert signature(call).startswith("gw1.")
    assert back(answer(thinking, CALL)) == (thinking, CALL)


def test_what_googles_own_endpoint_signed_is_understood() -> None:
    signed = {"extra_content": {"google": {"thought_signature": "c2ln"}}}
    call = {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": "{}"}, **signed}
    turns = [{"role": "assistant", "tool_calls": [call]}, {"role": "assistant", "content": "noon", **signed}]
    first, second = CHAT.decode_request({"model": "m", "messages": [HI, *turns]}).messages[1:]
    assert first.parts == (ThinkingPart("", None, "gemini", "c2ln"), CALL)
    assert second.parts == (TextPart("noon"), ThinkingPart("", "c2ln", "gemini"))


def test_the_native_path_takes_out_what_the_gateway_put_in_and_nothing_else() -> None:
    sealed = message(answer(ThinkingPart("hm", "c2ln", "anthropic"), CALL), TOOLS)
    signed_text = message(answer(TextPart("noon"), ThinkingPart("", "c2ln", "gemini"), reason="stop"), TOOLS)
    own = {"extra_content": {"google": {"thought_signature": "c2ln"}, "x": 1}}
    kept = {"role": "assistant", "tool_calls": [{"id": "c2", "type": "function", **own}], **own}
    odd = [{"role": "assistant", "tool_calls": 5}, {"role": "assistant", "tool_calls": [5]}, 5]
    body = {"model": "m", "messages": [HI, sealed, signed_text, kept, *odd]}
    relayed = CHAT.native_request(body, "theirs")["messages"]
    assert b"gw1." in orjson.dumps(body)
    assert b"extra_content" not in orjson.dumps(relayed[1:3])
    assert [call["id"] for call in relayed[1]["tool_calls"]] == ["c1"]
    assert (relayed[0], relayed[3:]) == (HI, [kept, *odd])


def test_thinking_that_nobody_signed_needs_no_carrier() -> None:
    parts = (ThinkingPart("hm", origin="glm"), CALL)
    assert b"extra_content" not in orjson.dumps(message(answer(*parts), TOOLS))
    assert back(answer(*parts)) == (ThinkingPart("hm"), CALL)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"extra_content": 1}, "messages[0].extra_content"),
        ({"extra_content": {"google": []}}, "messages[0].extra_content.google"),
        (
            {"extra_content": {"google": {"thought_signature": 5}}},
            "messages[0].extra_content.google.thought_signature",
        ),
    ],
)
def test_what_is_wrong_is_named_by_its_path(fields: JsonObject, path: str) -> None:
    with pytest.raises(Exception, match="expected") as caught:
        CHAT.decode_request({"model": "m", "messages": [{"role": "assistant", "content": "a", **fields}]})
    assert caught.value.path == path  # type: ignore[attr-defined]


def test_a_damaged_seal_is_left_out() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
    call |= {"extra_content": {"google": {"thought_signature": "gw1.anthropic.AAAA"}}}
    request = CHAT.decode_request({"model": "m", "messages": [HI, {"role": "assistant", "tool_calls": [call]}]})
    assert request.messages[1].parts == (CALL,)
