from __future__ import annotations

from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from aigateway_core.dialects.identifiers import legal_tool_name
from aigateway_core.dialects.openai_chat import OpenAIChat, OpenAIChatProfile
from aigateway_core.errors import ErrorKind, UpstreamError, UpstreamFailure
from aigateway_core.jsontext import dumps, loads_object
from aigateway_core.model import (
    ChatRequest,
    ChatResponse,
    FinishReason,
    JsonObject,
    Message,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    Usage,
)

DIALECT = OpenAIChat()
REQUEST = ChatRequest(model="mine", messages=(Message("user", (TextPart("hi"),)),))


def answered(finish: Any = "stop", usage: Any = None, **message: Any) -> JsonObject:
    choice = {"index": 0, "message": {"role": "assistant", "content": None, **message}, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion", "model": "up", "choices": [choice], "usage": usage}


def read(finish: Any = "stop", *, request: ChatRequest = REQUEST, **message: Any) -> ChatResponse:
    return DIALECT.decode_response(answered(finish, **message), request)


def called(name: Any = "clock", arguments: Any = "{}", **fields: Any) -> JsonObject:
    return {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}, **fields}


def test_a_plain_answer() -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    response = DIALECT.decode_response(answered(content="hi", usage=usage), REQUEST)
    assert response == ChatResponse(
        id="chatcmpl-1",
        model="up",
        parts=(TextPart("hi"),),
        finish_reason="stop",
        usage=Usage(
            input_tokens=100, output_tokens=20, cache_read_tokens=60, cache_write_tokens=10, reasoning_tokens=5
        ),
    )


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ({"content": "a", "reasoning_content": "t"}, (ThinkingPart("t", origin="openai-chat"), TextPart("a"))),
        ({"reasoning_content": "", "reasoning": "x"}, (ThinkingPart("x", origin="openai-chat"),)),
        (
            {"reasoning_details": [{"type": "reasoning.text", "text": "x"}, {"type": "reasoning.encrypted"}]},
            (ThinkingPart("x", origin="openai-chat"),),
        ),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, (TextPart("ab"),)),
        ({"content": ""}, ()),
    ],
)
def test_what_servers_call_text_and_thinking(message: JsonObject, parts: Any) -> None:
    assert read(**message).parts == parts


def test_a_refusal_is_text_and_ends_by_the_filter() -> None:
    response = read(refusal="no")
    assert (response.parts, response.finish_reason) == ((TextPart("no"),), "content_filter")


@pytest.mark.parametrize(
    ("given", "call"),
    [
        (called(arguments='{ "a" : 1 }'), ToolCallPart("c1", "clock", '{ "a" : 1 }')),
        (called(arguments='{"a": 1'), ToolCallPart("c1", "clock", '{"a": 1')),
        (called(arguments=""), ToolCallPart("c1", "clock", "{}")),
        (called(arguments=None), ToolCallPart("c1", "clock", "{}")),
        (called(arguments={"a": 1}), ToolCallPart("c1", "clock", '{"a":1}')),
        (called(name=None), ToolCallPart("c1", "tool_0", "{}")),
        ({"id": "c1"}, ToolCallPart("c1", "tool_0", "{}")),
    ],
)
def test_what_servers_call_a_call(given: JsonObject, call: ToolCallPart) -> None:
    assert read("tool_calls", tool_calls=[given]).parts == (call,)


def test_calls_without_ids_get_some_that_differ_from_each_other_and_from_other_turns() -> None:
    calls = [called(id=""), called(id=None)]
    later = ChatRequest(model="mine", messages=(*REQUEST.messages, Message("user", (TextPart("more"),))))
    answers = [read("tool_calls", request=request, tool_calls=calls) for request in (REQUEST, later)]
    ids = [part.id for response in answers for part in response.parts if isinstance(part, ToolCallPart)]
    assert len(set(ids)) == 4
    assert all(call_id.startswith("call_") for call_id in ids)
    assert read("tool_calls", tool_calls=calls) == answers[0]


def test_an_empty_entry_is_no_call() -> None:
    assert read("tool_calls", tool_calls=[{"function": {"name": "", "arguments": ""}}, None]).finish_reason == "stop"


def test_the_client_s_own_tool_name_comes_back() -> None:
    long = "mcp__" + "server" * 12 + "__get"
    request = ChatRequest(model="m", tools=(Tool(long),))
    assert read("tool_calls", request=request, tool_calls=[called(legal_tool_name(long))]).parts == (
        ToolCallPart("c1", long, "{}"),
    )


def test_the_old_function_call_is_a_call() -> None:
    response = read("function_call", function_call={"name": "clock", "arguments": '{"a":1}'})
    (part,) = response.parts
    assert isinstance(part, ToolCallPart)
    assert (part.name, part.arguments, response.finish_reason) == ("clock", '{"a":1}', "tool_calls")


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("tool_calls", "stop"),
        ("function_call", "stop"),
        (None, "stop"),
        ("", "stop"),
        ("weird", "stop"),
    ],
)
def test_the_reason_of_an_answer_without_calls(word: Any, reason: FinishReason) -> None:
    assert read(word, content="x").finish_reason == reason


@pytest.mark.parametrize(
    ("word", "reason"), [("stop", "tool_calls"), ("tool_calls", "tool_calls"), ("length", "length")]
)
def test_the_reason_of_an_answer_with_calls(word: str, reason: FinishReason) -> None:
    assert read(word, tool_calls=[called()]).finish_reason == reason


def test_a_vendor_s_own_words_count_first() -> None:
    own = OpenAIChat(OpenAIChatProfile(finish_reasons={"sensitive": "content_filter", "network_error": "error"}))
    assert own.decode_response(answered("sensitive", content=""), REQUEST).finish_reason == "content_filter"
    with pytest.raises(UpstreamError) as caught:
        own.decode_response(answered("network_error", content=""), REQUEST)
    assert (caught.value.kind, caught.value.scope) == (ErrorKind.SERVER, "request")


def test_an_empty_answer_that_was_cut_or_filtered_is_an_answer() -> None:
    assert read("length", content="").finish_reason == "length"
    assert read("content_filter").finish_reason == "content_filter"


@pytest.mark.parametrize(
    ("usage", "read_as"),
    [
        (None, None),
        ({}, None),
        ({"total_tokens": 5}, None),
        ({"prompt_tokens": 5, "completion_tokens": None}, Usage(input_tokens=5)),
        (
            {"prompt_tokens": 100, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 120}},
            Usage(input_tokens=100, output_tokens=1, cache_read_tokens=100),
        ),
        (
            {"prompt_tokens": 100, "completion_tokens": -1, "prompt_tokens_details": {"cached_tokens": -5}},
            Usage(input_tokens=100),
        ),
        (
            {"prompt_tokens": 5.0, "completion_tokens": 1, "prompt_tokens_details": "x"},
            Usage(input_tokens=5, output_tokens=1),
        ),
    ],
)
def test_usage_is_read_with_care(usage: Any, read_as: Usage | None) -> None:
    assert DIALECT.decode_response(answered(content="x", usage=usage), REQUEST).usage == read_as


NO_ANSWERS: list[JsonObject] = [
    {},
    {"choices": None},
    {"choices": []},
    {"choices": [None]},
    {"choices": [{}]},
    {"choices": [{"message": None}]},
    {"choices": [{"message": {"content": 5}}]},
    answered(content="x", usage="x"),
]


@pytest.mark.parametrize("body", NO_ANSWERS)
def test_what_is_no_answer_is_an_error_on_both_paths(body: JsonObject) -> None:
    with pytest.raises(UpstreamError) as translated:
        DIALECT.decode_response(body, REQUEST)
    with pytest.raises(UpstreamError) as native:
        DIALECT.native_response(dumps(body), "mine")
    assert translated.value.kind is native.value.kind is ErrorKind.PROTOCOL


@pytest.mark.parametrize("body", [b"", b"null", b'""', b"<html>no</html>", b'{"choices": [{"mess'])
def test_what_is_no_object_is_an_error(body: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        DIALECT.native_response(body, "mine")
    assert caught.value.kind is ErrorKind.PROTOCOL


ERRORS: list[JsonObject] = [
    {"error": {"message": "slow", "code": 429}},
    {"error": {"message": "slow", "code": "429"}, "choices": []},
    {"code": 429, "message": "slow"},
]


@pytest.mark.parametrize("body", ERRORS)
def test_an_error_that_came_as_200_is_the_error_that_it_says(body: JsonObject) -> None:
    with pytest.raises(UpstreamError) as translated:
        DIALECT.decode_response(body, REQUEST)
    with pytest.raises(UpstreamError) as native:
        DIALECT.native_response(dumps(body), "mine")
    for error in (translated.value, native.value):
        assert (error.kind, error.scope, error.message, error.status) == (ErrorKind.RATE_LIMIT, "model", "slow", 429)


def test_a_provider_judges_errors_inside_answers_itself() -> None:
    seen: list[UpstreamFailure] = []

    def judge(failure: UpstreamFailure) -> UpstreamError:
        seen.append(failure)
        return UpstreamError(ErrorKind.QUOTA, "judged", scope="account")

    body = {"error": {"code": "1113", "message": "x"}}
    with pytest.raises(UpstreamError, match="judged"):
        DIALECT.decode_response(body, REQUEST, judge)
    with pytest.raises(UpstreamError, match="judged"):
        DIALECT.native_response(b" [" + dumps(body) + b"]", "mine", judge)
    assert [failure.status for failure in seen] == [200, 200]


def test_missing_ids_and_names_are_made_up() -> None:
    body = answered(content="x") | {"id": None, "model": None}
    response = DIALECT.decode_response(body, REQUEST)
    assert response.id.startswith("chatcmpl-")
    assert response == DIALECT.decode_response(body, REQUEST)
    assert response.model == "mine"


# -- the client's side


def write(
    *parts: Any, reason: FinishReason = "stop", response_id: str = "chatcmpl-1", usage: Usage | None = None
) -> JsonObject:
    response = ChatResponse(id=response_id, model="up", parts=parts, finish_reason=reason, usage=usage)
    body = DIALECT.encode_response(response, REQUEST)
    ChatCompletion.model_validate(body, strict=True)
    return body


def test_an_answer_has_the_shape_of_the_official_sdk() -> None:
    body = write(
        TextPart("a"), ToolCallPart("c1", "clock", ""), TextPart("b"), usage=Usage(input_tokens=5, output_tokens=2)
    )
    assert (body["id"], body["object"], body["model"]) == ("chatcmpl-1", "chat.completion", "mine")
    (choice,) = body["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": "ab",
        "refusal": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}],
    }
    assert (body["usage"]["prompt_tokens"], body["usage"]["total_tokens"]) == (5, 7)


def test_thinking_goes_under_its_usual_name_and_seals_stay_out() -> None:
    body = write(ThinkingPart("a", signature="s"), ThinkingPart("", redacted="x"), ThinkingPart("b"), TextPart("t"))
    message = body["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("ab", "t")


def test_content_is_null_beside_calls_and_empty_otherwise() -> None:
    assert write(ToolCallPart("c1", "clock", "{}"))["choices"][0]["message"]["content"] is None
    assert write()["choices"][0]["message"]["content"] == ""
    assert write(ThinkingPart("hm"))["choices"][0]["message"]["content"] == ""


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("stop", "stop"),
        ("stop_sequence", "stop"),
        ("length", "length"),
        ("tool_calls", "stop"),
        ("content_filter", "content_filter"),
        ("context_window", "length"),
        ("pause", "stop"),
    ],
)
def test_every_reason_has_a_word(reason: FinishReason, word: str) -> None:
    assert write(TextPart("x"), reason=reason)["choices"][0]["finish_reason"] == word


def test_another_vendor_s_id_stays_traceable() -> None:
    assert write(response_id="msg_01")["id"] == "chatcmpl-msg_01"
    assert write(response_id="")["id"].startswith("chatcmpl-")
    assert len(write(response_id="")["id"]) > len("chatcmpl-")


def test_usage_is_estimated_when_nobody_said() -> None:
    usage = write(TextPart("four words are here"))["usage"]
    assert usage["completion_tokens"] == 5
    assert usage["prompt_tokens"] > 0


# -- the native path


def test_a_native_request_changes_only_what_it_must() -> None:
    body = {"model": "mine", "messages": [], "future_field": {"a": 1}, "stream": False}
    assert DIALECT.native_request(body, "up") == body | {"model": "up"}
    assert body["model"] == "mine"
    streamed = {"model": "mine", "stream": True, "stream_options": {"include_obfuscation": False}}
    assert DIALECT.native_request(streamed, "up") == {
        "model": "up",
        "stream": True,
        "stream_options": {"include_obfuscation": False, "include_usage": True},
    }
    assert streamed["stream_options"] == {"include_obfuscation": False}


def test_a_native_answer_that_bears_the_client_s_name_for_the_model_is_kept_to_the_byte() -> None:
    spelled = b' {"model" : "mine", "choices": [{"message": {"content": "a"}, "logprob": -1.0E-2}]}\n'
    assert DIALECT.native_response(spelled, "mine").body == spelled
    assert DIALECT.native_response(spelled, "other").body == dumps({**loads_object(spelled), "model": "other"})


def test_a_native_answer_keeps_everything_but_the_model() -> None:
    body = answered("tool_calls", tool_calls=[called()], usage={"prompt_tokens": 3, "completion_tokens": 4})
    body["future_field"] = [1, {"a": None}]
    native = DIALECT.native_response(dumps(body), "mine")
    assert native.body == dumps(body | {"model": "mine"})
    assert (native.finish_reason, native.usage) == ("tool_calls", Usage(input_tokens=3, output_tokens=4))
