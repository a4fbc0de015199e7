"""The native path: bodies, answers and streams that pass from one Messages API to another."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from core.dialects.message_stream import message_events, outline

from aigateway_core.dialects.anthropic import Anthropic, AnthropicProfile
from aigateway_core.dialects.anthropic.native import without_thinking
from aigateway_core.dialects.dialect import StreamTap
from aigateway_core.dialects.signatures import Sealed, seal, unseal
from aigateway_core.dialects.sse import format_event
from aigateway_core.errors import ErrorKind, UpstreamError, UpstreamFailure
from aigateway_core.jsontext import dumps
from aigateway_core.model import JsonObject, ThinkingPart, Usage

DIALECT = Anthropic()
HI: JsonObject = {"role": "user", "content": "hi"}
SEALED = {"type": "thinking", "thinking": "hm", "signature": seal("hm", None, "glm")}
SEALED_DATA = {"type": "redacted_thinking", "data": seal("x", None, "glm")}
OWN = {"type": "thinking", "thinking": "hm", "signature": "Eq=="}
CALL = {"type": "tool_use", "id": "t", "name": "w", "input": {}}
RESULT: JsonObject = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]}
CLEAR = {"type": "clear_thinking_20251015", "keep": "all"}


def body(*turns: Any, **fields: Any) -> JsonObject:
    return {"model": "mine", "max_tokens": 9, "messages": [HI, *turns], "foo": {"bar": [1]}, **fields}


def assistant(*blocks: Any) -> JsonObject:
    return {"role": "assistant", "content": list(blocks)}


# -- requests


def test_a_conversation_without_its_thinking_is_the_same_but_for_that() -> None:
    data = {"type": "redacted_thinking", "data": "Eq=="}
    text = {"type": "text", "text": "yes"}
    given = body(assistant(OWN, text), HI, assistant(data), HI, thinking={"type": "enabled", "budget_tokens": 9})
    bare = without_thinking(given)
    assert bare == {**given, "messages": [HI, assistant(text), HI, HI]}
    assert given["messages"][1] == assistant(OWN, text)


def test_in_the_middle_of_calls_nothing_is_thought_then() -> None:
    edits = {"edits": [CLEAR]}
    given = body(assistant(OWN, CALL), RESULT, thinking={"type": "enabled"}, context_management=edits)
    bare = without_thinking(given)
    assert bare is not None
    assert bare["thinking"] == {"type": "disabled"}
    assert "context_management" not in bare


@pytest.mark.parametrize("given", [body(), body(assistant(CALL), RESULT), {"messages": "none"}, {}, body(1, None)])
def test_where_nothing_was_thought_there_is_nothing_to_leave_out(given: JsonObject) -> None:
    assert without_thinking(given) is None


def test_a_body_passes_with_nothing_but_its_model_changed() -> None:
    original = body(
        assistant(OWN, CALL), RESULT, thinking={"type": "enabled", "budget_tokens": 1024}, system=[{"x": 1}]
    )
    before = json.dumps(original)
    assert DIALECT.native_request(original, "theirs") == {**original, "model": "theirs"}
    assert json.dumps(original) == before


def test_thinking_of_other_vendors_is_left_out() -> None:
    original = body(assistant(SEALED, SEALED_DATA, OWN, {"type": "text", "text": "a"}), HI, assistant(SEALED), HI)
    before = json.dumps(original)
    relayed = DIALECT.native_request(original, "theirs")
    assert relayed["messages"] == [HI, assistant(OWN, {"type": "text", "text": "a"}), HI, HI]
    assert json.dumps(original) == before


def test_manual_thinking_is_off_when_what_it_builds_on_is_gone() -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    gone = DIALECT.native_request(body(assistant(SEALED, CALL), RESULT, thinking=thinking), "theirs")
    assert gone["thinking"] == {"type": "disabled"}
    kept = DIALECT.native_request(body(assistant(SEALED, OWN, CALL), RESULT, thinking=thinking), "theirs")
    assert kept["thinking"] == thinking
    adaptive = DIALECT.native_request(body(assistant(SEALED, CALL), RESULT, thinking={"type": "adaptive"}), "theirs")
    assert adaptive["thinking"] == {"type": "adaptive"}


def test_an_edit_of_thinking_needs_thinking() -> None:
    off = {"type": "disabled"}
    other = {"type": "clear_tool_uses_20250919"}
    alone = DIALECT.native_request(body(thinking=off, context_management={"edits": [CLEAR]}), "m")
    assert "context_management" not in alone
    both = DIALECT.native_request(body(thinking=off, context_management={"edits": [CLEAR, other], "x": 1}), "m")
    assert both["context_management"] == {"edits": [other], "x": 1}
    on = body(thinking={"type": "adaptive"}, context_management={"edits": [CLEAR]})
    assert DIALECT.native_request(on, "mine") == on
    turned_off = body(
        assistant(SEALED, CALL), RESULT, thinking={"type": "enabled"}, context_management={"edits": [CLEAR]}
    )
    assert "context_management" not in DIALECT.native_request(turned_off, "m")


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": None},
        {
            "messages": [
                5,
                {"role": "assistant"},
                {"content": 5},
                {"content": [5, {}, {"type": 5}, {"type": "thinking"}]},
            ]
        },
        {"messages": [assistant(SEALED, 5), 5], "thinking": {"type": "enabled"}},
        {"thinking": "off", "context_management": {"edits": 5}},
        {"thinking": {"type": "disabled"}, "context_management": {"edits": 5}},
        {"thinking": {"type": "disabled"}, "context_management": 5},
    ],
)
def test_a_body_that_is_wrong_is_the_upstreams_to_refuse(fields: JsonObject) -> None:
    assert DIALECT.native_request(body(**fields), "theirs")["model"] == "theirs"


# -- whole answers


def answer(**fields: Any) -> JsonObject:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "theirs",
        "content": [{"type": "text", "text": "hi", "novelty": 1}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 2, "output_tokens": 3, "cache_read_input_tokens": 5, "speed": "fast"},
        "container": {"id": "c"},
        **fields,
    }


def test_an_answer_passes_under_the_clients_name_for_the_model() -> None:
    relayed = DIALECT.native_response(dumps(answer()), "mine")
    assert json.loads(relayed.body) == answer(model="mine")
    assert relayed.usage == Usage(input_tokens=7, output_tokens=3, cache_read_tokens=5)
    assert relayed.finish_reason == "stop"


def test_an_answer_that_needs_no_change_passes_byte_by_byte() -> None:
    raw = json.dumps(answer(stop_reason="tool_use"), indent=2).encode()
    relayed = DIALECT.native_response(raw, "theirs")
    assert relayed.body == raw
    assert relayed.finish_reason == "tool_calls"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b'""',
        b"[]",
        b"{}",
        b"<html>",
        dumps(answer())[:40],
        dumps(answer(content=5)),
        dumps(answer(usage="x")),
        dumps(answer(id=None)),
        dumps(answer(model=None)),
        dumps(answer(type="completion")),
    ],
)
def test_what_is_no_message_is_never_relayed(raw: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        DIALECT.native_response(raw, "mine")
    assert caught.value.kind is ErrorKind.PROTOCOL


def test_an_error_under_a_good_status_is_an_error() -> None:
    raw = b'{"error":{"code":429,"message":"slow"}}'
    with pytest.raises(UpstreamError) as caught:
        DIALECT.native_response(raw, "mine")
    assert (caught.value.kind, caught.value.scope) == (ErrorKind.RATE_LIMIT, "model")

    def classify(failure: UpstreamFailure) -> UpstreamError:
        return UpstreamError(ErrorKind.QUOTA, failure.body.decode(), scope="account")

    with pytest.raises(UpstreamError) as caught:
        DIALECT.native_response(raw, "mine", classify)
    assert (caught.value.kind, caught.value.message) == (ErrorKind.QUOTA, raw.decode())


# -- streams


def event(kind: str, **fields: Any) -> bytes:
    return format_event(dumps({"type": kind, **fields}), kind)


BEGIN = event(
    "message_start", message=answer(content=[], stop_reason=None, usage={"input_tokens": 2, "output_tokens": 1})
)
PING = DIALECT.keepalive
BLOCK = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
HELLO = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "the message_start of an error"})
FINISH = event("message_delta", delta={"stop_reason": "max_tokens"}, usage={"output_tokens": 3, "input_tokens": 9})
END = event("message_stop")
ERROR = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
STREAM = BEGIN + PING + BLOCK + HELLO + event("content_block_stop", index=0) + FINISH + END


def tap(*chunks: bytes) -> tuple[StreamTap, bytes]:
    watching = DIALECT.stream_tap(body(), "mine")
    return watching, b"".join(map(watching.feed, chunks)) + watching.end()


def test_a_stream_passes_with_nothing_but_its_model_changed() -> None:
    watching, relayed = tap(STREAM)
    assert relayed == STREAM.replace(b'"model":"theirs"', b'"model":"mine"')
    assert (watching.error, watching.finish_reason, watching.committed) == (None, "length", True)
    assert watching.usage == Usage(input_tokens=9, output_tokens=3)


def test_the_pieces_of_a_stream_change_nothing() -> None:
    whole, expected = tap(STREAM)
    for size in (1, 2, 7, 64):
        watching, relayed = tap(*(STREAM[at : at + size] for at in range(0, len(STREAM), size)))
        assert relayed == expected
        assert (watching.usage, watching.finish_reason) == (whole.usage, whole.finish_reason)
    crlf = STREAM.replace(b"\n", b"\r\n")
    assert tap(*(crlf[at : at + 1] for at in range(len(crlf))))[1] == expected


def test_a_start_and_pings_are_no_commitment() -> None:
    watching = DIALECT.stream_tap(body(), "mine")
    assert outline(watching.feed(BEGIN + PING)) == ["message_start", "ping"]
    assert watching.committed is False
    watching.feed(BLOCK)
    assert watching.committed is True


def test_nameless_events_are_understood() -> None:
    bare = b"".join(b"data:" + line[5:].strip() + b"\n\n" for line in STREAM.split(b"\n") if line.startswith(b"data:"))
    watching, relayed = tap(bare)
    assert (watching.committed, watching.error, watching.finish_reason) == (True, None, "length")
    assert b'"theirs"' not in relayed


def test_events_that_nobody_knows_pass() -> None:
    news = b': a comment\n\nevent: news\ndata: {"type":"news"}\n\ndata: [DONE]\n\n'
    watching, relayed = tap(BEGIN + news + FINISH)
    assert news in relayed
    assert watching.error is None


def test_an_error_as_the_first_event_is_told_before_any_commitment() -> None:
    watching, relayed = tap(ERROR)
    assert (relayed, watching.committed) == (b"", False)
    assert watching.error is not None
    assert watching.error.kind is ErrorKind.OVERLOADED


@pytest.mark.parametrize("failing", [ERROR, b'data: {"error":{"message":"overloaded_error"}}\n\n'])
def test_an_error_in_the_middle_ends_the_stream_and_is_not_relayed(failing: bytes) -> None:
    watching, relayed = tap(BEGIN + BLOCK + HELLO + failing + HELLO, END)
    assert [shown["type"] for shown in message_events(relayed)] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
    ]
    assert watching.error is not None
    assert watching.error.kind is ErrorKind.OVERLOADED
    assert watching.usage == Usage(input_tokens=2, output_tokens=1)


def test_a_provider_may_judge_errors_in_the_stream_itself() -> None:
    watching = DIALECT.stream_tap(body(), "mine", lambda failure: UpstreamError(ErrorKind.QUOTA, failure.body.decode()))
    assert watching.feed(b'event: error\ndata: {"error":{"code":"1113"}}\n\n') == b""
    assert watching.error is not None
    assert (watching.error.kind, watching.error.message) == (ErrorKind.QUOTA, '{"error":{"code":"1113"}}')


@pytest.mark.parametrize("chunks", [(), (BEGIN,), (BEGIN + BLOCK + HELLO,), (BEGIN + BLOCK, HELLO[:20])])
def test_a_cut_stream_is_an_error(chunks: tuple[bytes, ...]) -> None:
    watching, _ = tap(*chunks)
    assert watching.error is not None
    assert watching.error.kind is ErrorKind.PROTOCOL


def test_a_stream_without_its_stop_is_whole_when_the_reason_was_told() -> None:
    watching, relayed = tap(BEGIN + FINISH)
    assert watching.error is None
    assert outline(relayed) == ["message_start", "message_delta max_tokens"]


def test_the_blank_line_at_the_end_may_be_forgotten() -> None:
    watching, relayed = tap(STREAM.rstrip(b"\n"))
    assert watching.error is None
    assert relayed.endswith(END)


@pytest.mark.parametrize(
    "broken",
    [
        b"event: message_start\ndata: {oops\n\n",
        event("message_start", message=5),
        event("message_delta", usage={"output_tokens": "x"}),
    ],
)
def test_wrong_types_are_a_protocol_error(broken: bytes) -> None:
    watching, relayed = tap(broken + STREAM)
    assert relayed == b""
    assert watching.error is not None
    assert watching.error.kind is ErrorKind.PROTOCOL


def test_an_event_without_an_end_does_not_fill_the_memory() -> None:
    watching = DIALECT.stream_tap(body(), "mine")
    chunk = b"data: " + b"x" * (1 << 20)
    for _ in range(20):
        watching.feed(chunk)
    assert watching.error is not None
    assert watching.error.kind is ErrorKind.PROTOCOL


# -- a copy of the API, whose signatures Anthropic refuses

COPY = Anthropic(AnthropicProfile(origin="glm"))
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "glm-1"}
HIDDEN = {"type": "redacted_thinking", "data": "glm-2"}
SAID = {"type": "text", "text": 'a "signature": "x"'}
ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "theirs",
    "content": [THOUGHT, HIDDEN, SAID],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 2},
}


def relayed_by(dialect: Anthropic) -> list[Any]:
    answer: list[Any] = json.loads(dialect.native_response(dumps(ANSWER), "mine").body)["content"]
    return answer


def test_what_a_copy_signed_leaves_under_the_gateways_name_for_it() -> None:
    thought, hidden, said = relayed_by(COPY)
    assert (thought["thinking"], said) == ("hm", SAID)
    assert unseal(thought["signature"]) == Sealed("glm", None, "glm-1")
    assert unseal(hidden["data"]) == Sealed("glm", "glm-2")


def test_what_anthropic_signed_is_relayed_as_it_is() -> None:
    assert relayed_by(DIALECT) == ANSWER["content"]


def test_what_a_copy_signed_comes_back_to_it_as_it_was_and_goes_to_nobody_else() -> None:
    conversation = body(assistant(*relayed_by(COPY)), HI)
    assert COPY.native_request(conversation, "m")["messages"][1] == assistant(THOUGHT, HIDDEN, SAID)
    assert DIALECT.native_request(conversation, "m")["messages"][1] == assistant(SAID)
    other = Anthropic(AnthropicProfile(origin="kimi"))
    assert other.native_request(conversation, "m")["messages"][1] == assistant(SAID)


def test_what_anthropic_signed_does_not_go_to_a_copy() -> None:
    unsigned = {"type": "thinking", "thinking": "hm", "signature": ""}
    conversation = body(assistant(OWN, unsigned, SAID), HI)
    assert COPY.native_request(conversation, "m")["messages"][1] == assistant(unsigned, SAID)


def test_a_copy_gets_its_thinking_back_even_where_the_client_left_out_the_text() -> None:
    carried = {"type": "thinking", "thinking": "", "signature": seal("hm", "glm-1", "glm")}
    assert COPY.native_request(body(assistant(carried), HI), "m")["messages"][1] == assistant(THOUGHT)


@pytest.mark.parametrize("signature", [seal("hm", None, "glm"), "gw1.glm.damaged", "gw1.glm.", "gw1."])
def test_thinking_without_a_proof_is_left_out(signature: str) -> None:
    carried = {"type": "thinking", "thinking": "hm", "signature": signature}
    assert COPY.native_request(body(assistant(carried, SAID), HI), "m")["messages"][1] == assistant(SAID)
    hidden = {"type": "redacted_thinking", "data": signature if "damaged" in signature else "gw1.glm."}
    assert COPY.native_request(body(assistant(hidden, SAID), HI), "m")["messages"][1] == assistant(SAID)


def test_a_translated_conversation_finds_a_copys_thinking_too() -> None:
    request = DIALECT.decode_request(body(assistant(*relayed_by(COPY)), HI))
    assert request.messages[1].parts[:2] == (
        ThinkingPart("hm", "glm-1", "glm"),
        ThinkingPart("", origin="glm", redacted="glm-2"),
    )


def copied_stream() -> bytes:
    events: list[JsonObject] = [
        {"type": "message_start", "message": {**ANSWER, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {**THOUGHT, "thinking": "", "signature": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "glm-1"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": HIDDEN},
        {"type": "content_block_stop", "index": 1},
        {"type": "content_block_start", "index": 2, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 2, "delta": {"type": "text_delta", "text": SAID["text"]}},
        {"type": "content_block_stop", "index": 2},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ]
    return b"".join(format_event(dumps(event), event["type"]) for event in events)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("size", [1, 9, 100, 10_000])
def test_a_copys_stream_is_marked_as_its_whole_answer_is(named: bool, size: int) -> None:
    wire = copied_stream() if named else re.sub(rb"event: \w+\n", b"", copied_stream())
    tap = COPY.stream_tap(body(), "mine")
    told = b"".join(tap.feed(wire[start : start + size]) for start in range(0, len(wire), size)) + tap.end()
    blocks: dict[int, JsonObject] = {}
    for line in told.splitlines():
        event = json.loads(line[6:]) if line.startswith(b"data: ") else {}
        if event.get("type") == "content_block_start":
            blocks[event["index"]] = event["content_block"]
        for field, text in event.get("delta", {}).items():
            if event["type"] == "content_block_delta" and field != "type":
                blocks[event["index"]][field] += text
    assert list(blocks.values()) == relayed_by(COPY)
    assert (tap.error, tap.finish_reason, tap.committed) == (None, "stop", True)


def test_anthropics_own_stream_passes_unread() -> None:
    tap = DIALECT.stream_tap(body(), "theirs")
    assert tap.feed(copied_stream()) == copied_stream()
