"""Streams of Cloud Code: what canonical events they are, and what clients of each API receive of them."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from cloud_code_answers import (
    CLAUDE,
    GEMINI,
    NATIVE,
    REQUEST,
    SHEET,
    STOPPED,
    USAGE,
    WIRE,
    body,
    call,
    chunks,
    encoded,
    enveloped,
    events,
    line,
    messages,
    parsed,
    read,
    stream,
    tapped,
    text,
    thought,
    told,
)
from hypothesis import given
from hypothesis import strategies as st

from aigateway_core.plugin import (
    Anthropic,
    ChatRequest,
    ErrorKind,
    JsonObject,
    Message,
    OpenAIChat,
    StreamFinish,
    TextDelta,
    TextPart,
    ThinkingDelta,
    ThinkingPart,
    ToolCallPart,
    ToolCallStart,
    UpstreamError,
    Usage,
)

GATE = "This version of Antigravity is no longer supported. Please update to receive the latest features!"
NO_TOKENS = {"promptTokenCount": 0, "totalTokenCount": 0}


def failure(*pieces: JsonObject) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        read(*pieces)
    return caught.value


def block(index: int, *deltas: tuple[str, str, str], **start: Any) -> list[JsonObject]:
    """The events of one content block."""
    changes = [
        {"type": "content_block_delta", "index": index, "delta": {"type": kind, name: value}}
        for kind, name, value in deltas
    ]
    begun = {"type": "content_block_start", "index": index, "content_block": start}
    return [begun, *changes, {"type": "content_block_stop", "index": index}]


# -- the sheet's own example


def test_R1_the_sheets_stream_reaches_a_client_of_anthropics_api() -> None:
    start, *received, delta, stop = messages(*SHEET)
    told_first = start["message"].pop("usage")
    assert told_first["output_tokens"] <= 1
    assert start == {
        "type": "message_start",
        "message": {
            "id": "msg_vrtx_01A",
            "type": "message",
            "role": "assistant",
            "model": "claude-opus-4-6-thinking",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
        },
    }
    assert received == [
        *block(
            0,
            ("thinking_delta", "thinking", "Let me think"),
            ("signature_delta", "signature", NATIVE),
            type="thinking",
            thinking="",
            signature="",
        ),
        *block(1, ("text_delta", "text", "Here it is."), type="text", text=""),
        *block(
            2,
            ("input_json_delta", "partial_json", '{"path":"."}'),
            type="tool_use",
            id="toolu_vrtx_01B",
            name="list_files",
            input={},
        ),
    ]
    assert delta["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert (delta["usage"]["input_tokens"], delta["usage"]["output_tokens"]) == (90, 42)
    assert stop == {"type": "message_stop"}


def test_R1_the_sheets_stream_reaches_a_client_of_chat_completions() -> None:
    received = chunks(*SHEET)
    assert {item["model"] for item in received} == {REQUEST.model}
    assert {item["object"] for item in received} == {"chat.completion.chunk"}
    assert len({item["id"] for item in received}) == 1
    assert "msg_vrtx_01A" in received[0]["id"]
    *received, counted = received
    usage = counted["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (90, 42, 132)
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 12
    deltas = [item["choices"][0]["delta"] for item in received]
    assert deltas[0]["role"] == "assistant"
    assert [delta["reasoning_content"] for delta in deltas if delta.get("reasoning_content")] == ["Let me think"]
    assert [delta["content"] for delta in deltas if delta.get("content")] == ["Here it is."]
    called = [made for delta in deltas for made in delta.get("tool_calls", ())]
    assert [(made["id"], made["function"]["name"]) for made in called if "id" in made] == [
        ("toolu_vrtx_01B", "list_files")
    ]
    assert {made["index"] for made in called} == {0}
    assert "".join(made["function"]["arguments"] for made in called) == '{"path":"."}'
    ends = [item["choices"][0]["finish_reason"] for item in received]
    assert ends == [None] * (len(ends) - 1) + ["tool_calls"]


def test_R1_the_order_in_which_the_kinds_come_is_that_of_the_stream() -> None:
    deltas = [item["choices"][0]["delta"] for item in chunks(*SHEET)[:-1]]
    kinds = [name for delta in deltas for name in delta if delta[name] and name not in ("role", "refusal")]
    assert list(dict.fromkeys(kinds)) == ["reasoning_content", "content", "tool_calls"]


def test_R1_the_sheets_stream_reaches_a_client_of_geminis_api_without_its_envelope() -> None:
    received = tapped(stream(*SHEET))
    assert received == [SHEET[0] | {"modelVersion": "mine"}, *SHEET[1:]]


# -- bytes and lines


WORDY = [body(text("Grüße, 世界 🎈"), responseId="r1"), STOPPED]


@given(st.lists(st.integers(0, len(stream(*WORDY))), max_size=8))
def test_R2_however_the_bytes_are_cut_they_mean_the_same(places: list[int]) -> None:
    wire = stream(*WORDY)
    cuts = [0, *sorted(places), len(wire)]
    cut = [wire[begin:end] for begin, end in pairwise(cuts)]
    assert events(cut) == events(wire)
    assert tapped(cut) == tapped(wire)


def test_R2_an_event_in_three_pieces_is_read_though_the_cut_is_within_a_character() -> None:
    wire = stream(*WORDY)
    place = wire.index("世".encode()) + 1
    assert TextDelta("Grüße, 世界 🎈") in events([wire[:place], wire[place : place + 1], wire[place + 1 :]])


def test_R3_lines_may_look_as_they_like() -> None:
    large = "x" * (5 << 20)
    wire = (
        b": keep-alive\r\n\r\n"
        + line(body(text("a"))).replace(b"\n", b"\r\n").replace(b"data: ", b"data:")
        + b"event: x\nid: 3\n"
        + line(body(text(large)))
        + b"\n\n: more\n\n"
        + stream(STOPPED)
    )
    assert [event for event in events(wire) if isinstance(event, TextDelta)] == [TextDelta("a"), TextDelta(large)]
    assert [part["text"] for item in tapped(wire) for part in item["candidates"][0]["content"]["parts"]] == [
        *("a", large, "")
    ]


def test_R3_an_event_may_be_spread_over_several_data_lines() -> None:
    first, second = json.dumps(enveloped(body(text("a")))).split(", ", 1)
    wire = f"data: {first},\ndata: {second}\n\n".encode() + stream(STOPPED)
    assert TextDelta("a") in events(wire)


@pytest.mark.parametrize("damaged", [b"data: {junk\n\n", b'data: {"response": {"candi\n\n', b"data: \xff\n\n"])
def test_R4_a_damaged_line_takes_nothing_from_its_neighbours(damaged: bytes) -> None:
    wire = line(body(text("a"))) + damaged + stream(body(text("b")), STOPPED)
    assert [event for event in events(wire) if isinstance(event, TextDelta)] == [TextDelta("a"), TextDelta("b")]
    assert len(tapped(wire)) == 3


def test_what_is_json_and_no_piece_is_an_error() -> None:
    deep = b"data: " + b'{"a":' * 200 + b"1" + b"}" * 200 + b"\n\n"
    for wire in (deep, b"data: 3\n\n"):
        with pytest.raises(UpstreamError) as caught:
            events(wire + stream(STOPPED))
        assert caught.value.kind is ErrorKind.PROTOCOL
        with pytest.raises(UpstreamError):
            tapped(wire + stream(STOPPED))


# -- text and calls


def test_R5_two_calls_in_one_piece_are_two_blocks_and_two_indexes() -> None:
    pieces = [body(call(call_id="a", path="1"), call(call_id="b", path="2")), STOPPED]
    begun = [item for item in messages(*pieces) if item["type"] == "content_block_start"]
    assert [(item["index"], item["content_block"]["id"]) for item in begun] == [(0, "a"), (1, "b")]
    assert call_indexes(chunks(*pieces)) == [0, 1]


def test_R6_the_index_of_a_call_grows_over_the_whole_stream() -> None:
    pieces = [body(call(call_id="a")), body(call(call_id="b"), call(call_id="c")), STOPPED]
    assert call_indexes(chunks(*pieces)) == [0, 1, 2]


def call_indexes(received: list[JsonObject]) -> list[int]:
    deltas = [item["choices"][0]["delta"] for item in received if item["choices"]]
    return [made["index"] for delta in deltas for made in delta.get("tool_calls", ()) if "id" in made]


def test_R7_a_call_decides_the_end_however_late_that_comes() -> None:
    pieces = [body(call(path=".")), body(text("")), STOPPED]
    assert messages(*pieces)[-2]["delta"]["stop_reason"] == "tool_use"
    assert chunks(*pieces)[-2]["choices"][0]["finish_reason"] == "tool_calls"


def test_R8_a_call_without_arguments_has_empty_ones() -> None:
    answer = read(body({"functionCall": {"id": "a", "name": "list_files"}}), STOPPED)
    assert answer.parts == (ToolCallPart("a", "list_files", "{}"),)


def test_R9_two_texts_in_one_piece_are_both_received() -> None:
    received = chunks(body(text("a"), text("b")), STOPPED)
    assert "".join(item["choices"][0]["delta"].get("content") or "" for item in received[:-1]) == "ab"


def test_R10_white_space_is_content() -> None:
    pieces = [body(text("a")), body(text("\n\n")), body(text("b")), STOPPED]
    assert read(*pieces).parts == (TextPart("a\n\nb"),)
    assert {"type": "text_delta", "text": "\n\n"} in [item.get("delta") for item in messages(*pieces)]


# -- usage


def test_R11_counts_are_totals_so_that_the_last_ones_stand() -> None:
    counted = [{**USAGE, "candidatesTokenCount": count, "thoughtsTokenCount": 0} for count in (10, 25)]
    pieces = [body(text("a"), usage=counted[0]), body(text("b"), finish="STOP", usage=counted[1])]
    assert told(events(stream(*pieces))).usage.output_tokens == 25
    assert messages(*pieces)[-2]["usage"]["output_tokens"] == 25


def test_R12_counts_that_come_after_the_end_are_counted() -> None:
    pieces = [body(text("a")), body(text(""), finish="STOP"), {"usageMetadata": USAGE}]
    received = messages(*pieces)
    deltas = [item for item in received if item["type"] == "message_delta"]
    assert [(item["usage"]["input_tokens"], item["usage"]["output_tokens"]) for item in deltas] == [(90, 42)]
    assert [item["type"] for item in received].count("message_stop") == 1
    assert tapped(stream(*pieces))[-1] == {"usageMetadata": USAGE}


# -- the end


def test_R17_an_end_that_was_left_out_is_an_end_where_all_was_counted() -> None:
    pieces = [body(text("all of it")), body(text("."), usage=USAGE, responseId="r1")]
    assert events(stream(*pieces))[-1] == StreamFinish("stop")
    assert messages(*pieces)[-2]["delta"]["stop_reason"] == "end_turn"
    assert tapped(stream(*pieces))[-1] == {
        "candidates": [{"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": "STOP"}],
        "usageMetadata": USAGE,
        "responseId": "r1",
    }


def test_R17_thinking_alone_without_an_end_is_an_answer_too() -> None:
    assert read(body(thought("hm")), body(thought(" ok"), usage=USAGE)).parts == (
        ThinkingPart("hm ok", origin="anthropic"),
    )


@pytest.mark.parametrize(
    "wire",
    [
        stream(body(text("half of"))),
        stream(body(text("half of"), usage=USAGE)) + b'data: {"response": {"candidates": [{"content"',
        stream(body(text("half of"), usage=USAGE)) + b"data: {junk\n\n",
    ],
    ids=["nothing counted", "cut in an event", "damaged at the end"],
)
def test_R17_a_cut_stream_is_never_an_end(wire: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        events(wire)
    assert (caught.value.kind, caught.value.scope) == (ErrorKind.PROTOCOL, "request")
    with pytest.raises(UpstreamError):
        tapped(wire)


@pytest.mark.parametrize("pieces", [[], [{}], [body(text(""), modelVersion="m", responseId="r")]])
def test_R18_nothing_at_all_is_a_failure_that_may_pass(pieces: list[JsonObject]) -> None:
    error = failure(*pieces)
    assert (error.kind, error.scope, error.retryable) == (ErrorKind.SERVER, "request", True)


@pytest.mark.parametrize("pieces", [[], [{"responseId": "r"}], [{"candidates": []}], [body(text(""), finish="STOP")]])
def test_R19_an_answer_without_candidates_is_asked_for_again_and_then_told(pieces: list[JsonObject]) -> None:
    error = failure(*pieces)
    assert (error.code, error.retryable) == ("EMPTY_ANSWER", True)
    assert "empty answer" in error.message


def test_R20_an_empty_answer_that_was_counted_is_an_answer() -> None:
    pieces = [body(text(""), finish="STOP", usage={"promptTokenCount": 90, "totalTokenCount": 90})]
    answer = read(*pieces)
    assert (answer.parts, answer.finish_reason, answer.usage) == ((), "stop", Usage(input_tokens=90, output_tokens=0))
    assert messages(*pieces)[-2]["delta"]["stop_reason"] == "end_turn"


@pytest.mark.parametrize("word", ["SAFETY", "RECITATION", "PROHIBITED_CONTENT", "SPII", "BLOCKLIST", "IMAGE_SAFETY"])
def test_R21_a_filter_is_a_refusal_and_no_failure(word: str) -> None:
    pieces = [body(text(""), finish=word)]
    assert messages(*pieces)[-2]["delta"]["stop_reason"] == "refusal"
    assert chunks(*pieces)[-2]["choices"][0]["finish_reason"] == "content_filter"


def test_R22_a_blocked_prompt_is_a_refusal() -> None:
    pieces = [{"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 9}}]
    assert read(*pieces).finish_reason == "content_filter"
    assert messages(*pieces)[-2]["delta"]["stop_reason"] == "refusal"
    assert chunks(*pieces)[-2]["choices"][0]["finish_reason"] == "content_filter"


@pytest.mark.parametrize("word", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"])
def test_R23_a_call_that_went_wrong_is_a_failure_that_may_pass(word: str) -> None:
    piece = {
        "candidates": [{"content": {}, "finishReason": word, "finishMessage": "Malformed"}],
        "usageMetadata": USAGE,
    }
    for pieces in ([piece], [body(text("I will list them")), piece]):
        error = failure(*pieces)
        assert (error.kind, error.code, error.retryable) == (ErrorKind.SERVER, word, True)
    with pytest.raises(UpstreamError) as caught:
        tapped(stream(piece))
    assert caught.value.retryable


def test_R24_at_the_limit_a_call_that_came_whole_is_to_be_run() -> None:
    cut, called = body(text("and so"), finish="MAX_TOKENS", usage=USAGE), body(call(path="."), finish="MAX_TOKENS")
    assert messages(cut)[-2]["delta"]["stop_reason"] == "max_tokens"
    assert chunks(cut)[-2]["choices"][0]["finish_reason"] == "length"
    assert messages(called)[-2]["delta"]["stop_reason"] == "tool_use"
    assert chunks(called)[-2]["choices"][0]["finish_reason"] == "tool_calls"


def test_R25_claudes_call_may_end_with_another_word() -> None:
    assert messages(body(call(path="."), finish="OTHER", usage=USAGE))[-2]["delta"]["stop_reason"] == "tool_use"


# -- errors in a stream


REFUSED: JsonObject = {"error": {"code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED"}}


@pytest.mark.parametrize(
    "wire",
    [
        b"data: " + json.dumps(REFUSED).encode() + b"\n\n",
        b"data: " + json.dumps([REFUSED]).encode() + b"\n\n",
        b"data: " + json.dumps({"response": REFUSED}).encode() + b"\n\n",
        b"event: error\ndata: " + json.dumps(REFUSED).encode() + b"\n\n",
        json.dumps([REFUSED]).encode(),
    ],
    ids=["alone", "R27 in an array", "in an envelope", "by name", "R27 bare"],
)
def test_R26_an_error_within_a_stream_is_what_it_would_be_without(wire: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        events(wire)
    assert (caught.value.kind, caught.value.scope, caught.value.status) == (ErrorKind.RATE_LIMIT, "model", 429)
    with pytest.raises(UpstreamError) as native:
        tapped(wire)
    assert (native.value.kind, native.value.scope) == (ErrorKind.RATE_LIMIT, "model")


def test_R26_an_error_after_output_ends_the_stream_there() -> None:
    tap = GEMINI.stream_tap({}, "mine")
    assert tap.feed(line(body(text("half of")))) != b""
    assert tap.committed
    tap.feed(b"data: " + json.dumps(REFUSED).encode() + b"\n\n")
    assert tap.error is not None
    assert (tap.feed(stream(STOPPED)), tap.end()) == (b"", b"")
    decoder = CLAUDE.stream_decoder(REQUEST)
    said, refused = parsed(line(body(text("half of"))) + b"data: " + json.dumps(REFUSED).encode() + b"\n\n")
    assert TextDelta("half of") in decoder.feed(said)
    with pytest.raises(UpstreamError):
        decoder.feed(refused)


# -- the version gate


@pytest.mark.parametrize(
    "words",
    [
        GATE,
        "Gemini 3 Pro is no longer available. Please switch to Gemini 3.1 Pro in the latest version of Antigravity.",
        "Claude Opus 4.5 is no longer available, please switch to Claude Opus 4.6",
        "gemini-3.1-pro-high is not available on this version.",
        "Your Antigravity client is out of date.",
    ],
)
@pytest.mark.parametrize("usage", [None, NO_TOKENS])
@pytest.mark.parametrize("parted", [False, True])
def test_R31_a_text_of_the_version_gate_is_an_error_of_the_configuration(
    words: str, usage: JsonObject | None, parted: bool
) -> None:
    texts = [words[:4], words[4:20], words[20:]] if parted else [words]
    pieces = [*(body(text(each), usage=usage) for each in texts), body(text(""), finish="STOP", usage=usage)]
    error = failure(*pieces)
    assert "providers.antigravity.user_agent" in error.message
    assert (error.scope, error.retryable, error.is_the_hosts) == ("request", False, False)
    with pytest.raises(UpstreamError) as native:
        tapped(stream(*pieces))
    assert native.value.message == error.message


def test_R31_nothing_was_sent_before_the_version_gate_is_known() -> None:
    decoder, tap = CLAUDE.stream_decoder(REQUEST), GEMINI.stream_tap({}, "mine")
    [event] = parsed(line(body(text(GATE))))
    assert list(decoder.feed(event)) == []
    assert tap.feed(line(body(text(GATE)))) == b""
    assert not tap.committed


@pytest.mark.parametrize(
    "pieces",
    [
        [body(text(GATE), usage=USAGE), STOPPED],
        [body(text(GATE)), STOPPED],
        [body(thought("hm")), body(text(GATE)), body(text(""), finish="STOP")],
        [body(text("Well. " + GATE + "x" * 400)), body(text(""), finish="STOP")],
        [body(text("Gemini is a sign of the zodiac.")), body(text(""), finish="STOP")],
    ],
    ids=["counted", "counted at the end", "after thinking", "long", "about something else"],
)
def test_R31_an_answer_that_only_sounds_like_it_is_an_answer(pieces: list[JsonObject]) -> None:
    words = "".join(part["text"] for piece in pieces for part in piece["candidates"][0]["content"]["parts"])
    assert "".join(part.text for part in read(*pieces).parts if isinstance(part, TextPart | ThinkingPart)) == words
    relayed = tapped(stream(*pieces))
    assert "".join(part["text"] for item in relayed for part in item["candidates"][0]["content"]["parts"]) == words


@given(st.text(min_size=1, max_size=30), st.booleans())
def test_R31_ordinary_words_are_passed_on_at_once(words: str, counted: bool) -> None:
    decoder, tap = GEMINI.stream_decoder(REQUEST), GEMINI.stream_tap({}, "mine")
    wire = line(body(text("Well, " + words), usage=USAGE if counted else None))
    [event] = parsed(wire)
    assert TextDelta("Well, " + words) in decoder.feed(event)
    assert tap.feed(wire) != b""
    assert tap.committed


@given(st.lists(st.text(st.sampled_from("Gemini 3 claude version no longer available.\n")), max_size=20))
def test_R31_whatever_is_held_is_passed_on_in_the_end(texts: list[str]) -> None:
    pieces = [*(body(text(each)) for each in texts), STOPPED]
    answer = read(*pieces)
    assert "".join(part.text for part in answer.parts if isinstance(part, TextPart)) == "".join(texts)


# -- thinking


def test_R34_thinking_that_repeats_itself_is_received_once() -> None:
    pieces = [
        body(thought("Let")),
        body(thought("Let me")),
        body(thought("Let me see", WIRE)),
        body(text("ok")),
        STOPPED,
    ]
    deltas = [event.text for event in events(stream(*pieces)) if isinstance(event, ThinkingDelta)]
    assert deltas == ["Let", " me", " see"]
    again = [*pieces[:-1], body(thought("Now")), body(thought("Now this")), STOPPED]
    assert [part.text for part in read(*again).parts] == ["Let me see", "ok", "Now this"]


def test_R34_thinking_that_grows_piece_by_piece_is_left_alone() -> None:
    texts = ["ha", " so", "ha", "ha so", "ha"]
    pieces = [*(body(thought(each)) for each in texts), STOPPED]
    assert [event.text for event in events(stream(*pieces)) if isinstance(event, ThinkingDelta)] == texts


@given(st.lists(st.text(min_size=1, max_size=5), min_size=2, max_size=6))
def test_R34_what_was_thought_is_the_same_whether_it_is_repeated_or_not(texts: list[str]) -> None:
    texts = ["Let", *texts]
    so_far = ["".join(texts[: index + 1]) for index in range(len(texts))]
    assert read(*(body(thought(each)) for each in so_far), STOPPED).parts[0] == ThinkingPart(
        "".join(texts), origin="anthropic"
    )


def test_G15_a_signature_in_a_later_piece_signs_the_thinking_that_is_open() -> None:
    pieces = [body(thought("hm")), body(thought("", WIRE)), body(text("ok")), STOPPED]
    kinds = [(item["type"], item.get("delta", {}).get("type")) for item in messages(*pieces)[1:5]]
    assert kinds == [
        ("content_block_start", None),
        ("content_block_delta", "thinking_delta"),
        ("content_block_delta", "signature_delta"),
        ("content_block_stop", None),
    ]
    assert read(*pieces).parts == (ThinkingPart("hm", NATIVE, "anthropic"), TextPart("ok"))


@pytest.mark.parametrize("bearer", [text(""), call(path="."), text("ok")], ids=["empty text", "call", "text"])
def test_G15_a_signature_of_claudes_elsewhere_is_that_of_the_thinking_before_it(bearer: JsonObject) -> None:
    pieces = [body(thought("hm")), body({**bearer, "thoughtSignature": WIRE}), STOPPED]
    parts = read(*pieces).parts
    assert parts[0] == ThinkingPart("hm", NATIVE, "anthropic")
    assert not any(isinstance(part, ThinkingPart) for part in parts[1:])


def test_G15_without_thinking_a_signature_of_claudes_signs_nothing() -> None:
    answer = read(body({**call(path="."), "thoughtSignature": WIRE}), STOPPED)
    assert answer.parts == (ToolCallPart("toolu_vrtx_01B", "list_files", '{"path":"."}'),)


def test_G16_geminis_last_signature_is_kept_and_shows_no_text() -> None:
    pieces = [body(text("ok")), body({"text": "", "thoughtSignature": "c2ln"}, finish="STOP", usage=USAGE)]
    decoded = events(stream(*pieces), GEMINI)
    assert [event for event in decoded if isinstance(event, TextDelta)] == [TextDelta("ok")]
    assert read(*pieces, dialect=GEMINI).parts == (TextPart("ok"), ThinkingPart("", "c2ln", "gemini"))
    received = [json.loads(event.data) for event in parsed(encoded(decoded, Anthropic()))]
    assert not [item for item in received if item.get("delta") == {"type": "text_delta", "text": ""}]
    assert tapped(stream(*pieces))[-1] == pieces[-1]


def test_G16_the_kept_signature_comes_back_on_the_next_turn() -> None:
    answer = read(body(text("ok")), body({"text": "", "thoughtSignature": "c2ln"}, finish="STOP"), dialect=GEMINI)
    turn = ChatRequest(
        model="gemini-3-flash",
        messages=(*REQUEST.messages, Message("assistant", answer.parts), Message("user", (TextPart("go on"),))),
    )
    assert GEMINI.encode_request(turn)["contents"][1]["parts"] == [{"text": "ok", "thoughtSignature": "c2ln"}]


def test_the_calls_of_an_answer_are_counted_once() -> None:
    decoded = events(stream(body(call(call_id="a"), call(call_id="b")), STOPPED))
    assert [event.index for event in decoded if isinstance(event, ToolCallStart)] == [0, 1]
    assert encoded(decoded, OpenAIChat()).endswith(b"data: [DONE]\n\n")
