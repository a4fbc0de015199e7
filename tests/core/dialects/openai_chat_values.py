"""What Chat Completions can express, as strategies, and what it changes."""

from __future__ import annotations

from typing import Any

import attrs
from core.dialects.samples import CHAT_REQUEST
from core.dialects.strategies import (
    BASE64,
    IDENTIFIERS,
    TEXT_PARTS,
    TEXTS,
    conversations,
    requests,
    response_formats,
    responses,
    tools,
)
from core.dialects.subject import KINDS, Subject
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessageParam
from pydantic import TypeAdapter

from aigateway_core.dialects.openai_chat import OpenAIChat, OpenAIChatProfile
from aigateway_core.dialects.sse import SseParser
from aigateway_core.errors import ErrorKind
from aigateway_core.model import (
    AudioPart,
    ChatRequest,
    ChatResponse,
    DocumentPart,
    FinishReason,
    ImagePart,
    JsonObject,
    Message,
    Reasoning,
    ResponseFormat,
    ThinkingPart,
)

MESSAGES: TypeAdapter[Any] = TypeAdapter(ChatCompletionMessageParam)

OPENAI = OpenAIChat()
THINKER = OpenAIChat(
    OpenAIChatProfile(origin="thinker", reasoning_field="reasoning_content", images_in_tool_results=True)
)

ADDRESSES = TEXTS.map(lambda text: "https://example.com/" + text)
IMAGES = st.builds(
    ImagePart, media_type=st.just("image/png"), data=BASE64, detail=st.none() | st.just("low")
) | st.builds(ImagePart, url=ADDRESSES, detail=st.none() | st.just("high"))
DOCUMENTS = st.builds(DocumentPart, media_type=st.just("application/pdf"), data=BASE64, title=TEXTS) | st.builds(
    DocumentPart, file_id=IDENTIFIERS, title=st.none() | TEXTS
)
ATTACHMENTS = IMAGES | DOCUMENTS | st.builds(AudioPart, BASE64, st.sampled_from(["wav", "mp3"]))
SPOKEN = TEXT_PARTS.map(lambda part: (part,))
MIXED = st.tuples(ATTACHMENTS, st.lists(TEXT_PARTS | ATTACHMENTS, max_size=3)).map(lambda pair: (pair[0], *pair[1]))

NUMBERS = st.floats(0, 2, allow_nan=False)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "max_tokens": st.integers(1, 100_000),
    "temperature": NUMBERS,
    "top_p": NUMBERS,
    "presence_penalty": NUMBERS,
    "frequency_penalty": NUMBERS,
    "seed": st.integers(0, 2**40),
    "n": st.integers(1, 3),
    "logprobs": st.booleans(),
    "top_logprobs": st.integers(0, 20),
    "logit_bias": st.dictionaries(IDENTIFIERS, st.integers(-100, 100), max_size=2),
    "stop": st.lists(TEXTS, min_size=1, max_size=4).map(tuple),
    "reasoning": st.builds(
        Reasoning, effort=st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", "max"])
    ),
    "verbosity": st.sampled_from(["low", "medium", "high"]),
    "response_format": st.just(ResponseFormat("json_object")) | response_formats(described=True),
    "audio_output": st.just({"voice": "alloy", "format": "wav"}),
    "user": st.text(min_size=1, max_size=64),
    "metadata": st.dictionaries(IDENTIFIERS, TEXTS, max_size=2),
    "service_tier": st.sampled_from(["auto", "default", "flex", "priority"]),
}


def all_requests(messages: st.SearchStrategy[tuple[Message, ...]]) -> st.SearchStrategy[ChatRequest]:
    return requests(
        messages=messages,
        system=st.just(()) | TEXTS.map(lambda text: (text,)),
        fields=FIELDS,
        offered=tools(strict=True),
        several=True,
    )


def all_responses(origin: str) -> st.SearchStrategy[ChatResponse]:
    reasons: list[FinishReason] = ["stop", "length", "content_filter"]
    return responses(
        ids=IDENTIFIERS.map(lambda tail: "chatcmpl-" + tail),
        thinking=st.builds(ThinkingPart, TEXTS, origin=st.just(origin)),
        reasons=st.sampled_from(reasons),
    )


PLAIN_TURNS = conversations(user=SPOKEN | MIXED, result=st.just(()) | SPOKEN, late_system=True)
RICH_TURNS = conversations(
    user=SPOKEN | MIXED,
    result=st.just(()) | SPOKEN | st.tuples(TEXT_PARTS, IMAGES),
    thinking=st.builds(ThinkingPart, TEXTS),
)


def check_chunks(stream: bytes) -> None:
    """Hold every chunk against the official SDK's type."""
    *chunks, done = SseParser().feed(stream)
    assert done.data == b"[DONE]"
    for chunk in chunks:
        ChatCompletionChunk.model_validate_json(chunk.data, strict=True)


def check_completion(body: JsonObject) -> None:
    """A whole answer, by the official SDK."""
    ChatCompletion.model_validate(body, strict=True)


def check_messages(body: JsonObject) -> None:
    """Every message, by the official SDK, which knows no field for thinking."""
    for message in body["messages"]:
        known = {name: value for name, value in message.items() if name != "reasoning_content"}
        MESSAGES.validate_python(known)


SUBJECT = Subject(
    name="openai-chat",
    dialect=OPENAI,
    models=("gpt-5",),
    requests=all_requests(PLAIN_TURNS),
    answers=all_responses("openai-chat"),
    check_request=check_messages,
    check_answer=check_completion,
    check_stream=check_chunks,
    sample=CHAT_REQUEST,
    last_word=b'"finish_reason":"',
    kinds={**KINDS, ErrorKind.CONFLICT: ErrorKind.INVALID_REQUEST},
)
SUBJECT_WITH_THINKING = attrs.evolve(
    SUBJECT,
    name="openai-chat-with-thinking",
    dialect=THINKER,
    requests=all_requests(RICH_TURNS),
    answers=all_responses("thinker"),
)
