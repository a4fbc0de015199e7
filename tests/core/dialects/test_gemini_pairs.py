"""The laws that hold between Gemini and the other dialects, in either direction."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from core.dialects.damage import damaged
from core.dialects.gemini_samples import GEMINI, GENERATE_REQUEST
from core.dialects.profiles import budget
from core.dialects.samples import CHAT_REQUEST, CHAT_STREAM, MESSAGE_STREAM, MESSAGES_REQUEST
from core.dialects.sheet import relay_in_any_pieces, sse
from hypothesis import given

from aigateway_core.dialects.anthropic import Anthropic
from aigateway_core.dialects.dialect import Dialect, decode_events
from aigateway_core.dialects.openai_chat import OpenAIChat, OpenAIChatProfile
from aigateway_core.dialects.sse import SseParser
from aigateway_core.errors import InvalidRequestError, UnsupportedFeatureError
from aigateway_core.events import fold
from aigateway_core.jsontext import dumps
from aigateway_core.model import (
    ChatRequest,
    ChatResponse,
    JsonObject,
    Reasoning,
)

ANTHROPIC = Anthropic()
CHAT = OpenAIChat(OpenAIChatProfile(origin="thinker", reasoning_field="reasoning_content"))
PAIRS = pytest.mark.parametrize(
    ("upstream", "client"),
    [(GEMINI, ANTHROPIC), (GEMINI, CHAT), (ANTHROPIC, GEMINI), (CHAT, GEMINI), (GEMINI, GEMINI)],
    ids=["gemini_to_messages", "gemini_to_chat", "messages_to_gemini", "chat_to_gemini", "gemini_to_gemini"],
)
REQUEST = ChatRequest(model="m", reasoning=Reasoning(), stream=True, include_usage=True)

fast = budget(40)


def read(dialect: Dialect, wire: bytes) -> ChatResponse:
    parser = SseParser()
    return fold(decode_events(dialect.stream_decoder(REQUEST), [*parser.feed(wire), *parser.flush()]))


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
