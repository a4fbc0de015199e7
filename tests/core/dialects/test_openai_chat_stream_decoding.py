from __future__ import annotations

from typing import Any

import pytest

from aigateway_core.dialects.dialect import decode_events
from aigateway_core.dialects.identifiers import legal_tool_name
from aigateway_core.dialects.openai_chat import OpenAIChat, OpenAIChatProfile
from aigateway_core.dialects.sse import ServerSentEvent, SseParser
from aigateway_core.errors import ErrorKind, UpstreamError, UpstreamFailure
from aigateway_core.events import (
    StreamEvent,
    StreamFinish,
    StreamStart,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageUpdate,
    fold,
)
from aigateway_core.jsontext import dumps
from aigateway_core.model import ChatRequest, JsonObject, Message, TextPart, Tool, ToolCallPart, Usage

DIALECT = OpenAIChat()
REQUEST = ChatRequest(model="mine", messages=(Message("user", (TextPart("hi"),)),), stream=True)
DONE = "[DONE]"
STOP: JsonObject = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
CALLS: JsonObject = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}


def delta(**fields: Any) -> JsonObject:
    return {"id": "chatcmpl-1", "model": "up", "choices": [{"index": 0, "delta": fields, "finish_reason": None}]}


def fragment(index: Any = 0, call_id: Any = None, name: Any = None, arguments: Any = None, **more: Any) -> JsonObject:
    """A fragment with only those keys that are not None; ``null`` is written as ``...``."""
    function = {"name": name, "arguments": arguments}
    function = {key: None if value is ... else value for key, value in function.items() if value is not None}
    entry = {"index": index, "id": call_id, "function": function or None}
    entry = {key: None if value is ... else value for key, value in entry.items() if value is not None}
    return delta(tool_calls=[entry | more])


def usage(prompt: int = 5, completion: int = 2) -> JsonObject:
    return {"prompt_tokens": prompt, "completion_tokens": completion}


def stream(*items: Any) -> list[ServerSentEvent]:
    return [ServerSentEvent("", item.encode() if isinstance(item, str) else dumps(item)) for item in items]


def decode(*items: Any, request: ChatRequest = REQUEST, dialect: OpenAIChat = DIALECT) -> list[StreamEvent]:
    return decode_events(dialect.stream_decoder(request), stream(*items))


def calls_of(*items: Any, request: ChatRequest = REQUEST) -> list[ToolCallPart]:
    parts = fold(decode(*items, request=request)).parts
    return [part for part in parts if isinstance(part, ToolCallPart)]


def test_a_plain_stream() -> None:
    events = decode(delta(role="assistant", content=""), delta(content="hel"), delta(content="lo"), STOP, DONE)
    assert events == [StreamStart("chatcmpl-1", "up"), TextDelta("hel"), TextDelta("lo"), StreamFinish("stop")]


def test_the_usage_chunk_comes_before_the_end() -> None:
    events = decode(delta(content="x"), STOP, {"choices": [], "usage": usage()}, DONE)
    assert events[-2:] == [UsageUpdate(Usage(input_tokens=5, output_tokens=2)), StreamFinish("stop")]


def test_usage_is_taken_wherever_it_stands_and_told_once() -> None:
    early = delta(content="x") | {"usage": usage(5, 1)}
    events = decode(early, STOP | {"usage": usage()}, {"choices": [], "usage": usage()}, DONE)
    assert [event for event in events if isinstance(event, UsageUpdate)] == [
        UsageUpdate(Usage(input_tokens=5, output_tokens=1)),
        UsageUpdate(Usage(input_tokens=5, output_tokens=2)),
    ]
    assert events[-1] == StreamFinish("stop")


def test_usage_before_the_answer_waits_for_its_start() -> None:
    events = decode({"id": "", "model": "", "choices": [], "usage": usage()}, delta(content="x"), STOP, DONE)
    assert events[:2] == [StreamStart("chatcmpl-1", "up"), UsageUpdate(Usage(input_tokens=5, output_tokens=2))]


def test_usage_inside_the_choice_is_found() -> None:
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": usage()}]}
    assert UsageUpdate(Usage(input_tokens=5, output_tokens=2)) in decode(delta(content="x"), last, DONE)


def test_a_stream_of_glm_s_shape() -> None:
    last = {
        "choices": [{"index": 0, "finish_reason": "stop", "delta": {"role": "assistant", "content": ""}}],
        "usage": usage(),
    }
    events = decode(delta(role="assistant", reasoning_content="hm"), delta(role="assistant", content="hi"), last, DONE)
    assert events[1:3] == [ThinkingDelta("hm", "openai-chat"), TextDelta("hi")]
    assert events[-1] == StreamFinish("stop")


@pytest.mark.parametrize(
    ("fields", "event"),
    [
        ({"reasoning_content": "t"}, ThinkingDelta("t", "openai-chat")),
        ({"reasoning_content": "", "reasoning": "t"}, ThinkingDelta("t", "openai-chat")),
        ({"reasoning_content": None, "reasoning_details": [{"text": "t"}]}, ThinkingDelta("t", "openai-chat")),
        ({"content": [{"type": "text", "text": "t"}]}, TextDelta("t")),
        ({"refusal": "t"}, TextDelta("t")),
    ],
)
def test_what_servers_call_text_and_thinking(fields: JsonObject, event: StreamEvent) -> None:
    assert decode(delta(**fields), STOP, DONE)[1] == event


def test_thinking_and_text_of_one_chunk_come_in_this_order() -> None:
    both = delta(content="a", reasoning_content="t")
    assert decode(both, STOP, DONE)[1:3] == [ThinkingDelta("t", "openai-chat"), TextDelta("a")]


def test_a_refusal_ends_by_the_filter() -> None:
    assert decode(delta(refusal="no"), STOP, DONE)[-1] == StreamFinish("content_filter")


@pytest.mark.parametrize(
    "empty", [{"choices": [{}]}, {"choices": [{"delta": None}]}, {"choices": None}, {}, {"choices": [None]}]
)
def test_chunks_with_nothing_in_them_are_passed_over(empty: JsonObject) -> None:
    response = fold(decode(empty, delta(content="x"), empty, STOP, DONE))
    assert (response.text, response.finish_reason) == ("x", "stop")


def test_only_the_first_choice_counts() -> None:
    second = {"choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": "length"}]}
    assert fold(decode(delta(content="x"), second, STOP, DONE)).text == "x"


def test_content_on_the_finish_chunk_comes_before_the_end() -> None:
    last = {"choices": [{"delta": {"content": "!"}, "finish_reason": "length"}]}
    assert decode(delta(content="x"), last, DONE)[-2:] == [TextDelta("!"), StreamFinish("length")]


def test_nothing_comes_after_the_end() -> None:
    late = [delta(content="late"), fragment(0, "c9", "f", "{}"), STOP, {"error": {"message": "x"}}, DONE]
    assert decode(delta(content="x"), STOP, DONE, *late) == decode(delta(content="x"), STOP, DONE)


def test_a_late_fragment_after_the_finish_is_ignored() -> None:
    assert fold(decode(delta(content="x"), STOP, delta(content="late"), fragment(0, "c", "f", "{}"), DONE)).text == "x"


# -- tool calls


def test_a_call_in_openai_s_own_fragments() -> None:
    events = decode(
        fragment(0, "c1", "clock", "", type="function"),
        fragment(0, arguments='{"a'),
        fragment(0, arguments='":1}'),
        CALLS,
        DONE,
    )
    assert events[1:] == [
        ToolCallStart(0, "c1", "clock"),
        ToolCallDelta(0, '{"a'),
        ToolCallDelta(0, '":1}'),
        StreamFinish("tool_calls"),
    ]


@pytest.mark.parametrize(
    "items",
    [
        pytest.param([fragment(0, "c1", "clock", '{"a":1}')], id="whole_in_one_chunk"),
        pytest.param([fragment(None, "c1", "clock", '{"a"'), fragment(None, arguments=":1}")], id="no_index"),
        pytest.param([fragment(..., "c1", "clock", '{"a"'), fragment(..., arguments=":1}")], id="null_index"),
        pytest.param([fragment(0, "c1", "clock", '{"a"'), fragment(0, "c1", "clock", ":1}")], id="repeated"),
        pytest.param([fragment(0, "c1", "clock", '{"a"'), fragment(0, "", "", ":1}")], id="empty_later"),
        pytest.param([fragment(0, "c1", "clock", '{"a"'), fragment(0, ..., ..., ":1}")], id="null_later"),
        pytest.param([fragment(0, "c1", "clock", '{"a"'), fragment(0, "c7", None, ":1}")], id="another_id_each_time"),
        pytest.param([fragment(0, "", "clock", '{"a"'), fragment(0, "c1", None, ":1}")], id="late_id"),
        pytest.param([fragment(None, "", "clock", '{"a"'), fragment(None, "c1", None, ":1}")], id="late_id_no_index"),
        pytest.param([fragment(0, None, "clock", '{"a":1}'), fragment(0, "c1")], id="id_without_a_function"),
        pytest.param([fragment(0, "c1", None, '{"a"'), fragment(0, None, "clock", ":1}")], id="late_name"),
        pytest.param([fragment(0, "c1", "clock", {"a": 1})], id="arguments_as_an_object"),
        pytest.param([fragment(0, "c1", 5, ""), fragment(0, None, "clock", '{"a":1}')], id="name_of_another_type"),
        pytest.param([fragment(3, "c1", "clock", '{"a":1}')], id="index_from_elsewhere"),
    ],
)
def test_a_call_comes_together_however_it_is_streamed(items: list[JsonObject]) -> None:
    for end in (CALLS, STOP):
        events = decode(*items, end, DONE)
        assert fold(events).parts == (ToolCallPart("c1", "clock", '{"a":1}'),)
        assert events[-1] == StreamFinish("tool_calls")
        assert len([event for event in events if isinstance(event, ToolCallStart)]) == 1


TWO = [ToolCallPart("c1", "clock", '{"a":1}'), ToolCallPart("c2", "stamp", '{"b":2}')]


@pytest.mark.parametrize(
    "items",
    [
        pytest.param(
            [fragment(0, "c1", "clock", '{"a":1}'), fragment(1, "c2", "stamp", '{"b":2}')], id="one_after_the_other"
        ),
        pytest.param(
            [
                fragment(0, "c1", "clock"),
                fragment(1, "c2", "stamp"),
                fragment(0, arguments='{"a"'),
                fragment(1, arguments='{"b":2}'),
                fragment(0, arguments=":1}"),
            ],
            id="interleaved",
        ),
        pytest.param(
            [fragment(None, "c1", "clock", '{"a":1}'), fragment(None, "c2", "stamp", '{"b":2}')], id="no_index"
        ),
        pytest.param(
            [
                fragment(None, "c1", "clock", '{"a"'),
                fragment(None, "c2", "stamp", '{"b"'),
                fragment(None, "c1", None, ":1}"),
                fragment(None, "c2", None, ":2}"),
            ],
            id="interleaved_by_id",
        ),
        pytest.param(
            [fragment(0, "c1", "clock", '{"a":1}'), fragment(0, "c2", "stamp", '{"b":2}')], id="every_index_0"
        ),
    ],
)
def test_two_calls_are_told_apart(items: list[JsonObject]) -> None:
    assert calls_of(*items, CALLS, DONE) == TWO


def test_calls_without_ids_get_some_at_the_end_in_the_order_of_their_indexes() -> None:
    items = [fragment(2, "", "c", "{}"), fragment(0, None, "a", '{"x":1}'), fragment(1, ..., "b", "{}")]
    calls = calls_of(*items, CALLS, DONE)
    assert [(call.name, call.arguments) for call in calls] == [("a", '{"x":1}'), ("b", "{}"), ("c", "{}")]
    assert len({call.id for call in calls}) == 3
    assert calls == calls_of(*items, CALLS, DONE)


def test_two_calls_with_neither_index_nor_id_are_told_apart_by_their_names() -> None:
    items = [fragment(None, None, "a", '{"x":1}'), fragment(None, None, "a", '{"x":2}')]
    assert [call.arguments for call in calls_of(*items, STOP, DONE)] == ['{"x":1}', '{"x":2}']


@pytest.mark.parametrize("index", [None, 0])
def test_a_name_without_arguments_after_the_end_of_a_call_is_no_other_call(index: int | None) -> None:
    items = [
        fragment(index, "c1", "clock", '{"a":1}'),
        fragment(index, None, "clock", ""),
        fragment(index, None, "clock", " "),
    ]
    assert [call.name for call in calls_of(*items, STOP, DONE)] == ["clock"]


def test_calls_without_arguments_are_told_apart_by_their_names() -> None:
    bare = [fragment(None, None, "a", ""), fragment(None, None, "b", "")]
    assert [call.name for call in calls_of(*bare, STOP, DONE)] == ["a", "b"]
    numbered_alike = [fragment(0, "c1", "a", ""), fragment(0, "c2", "b", "")]
    assert [(call.id, call.name) for call in calls_of(*numbered_alike, STOP, DONE)] == [("c1", "a"), ("c2", "b")]


def test_a_call_without_a_name_is_named_after_its_index() -> None:
    assert calls_of(fragment(1, "c1", "", '{"a":1}'), CALLS, DONE) == [ToolCallPart("c1", "tool_1", '{"a":1}')]


def test_a_call_of_nothing_is_left_out() -> None:
    events = decode(fragment(0, "", "", ""), delta(content="x"), CALLS, DONE)
    assert fold(events).parts == (TextPart("x"),)
    assert events[-1] == StreamFinish("stop")


def test_a_call_without_arguments_has_an_empty_object() -> None:
    events = decode(fragment(0, "c1", "clock", ""), CALLS, DONE)
    assert events[1:] == [ToolCallStart(0, "c1", "clock"), StreamFinish("tool_calls")]
    assert fold(events).parts == (ToolCallPart("c1", "clock", "{}"),)


def test_a_call_that_the_limit_cut_stays_cut() -> None:
    cut = {"choices": [{"delta": {}, "finish_reason": "length"}]}
    response = fold(decode(fragment(0, "c1", "clock", '{"a":'), cut, DONE))
    assert (response.parts, response.finish_reason) == ((ToolCallPart("c1", "clock", '{"a":'),), "length")


def test_text_between_calls_keeps_its_place() -> None:
    items = [delta(content="a"), fragment(0, "c1", "f", "{}"), delta(content="b"), STOP, DONE]
    assert fold(decode(*items)).parts == (TextPart("a"), ToolCallPart("c1", "f", "{}"), TextPart("b"))


def test_the_old_function_call_is_a_call() -> None:
    items = [delta(function_call={"name": "clock", "arguments": ""}), delta(function_call={"arguments": '{"a":1}'})]
    end = {"choices": [{"delta": {}, "finish_reason": "function_call"}]}
    (call,) = calls_of(*items, end, DONE)
    assert (call.name, call.arguments) == ("clock", '{"a":1}')


def test_the_client_s_own_tool_name_comes_back() -> None:
    long = "mcp__" + "server" * 12 + "__get"
    request = ChatRequest(model="m", tools=(Tool("clock"), Tool(long)))
    (call,) = calls_of(fragment(0, "c1", legal_tool_name(long), "{}"), CALLS, DONE, request=request)
    assert call.name == long


@pytest.mark.parametrize("junk", [5, None, "x", {"function": 5}, {}])
def test_junk_among_the_fragments_is_passed_over(junk: Any) -> None:
    assert calls_of(delta(tool_calls=[junk]), fragment(0, "c1", "clock", "{}"), CALLS, DONE) == [
        ToolCallPart("c1", "clock", "{}")
    ]


# -- ends


@pytest.mark.parametrize(
    "items",
    [
        pytest.param([], id="nothing"),
        pytest.param([delta(content="hel")], id="text"),
        pytest.param([fragment(0, "c1", "f", "{}")], id="call"),
        pytest.param([DONE], id="only_done"),
        pytest.param([delta(reasoning_content="hm"), DONE], id="only_thinking"),
        pytest.param([fragment(0, "c1", "f", '{"a":'), DONE], id="done_in_the_middle_of_a_call"),
        pytest.param([{"choices": [], "usage": usage()}], id="only_usage"),
    ],
)
def test_a_cut_stream_is_an_error(items: list[Any]) -> None:
    with pytest.raises(UpstreamError) as caught:
        decode(*items)
    assert (caught.value.kind, caught.value.scope) == (ErrorKind.PROTOCOL, "request")


def test_a_finish_without_done_is_an_end() -> None:
    assert decode(delta(content="x"), STOP)[-1] == StreamFinish("stop")


@pytest.mark.parametrize("item", [delta(content="x"), fragment(0, "c1", "f", "{}"), fragment(0, None, "f", "{}")])
def test_done_without_a_finish_ends_what_looks_whole(item: JsonObject) -> None:
    assert isinstance(decode(item, DONE)[-1], StreamFinish)


@pytest.mark.parametrize(
    ("word", "reason"),
    [("length", "length"), ("content_filter", "content_filter"), ("weird", "stop"), ("tool_calls", "stop")],
)
def test_why_the_model_stopped(word: str, reason: str) -> None:
    end = {"choices": [{"delta": {}, "finish_reason": word}]}
    assert fold(decode(delta(content="x"), end, DONE)).finish_reason == reason


def test_an_empty_finish_reason_is_none() -> None:
    early = {"choices": [{"delta": {"content": "a"}, "finish_reason": ""}]}
    assert fold(decode(early, delta(content="b"), STOP, DONE)).text == "ab"


def test_a_vendor_s_word_for_failure_is_an_error() -> None:
    own = OpenAIChat(OpenAIChatProfile(finish_reasons={"network_error": "error"}))
    with pytest.raises(UpstreamError) as caught:
        decode(delta(content="x"), {"choices": [{"delta": {}, "finish_reason": "network_error"}]}, DONE, dialect=own)
    assert caught.value.kind is ErrorKind.SERVER


# -- errors


@pytest.mark.parametrize("first", [[], [delta(content="x")]])
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"error": {"message": "boom"}}, ErrorKind.SERVER),
        ({"error": {"message": "boom", "code": 429}, "choices": []}, ErrorKind.RATE_LIMIT),
        ({"error": "boom"}, ErrorKind.SERVER),
        ({"code": "429", "message": "boom"}, ErrorKind.RATE_LIMIT),
        ([{"error": {"message": "boom", "code": 503}}], ErrorKind.OVERLOADED),
    ],
)
def test_an_error_inside_the_stream_is_raised(first: list[JsonObject], error: Any, kind: ErrorKind) -> None:
    with pytest.raises(UpstreamError, match="boom") as caught:
        decode(*first, error)
    assert caught.value.kind is kind


def test_an_event_named_error_is_an_error_whatever_it_holds() -> None:
    decoder = DIALECT.stream_decoder(REQUEST)
    with pytest.raises(UpstreamError, match="out of luck"):
        decoder.feed(ServerSentEvent("error", b"out of luck"))


def test_a_field_for_errors_with_nothing_in_it_is_no_error() -> None:
    assert fold(decode(delta(content="x") | {"error": None}, STOP, DONE)).text == "x"


@pytest.mark.parametrize("item", ["<html>", "null", "5", '{"choices": [{', delta(content=5)])
def test_what_is_no_chunk_is_an_error(item: Any) -> None:
    with pytest.raises(UpstreamError) as caught:
        decode(item)
    assert caught.value.kind is ErrorKind.PROTOCOL


def test_a_provider_judges_errors_inside_streams_itself() -> None:
    bodies: list[bytes] = []

    def judge(failure: UpstreamFailure) -> UpstreamError:
        bodies.append(failure.body)
        return UpstreamError(ErrorKind.QUOTA, "judged", scope="account")

    decoder = DIALECT.stream_decoder(REQUEST, judge)
    with pytest.raises(UpstreamError, match="judged"):
        decoder.feed(ServerSentEvent("", b' {"error":{"code":"1113"}}'))
    assert bodies == [b'{"error":{"code":"1113"}}']


def test_line_ends_comments_and_byte_order_marks_change_nothing() -> None:
    wire = (
        b"\xef\xbb\xbf: PROCESSING\r\n\r\ndata:" + dumps(delta(content="é")) + b"\r\n\r\n: more\r\n\r\n"
        b"data: " + dumps(STOP)[:20] + b"\r\ndata: " + dumps(STOP)[20:] + b"\r\n\r\ndata:\r\n\r\ndata: [DONE]"
    )
    for size in (1, 2, 3, len(wire)):
        parser = SseParser()
        events = [event for at in range(0, len(wire), size) for event in parser.feed(wire[at : at + size])]
        assert decode_events(DIALECT.stream_decoder(REQUEST), events + parser.flush()) == [
            StreamStart("chatcmpl-1", "up"),
            TextDelta("é"),
            StreamFinish("stop"),
        ]


def test_missing_ids_and_names_are_made_up() -> None:
    bare = {"choices": [{"delta": {"content": "x"}}]}
    start = decode(bare, STOP, DONE)[0]
    assert isinstance(start, StreamStart)
    assert start.id.startswith("chatcmpl-")
    assert start.model == "mine"
    assert start == decode(bare, STOP, DONE)[0]
