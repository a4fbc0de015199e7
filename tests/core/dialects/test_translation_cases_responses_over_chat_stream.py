"""Numbered cases 109, 110 and 115–121: a Responses client over a Chat Completions upstream, what the client receives.

Where the sheet says that something is not done, the events that are done are listed in full.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from core.dialects.chat_chunks import CALLS, DONE, ROLE, STOP, chunk, content, fragment, thought, used
from core.dialects.sheet import OPENAI, case, chunkings, sse
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from aigateway_core.dialects.openai_responses import OpenAIResponses
from aigateway_core.dialects.sse import SseParser
from aigateway_core.errors import UpstreamError
from aigateway_core.model import JsonObject

RESPONSES = OpenAIResponses()
EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
REQUEST = RESPONSES.decode_request(
    {
        "model": "gpt-for-clients",
        "input": "hi",
        "stream": True,
        "tools": [
            {"type": "function", "name": "clock"},
            {"type": "custom", "name": "apply_patch"},
            {"type": "namespace", "name": "mcp__gh", "tools": [{"type": "function", "name": "get_me"}]},
        ],
    }
)


def relayed(pieces: list[bytes]) -> bytes:
    """The stream on its way to the client, with the encoder's own end when it fails."""
    parser, decoder, encoder = SseParser(), OPENAI.stream_decoder(REQUEST), RESPONSES.stream_encoder(REQUEST)
    wire = b""
    try:
        for piece in pieces:
            for event in parser.feed(piece):
                wire += b"".join(map(encoder.encode, decoder.feed(event)))
        wire += b"".join(map(encoder.encode, decoder.end())) + encoder.end()
    except UpstreamError as error:
        wire += encoder.fail(error, "req_1") or b""
    return wire


def received(items: list[Any]) -> list[JsonObject]:
    """The events, of which the vendor's types accept each, whatever the pieces were in which the upstream sent."""
    events = []
    for pieces in ([sse(items)], *chunkings(sse(items))):
        parsed = SseParser().feed(relayed(pieces))
        for event in parsed:
            EVENTS.validate_json(event.data, strict=True)
        events.append([json.loads(event.data) for event in parsed])
    assert all(len(told) == len(events[0]) for told in events)
    assert [event["sequence_number"] for event in events[0]] == list(range(len(events[0])))
    return events[0]


def seen(events: list[JsonObject]) -> Iterator[str]:
    """One line for each event: its kind, its place, and what it brings."""
    for event in events:
        kind = event["type"].removeprefix("response.")
        words = [kind, str(event["output_index"])] if "output_index" in event else [kind]
        item = event.get("item", {})
        words += [str(item[name]) for name in ("type", "status", "name", "arguments", "input") if item.get(name)]
        words += [event[name] for name in ("delta", "text", "arguments", "input") if isinstance(event.get(name), str)]
        if kind in ("failed", "incomplete"):
            response = event["response"]
            words.append((response["error"] or {}).get("code") or response["incomplete_details"]["reason"])
        yield " ".join(words)


def call(name: str, arguments: str, call_id: str = "call_a", index: int = 0) -> JsonObject:
    return fragment(arguments, id=call_id, type="function", name=name, index=index)


BEGUN = ["created", "in_progress"]
LENGTH = chunk(finish="length")
FILTERED = chunk(finish="content_filter")
SAID = [
    "output_item.added 0 message in_progress",
    "content_part.added 0",
    "output_text.delta 0 hi",
    "output_text.done 0 hi",
    "content_part.done 0",
    "output_item.done 0 message completed",
]
HALF = SAID[:3]
CALLED = [
    "output_item.added 0 function_call in_progress clock",
    "function_call_arguments.delta 0 {}",
    "function_call_arguments.done 0 {}",
    "output_item.done 0 function_call completed clock {}",
]

STREAMS = [
    case(
        109,
        "a_call_in_a_namespace",
        [ROLE, call("mcp__gh__get_me", "{}"), CALLS, DONE],
        [
            *BEGUN,
            "output_item.added 0 function_call in_progress get_me",
            "function_call_arguments.delta 0 {}",
            "function_call_arguments.done 0 {}",
            "output_item.done 0 function_call completed get_me {}",
            "completed",
        ],
    ),
    case(
        110,
        "a_call_with_free_text",
        [ROLE, call("apply_patch", '{"inp'), fragment('ut":"*** Begin\\n"}', index=0), CALLS, DONE],
        [
            *BEGUN,
            "output_item.added 0 custom_tool_call in_progress apply_patch",
            "custom_tool_call_input.delta 0 *** Begin\n",
            "custom_tool_call_input.done 0 *** Begin\n",
            "output_item.done 0 custom_tool_call completed apply_patch *** Begin\n",
            "completed",
        ],
    ),
    case(
        115,
        "text_then_call",
        [ROLE, content("hi"), call("clock", "{}"), CALLS, DONE],
        [
            *BEGUN,
            *SAID,
            "output_item.added 1 function_call in_progress clock",
            "function_call_arguments.delta 1 {}",
            "function_call_arguments.done 1 {}",
            "output_item.done 1 function_call completed clock {}",
            "completed",
        ],
    ),
    case(116, "one_end_after_the_usage", [ROLE, content("hi"), STOP, used(), DONE], [*BEGUN, *SAID, "completed"]),
    case(117, "no_usage", [ROLE, content("hi"), STOP, DONE], [*BEGUN, *SAID, "completed"]),
    case(
        118,
        "reasoning_alone_without_a_finish",
        [ROLE, thought("hm"), DONE],
        [
            *BEGUN,
            "output_item.added 0 reasoning",
            "reasoning_summary_part.added 0",
            "reasoning_summary_text.delta 0 hm",
            "failed server_error",
        ],
    ),
    case(
        119,
        "a_call_that_is_cut",
        [ROLE, call("clock", '{"tz":')],
        [
            *BEGUN,
            "output_item.added 0 function_call in_progress clock",
            'function_call_arguments.delta 0 {"tz":',
            "failed server_error",
        ],
    ),
    case(
        120,
        "text_at_the_limit",
        [ROLE, content("hi"), LENGTH, DONE],
        [*BEGUN, *SAID[:-1], "output_item.done 0 message incomplete", "incomplete max_output_tokens"],
    ),
    case(
        120,
        "a_call_at_the_limit",
        [ROLE, call("clock", '{"tz":'), LENGTH, DONE],
        [
            *BEGUN,
            "output_item.added 0 function_call in_progress clock",
            'function_call_arguments.delta 0 {"tz":',
            "incomplete max_output_tokens",
        ],
    ),
    case(
        120,
        "a_call_without_arguments_at_the_limit",
        [ROLE, call("clock", ""), LENGTH, DONE],
        [*BEGUN, "output_item.added 0 function_call in_progress clock", "incomplete max_output_tokens"],
    ),
    case(
        120,
        "a_call_with_free_text_at_the_limit",
        [ROLE, call("apply_patch", '{"input":"*** Beg'), LENGTH, DONE],
        [
            *BEGUN,
            "output_item.added 0 custom_tool_call in_progress apply_patch",
            "incomplete max_output_tokens",
        ],
    ),
    case(
        120,
        "text_before_a_filter",
        [ROLE, content("hi"), FILTERED, DONE],
        [*BEGUN, *SAID[:-1], "output_item.done 0 message incomplete", "incomplete content_filter"],
    ),
    case(121, "empty_arguments", [ROLE, call("clock", ""), CALLS, DONE], [*BEGUN, *CALLED, "completed"]),
    case(121, "blank_arguments", [ROLE, call("clock", ""), STOP, DONE], [*BEGUN, *CALLED, "completed"]),
]


@pytest.mark.parametrize(("items", "expected"), STREAMS)
def test_the_client_receives_these_events(items: list[Any], expected: list[str]) -> None:
    assert list(seen(received(items))) == expected


@pytest.mark.parametrize(("items", "expected"), STREAMS)
def test_the_last_event_holds_what_was_done(items: list[Any], expected: list[str]) -> None:
    *events, last = received(items)
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    whole = [item for item in last["response"]["output"] if item in done]
    assert whole == done
    for item in last["response"]["output"]:
        assert item in done or (item["type"], item["status"]) == ("function_call", "incomplete")


def last(items: list[Any]) -> JsonObject:
    response: JsonObject = received(items)[-1]["response"]
    return response


def test_case_109_the_namespace_stands_beside_the_name() -> None:
    (item,) = last([ROLE, call("mcp__gh__get_me", "{}"), CALLS, DONE])["output"]
    assert (item["namespace"], item["name"], item["call_id"]) == ("mcp__gh", "get_me", "call_a")


def test_case_110_a_tool_for_free_text_is_called_with_it_in_a_whole_answer() -> None:
    completion = {
        "id": "c",
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": None}, "finish_reason": "tool_calls"}],
    }
    function = {"name": "apply_patch", "arguments": '{"input":"*** Begin"}'}
    completion["choices"][0]["message"]["tool_calls"] = [{"id": "call_a", "type": "function", "function": function}]  # type: ignore[index]
    body = RESPONSES.encode_response(OPENAI.decode_response(completion, REQUEST), REQUEST)
    (item,) = body["output"]
    assert (item["type"], item["name"], item["input"]) == ("custom_tool_call", "apply_patch", "*** Begin")


def test_case_116_the_usage_that_came_after_the_finish() -> None:
    usage = last([ROLE, content("hi"), STOP, used(), DONE])["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (30, 9, 39)


def test_case_117_a_missing_usage_is_estimated() -> None:
    usage = last([ROLE, content("hi"), STOP, DONE])["usage"]
    assert usage["input_tokens"] > 0
    assert usage["output_tokens"] == 1


@pytest.mark.parametrize("arguments", ['{"tz":', ""])
def test_case_120_arguments_at_the_limit_stay_as_they_are(arguments: str) -> None:
    (item,) = last([ROLE, call("clock", arguments), LENGTH, DONE])["output"]
    assert (item["arguments"], item["status"]) == (arguments, "incomplete")


def test_case_120_a_part_of_a_free_text_is_not_told_as_a_call() -> None:
    assert last([ROLE, call("apply_patch", '{"input":"*** Beg'), LENGTH, DONE])["output"] == []
