"""What the sheet says of one pair of dialects holds for every client with every upstream."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from core.dialects.four import MODEL, SCHEMA, TONGUES, Answered, Called, Said, Tongue, Turn
from core.dialects.sheet import Including, case, sse

from aigateway_core.dialects.dialect import decode_events
from aigateway_core.dialects.sse import SseParser
from aigateway_core.events import fold
from aigateway_core.model import ChatRequest, JsonObject

HI = Said("user", "hi")
CLOSED = {**SCHEMA, "additionalProperties": False}
clients = pytest.mark.parametrize("client", TONGUES.values(), ids=[f"from_{name}" for name in TONGUES])
targets = pytest.mark.parametrize("target", TONGUES.values(), ids=[f"to_{name}" for name in TONGUES])
MOST_ID = {"anthropic": 64, "openai-chat": 40, "openai-responses": 64, "gemini": 64}
NAME = {
    "anthropic": r"[a-zA-Z0-9_-]{1,64}",
    "openai-chat": r"[a-zA-Z0-9_-]{1,64}",
    "openai-responses": r"[a-zA-Z0-9_-]{1,64}",
    # ai.google.dev, FunctionDeclaration: begins with a letter or an underscore, and may hold dots and colons.
    "gemini": r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}",
}


def sent(client: Tongue, target: Tongue, turns: Sequence[Turn], *tools: str, **fields: Any) -> JsonObject:
    return target.dialect.encode_request(client.dialect.decode_request(client.request(turns, tools, **fields)))


def seen(client: Tongue, target: Tongue, turns: Sequence[Turn], *tools: str, **fields: Any) -> list[Turn]:
    return list(target.turns(sent(client, target, turns, *tools, **fields)))


# -- ids and names

LONG = "call_" + "x" * 55
ODD = "call.with space:1"


@clients
@targets
@pytest.mark.parametrize(
    "call_id", [case(48, "a_long_id", LONG), case(57, "an_odd_id", ODD), case(48, "a_good_id", "c1")]
)
def test_call_and_result_keep_one_id_that_the_upstream_takes(client: Tongue, target: Tongue, call_id: str) -> None:
    turns = (HI, Called(call_id, "w"), Answered(call_id, "w", "ok"))
    found = seen(client, target, turns, "w")
    [call] = [turn for turn in found if isinstance(turn, Called)]
    [answer] = [turn for turn in found if isinstance(turn, Answered)]
    assert call.id == answer.id
    assert 0 < len(call.id) <= MOST_ID[target.dialect.name] or (client is target and target.dialect.name == "gemini")
    if target.dialect.name != "gemini":
        assert re.fullmatch("[a-zA-Z0-9_-]+", call.id)
    if call_id == "c1":
        assert call.id == "c1"
    assert seen(client, target, (*turns, Said("user", "go")), "w")[: len(found)] == found


@clients
@targets
@pytest.mark.parametrize(
    "name", [case(49, "a_long_name", "n" * 70), case(49, "an_odd_name", "my tool/1"), case(49, "a_good_name", "w")]
)
def test_a_name_that_the_upstream_does_not_take_is_changed_and_restored(
    client: Tongue, target: Tongue, name: str
) -> None:
    request = client.dialect.decode_request(client.request((HI, Called("c1", name), Answered("c1", name, "1")), [name]))
    body = target.dialect.encode_request(request)
    [declared] = target.tools(body)
    assert re.fullmatch(NAME[target.dialect.name], declared)
    assert declared == name or not re.fullmatch(NAME[target.dialect.name], name)
    [made] = [turn for turn in target.turns(body) if isinstance(turn, Called)]
    assert made.name == declared
    answer = target.dialect.decode_response(target.answer(Called("c2", declared)), request)
    [told] = client.calls(client.dialect.encode_response(answer, request))
    assert told.name == name


@clients
@targets
def test_case_058_calls_without_ids_get_ones_that_differ(client: Tongue, target: Tongue) -> None:
    request = client.dialect.decode_request(client.request((HI,), ["w"]))
    answer = target.dialect.decode_response(target.answer(Called("", "w"), Called("", "w")), request)
    first, second = client.calls(client.dialect.encode_response(answer, request))
    assert first.id
    assert second.id
    assert first.id != second.id


# -- calls and results that do not fit together


@clients
@targets
def test_case_023_a_call_without_a_result_gets_one(client: Tongue, target: Tongue) -> None:
    found = seen(client, target, (HI, Called("c1", "w"), Said("user", "never mind")), "w")
    assert [type(turn) for turn in found] == [Said, Called, Answered, Said]
    [answer] = [turn for turn in found if isinstance(turn, Answered)]
    assert answer.text == "(no result)"


@clients
@targets
def test_case_022_a_result_without_a_call_is_told_in_words(client: Tongue, target: Tongue) -> None:
    found = seen(client, target, (HI, Answered("lost", "w", "sunny"), Said("user", "go")), "w")
    assert not [turn for turn in found if isinstance(turn, Answered | Called)]
    assert "sunny" in " ".join(turn.text for turn in found if isinstance(turn, Said))


@clients
@targets
def test_case_024_of_two_results_the_last_one_counts(client: Tongue, target: Tongue) -> None:
    turns = (HI, Called("c1", "w"), Answered("c1", "w", "first"), Answered("c1", "w", "last"))
    answers = [turn.text for turn in seen(client, target, turns, "w") if isinstance(turn, Answered)]
    assert answers == ["last"]


@clients
@targets
def test_case_021_results_come_in_the_order_of_the_calls(client: Tongue, target: Tongue) -> None:
    turns = (HI, Called("c1", "w"), Called("c2", "v"), Answered("c2", "v", "two"), Answered("c1", "w", "one"))
    answers = [turn.text for turn in seen(client, target, turns, "w", "v") if isinstance(turn, Answered)]
    assert answers == ["one", "two"]


# -- the choice


def choice_in(target: Tongue, body: JsonObject) -> Any:
    return body.get("toolConfig") if target.dialect.name == "gemini" else body.get("tool_choice")


@clients
@targets
@pytest.mark.parametrize(
    ("mode", "name"),
    [
        case(29, "any", "any", ""),
        case(29, "one", "one", "v"),
        case(29, "none", "none", ""),
        case(29, "auto", "auto", ""),
    ],
)
def test_a_choice_of_tools_is_kept(client: Tongue, target: Tongue, mode: str, name: str) -> None:
    body = sent(client, target, (HI,), "w", "v", **client.choice(mode, name))
    expected = target.choice(mode, name)
    assert choice_in(target, body) == choice_in(target, expected)
    assert target.tools(body) == ["w", "v"]


@clients
@targets
@pytest.mark.parametrize("mode", ["any", "auto"])
def test_case_030_a_choice_without_tools_is_left_out(client: Tongue, target: Tongue, mode: str) -> None:
    body = sent(client, target, (HI,), **client.choice(mode))
    assert choice_in(target, body) is None
    assert target.tools(body) == []


# -- the form of the answer


@clients
@targets
def test_case_042_a_schema_for_the_answer_is_kept(client: Tongue, target: Tongue) -> None:
    body = sent(client, target, (HI,), **client.schema(CLOSED))
    request = target.dialect.decode_request({"model": MODEL, **body})
    assert request.response_format is not None
    assert request.response_format.kind == "json_schema"
    assert request.response_format.schema == CLOSED


# -- tools that a vendor runs itself


@pytest.mark.parametrize(
    ("client", "target"),
    [
        case(28, f"{mine}_to_{other}", TONGUES[mine], TONGUES[other])
        for mine in TONGUES
        for other in TONGUES
        if mine != other
    ],
)
def test_a_tool_of_another_vendor_is_left_out_and_named(client: Tongue, target: Tongue) -> None:
    body = client.request((HI,), ["w"])
    request: ChatRequest = client.dialect.decode_request({**body, "tools": [*body["tools"], client.hosted()]})
    hosted = request.tools[-1]
    assert target.tools(target.dialect.encode_request(request)) == ["w"]
    assert any(hosted.type in name for name in target.dialect.losses(request).dropped)  # type: ignore[union-attr]
    alone: ChatRequest = client.dialect.decode_request({**body, "tools": [client.hosted()]} | client.choice("any"))
    bare = target.dialect.encode_request(alone)
    assert not bare.get("tools")
    assert choice_in(target, bare) is None


# -- what is attached


def user_turn(target: Tongue, body: JsonObject) -> list[JsonObject]:
    """The parts of the one user's turn of a body for an upstream."""
    [turn] = body.get("messages") or body.get("input") or body["contents"]
    parts: list[JsonObject] = turn.get("content") or turn["parts"]
    return parts


def attached(client: Tongue, target: Tongue, turn: JsonObject) -> list[JsonObject]:
    body = client.request((), ())
    field = next(name for name in ("messages", "input", "contents") if name in body)
    return user_turn(target, target.dialect.encode_request(client.dialect.decode_request({**body, field: [turn]})))


@clients
@targets
def test_case_032_a_document_arrives_with_its_title(client: Tongue, target: Tongue) -> None:
    *before, found = attached(client, target, client.document("cGRm", "plan.pdf"))
    expected = target.document("cGRm", "plan.pdf")
    part = (expected.get("content") or expected["parts"])[0]
    if target is TONGUES["gemini"]:
        # displayName is Vertex's alone (ai.google.dev, Blob), so the title stands before the document.
        del part["inlineData"]["displayName"]
        assert before == [{"text": "[plan.pdf]"}]
    assert found == part


@clients
@targets
def test_case_031_a_picture_arrives(client: Tongue, target: Tongue) -> None:
    expected = target.image("aW1n")
    [part] = expected.get("content") or expected["parts"]
    assert attached(client, target, client.image("aW1n")) == [Including(part)]


# -- names of models


@clients
@targets
def test_case_068_the_client_is_told_the_name_that_it_used(client: Tongue, target: Tongue) -> None:
    request = client.dialect.decode_request({**client.request((HI,), ["w"]), "model": "mine"})
    answer = client.dialect.encode_response(
        target.dialect.decode_response({**target.answer(Called("c1", "w")), "model": "theirs"}, request), request
    )
    assert answer.get("modelVersion", answer.get("model")) == "mine"


def test_case_058_a_stream_without_ids_gets_the_same_ones_as_a_whole_answer() -> None:
    tongue = TONGUES["anthropic"]
    request = tongue.dialect.decode_request(tongue.request((HI,), ["w"]))
    whole = tongue.dialect.decode_response(tongue.answer(Called("", "w"), Called("", "w")), request)
    events: list[Any] = [{"type": "message_start", "message": {"id": "msg_1", "model": "m"}}]
    for index in range(2):
        block = {"type": "tool_use", "id": "", "name": "w", "input": {"a": 1}}
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events.append({"type": "content_block_stop", "index": index})
    events += [{"type": "message_delta", "delta": {"stop_reason": "tool_use"}}, {"type": "message_stop"}]
    decoder = tongue.dialect.stream_decoder(request)
    streamed = fold(decode_events(decoder, SseParser().feed(sse(events))))
    assert streamed.parts == whole.parts
