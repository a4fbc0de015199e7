"""A picture that a model made reaches every client that has a place for it, and the others are told of it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from core.dialects.four import TONGUES
from core.dialects.sheet import Including, Matching, relay_in_any_pieces, sse

from aigateway_core.dialects.sse import SseParser
from aigateway_core.events import GeneratedImage, StreamFinish, StreamStart, TextDelta, fold, unfold
from aigateway_core.model import ChatResponse, ImagePart, JsonObject, TextPart, ThinkingPart, Usage

PICTURE = ImagePart("image/png", "aW1n")
URL = "data:image/png;base64,aW1n"
USAGE = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}


def gemini(*parts: JsonObject) -> JsonObject:
    content = {"role": "model", "parts": list(parts)}
    candidates = [{"content": content, "finishReason": "STOP", "index": 0}]
    return {"responseId": "r1", "modelVersion": "m", "candidates": candidates, "usageMetadata": USAGE}


INLINE = {"inlineData": {"mimeType": "image/png", "data": "aW1n"}}
IMAGE_URL = {"type": "image_url", "image_url": {"url": URL}}
GENERATED = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "aW1n"}
MESSAGE = {"role": "assistant", "content": "here", "images": [IMAGE_URL]}
SPOKEN = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "here", "annotations": []}],
}
ANSWERS = {
    "gemini": gemini({"text": "here"}, INLINE),
    "openai-chat": {
        "id": "chatcmpl-1",
        "model": "m",
        "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}],
    },
    "openai-responses": {
        "id": "resp_1",
        "object": "response",
        "model": "m",
        "status": "completed",
        "output": [SPOKEN, GENERATED],
    },
}
STREAMS = {
    "gemini": [gemini({"text": "here"}) | {"usageMetadata": USAGE}, gemini(INLINE)],
    "openai-chat": [
        {"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {"content": "here"}}]},
        {"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {"images": [IMAGE_URL]}, "finish_reason": "stop"}]},
        "data: [DONE]\n\n",
    ],
    "openai-responses": [
        {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "delta": "here"},
        {"type": "response.output_item.added", "output_index": 1, "item": GENERATED | {"result": None}},
        {"type": "response.output_item.done", "output_index": 1, "item": GENERATED},
        {"type": "response.completed", "response": ANSWERS["openai-responses"]},
    ],
}
STREAMS["gemini"][0]["candidates"][0].pop("finishReason")
origins = pytest.mark.parametrize("origin", ANSWERS)
clients = pytest.mark.parametrize("client", TONGUES)


def request(client: str) -> Any:
    tongue = TONGUES[client]
    turn = {"messages": [{"role": "user", "content": "draw"}]}
    fields: dict[str, JsonObject] = {
        "openai-responses": {"input": "draw"},
        "gemini": {"contents": [{"parts": [{"text": "draw"}]}]},
    }
    return tongue.dialect.decode_request(tongue.request(()) | fields.get(client, turn) | {"stream": True})


@origins
def test_a_picture_is_a_part_of_the_answer(origin: str) -> None:
    dialect = TONGUES[origin].dialect
    assert dialect.decode_response(ANSWERS[origin], request("gemini")).parts == (TextPart("here"), PICTURE)
    decoder, events = dialect.stream_decoder(request("gemini")), []
    for event in SseParser().feed(sse(STREAMS[origin])):
        events += decoder.feed(event)
    events += decoder.end()
    assert events.count(GeneratedImage(PICTURE)) == 1
    assert fold(events).parts == (TextPart("here"), PICTURE)


def test_whole_answer_and_stream_spell_each_other() -> None:
    answer = ChatResponse(id="r", model="m", parts=(PICTURE, TextPart("so"), PICTURE), usage=Usage())
    assert fold(unfold(answer)).parts == answer.parts


WHOLE: dict[str, Any] = {
    "openai-chat": lambda body: body["choices"][0]["message"]["images"],
    "openai-responses": lambda body: body["output"][1],
    "gemini": lambda body: body["candidates"][0]["content"]["parts"][1],
    "anthropic": lambda body: body["content"],
}
SEEN: dict[str, Any] = {
    "openai-chat": [IMAGE_URL],
    "openai-responses": Including({"type": "image_generation_call", "status": "completed", "result": "aW1n"}),
    "gemini": INLINE,
    "anthropic": [{"type": "text", "text": Matching(r"here\[image omitted.*\]")}],
}


@clients
def test_every_client_gets_the_picture_or_is_told_that_there_was_one(client: str) -> None:
    answer = ChatResponse(id="r", model="m", parts=(TextPart("here"), PICTURE))
    body = TONGUES[client].dialect.encode_response(answer, request(client))
    assert WHOLE[client](body) == SEEN[client]


@clients
@origins
def test_a_stream_brings_the_picture_however_it_is_cut(origin: str, client: str) -> None:
    source, target = TONGUES[origin].dialect, TONGUES[client].dialect
    relayed = relay_in_any_pieces(source, target, request(client), sse(STREAMS[origin]))
    assert relayed.error is None
    wire = relayed.wire
    assert (b"aW1n" in wire) is (client != "anthropic")
    assert (b"[image omitted" in wire) is (client == "anthropic")
    if client != "anthropic":
        decoder, events = target.stream_decoder(request(client)), []
        for event in SseParser().feed(wire):
            events += decoder.feed(event)
        assert fold(events).parts == (TextPart("here"), PICTURE)


def test_a_picture_alone_is_the_first_content() -> None:
    relayed = relay_in_any_pieces(
        TONGUES["gemini"].dialect, TONGUES["openai-chat"].dialect, request("openai-chat"), sse([gemini(INLINE)])
    )
    assert relayed.committed


def test_responses_clients_see_the_picture_begin_and_end() -> None:
    encoder = TONGUES["openai-responses"].dialect.stream_encoder(request("openai-responses"))
    events = [StreamStart("r", "m"), TextDelta("here"), GeneratedImage(PICTURE), StreamFinish("stop")]
    wire = b"".join(map(encoder.encode, events)) + encoder.end()
    kinds = [orjson.loads(event.data)["type"].removeprefix("response.") for event in SseParser().feed(wire)]
    start = kinds.index("content_part.done")
    assert kinds[start:] == [
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "image_generation_call.in_progress",
        "image_generation_call.completed",
        "output_item.done",
        "completed",
    ]


# -- on the way back


@clients
def test_a_picture_returns_to_gemini_for_the_next_edit(client: str) -> None:
    tongue = TONGUES[client]
    answer = ChatResponse(
        id="r", model="m", parts=(TextPart("here"), PICTURE, ThinkingPart("", "c2ln", "gemini")), finish_reason="stop"
    )
    body = orjson.loads(orjson.dumps(tongue.dialect.encode_response(answer, request(client))))
    match client:
        case "anthropic":
            history: JsonObject = {"messages": [{"role": "assistant", "content": body["content"]}]}
        case "openai-chat":
            history = {"messages": [body["choices"][0]["message"]]}
        case "openai-responses":
            history = {"input": body["output"]}
        case _:
            history = {"contents": [body["candidates"][0]["content"]]}
    more = tongue.image("bW9yZQ==")
    field = next(iter(history))
    decoded = tongue.dialect.decode_request({**tongue.request(()), field: [*history[field], more], "model": "gemini-3"})
    parts = TONGUES["gemini"].dialect.encode_request(decoded)["contents"][1]["parts"]
    if client == "anthropic":
        # The picture is not there any more, nor is the mark that signs it.
        assert parts == [{"text": Matching(r"here\[image omitted.*\]")}]
    else:
        assert parts[0] == {"text": "here"}
        assert parts[1] == INLINE | {"thoughtSignature": "c2ln"}


@pytest.mark.parametrize("target", ["anthropic", "openai-chat", "openai-responses"])
def test_a_picture_of_an_earlier_answer_is_told_where_it_cannot_be_shown(target: str) -> None:
    content = {"role": "model", "parts": [{"text": "here"}, INLINE]}
    body = {"model": "m", "contents": [{"parts": [{"text": "draw"}]}, content, {"parts": [{"text": "go"}]}]}
    asked = TONGUES["gemini"].dialect.decode_request(body)
    dialect = TONGUES[target].dialect
    assert b"[image omitted]" in orjson.dumps(dialect.encode_request(asked))
    assert "messages.image" in dialect.losses(asked).dropped
