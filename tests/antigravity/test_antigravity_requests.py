"""Whatever a client sends, nothing goes out that Cloud Code would refuse."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from typing import Any

import attrs
import orjson
import pytest
from antigravity_clients import (
    CLAUDE,
    FLASH,
    LITE,
    OSS,
    PAINTER,
    SENTINEL,
    answered,
    asked,
    by_openai,
    call,
    claudes,
    content,
    find,
    function,
    natively,
    read,
    response,
    said,
    wired,
)
from core.dialects.gemini_values import BUDGETS, FIELDS, FOREIGN, IMAGES, LEVELS
from core.dialects.strategies import BASE64, TEXT_PARTS, TEXTS, conversations, requests, tools
from e2e.fakes.cloud_code_rules import CloudCodeRules
from e2e.fakes.vendor import JsonObject
from hypothesis import given
from hypothesis import strategies as st

from aigateway_antigravity.envelope import enclosed
from aigateway_antigravity.losses import losses
from aigateway_antigravity.searching import kind_of
from aigateway_antigravity.session import native_session, session_of
from aigateway_antigravity.signatures import ThoughtMemory
from aigateway_antigravity.translation import body_of, native_body, search_body_of
from aigateway_core.plugin import (
    Anthropic,
    ChatRequest,
    Gemini,
    HostedTool,
    Message,
    OpenAIChat,
    OpenAIResponses,
    Part,
    Reasoning,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
)

PROJECT = "example-proj-1a2b3"
MODELS = [
    *("claude-opus-4-6-thinking", "claude-sonnet-4-6", "gemini-pro-agent", "gemini-3-flash", "gemini-3.1-flash-lite"),
    *("gemini-3.1-flash-image", "gpt-oss-120b-medium", "gemini-3.6-flash-high"),
]

BLANKS = st.builds(TextPart, st.sampled_from(["", " ", "\n"]))
SPOKEN = st.lists(TEXT_PARTS | BLANKS | IMAGES, min_size=1, max_size=3).map(tuple)
ANSWERS = st.lists(TEXT_PARTS | BLANKS | IMAGES, max_size=3).map(tuple)
OWN = st.builds(ThinkingPart, TEXTS, st.just("own"), st.sampled_from(["anthropic", "gemini"]))
SIGNED_CALL = st.builds(ThinkingPart, st.just(""), st.none(), st.just("gemini"), st.just("own"))
BROKEN = st.builds(ThinkingPart, TEXTS, st.none() | BASE64, st.sampled_from(["anthropic", None]))
EFFORTS = st.builds(
    Reasoning,
    st.none() | st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", "max"]),
    st.none() | st.integers(0, 200_000),
    st.booleans(),
)


@st.composite
def anything(draw: st.DrawFn) -> ChatRequest:
    """Requests as clients send them on bad days: parts out of order, answers missing, thinking of everybody's."""
    turns = conversations(
        user=SPOKEN, result=ANSWERS, thinking=OWN | SIGNED_CALL | FOREIGN | BROKEN, late_system=True, failures=True
    )
    fields = draw(st.sampled_from([FIELDS, LEVELS, BUDGETS])) | {"reasoning": EFFORTS, "top_p": st.floats(0, 1)}
    request = draw(
        requests(
            messages=turns,
            system=st.lists(TEXTS | st.just(" "), max_size=2).map(tuple),
            fields=fields,
            offered=tools(strict=True),
            several=True,
        )
    )
    messages = [attrs.evolve(one, parts=_shuffled(draw, one.parts)) for one in request.messages if draw(_MOSTLY)]
    if not draw(_MOSTLY):
        messages = messages[: draw(st.integers(0, len(messages)))]
    hosted = draw(st.lists(st.sampled_from([HostedTool("googleSearch", "googleSearch"), HostedTool("mcp", "x")])))
    given_tools = (*request.tools, *hosted[:1])
    return attrs.evolve(request, model=draw(st.sampled_from(MODELS)), messages=tuple(messages), tools=given_tools)


_MOSTLY = st.integers(0, 9).map(bool)


def _shuffled(draw: st.DrawFn, parts: tuple[Part, ...]) -> tuple[Part, ...]:
    return parts if draw(_MOSTLY) else tuple(draw(st.permutations(parts)))


def known_to(rules: CloudCodeRules, request: ChatRequest) -> ChatRequest:
    """The request with signatures that this server gave out, wherever one is its model's own."""
    messages = tuple(attrs.evolve(one, parts=tuple(_known(rules, one.parts))) for one in request.messages)
    return attrs.evolve(request, messages=messages)


def _known(rules: CloudCodeRules, parts: Sequence[Part]) -> list[Part]:
    signed: list[Part] = []
    for part, following in zip(parts, (*parts[1:], None), strict=True):
        match part:
            case ThinkingPart(text, "own", "anthropic"):
                signed.append(ThinkingPart(text, _native(rules.claude.issue(text)), "anthropic"))
            case ThinkingPart(text, "own", "gemini"):
                signed.append(ThinkingPart(text, rules.signatures.issue("text", ""), "gemini"))
            case ThinkingPart(redacted="own"):
                if isinstance(following, ToolCallPart) and not any(isinstance(one, ToolCallPart) for one in signed):
                    name = following.name
                    signed.append(ThinkingPart("", None, "gemini", rules.signatures.issue("call", name)))
            case ThinkingPart(_, str(), "anthropic"):
                signed.append(attrs.evolve(part, signature="gemini#" + str(part.signature)))
            case _:
                signed.append(part)
    return signed


def _native(on_the_wire: str) -> str:
    return b64decode(on_the_wire).decode()


def refused(inner: JsonObject, model: str, session: str, kind: Any = "agent", rules: Any = None) -> list[str]:
    body = enclosed(inner, model=model, project=PROJECT, session=session, kind=kind)
    sent = orjson.loads(orjson.dumps(body))
    return [f"{one.where}: {one.message}" for one in (rules or CloudCodeRules()).problems(sent, PROJECT, set())]


@given(anything())
def test_nothing_that_a_client_may_say_is_refused(request: ChatRequest) -> None:
    rules = CloudCodeRules()
    request = known_to(rules, request)
    target = find(request.model)
    session = session_of(request)
    inner = body_of(request, target, ThoughtMemory(), session)
    kind = kind_of(request, target.model, None)
    assert refused(inner, target.model.id, session, kind, rules) == []
    losses(request, target)


@given(anything())
def test_a_request_is_the_same_every_time(request: ChatRequest) -> None:
    target = find(request.model)
    first, second = (body_of(request, target, ThoughtMemory(), "s") for _ in range(2))
    assert orjson.dumps(first) == orjson.dumps(second)
    assert orjson.dumps(native_body(first, target)) == orjson.dumps(first)


@given(anything(), st.sampled_from(["web_search_20250305", "web_search", "googleSearch"]))
def test_a_search_is_never_refused(request: ChatRequest, kind: str) -> None:
    request = attrs.evolve(request, tools=(HostedTool(kind, "web_search", {"max_uses": 3}),), tool_choice=None)
    assert refused(search_body_of(request, find(LITE)), LITE, "s", "web_search") == []


@given(anything())
def test_what_geminis_own_client_would_send_is_not_refused(request: ChatRequest) -> None:
    """The core's dialect writes bodies as such a client would; they pass as they are, but for what must change."""
    if not request.messages or request.model in (CLAUDE, "claude-sonnet-4-6", OSS):
        return
    fields: Any = {"tools": tuple(one for one in request.tools if isinstance(one, Tool)), "reasoning": None}
    plain = attrs.evolve(request, max_tokens=None, **fields)
    if request.model == PAINTER:
        plain = attrs.evolve(plain, tools=(), tool_choice=None, system=())
    body = Gemini().encode_request(attrs.evolve(plain, messages=tuple(map(_unsigned, plain.messages))))
    target = find(request.model)
    inner = native_body(Gemini().native_request(body, request.model), target)
    kind = kind_of(request, target.model, None)
    assert refused(inner, target.model.id, native_session(body), kind) == []


def _unsigned(message: Message) -> Message:
    return attrs.evolve(message, parts=tuple(part for part in message.parts if not isinstance(part, ThinkingPart)))


# -- whole examples


def test_a_whole_request_for_a_gemini() -> None:
    turns = [
        said("You are a terse assistant.", "system"),
        said("Weather in Oslo?"),
        asked(("call_1", "get_weather", '{"city": "Oslo"}')),
        answered("call_1", "4 C, rain"),
    ]
    inner = by_openai(
        FLASH,
        *turns,
        tools=[function("get_weather", description="Current weather")],
        tool_choice="auto",
        temperature=0.4,
        top_p=0.95,
        reasoning_effort="low",
    )
    assert refused(inner, FLASH, "s") == []
    assert inner["contents"] == [
        content("Weather in Oslo?"),
        content(
            {
                "functionCall": {"id": "call_1", "name": "get_weather", "args": {"city": "Oslo"}},
                "thoughtSignature": SENTINEL,
            },
            role="model",
        ),
        content({"functionResponse": {"id": "call_1", "name": "get_weather", "response": {"result": "4 C, rain"}}}),
    ]
    assert inner["systemInstruction"] == {"role": "user", "parts": [{"text": "You are a terse assistant."}]}
    assert inner["generationConfig"] == {
        "temperature": 0.4,
        "topP": 0.95,
        "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "low"},
    }
    (declared,) = inner["tools"][0]["functionDeclarations"]
    assert declared.keys() == {"name", "description", "parameters"}


def test_a_whole_request_for_claude() -> None:
    rules = CloudCodeRules()
    signature = rules.claude.issue("I should call the tool.")
    body = {
        "max_tokens": 32_000,
        "system": "You are a terse assistant.",
        "thinking": {"type": "enabled", "budget_tokens": 8192},
        "tools": [
            {"name": "list_files", "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}}}
        ],
        "messages": [
            said("List the files."),
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "I should call the tool.", "signature": _native(signature)},
                    {"type": "text", "text": "Listing."},
                    {"type": "tool_use", "id": "toolu_vrtx_01AbC", "name": "list_files", "input": {"path": "."}},
                ],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "toolu_vrtx_01AbC", "content": "a.txt"}],
            },
        ],
    }
    request = read(Anthropic(), body, CLAUDE)
    session = session_of(request)
    assert session == "-4620588411173471587"
    inner = body_of(request, find(CLAUDE), ThoughtMemory(), session)
    assert refused(inner, CLAUDE, session, rules=rules) == []
    assert inner["contents"][1]["parts"] == [
        {"text": "I should call the tool.", "thought": True, "thoughtSignature": signature},
        {"text": "Listing."},
        {"functionCall": {"id": "toolu_vrtx_01AbC", "name": "list_files", "args": {"path": "."}}},
    ]
    assert inner["generationConfig"] == {
        "maxOutputTokens": 32_000,
        "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 8192},
    }
    assert inner["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}


def test_a_conversation_may_go_from_one_family_to_the_other_and_back() -> None:
    rules = CloudCodeRules()
    parts: list[Part] = [
        ThinkingPart("hm", _native(rules.claude.issue("hm")), "anthropic"),
        ToolCallPart("1", "look", "{}"),
    ]
    signed = ThinkingPart("", None, "gemini", rules.signatures.issue("call", "look"))
    body: JsonObject = {
        "messages": [said("a"), asked(("1", "look", "{}")), answered("1"), asked(("2", "look", "{}")), answered("2")]
    }
    request = read(OpenAIChat(), body, CLAUDE)
    turns = list(request.messages)
    turns[1] = Message("assistant", tuple(parts))
    turns[3] = Message("assistant", (signed, ToolCallPart("2", "look", "{}")))
    for model in (CLAUDE, FLASH, OSS):
        inner = body_of(attrs.evolve(request, messages=tuple(turns)), find(model), ThoughtMemory(), "s")
        assert refused(inner, model, "s", rules=rules) == []


@pytest.mark.parametrize("model", [CLAUDE, FLASH, OSS])
def test_codexs_tools_are_declared_and_its_search_is_left_out(model: str) -> None:
    body = {
        "input": [{"role": "user", "content": "hi"}],
        "tools": [
            {"type": "function", "name": "shell", "parameters": {"type": "object", "properties": {}}, "strict": False},
            {"type": "custom", "name": "apply_patch", "description": "Edit"},
            {"type": "web_search"},
        ],
    }
    request = read(OpenAIResponses(), body, model)
    inner = body_of(request, find(model), ThoughtMemory(), "s")
    assert refused(inner, model, "s") == []
    assert [one["name"] for one in inner["tools"][0]["functionDeclarations"]] == ["shell", "apply_patch"]


def test_a_client_of_geminis_own_api_may_write_everything_in_snake_case() -> None:
    inner = natively(
        FLASH,
        content("a"),
        content({"function_call": {"name": "look", "args": {}}, "thought_signature": SENTINEL}, role="model"),
        content({"function_response": {"name": "look", "response": {"output": "ok"}}}),
        content({"inline_data": {"mime_type": "image/png", "data": "aGk="}}),
        system_instruction={"parts": [{"text": "be brief"}]},
        tools=[{"function_declarations": [{"name": "look", "parameters_json_schema": {"type": "object"}}]}],
        tool_config={"function_calling_config": {"mode": "AUTO"}},
        generation_config={"thinking_config": {"thinking_level": "LOW", "include_thoughts": True}, "top_p": 0.5},
        safety_settings=[],
    )
    assert refused(inner, FLASH, "s") == []
    assert not {name for name in _names(inner) if "_" in name}


def _names(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {name for inner in value.values() for name in _names(inner)}
    return {name for inner in value for name in _names(inner)} if isinstance(value, list) else set()


def test_a_call_that_claude_made_can_be_shown_to_geminis_own_client_and_come_back() -> None:
    turn = content({**call(id="1"), "thoughtSignature": wired(claudes())}, role="model")
    inner = natively(FLASH, content("a"), turn, content(response(id="1")))
    assert refused(inner, FLASH, "s") == []
