"""Requests for the tokens of a prompt, and their answers, in the two dialects that have them."""

from __future__ import annotations

import attrs
import pytest

from aigateway_core.dialects.anthropic import Anthropic, AnthropicTokenCount
from aigateway_core.dialects.dialect import Dialect
from aigateway_core.dialects.gemini import Gemini, GeminiTokenCount
from aigateway_core.errors import ErrorKind, InvalidRequestError, UpstreamError
from aigateway_core.jsontext import dumps
from aigateway_core.model import ChatRequest, ChatResponse, JsonObject, Usage

ANTHROPIC, GEMINI = AnthropicTokenCount(), GeminiTokenCount()
MESSAGES: JsonObject = {"model": "mine", "messages": [{"role": "user", "content": "hi"}], "tools": []}
CONTENTS: JsonObject = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
WHOLE: JsonObject = {
    **CONTENTS,
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "tools": [{"functionDeclarations": [{"name": "w"}]}],
}
IN_URL = {"model": "mine", "stream": False}
ANSWERS = {ANTHROPIC: {"input_tokens": 42}, GEMINI: {"totalTokens": 42}}


@pytest.mark.parametrize("wrapper", ["generateContentRequest", "generate_content_request"])
def test_both_forms_of_a_gemini_count_mean_the_same_prompt(wrapper: str) -> None:
    bare = GEMINI.decode_request({**WHOLE, **IN_URL})
    wrapped = GEMINI.decode_request({wrapper: {"model": "models/another", **WHOLE}, **IN_URL})
    assert wrapped == bare
    assert (bare.model, bare.stream, bare.system) == ("mine", False, ("Be brief.",))
    assert [tool.name for tool in bare.tools] == ["w"]
    assert GEMINI.peek({wrapper: WHOLE, **IN_URL}).model == "mine"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (IN_URL, "contents"),
        ({**IN_URL, "generateContentRequest": []}, "generateContentRequest"),
        ({**IN_URL, "generateContentRequest": {}}, "contents"),
        ({**IN_URL, "contents": []}, "contents"),
    ],
)
def test_a_gemini_count_of_nothing_is_refused_with_its_path(body: JsonObject, path: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        GEMINI.peek(body)
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("body", "path"), [({"messages": []}, "model"), ({"model": "m"}, "messages"), ({**MESSAGES, "model": 5}, "model")]
)
def test_an_anthropic_count_asks_for_model_and_messages(body: JsonObject, path: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        ANTHROPIC.peek(body)
    assert caught.value.path == path


def test_a_count_never_streams_whatever_its_body_says() -> None:
    assert ANTHROPIC.peek({**MESSAGES, "stream": True}).stream is False
    assert ANTHROPIC.decode_request({**MESSAGES, "stream": True}).stream is False


def test_an_anthropic_counter_is_sent_what_shapes_the_prompt_and_nothing_else() -> None:
    asked = {
        **MESSAGES,
        "max_tokens": 5,
        "temperature": 0.5,
        "stop_sequences": ["x"],
        "metadata": {"user_id": "me"},
        "system": "Be brief.",
        "tools": [{"name": "w", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "auto"},
    }
    request = Anthropic().decode_request(asked)
    sent = ANTHROPIC.encode_request(request)
    assert set(sent) <= {"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config"}
    assert {"model", "messages", "system", "tools"} <= set(sent)


def test_a_gemini_counter_is_sent_the_whole_request_with_the_model_by_its_resource_name() -> None:
    request = Gemini().decode_request({**WHOLE, **IN_URL})
    sent = GEMINI.encode_request(request)
    assert set(sent) == {"generateContentRequest"}
    assert sent["generateContentRequest"]["model"] == "models/mine"
    assert {"contents", "systemInstruction", "tools"} <= set(sent["generateContentRequest"])
    tuned = GEMINI.encode_request(attrs.evolve(request, model="tunedModels/t"))
    assert tuned["generateContentRequest"]["model"] == "tunedModels/t"


def test_a_native_count_changes_nothing_but_the_model() -> None:
    unknown = {"x_new": {"kept": [True]}}
    assert ANTHROPIC.native_request({**MESSAGES, **unknown}, "theirs") == {**MESSAGES, **unknown, "model": "theirs"}
    assert GEMINI.native_request({**CONTENTS, **unknown, **IN_URL}, "theirs") == {**CONTENTS, **unknown}
    wrapped = {"generateContentRequest": {**WHOLE, "model": "models/mine", **unknown}, **unknown, **IN_URL}
    relayed = GEMINI.native_request(wrapped, "theirs")
    assert relayed["generateContentRequest"] == {**WHOLE, **unknown, "model": "models/theirs"}
    assert relayed["x_new"] == unknown["x_new"]
    assert "model" not in relayed


@pytest.mark.parametrize(("dialect", "answer"), ANSWERS.items(), ids=lambda value: getattr(value, "name", ""))
def test_a_count_is_written_as_it_is_read(dialect: Dialect, answer: JsonObject) -> None:
    request = ChatRequest(model="m")
    counted = ChatResponse(id="", model="m", usage=Usage(input_tokens=42))
    assert dialect.encode_response(counted, request) == answer
    assert dialect.decode_response(answer, request) == counted


@pytest.mark.parametrize(("dialect", "answer"), ANSWERS.items(), ids=lambda value: getattr(value, "name", ""))
def test_a_native_count_is_relayed_as_it_is_and_uses_nothing_up(dialect: Dialect, answer: JsonObject) -> None:
    body = dumps({**answer, "x_new": 1})
    relayed = dialect.native_response(body, "mine")
    assert (relayed.body, relayed.usage) == (body, None)


@pytest.mark.parametrize("answer", [{}, {"input_tokens": "42", "totalTokens": "a"}, {"input_tokens": 1.5}])
@pytest.mark.parametrize("dialect", ANSWERS, ids=lambda dialect: dialect.name)
def test_what_is_no_count_is_an_error_of_the_upstream(dialect: Dialect, answer: JsonObject) -> None:
    for read in (
        lambda: dialect.decode_response(answer, ChatRequest(model="m")),
        lambda: dialect.native_response(dumps(answer), "mine"),
    ):
        with pytest.raises(UpstreamError) as caught:
            read()
        assert caught.value.kind is ErrorKind.PROTOCOL


@pytest.mark.parametrize("dialect", ANSWERS, ids=lambda dialect: dialect.name)
def test_an_error_that_came_with_status_200_is_the_error(dialect: Dialect) -> None:
    error = {"error": {"code": 429, "type": "rate_limit_error", "status": "RESOURCE_EXHAUSTED", "message": "slow down"}}
    with pytest.raises(UpstreamError, match="slow down") as caught:
        dialect.native_response(dumps(error), "mine")
    assert caught.value.kind is ErrorKind.RATE_LIMIT
