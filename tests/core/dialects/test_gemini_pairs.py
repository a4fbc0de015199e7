"""The laws that hold between Gemini and the other dialects, in either direction."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import attrs
import pytest
from core.dialects.damage import damaged
from core.dialects.gemini_samples import GEMINI, GENERATE_REQUEST
from core.dialects.samples import CHAT_REQUEST, CHAT_STREAM, MESSAGE_STREAM, MESSAGES_REQUEST
from core.dialects.sheet import relay, relay_in_any_pieces, sse, undated
from core.dialects.strategies import IDENTIFIERS, SIZES, TEXTS, pieces_of, responses, streams
from hypothesis import given, settings
from hypothesis import strategies as st

from aigateway_core.dialects.anthropic import Anthropic
from aigateway_core.dialects.dialect import Dialect, decode_events
from aigateway_core.dialects.openai_chat import OpenAIChat, OpenAIChatProfile
from aigateway_core.dialects.sse import SseParser
from aigateway_core.errors import InvalidRequestError, UnsupportedFeatureError
from aigateway_core.events import fold
from aigateway_core.jsontext import dumps, loads_object
from aigateway_core.model import (
    ChatRequest,
    ChatResponse,
    FinishReason,
    JsonObject,
    Reasoning,
    ThinkingPart,
    ToolCallPart,
    Usage,
)

ANTHROPIC = Anthropic()
CHAT = OpenAIChat(OpenAIChatProfile(origin="thinker", reasoning_field="reasoning_content"))
ORIGINS = {"gemini": "gemini", "anthropic": "anthropic", "openai-chat": "thinker"}
PAIRS = pytest.mark.parametrize(
    ("upstream", "client"),
    [(GEMINI, ANTHROPIC), (GEMINI, CHAT), (ANTHROPIC, GEMINI), (CHAT, GEMINI), (GEMINI, GEMINI)],
    ids=["gemini_to_messages", "gemini_to_chat", "messages_to_gemini", "chat_to_gemini", "gemini_to_gemini"],
)
REQUEST = ChatRequest(model="m", reasoning=Reasoning(), stream=True, include_usage=True)

fast = settings(max_examples=40, deadline=None)
REASONS: list[FinishReason] = ["stop", "length", "content_filter"]


def answers(upstream: Dialect) -> st.SearchStrategy[ChatResponse]:
    """Answers that this upstream may give, with counts that every dialect has."""
    drawn = responses(
        ids=IDENTIFIERS,
        thinking=st.builds(ThinkingPart, TEXTS, origin=st.just(ORIGINS[upstream.name])),
        reasons=st.sampled_from(REASONS),
        interleaved=upstream is not CHAT,
    )
    return drawn.map(counted)


def counted(answer: ChatResponse) -> ChatResponse:
    usage = answer.usage or Usage()
    return attrs.evolve(
        answer,
        usage=attrs.evolve(
            usage, input_tokens=usage.input_tokens + 1, output_tokens=usage.output_tokens + 1, cache_write_tokens=0
        ),
    )


def read(dialect: Dialect, wire: bytes) -> ChatResponse:
    parser = SseParser()
    return fold(decode_events(dialect.stream_decoder(REQUEST), [*parser.feed(wire), *parser.flush()]))


def gist(answer: ChatResponse) -> Any:
    """What an answer says, whatever the order of its parts and the ids of its calls."""
    thinking = "".join(part.text for part in answer.parts if isinstance(part, ThinkingPart))
    calls = [
        (part.name, loads_object(part.arguments.encode())) for part in answer.parts if isinstance(part, ToolCallPart)
    ]
    return thinking, answer.text, calls, answer.finish_reason, answer.usage


@PAIRS
@fast
@given(st.data())
def test_a_translated_stream_tells_what_the_whole_answer_tells(
    upstream: Dialect, client: Dialect, data: st.DataObject
) -> None:
    events = data.draw(streams(answers(upstream)))
    encoder = upstream.stream_encoder(REQUEST)
    wire = b"".join(map(encoder.encode, events)) + encoder.end()
    received = relay(upstream, client, REQUEST, [wire])
    assert received.error is None
    in_pieces = relay(upstream, client, REQUEST, pieces_of(wire, data.draw(SIZES)))
    assert undated(in_pieces.wire) == undated(received.wire)
    told = read(client, received.wire)
    assert gist(told) == gist(fold(events))
    whole = client.encode_response(read(upstream, wire), REQUEST)
    assert gist(client.decode_response(loads_object(dumps(whole)), REQUEST)) == gist(told)


@pytest.mark.parametrize(
    ("upstream", "items"),
    [(ANTHROPIC, MESSAGE_STREAM), (CHAT, [*CHAT_STREAM, "data: [DONE]\n\n"])],
    ids=["messages", "chat"],
)
def test_the_pieces_of_another_vendors_stream_change_nothing(upstream: Dialect, items: list[Any]) -> None:
    received = relay_in_any_pieces(upstream, GEMINI, REQUEST, sse(items))
    assert received.error is None
    answer = read(GEMINI, received.wire)
    assert (answer.text, answer.finish_reason) == ("hi", "tool_calls")


@PAIRS
@fast
@given(damaged(GENERATE_REQUEST) | damaged(MESSAGES_REQUEST) | damaged(CHAT_REQUEST))
def test_any_object_is_a_request_that_can_be_passed_on_or_an_invalid_one(
    upstream: Dialect, client: Dialect, body: JsonObject
) -> None:
    with suppress(InvalidRequestError, UnsupportedFeatureError):
        request = client.decode_request(body)
        dumps(upstream.encode_request(request))
        assert all(isinstance(name, str) for name in upstream.losses(request).dropped)
