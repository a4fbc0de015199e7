"""What holds of the Messages API alone, beside the laws of every dialect (``test_laws.py``)."""

from __future__ import annotations

import attrs
from core.dialects import subject
from core.dialects.anthropic_values import FOREIGN, NEWEST_FIELDS, OWN, REQUEST, all_requests, answers, check_params
from core.dialects.message_stream import assembled
from core.dialects.profiles import budget
from core.dialects.strategies import (
    streams,
)
from core.dialects.subject import over_the_wire
from hypothesis import given
from hypothesis import strategies as st

from aigateway_core.dialects.anthropic import Anthropic
from aigateway_core.events import CONTENT_EVENTS, StreamEvent, fold
from aigateway_core.model import (
    ChatRequest,
    ChatResponse,
    Reasoning,
    ThinkingPart,
)

fast = budget(60)

DIALECT = Anthropic()


# -- requests


@fast
@given(all_requests(NEWEST_FIELDS, "some-other-model", thinking=OWN | FOREIGN, late_system=True))
def test_any_model_gets_turns_that_the_api_takes(request: ChatRequest) -> None:
    body = over_the_wire(DIALECT.encode_request(request))
    check_params(body)
    waiting: list[str] = []
    for turn in body["messages"]:
        assert turn["role"] in ("user", "assistant")
        kinds = [block["type"] for block in turn["content"]]
        answered = [block["tool_use_id"] for block in turn["content"] if block["type"] == "tool_result"]
        assert answered == waiting
        assert kinds[: len(answered)] == ["tool_result"] * len(answered)
        waiting = [block["id"] for block in turn["content"] if block["type"] == "tool_use"]
    assert waiting == []


# -- answers


@fast
@given(answers(OWN | FOREIGN), st.booleans())
def test_an_answer_that_becomes_history_is_what_it_was(response: ChatResponse, omitted: bool) -> None:
    request = attrs.evolve(REQUEST, reasoning=Reasoning("high", summary=not omitted))
    content = over_the_wire(DIALECT.encode_response(response, request))["content"]
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": content}]
    history = DIALECT.decode_request({"model": "m", "max_tokens": 9, "messages": turns})
    parts = history.messages[1].parts if len(history.messages) > 1 else ()
    hidden = omitted and any(isinstance(part, ThinkingPart) and part.origin == "anthropic" for part in response.parts)
    if not hidden:
        assert parts == response.parts
    else:
        # Anthropic's own signature is all that its maker needs; the text is gone by the client's wish.
        assert [type(part) for part in parts] == [type(part) for part in response.parts]


# -- streams

STREAMS = streams(answers(OWN))


def encoded(events: list[StreamEvent]) -> bytes:
    return subject.encoded(DIALECT, events, REQUEST)


@fast
@given(streams(answers(OWN | FOREIGN)))
def test_a_whole_answer_is_the_fold_of_its_stream(events: list[StreamEvent]) -> None:
    message = assembled(encoded(events))
    whole = over_the_wire(DIALECT.encode_response(fold(events), REQUEST))
    # The stream tells a count of its own beside each; the whole answer leaves none out either.
    assert message == whole


@fast
@given(streams(answers(FOREIGN), interleaved_calls=True))
def test_interleaved_calls_are_told_one_after_the_other(events: list[StreamEvent]) -> None:
    message = assembled(encoded(events))
    whole = DIALECT.encode_response(fold(events), REQUEST)
    calls = [block for block in message["content"] if block["type"] == "tool_use"]
    assert calls == [block for block in whole["content"] if block["type"] == "tool_use"]
    assert message["stop_reason"] == whole["stop_reason"]


@fast
@given(STREAMS)
def test_nothing_is_held_back_that_could_be_told(events: list[StreamEvent]) -> None:
    encoder = DIALECT.stream_encoder(REQUEST)
    silent = [event for event in events if isinstance(event, CONTENT_EVENTS) and not encoder.encode(event)]
    # Only a signature waits, for the block it closes to be followed by another.
    assert all(type(event).__name__ == "SignatureDelta" for event in silent)
