"""Whatever a client sends is a request by a stated rule, or refused with the path of what is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest
from core.dialects.broken_requests import (
    FULL,
    WRONG,
    Place,
    is_about,
    leads_somewhere,
    places,
    replaced,
    steps,
    without,
)
from core.dialects.four import SCHEMA, TONGUES, Said

from aigateway_core.dialects.dialect import Dialect
from aigateway_core.errors import InvalidRequestError, UnsupportedFeatureError
from aigateway_core.jsontext import MAX_DEPTH, dumps, loads_object
from aigateway_core.model import ChatRequest, JsonObject, TextPart, ToolResultPart

DIALECTS: dict[str, Dialect] = {name: tongue.dialect for name, tongue in TONGUES.items()}

in_each_dialect = pytest.mark.parametrize("name", DIALECTS)


def read(dialect: Dialect, body: JsonObject) -> ChatRequest:
    """What the request path makes of a body."""
    dialect.peek(body)
    return dialect.decode_request(body)


def refusal(dialect: Dialect, body: JsonObject) -> InvalidRequestError | UnsupportedFeatureError | None:
    """Why this is no request; None when it is one, which then can be written for every upstream, or refused."""
    try:
        request = read(dialect, body)
    except (InvalidRequestError, UnsupportedFeatureError) as error:
        return error
    for upstream in DIALECTS.values():
        assert_writable(upstream, request)
    dumps(dialect.native_request(body, "upstream-model"))
    return None


def assert_writable(upstream: Dialect, request: ChatRequest) -> None:
    """It goes into a body, or is refused without a path: whoever writes does not know the client's names of things."""
    refusals: list[InvalidRequestError] = []
    try:
        dumps(upstream.encode_request(request))
        upstream.losses(request)
    except InvalidRequestError as error:
        refusals.append(error)
    assert [error.path for error in refusals if error.path] == []


def misled(dialect: Dialect, body: JsonObject, change: Place) -> str | None:
    """How the refusal of ``body``, if it is one, names a wrong place."""
    error = refusal(dialect, body)
    if error is None:
        return None
    if not error.path:
        return f"{change}: no path: {error}"
    place = steps(error.path)
    if not leads_somewhere(body, place) or not is_about(place, change):
        return f"{change}: {error}"
    return None


@in_each_dialect
def test_a_full_request_is_good(name: str) -> None:
    assert refusal(DIALECTS[name], FULL[name]) is None


@in_each_dialect
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_value_anywhere_is_accepted_or_named(name: str, wrong: str) -> None:
    body, dialect = FULL[name], DIALECTS[name]
    found = [misled(dialect, replaced(body, place, WRONG[wrong]), place) for place in places(body)]
    assert [one for one in found if one] == []


@in_each_dialect
def test_a_value_that_is_not_there_is_done_without_or_named(name: str) -> None:
    body, dialect = FULL[name], DIALECTS[name]
    found = [misled(dialect, without(body, place), place) for place in places(body)]
    assert [one for one in found if one] == []


LIMIT = {
    "anthropic": ("max_tokens",),
    "openai-chat": ("max_tokens",),
    "openai-responses": ("max_output_tokens",),
    "gemini": ("generationConfig", "maxOutputTokens"),
}
"""Where each dialect says how long the answer may be."""


def sent(name: str, place: Place, value: str) -> bytes:
    """A request as it comes over the wire, with JSON text of one's own at ``place``."""
    body: JsonObject = TONGUES[name].request([Said("user", "hi")])
    node = body
    for step in place[:-1]:
        node = node.setdefault(step, {})
    node[place[-1]] = "<here>"
    return dumps(body).replace(b'"<here>"', value.encode())


@in_each_dialect
@pytest.mark.parametrize("value", ["-1", "0", "1.5", '"5"', "true", "[5]", "9e99", "1e15", "18446744073709551616"])
def test_a_limit_that_is_none_is_named(name: str, value: str) -> None:
    error = refusal(DIALECTS[name], loads_object(sent(name, LIMIT[name], value)))
    assert isinstance(error, InvalidRequestError)
    assert error.path == ".".join(map(str, LIMIT[name]))


@pytest.mark.parametrize("value", ["1e400", "-1e400", "1" + "0" * 4301, "NaN", "Infinity", "-Infinity", "0x10", "01"])
def test_a_number_that_json_does_not_know_is_no_json(value: str) -> None:
    with pytest.raises(InvalidRequestError, match="not valid JSON"):
        loads_object(sent("anthropic", LIMIT["anthropic"], value))


@in_each_dialect
def test_an_unknown_role_is_named(name: str) -> None:
    error = refusal(DIALECTS[name], TONGUES[name].request([Said("user", "hi"), Said("narrator", "x")]))
    assert isinstance(error, InvalidRequestError)
    assert error.path is not None
    assert error.path.endswith("[1].role")
    assert "narrator" in error.message


HOLOGRAM = {"type": "hologram", "text": 5}
PART = {"type": "text", "text": "hi"}


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("anthropic", {"messages": [{"role": "user", "content": [HOLOGRAM, PART]}]}),
        ("openai-responses", {"input": [HOLOGRAM, {"role": "user", "content": "hi"}]}),
        ("gemini", {"contents": [{"role": "user", "parts": [{"hologram": {"text": 5}}, {"text": "hi"}]}]}),
    ],
)
def test_where_vendors_add_kinds_of_content_an_unknown_one_is_left_out_and_told(name: str, body: JsonObject) -> None:
    request = read(DIALECTS[name], {"model": "m", **body})
    assert [message.text for message in request.messages] == ["hi"]
    for other in DIALECTS.values():
        assert "messages.hologram" in other.losses(request).dropped


@pytest.mark.parametrize(("name", "listed"), [("openai-chat", "messages"), ("openai-responses", "input")])
def test_where_the_vendor_refuses_unknown_kinds_of_content_they_are_named(name: str, listed: str) -> None:
    body = {"model": "m", listed: [{"role": "user", "content": [PART, HOLOGRAM]}]}
    with pytest.raises(InvalidRequestError, match="hologram") as caught:
        read(DIALECTS[name], body)
    assert caught.value.path == f"{listed}[0].content[1].type"


@pytest.mark.parametrize(
    "raw",
    [
        rb'{"model":"m","messages":[{"role":"user","content":"\ud800"}]}',
        rb'{"model":"m\udfff","messages":[]}',
        rb'{"model":"m","\ud800":1}',
        b'{"model":"m","messages":"\xed\xa0\x80"}',
        b'{"model":"\xc0\xaf"}',
        b'\xef\xbb\xbf{"model":"m"}',
        '{"model":"m"}'.encode("utf-16"),
        b'{"model":"\x00"}',
    ],
    ids=["in a text", "in a name", "in a key", "as bytes", "overlong", "mark", "utf-16", "control"],
)
def test_what_is_no_unicode_is_no_json(raw: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="not valid JSON"):
        loads_object(raw)


@in_each_dialect
def test_a_character_that_is_escaped_nul_is_one_like_any_other(name: str) -> None:
    tongue = TONGUES[name]
    body = loads_object(dumps(tongue.request([Said("user", "a\0b")], ["w"])))
    request = read(tongue.dialect, body)
    for other in TONGUES.values():
        [told] = other.turns(loads_object(dumps(other.dialect.encode_request(request))))
        assert told == Said("user", "a\0b")


@in_each_dialect
def test_a_schema_of_a_hundred_kilobytes_arrives_whole(name: str) -> None:
    schema = {
        "type": "object",
        "properties": {f"p{each}": {"type": "string", "description": "d" * 64} for each in range(1000)},
    }
    tongue = TONGUES[name]
    body = loads_object(dumps(tongue.request([Said("user", "hi")], ["w"])).replace(dumps(SCHEMA), dumps(schema)))
    assert len(dumps(body)) > 100_000
    request = read(tongue.dialect, body)
    for other in DIALECTS.values():
        assert dumps(schema["properties"]) in dumps(other.encode_request(request))


@in_each_dialect
def test_two_thousand_messages_arrive_in_order(name: str) -> None:
    tongue = TONGUES[name]
    turns = [Said(("user", "assistant")[each % 2], f"number {each}") for each in range(2001)]
    request = read(tongue.dialect, tongue.request(turns))
    for other in TONGUES.values():
        assert list(other.turns(other.dialect.encode_request(request))) == turns


def nested(levels: int) -> Any:
    """Objects and lists in each other."""
    value: Any = 1
    for level in range(levels):
        value = {"x": value} if level % 2 else [value]
    return value


@in_each_dialect
def test_what_is_nested_as_deep_as_json_may_be_goes_everywhere(name: str) -> None:
    body, dialect = FULL[name], DIALECTS[name]
    for place in places(body):
        changed = replaced(body, place, nested(MAX_DEPTH - 1 - len(place)))
        assert misled(dialect, loads_object(dumps(changed)), place) is None


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 1000, 100_000])
@pytest.mark.parametrize(("left", "right"), [("[", "]"), ('{"x":', "}"), ('[{"x":', "}]")])
def test_what_is_nested_deeper_is_refused(levels: int, left: str, right: str) -> None:
    raw = sent("anthropic", ("tools",), left * levels + "1" + right * levels)
    with pytest.raises(InvalidRequestError, match=r"too deep|not valid JSON"):
        loads_object(raw)


@pytest.mark.parametrize("kind", [["text"], {"x": 1}, 7, None])
def test_a_result_that_is_an_object_with_a_type_of_its_own_is_told_as_it_is(kind: Any) -> None:
    asked = {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "w", "input": {}}]}
    result = {"type": "tool_result", "tool_use_id": "c", "content": {"type": kind}}
    body = {"model": "m", "messages": [asked, {"role": "user", "content": [result]}]}
    [part] = read(DIALECTS["anthropic"], body).messages[-1].parts
    assert isinstance(part, ToolResultPart)
    assert part.content == (TextPart(dumps({"type": kind}).decode()),)
