from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigateway_core.affinity import Conversation, conversation


def of(body: dict[str, Any], caller: str = "k", **headers: str) -> Conversation | None:
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    return conversation(caller, said.get, body)


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


ANSWER = {"role": "assistant", "content": "hello"}
CLAUDE = {"metadata": {"user_id": json.dumps({"device_id": "d", "account_uuid": "", "session_id": "s-1"})}}
OLD_CLAUDE = {"metadata": {"user_id": "user_abc_account__session_s-1"}}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({}, {"x_claude_code_session_id": "s-1"}),
        ({}, {"session_id": "s-1"}),
        ({}, {"x_session_id": "s-1"}),
        ({}, {"x_session_affinity": "s-1"}),
        (CLAUDE, {}),
        (OLD_CLAUDE, {}),
        ({"session_id": "s-1"}, {}),
        ({"sessionId": "s-1"}, {}),
        ({"prompt_cache_key": "s-1"}, {}),
        ({"conversation": "s-1"}, {}),
        ({"conversation": {"id": "s-1"}}, {}),
    ],
)
def test_a_conversation_goes_by_the_name_that_its_client_gave_it(body: dict[str, Any], headers: dict[str, str]) -> None:
    named = of({"prompt_cache_key": "s-1"})
    assert named is not None
    assert not named.begins
    assert of({**body, "messages": [user("hi")]}, **headers) == named
    assert of({**body, "messages": [user("other")]}, **headers) == named


def test_the_surest_name_counts() -> None:
    body = {**CLAUDE, "session_id": "b", "prompt_cache_key": "c", "messages": [user("hi")]}
    assert of(body, x_claude_code_session_id="h") == of({}, x_session_id="h")
    assert of(body) == of(CLAUDE)
    assert of({**body, "metadata": {}}) == of({"session_id": "b"})


def test_codex_writes_its_header_with_an_underscore() -> None:
    assert conversation("k", {"session_id": "s-1"}.get, {}) == of({}, x_session_id="s-1")


@pytest.mark.parametrize(
    "odd",
    [
        {"metadata": {"user_id": "somebody"}},
        {"metadata": {"user_id": "{not json"}},
        {"metadata": {"user_id": '{"session_id": 7}'}},
        {"metadata": {"user_id": 7}},
        {"metadata": []},
        {"prompt_cache_key": 7},
        {"conversation": {"id": None}},
        {"session_id": ""},
        {"messages": 7},
        {"messages": [7, None, {"role": []}]},
        {"messages": [user([{"type": "image_url"}])]},
        {"messages": [{"role": "system", "content": "be brief"}]},
        {},
    ],
)
def test_what_names_nothing_is_no_conversation(odd: dict[str, Any]) -> None:
    assert of(odd) is None


@pytest.mark.parametrize(
    ("first", "later"),
    [
        ({"messages": [user("hi")]}, {"messages": [user("hi"), ANSWER, user("more")]}),
        (
            {"messages": [{"role": "system", "content": "a"}, user([{"type": "text", "text": "hi"}])]},
            {"messages": [{"role": "system", "content": "b"}, user("hi"), ANSWER]},
        ),
        ({"input": "hi"}, {"input": [user([{"type": "input_text", "text": "hi"}]), {"type": "function_call"}]}),
        (
            {"contents": [{"parts": [{"text": "hi"}]}]},
            {"contents": [{"role": "user", "parts": [{"text": "hi"}]}, {"role": "model", "parts": []}]},
        ),
    ],
)
def test_an_unnamed_conversation_goes_by_the_way_it_began(first: dict[str, Any], later: dict[str, Any]) -> None:
    begun, going = of(first), of(later)
    assert begun is not None
    assert going is not None
    assert (begun.begins, going.begins) == (True, False)
    assert begun.key == going.key
    assert begun != of({"messages": [user("something else")]})


def test_notes_that_an_agent_puts_before_the_words_do_not_count() -> None:
    note = {"type": "text", "text": "<system-reminder>today is Sunday</system-reminder>"}
    assert of({"messages": [user([note, {"type": "text", "text": "hi"}])]}) == of({"messages": [user("hi")]})


def test_two_callers_never_share_a_conversation() -> None:
    assert of({"prompt_cache_key": "s"}, "k-1") != of({"prompt_cache_key": "s"}, "k-2")


def test_a_name_is_not_taken_for_a_beginning() -> None:
    named, begun = of({"prompt_cache_key": "hi"}), of({"input": "hi"})
    assert named is not None
    assert begun is not None
    assert named.key != begun.key


def test_nothing_of_what_was_said_can_be_read_in_the_key() -> None:
    found = of({"messages": [user("my secret plan")]}, "caller")
    assert found is not None
    assert len(found.key) == 32
    assert set(found.key) <= set("0123456789abcdef")


FORM = ("messages", "input", "contents", "role", "content", "parts", "text", "type")
KEYS = (*FORM, "metadata", "user_id", "conversation")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(KEYS), JSON))
def test_no_body_is_too_odd(body: dict[str, Any]) -> None:
    of(body)
