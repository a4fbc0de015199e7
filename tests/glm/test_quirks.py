"""What GLM wants otherwise than OpenAI, on the bodies of OpenAI's clients and on translated ones."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from glm.glm_recordings import glm_vendor
from hypothesis import given
from hypothesis import strategies as st

from aigateway_core.plugin import (
    ChatRequest,
    DocumentPart,
    ImagePart,
    Message,
    OpenAIChat,
    Reasoning,
    ResponseFormat,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
    UnsupportedFeatureError,
)
from aigateway_core.testing import FakeUpstream, Reply
from aigateway_glm import GLMConfig, GLMProvider
from aigateway_glm.models import MODELS, find
from aigateway_glm.quirks import DROPPED, PROFILE, REFUSED, prepare, with_tool_stream

USER = {"role": "user", "content": "Hi"}
TOOLS = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in ("a", "b")]
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


def prepared(model: str = "glm-4.6", **fields: Any) -> dict[str, Any]:
    return prepare({"model": model, "messages": [USER], **fields})


def messages(*given: dict[str, Any], model: str = "glm-4.6") -> list[Any]:
    result: list[Any] = prepared(model, messages=list(given))["messages"]
    return result


# -- messages


def test_developer_is_system() -> None:
    assert messages({"role": "developer", "content": "Rule"}, USER)[0] == {"role": "system", "content": "Rule"}


def test_leading_system_texts_are_one() -> None:
    parts = {"role": "developer", "content": [{"type": "text", "text": "Two"}]}
    assert messages({"role": "system", "content": "One"}, parts, USER)[0] == {"role": "system", "content": "One\n\nTwo"}


def test_a_late_system_text_is_told_as_a_reminder() -> None:
    given = [
        USER,
        {"role": "system", "content": "Rule"},
        {"role": "assistant", "content": "ok"},
        {"role": "user", "content": "go"},
    ]
    late = messages(*given)[1]
    assert late == {"role": "user", "content": "<system-reminder>\nRule\n</system-reminder>"}


def test_there_is_a_user_message_in_any_case() -> None:
    system = {"role": "system", "content": "Rule"}
    assert messages(system) == [system, {"role": "user", "content": "."}]
    assert messages(system, USER) == [system, USER]


def test_an_assistant_message_of_tool_calls_alone_has_empty_content() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "a", "arguments": "{}"}}
    assert messages(USER, {"role": "assistant", "content": None, "tool_calls": [call]})[1]["content"] == ""
    assert messages(USER, {"role": "assistant", "tool_calls": [call]})[1]["content"] == ""


def test_long_ids_of_tool_calls_are_short_and_still_belong_together() -> None:
    call = {"id": "x" * 41, "type": "function", "function": {"name": "a", "arguments": "{}"}}
    result = {"role": "tool", "tool_call_id": "x" * 41, "content": "7"}
    _, asked, answered = messages(USER, {"role": "assistant", "content": "", "tool_calls": [call]}, result)
    assert asked["tool_calls"][0]["id"] == answered["tool_call_id"]
    assert len(answered["tool_call_id"]) <= 40
    assert messages(USER, {**result, "tool_call_id": "call_1"})[1]["tool_call_id"] == "call_1"


def test_thinking_is_sent_back_under_glms_name() -> None:
    kept = {"role": "assistant", "content": "4", "reasoning_content": "2+2"}
    assert messages(USER, kept)[1] == kept
    assert messages(USER, {"role": "assistant", "content": "4", "reasoning": "2+2"})[1] == kept


def test_a_model_without_eyes_is_told_what_was_left_out() -> None:
    content = [{"type": "text", "text": "What is it?"}, PICTURE, {"type": "file", "file": {"file_id": "f"}}]
    [message] = messages({"role": "user", "content": content})
    assert [part["text"] for part in message["content"]] == [
        "What is it?",
        "[image omitted]",
        "[document omitted]",
    ]


def test_a_model_with_eyes_gets_the_picture_and_a_word_beside_it() -> None:
    [alone] = messages({"role": "user", "content": [PICTURE]}, model="glm-4.6v")
    assert alone["content"] == [PICTURE, {"type": "text", "text": "."}]
    asked = [{"type": "text", "text": "What is it?"}, PICTURE]
    assert messages({"role": "user", "content": asked}, model="glm-4.6v")[0]["content"] == asked


def test_text_in_parts_is_joined_where_glm_reads_no_parts() -> None:
    parts = [{"type": "text", "text": "One"}, {"type": "text", "text": "Two"}]
    system, user, assistant, tool = messages(
        {"role": "system", "content": parts},
        {"role": "user", "content": [*parts, {"type": "text", "text": ""}]},
        {"role": "assistant", "content": parts},
        {"role": "tool", "tool_call_id": "c", "content": [*parts, PICTURE]},
    )
    assert system["content"] == assistant["content"] == "One\n\nTwo"
    assert user["content"] == parts
    assert tool["content"] == "One\n\nTwo\n\n[image omitted]"


def test_what_openais_clients_send_back_is_taken_in() -> None:
    answer = {"role": "assistant", "content": None, "refusal": "I won't", "annotations": [], "audio": None, "name": "x"}
    assert messages(USER, answer)[1] == {"role": "assistant", "content": "I won't"}
    assert messages(USER, {"role": "assistant", "content": None})[1]["content"] == "."


# -- limits and sampling


def test_case_039_the_limit_has_its_older_name_and_stays_below_the_models() -> None:
    assert prepared(max_completion_tokens=50)["max_tokens"] == 50
    assert prepared(max_tokens=40, max_completion_tokens=50)["max_tokens"] == 40
    assert prepared("glm-4.5v", max_tokens=10**6)["max_tokens"] == 16_384
    assert prepared("glm-9", max_tokens=10**6)["max_tokens"] == 10**6
    assert "max_completion_tokens" not in prepared(max_completion_tokens=50)


@pytest.mark.parametrize(("asked", "sent"), [(0, 0.01), (-1, 0.01), (0.5, 0.5), (1, 0.99), (2, 0.99)])
def test_temperature_and_top_p_stay_within_what_the_vendors_sdk_sends(asked: float, sent: float) -> None:
    body = prepared(temperature=asked, top_p=asked)
    assert (body["temperature"], body["top_p"]) == (sent, sent)
    assert ("do_sample" in body) == (asked <= 0)
    assert body.get("do_sample") in (None, False)


@pytest.mark.parametrize(("asked", "sent"), [("a", ["a"]), (["a", "b"], ["a"]), ([], None), (None, None)])
def test_only_one_stop_text_is_taken(asked: Any, sent: list[str] | None) -> None:
    assert prepared(stop=asked).get("stop") == sent


# -- tools


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("auto", ["a", "b"]),
        ("required", ["a", "b"]),
        (None, ["a", "b"]),
        ({"type": "function", "function": {"name": "b"}}, ["b"]),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [TOOLS[0]]}}, ["a"]),
        ({"type": "function", "function": {"name": "unheard of"}}, ["a", "b"]),
    ],
)
def test_the_only_tool_choice_is_auto(choice: Any, names: list[str]) -> None:
    body = prepared(tools=TOOLS, tool_choice=choice)
    assert body["tool_choice"] == "auto"
    assert [tool["function"]["name"] for tool in body["tools"]] == names


def test_no_tools_wanted_means_no_tools_sent() -> None:
    body = prepared(tools=TOOLS, tool_choice="none")
    assert "tools" not in body
    assert "tool_choice" not in body
    assert "tool_choice" not in prepared(tool_choice="auto")


def test_the_promise_of_strict_arguments_is_not_passed_on() -> None:
    tool = {"type": "function", "function": {"name": "a", "parameters": {}, "strict": True}, "x": 1}
    assert prepared(tools=[tool])["tools"] == [
        {"type": "function", "function": {"name": "a", "parameters": {}}, "x": 1}
    ]


def test_a_null_is_a_field_that_was_not_given() -> None:
    assert prepared(temperature=None, tools=None, stream=None) == {"model": "glm-4.6", "messages": [USER]}


def test_translated_arguments_are_streamed_as_they_come() -> None:
    assert with_tool_stream({"tools": TOOLS, "stream": True})["tool_stream"] is True
    assert with_tool_stream({"tools": TOOLS, "stream": True, "tool_stream": False})["tool_stream"] is False
    assert "tool_stream" not in with_tool_stream({"tools": TOOLS})
    assert "tool_stream" not in with_tool_stream({"stream": True})


def test_openais_clients_get_each_call_in_one_piece_unless_they_ask() -> None:
    endpoint = GLMProvider(GLMConfig()).endpoint("openai-chat", "chat", "glm-4.6")
    assert endpoint is not None
    assert endpoint.prepare is not None
    body = {"model": "glm-4.6", "messages": [USER], "tools": TOOLS, "stream": True}
    assert "tool_stream" not in endpoint.prepare(body)
    assert endpoint.prepare({**body, "tool_stream": True})["tool_stream"] is True


# -- thinking


@pytest.mark.parametrize(
    ("model", "effort", "sent"),
    [
        ("glm-4.6", "none", {"thinking": {"type": "disabled"}}),
        ("glm-4.6", "high", {"thinking": {"type": "enabled"}}),
        ("glm-5.2", "medium", {"reasoning_effort": "medium"}),
        ("glm-5.3", "none", {"reasoning_effort": "low"}),
        ("glm-5.3", "medium", {"reasoning_effort": "high"}),
        ("glm-5.3-flash", "xhigh", {"reasoning_effort": "max"}),
        ("glm-4-flash-250414", "high", {}),
        ("glm-4.6", None, {}),
    ],
)
def test_an_effort_becomes_what_the_model_understands(model: str, effort: str | None, sent: dict[str, Any]) -> None:
    body = prepared(model, reasoning_effort=effort)
    assert {name: body[name] for name in ("thinking", "reasoning_effort") if name in body} == sent


def test_thinking_that_cannot_be_switched_off_is_made_short() -> None:
    body = prepared("glm-5.3", thinking={"type": "disabled"})
    assert "thinking" not in body
    assert body["reasoning_effort"] == "low"


def test_glms_own_words_for_thinking_are_kept() -> None:
    own = {"type": "enabled", "clear_thinking": False}
    assert prepared(thinking=own)["thinking"] == own
    assert prepared(thinking=own, reasoning_effort="none")["thinking"] == own


# -- what else there is


def test_a_schema_is_put_into_words() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    body = prepared(response_format=wanted, messages=[{"role": "system", "content": "Rule"}, USER])
    assert body["response_format"] == {"type": "json_object"}
    assert body["messages"][0]["role"] == "system"
    assert json.dumps(schema) in body["messages"][0]["content"]
    assert "Rule" in body["messages"][0]["content"]
    assert prepared(response_format={"type": "json_object"})["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize("field", ["user", "safety_identifier", "user_id"])
def test_a_user_is_told_by_an_id_of_the_right_length(field: str) -> None:
    assert prepared(**{field: "user-42"})["user_id"] == "user-42"
    for other in ("u", "x" * 129):
        hashed = prepared(**{field: other})["user_id"]
        assert 6 <= len(hashed) <= 128
        assert hashed == prepared(**{field: other})["user_id"]
    assert "user" not in prepared(user="user-42")


@pytest.mark.parametrize("field", DROPPED)
def test_what_glm_does_not_have_is_not_sent(field: str) -> None:
    assert field not in prepared(**{field: None})


@pytest.mark.parametrize(
    ("field", "value"),
    [("n", 2), ("logprobs", True), ("modalities", ["text", "audio"]), ("functions", [{"name": "a"}])],
)
def test_what_would_change_the_answer_is_refused(field: str, value: Any) -> None:
    with pytest.raises(UnsupportedFeatureError) as caught:
        prepared(**{field: value})
    assert caught.value.path == field


def test_the_mark_of_a_long_context_is_no_part_of_the_name() -> None:
    assert prepared("glm-5.2[1m]")["model"] == "glm-5.2"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    (
        *("tools", "tool_choice", "temperature", "top_p", "stop", "max_tokens", "max_completion_tokens", "thinking"),
        *("reasoning_effort", "response_format", "user", "user_id", "stream", "n", "logprobs", "modalities"),
        "new_field",
    )
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool"])},
        optional={
            "content": JSON | st.lists(st.sampled_from([PICTURE, {"type": "text", "text": "x"}])),
            "tool_calls": JSON,
            "x": JSON,
        },
    ),
    max_size=5,
)
BODIES = st.builds(
    lambda model, said, fields: {"model": model, "messages": said, **fields},
    st.sampled_from([model.id for model in MODELS] + ["glm-9", ""]),
    MESSAGES | JSON,
    st.dictionaries(FIELDS, JSON, max_size=6),
)


@given(BODIES)
def test_any_body_is_left_as_it_was_and_prepared_once_and_for_all(body: dict[str, Any]) -> None:
    before = copy.deepcopy(body)
    try:
        once = prepare(body)
    except UnsupportedFeatureError:
        once = {}
    assert body == before
    if once:
        assert prepare(once) == once
        assert once.get("new_field") == body.get("new_field")


# -- translated requests


RICH = ChatRequest(
    model="glm-4.6",
    system=("Be brief.",),
    messages=(
        Message("user", (TextPart("Look"), ImagePart(media_type="image/png", data="AA=="), DocumentPart(data="AA=="))),
        Message("assistant", (ThinkingPart("hm", origin="glm"), ToolCallPart("c1", "a", "{}"))),
        Message("tool", (ToolResultPart("c1", (TextPart("7"),)),)),
        Message("system", (TextPart("Hurry"),)),
    ),
    tools=(Tool("a"), Tool("b")),
    tool_choice=ToolChoice("required", ("a",)),
    max_tokens=10**6,
    temperature=0.0,
    top_p=1.0,
    stop=("X", "Y"),
    presence_penalty=0.1,
    metadata={"a": "b"},
    reasoning=Reasoning(effort="high"),
    response_format=ResponseFormat("json_schema", name="x", schema={"type": "object"}),
    user="me",
    parallel_tool_calls=True,
    stream=True,
    include_usage=True,
)


@pytest.mark.parametrize("model", [*(model.id for model in MODELS), "glm-9"])
def test_a_translated_request_is_one_that_glm_takes(model: str) -> None:
    provider = GLMProvider(GLMConfig())
    body = provider.prepare(provider.dialect.encode_request(attrs.evolve(RICH, model=model)))
    assert not set(DROPPED) & set(body)
    assert {message["role"] for message in body["messages"]} <= {"system", "user", "assistant", "tool"}
    assert [message["role"] for message in body["messages"]].count("system") == 1
    assert body["tool_choice"] == "auto"
    assert [tool["function"]["name"] for tool in body["tools"]] == ["a"]
    assert body["stop"] == ["X"]
    assert (body["temperature"], body["top_p"], body["do_sample"]) == (0.01, 0.99, False)
    assert body["response_format"] == {"type": "json_object"}
    assert body["tool_stream"] is True
    assert 6 <= len(body["user_id"]) <= 128
    assert "max_completion_tokens" not in body
    assert prepare(body) == body


def test_thinking_goes_back_with_the_tool_results() -> None:
    body = prepare(OpenAIChat(PROFILE).encode_request(RICH))
    assistant = next(message for message in body["messages"] if message["role"] == "assistant")
    assert (assistant["reasoning_content"], assistant["content"]) == ("hm", "")


def test_what_is_lost_is_declared() -> None:
    losses = GLMProvider(GLMConfig()).losses(_with(n=2, logprobs=True, presence_penalty=0.5, metadata={"a": "b"}))
    assert set(losses.refused) == {"n", "logprobs"} <= set(REFUSED)
    assert {"presence_penalty", "metadata"} <= set(losses.dropped)


def _with(**fields: Any) -> ChatRequest:
    return ChatRequest(model="glm-4.6", messages=(Message("user", (TextPart("Hi"),)),), **fields)


# -- answers


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("word", "reason"),
    [("sensitive", "content_filter"), ("model_context_window_exceeded", "context_window"), ("length", "length")],
)
async def test_glms_words_for_the_end_are_understood(
    fake_upstream: Callable[..., FakeUpstream], word: str, reason: str
) -> None:
    provider = GLMProvider(GLMConfig())
    upstream = fake_upstream(Reply(glm_vendor().text.replace(b'"stop"', f'"{word}"'.encode())), provider=provider)
    assert (await provider.complete(_with(), upstream)).finish_reason == reason


@pytest.mark.anyio
async def test_it_asks_for_errors_in_english(fake_upstream: Callable[..., FakeUpstream]) -> None:
    upstream = fake_upstream(Reply(glm_vendor().text))
    await GLMProvider(GLMConfig()).complete(_with(), upstream)
    [request] = upstream.requests
    assert str(request.url) == "https://open.bigmodel.cn/api/paas/v4/chat/completions"
    assert request.headers["accept-language"] == "en-US,en"


def test_the_anthropic_endpoint_is_used_where_there_is_one() -> None:
    without = GLMProvider(GLMConfig())
    assert without.endpoint("anthropic", "chat", "glm-4.6") is None
    endpoint = GLMProvider(GLMConfig(anthropic_base_url="https://api.z.ai/api/anthropic/")).endpoint(
        "anthropic", "chat", "glm-4.6"
    )
    assert endpoint is not None
    assert endpoint.url == "https://api.z.ai/api/anthropic/v1/messages"


# -- models


def test_a_variant_is_treated_like_its_model() -> None:
    assert find("glm-4.6-0930").id == "glm-4.6"
    assert find("glm-5.3-flash-0901").id == "glm-5.3-flash"
    assert find("glm-5.3x").id == "glm"


def test_models_have_the_limits_that_their_maker_names() -> None:
    listed = {model.id: model for model in GLMProvider(GLMConfig()).models}
    assert (listed["glm-4.6"].context_window, listed["glm-4.6"].max_output_tokens) == (204_800, 131_072)
    assert "images" in listed["glm-4.6v"].capabilities
    assert "images" not in listed["glm-5.3"].capabilities
    assert "thinking" not in listed["glm-4-flash-250414"].capabilities
