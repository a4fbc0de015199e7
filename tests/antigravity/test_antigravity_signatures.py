"""Signatures: whose they are, how they look on the wire, and how they come back to clients that cannot carry them."""

from __future__ import annotations

from base64 import b64encode

import pytest
from antigravity_clients import (
    CLAUDE,
    FLASH,
    SENTINEL,
    answered,
    asked,
    assistant,
    by_anthropic,
    by_openai,
    call,
    claudes,
    content,
    find,
    function,
    geminis,
    names_in,
    natively,
    parts_of,
    read,
    response,
    result,
    roles_of,
    said,
    text,
    think_of,
    thinking,
    thoughts_of,
    use,
    user,
    wired,
)
from clock import Clock
from hypothesis import given
from hypothesis import strategies as st

from aigateway_antigravity.losses import losses
from aigateway_antigravity.profiles import profile_of
from aigateway_antigravity.session import session_of
from aigateway_antigravity.shape import shaped
from aigateway_antigravity.signatures import ThoughtMemory, from_wire, to_wire
from aigateway_antigravity.translation import body_of, without_thinking
from aigateway_core.plugin import (
    Anthropic,
    ChatRequest,
    ChatResponse,
    JsonObject,
    OpenAIChat,
    RedactedThinking,
    SignatureDelta,
    StreamEvent,
    TextDelta,
    TextPart,
    ThinkingDelta,
    ThinkingPart,
    ToolCallDelta,
    ToolCallPart,
    ToolCallStart,
    unfold,
)

THINK: JsonObject = {"thinking": {"type": "enabled", "budget_tokens": 2000}}


def with_thinking(signature: str | None, *following: JsonObject) -> list[JsonObject]:
    return [said("a"), assistant(thinking("hm", signature), text("b")), said("c"), *following]


# -- Claude


@pytest.mark.parametrize(
    ("signature", "on_the_wire"),
    [
        pytest.param(claudes(), wired(claudes()), id="G1 native"),
        pytest.param(wired(claudes()), wired(claudes()), id="G2 of the wire"),
        pytest.param("claude#" + wired(claudes()), wired(claudes()), id="G3 tagged"),
        pytest.param("claude#" + claudes(), wired(claudes()), id="tagged and native"),
    ],
)
def test_claudes_signature_goes_out_in_base64_once_more(signature: str, on_the_wire: str) -> None:
    assert on_the_wire.startswith("R")
    assert thoughts_of(by_anthropic(CLAUDE, *with_thinking(signature))) == [("hm", on_the_wire)]
    assert from_wire(on_the_wire) == claudes()


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param("gemini#" + claudes(), id="G3 of another maker"),
        pytest.param(None, id="G4 none"),
        pytest.param("", id="G4 empty"),
        pytest.param("E!!", id="G4 no base64"),
        pytest.param("R!!", id="G4 no base64 under the tag"),
        pytest.param(geminis(), id="G4 of Gemini"),
        pytest.param(wired(geminis()), id="G4 of Gemini in base64 once more"),
        pytest.param(b64encode(b"\x0a\xc4\x01abcdefgh").decode(), id="G4 of Gemini's other form"),
        pytest.param(b64encode(b"\x08\x01abcdefgh").decode(), id="G4 of the third family"),
        pytest.param(SENTINEL, id="G4 sentinel"),
        pytest.param(wired("hello there"), id="of nobody"),
    ],
)
def test_thinking_that_claude_did_not_sign_is_left_out_and_nothing_else(signature: str | None) -> None:
    request = by_anthropic(CLAUDE, *with_thinking(signature))
    assert request["contents"] == [content("a"), content("b", role="model"), content("c")]


@given(st.text(max_size=200))
def test_no_text_breaks_the_reading_of_signatures(signature: str) -> None:
    on_the_wire = to_wire(signature)
    assert on_the_wire is None or on_the_wire.startswith("R")
    assert isinstance(from_wire(signature), str)


@given(st.binary(max_size=100))
def test_what_came_in_goes_out_as_it_was(raw: bytes) -> None:
    native = b64encode(b"\x12" + raw).decode()
    on_the_wire = to_wire(native)
    if on_the_wire is not None:
        assert from_wire(on_the_wire) == native
        assert to_wire(on_the_wire) == on_the_wire


def test_G4_a_conversation_that_was_with_gemini_loses_its_thoughts_alone() -> None:
    from_gemini = ChatResponse(id="r", model=FLASH, parts=(ThinkingPart("hm", geminis(), "gemini"), TextPart("b")))
    answer = Anthropic().encode_response(from_gemini, ChatRequest(model=FLASH))
    turn = {"role": "assistant", "content": answer["content"]}
    assert by_anthropic(CLAUDE, said("a"), turn, said("c"))["contents"][1] == content("b", role="model")
    (kept,) = parts_of(by_anthropic(FLASH, said("a"), turn, said("c")), "model")[:1]
    assert kept == {"text": "hm", "thought": True, "thoughtSignature": geminis()}


def test_G5_a_turn_of_nothing_but_dropped_thinking_is_gone() -> None:
    request = by_anthropic(CLAUDE, said("a"), assistant(thinking("hm")), said("c"))
    assert request["contents"] == [content("a", "c")]
    between = by_anthropic(
        CLAUDE, said("a"), assistant(thinking("hm"), text(" ")), said("c"), assistant(text("d")), said("e")
    )
    assert roles_of(between) == ["user", "model", "user"]


def test_G6_what_only_anthropic_can_read_is_left_out() -> None:
    hidden = {"type": "redacted_thinking", "data": claudes()}
    request = by_anthropic(CLAUDE, said("a"), assistant(hidden, text("b")), said("c"))
    assert request["contents"][1] == content("b", role="model")


# -- Gemini


def signatures(request: JsonObject) -> list[str | None]:
    return [part.get("thoughtSignature") for part in parts_of(request) if "functionCall" in part]


def test_G7_the_first_call_gets_a_sentinel_and_no_other_does() -> None:
    turns = [said("a"), asked(("1", "look", "{}"), ("2", "look", "{}")), answered("1"), answered("2")]
    assert signatures(by_openai(FLASH, *turns, tools=[function()])) == [SENTINEL, None]
    again = [*turns, asked(("3", "look", "{}")), answered("3")]
    assert signatures(by_openai(FLASH, *again, tools=[function()])) == [SENTINEL, None, SENTINEL]
    assert signatures(by_openai(CLAUDE, *again, tools=[function()])) == [None, None, None]


def both_calls(first: JsonObject, second: JsonObject) -> JsonObject:
    turn = content({**call(id="1"), **first}, {**call(id="2"), **second}, role="model")
    return natively(FLASH, content("a"), turn, content(response(id="1"), response(id="2")))


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        pytest.param({}, {}, [SENTINEL, None], id="G7 natively"),
        pytest.param({"thoughtSignature": geminis()}, {}, [geminis(), None], id="G8 signed"),
        pytest.param({}, {"thoughtSignature": SENTINEL}, [SENTINEL, None], id="G9 on the second alone"),
        pytest.param({}, {"thoughtSignature": b64encode(SENTINEL.encode()).decode()}, [SENTINEL, None], id="packed"),
        pytest.param(
            {"thought_signature": "x", "thoughtSignature": geminis()}, {}, [geminis(), None], id="G12 both spellings"
        ),
        pytest.param({"thought_signature": geminis()}, {}, [geminis(), None], id="G12 the other spelling"),
        pytest.param({"thoughtSignature": wired(claudes())}, {}, [SENTINEL, None], id="G13 Claude's"),
        pytest.param({"thoughtSignature": geminis("1")}, {"thoughtSignature": geminis("2")}, None, id="both signed"),
    ],
)
def test_calls_of_geminis_own_clients_bear_one_good_signature(
    first: JsonObject, second: JsonObject, kept: list[str | None] | None
) -> None:
    request = both_calls(first, second)
    assert signatures(request) == (kept or [geminis("1"), geminis("2")])
    assert "thought_signature" not in names_in(request)


def test_G8_a_signature_that_a_client_carried_comes_back_byte_for_byte() -> None:
    parts = (
        ThinkingPart("", origin="gemini", redacted=geminis()),
        ToolCallPart("1", "look", "{}"),
        ToolCallPart("2", "look", "{}"),
    )
    told = ChatResponse(id="r", model=FLASH, parts=parts, finish_reason="tool_calls")
    by_messages = Anthropic().encode_response(told, ChatRequest(model=FLASH))
    turns = [said("a"), {"role": "assistant", "content": by_messages["content"]}, user(result("1"), result("2"))]
    assert signatures(by_anthropic(FLASH, *turns)) == [geminis(), None]
    by_chat = OpenAIChat().encode_response(told, ChatRequest(model=FLASH))["choices"][0]["message"]
    assert signatures(by_openai(FLASH, said("a"), by_chat, answered("1"), answered("2"))) == [geminis(), None]


def test_G10_users_and_functions_sign_nothing() -> None:
    signed = {"thoughtSignature": geminis()}
    request = natively(
        FLASH,
        content({"text": "a", **signed}),
        content(call(), role="model"),
        content({**response(), **signed}, {"text": "c", "thought_signature": geminis()}),
    )
    assert [part.get("thoughtSignature") for part in parts_of(request, "user")] == [None, None, None]
    assert "thought_signature" not in names_in(request)


def test_G11_texts_and_thoughts_get_no_sentinel() -> None:
    turn = content({"text": "hm", "thought": True}, "b", call(), role="model")
    request = natively(FLASH, content("a"), turn, content(response()))
    assert [part.get("thoughtSignature") for part in parts_of(request, "model")] == [None, None, SENTINEL]
    marked = content({"text": "b", "thoughtSignature": SENTINEL}, role="model")
    assert natively(FLASH, content("a"), marked, content("c"))["contents"][1] == content("b", role="model")


def test_G13_calls_that_claude_made_bear_a_sentinel_with_gemini() -> None:
    turns = [said("a"), assistant(thinking("hm", claudes()), use("t1")), user(result("t1"))]
    request = by_anthropic(FLASH, *turns)
    assert signatures(request) == [SENTINEL]
    assert thoughts_of(request) == []


@pytest.mark.parametrize(
    ("model", "signed"),
    [
        pytest.param("gemini-3.6-flash-high", True, id="G14 3.6"),
        pytest.param("gemini-3.8-flash-tiered", True, id="G14 3.8"),
        pytest.param("gemini-4-pro", True, id="G14 4"),
        pytest.param("gemini-pro-agent", True, id="no version in the name"),
        pytest.param("gemini-12-flash", True, id="twelve is not one"),
        pytest.param("gemini-2.5-flash", False, id="before 3"),
        pytest.param("claude-opus-4-6-thinking", False, id="Claude"),
        pytest.param("gpt-oss-120b-medium", False, id="GPT-OSS"),
    ],
)
def test_which_models_want_their_calls_signed_is_told_by_the_version(model: str, *, signed: bool) -> None:
    turns = [said("a"), asked(("1", "look", "{}")), answered("1")]
    assert signatures(by_openai(model, *turns, tools=[function()])) == ([SENTINEL] if signed else [None])
    assert profile_of(find(model).model).rule(model).signed_calls is signed


# -- the memory


def claude_answers() -> list[StreamEvent]:
    return [
        ThinkingDelta("let me ", "anthropic"),
        ThinkingDelta("see", "anthropic"),
        SignatureDelta(claudes(), "anthropic"),
        TextDelta("Looking."),
        ToolCallStart(0, "t1", "look"),
        ToolCallDelta(0, "{}"),
    ]


def gemini_answers() -> list[StreamEvent]:
    return [
        RedactedThinking(geminis(), "gemini"),
        ToolCallStart(0, "t1", "look"),
        ToolCallDelta(0, "{}"),
    ]


FORGETFUL = [said("go"), asked(("t1", "look", "{}"), content="Looking."), answered("t1")]


def remembering(events: list[StreamEvent], clock: Clock) -> ThoughtMemory:
    memory = ThoughtMemory(clock=clock)
    watch = memory.watch(session_of(read(OpenAIChat(), {"messages": FORGETFUL}, CLAUDE)))
    for event in events:
        watch.feed(event)
    return memory


def test_G17_claudes_thinking_comes_back_to_a_client_that_drops_it_and_not_for_ever() -> None:
    clock = Clock()
    memory = remembering(claude_answers(), clock)
    fields = {"tools": [function()], "reasoning_effort": "low", "memory": memory}
    request = by_openai(CLAUDE, *FORGETFUL, **fields)
    assert thoughts_of(request) == [("let me see", wired(claudes()))]
    assert think_of(request) is not None
    clock.now += 3 * 3600 - 1
    assert thoughts_of(by_openai(CLAUDE, *FORGETFUL, **fields)) != []
    clock.now += 3 * 3600 + 1
    late = by_openai(CLAUDE, *FORGETFUL, **fields)
    assert thoughts_of(late) == []
    assert think_of(late) is None


def test_G17_geminis_signature_comes_back_and_is_marked_as_lost_later() -> None:
    clock = Clock()
    memory = remembering(gemini_answers(), clock)
    assert signatures(by_openai(FLASH, *FORGETFUL, tools=[function()], memory=memory)) == [geminis()]
    clock.now += 3 * 3600 + 1
    assert signatures(by_openai(FLASH, *FORGETFUL, tools=[function()], memory=memory)) == [SENTINEL]


def test_what_one_family_thought_is_not_told_to_the_other() -> None:
    clock = Clock()
    assert signatures(by_openai(FLASH, *FORGETFUL, memory=remembering(claude_answers(), clock))) == [SENTINEL]
    assert thoughts_of(by_openai(CLAUDE, *FORGETFUL, memory=remembering(gemini_answers(), clock))) == []


def test_another_conversation_knows_nothing_of_it() -> None:
    memory = remembering(claude_answers(), Clock())
    assert thoughts_of(by_openai(CLAUDE, said("other words"), *FORGETFUL[1:], memory=memory)) == []


def test_thinking_that_is_shown_back_without_its_signature_is_known_by_its_text() -> None:
    memory = remembering(claude_answers(), Clock())
    shown = {"role": "assistant", "content": "Done.", "reasoning_content": "let me see"}
    request = by_openai(CLAUDE, said("go"), shown, said("more"), memory=memory, reasoning_effort="low")
    assert thoughts_of(request) == [("let me see", wired(claudes()))]
    assert think_of(request) is not None
    other = {**shown, "reasoning_content": "something else"}
    assert thoughts_of(by_openai(CLAUDE, said("go"), other, said("more"), memory=memory)) == []


def test_a_turn_that_still_has_its_signature_is_left_alone() -> None:
    memory = remembering(claude_answers(), Clock())
    own = claudes("two")
    turns = [said("go"), assistant(thinking("own", own), use("t1")), user(result("t1"))]
    assert thoughts_of(by_anthropic(CLAUDE, *turns, memory=memory)) == [("own", wired(own))]


def test_G18_a_request_whose_signatures_were_refused_goes_without_thinking() -> None:
    memory = remembering(claude_answers(), Clock())
    fields = {"tools": [function()], "reasoning_effort": "low"}
    request = read(OpenAIChat(), {"messages": FORGETFUL, **fields}, CLAUDE)
    session = session_of(request)
    again = body_of(without_thinking(request, memory, session), find(CLAUDE), memory, session)
    assert thoughts_of(again) == []
    assert think_of(again) is None
    signed = [said("a"), assistant(thinking("hm", claudes()), use("t1")), user(result("t1"))]
    other = read(Anthropic(), {"max_tokens": 9000, "messages": signed, **THINK}, CLAUDE)
    assert thoughts_of(body_of(without_thinking(other, memory, ""), find(CLAUDE), memory, "")) == []


def test_G18_geminis_own_client_loses_what_was_refused() -> None:
    turn = content({"text": "hm", "thought": True, "thoughtSignature": geminis()}, signed_text(), call(), role="model")
    body = {"contents": [content("a"), turn, content(response())]}
    body["generationConfig"] = {"thinkingConfig": {"thinkingLevel": "low"}, "topK": 5}
    again = shaped(body, find(FLASH), thinking=False)
    assert parts_of(again, "model") == [{"text": "b"}, {**call(), "thoughtSignature": SENTINEL}]
    assert again["generationConfig"] == {"topK": 5}


def signed_text() -> JsonObject:
    return {"text": "b", "thoughtSignature": geminis()}


def test_what_is_remembered_is_not_told_as_lost() -> None:
    memory = remembering(claude_answers(), Clock())
    shown = {"role": "assistant", "content": "Done.", "reasoning_content": "let me see"}
    body = {"messages": [said("go"), shown, said("more")], "reasoning_effort": "low"}
    request = read(OpenAIChat(), body, CLAUDE)
    assert losses(request, find(CLAUDE), memory=memory, session=session_of(request)).dropped == ()
    assert set(losses(request, find(CLAUDE)).dropped) == {"messages.thinking", "reasoning"}
    tagged = [said("a"), assistant(thinking("hm", "gemini#" + claudes()), text("b")), said("c")]
    other = read(Anthropic(), {"max_tokens": 9000, "messages": tagged}, CLAUDE)
    assert losses(other, find(CLAUDE)).dropped == ("messages.thinking",)


def test_the_memory_is_bounded_and_keeps_what_was_used_last() -> None:
    memory = ThoughtMemory(most=2)
    part = ThinkingPart("x", "s", "anthropic")
    memory.keep("s", "1", [part])
    memory.keep("s", "2", [part])
    assert memory.recall("s", "1") == (part,)
    memory.keep("s", "3", [part])
    assert [memory.recall("s", one) for one in "123"] == [(part,), (), (part,)]
    memory.keep("s", "4", [ThinkingPart("unsigned")])
    assert memory.recall("s", "4") == ()
    small = ThoughtMemory(most_characters=14)
    small.keep("s", "1", [ThinkingPart("x" * 5, "s")])
    small.keep("s", "2", [ThinkingPart("x" * 6, "s")])
    assert (small.recall("s", "1"), len(small.recall("s", "2"))) == ((), 1)
    small.keep("s", "2", [ThinkingPart("x" * 6, "t")])
    small.keep("s", "3", [ThinkingPart("x", "t")])
    assert [len(small.recall("s", one)) for one in "23"] == [1, 1]
    small.keep("s", "x" * 14, [ThinkingPart("x", "t")])
    assert small.recall("s", "x" * 14) == (), "an id takes room as well"


@given(st.lists(st.tuples(st.sampled_from(["keep", "recall", "forget"]), st.sampled_from("abc"), st.integers(1, 30))))
def test_the_memory_counts_right_whatever_is_done_to_it(steps: list[tuple[str, str, int]]) -> None:
    clock = Clock()
    memory = ThoughtMemory(most=2, most_characters=40, life=50, clock=clock)
    for what, call_id, number in steps:
        clock.now += number
        if what == "keep":
            memory.keep("s", call_id, [ThinkingPart("x" * number, "s")])
        elif what == "recall":
            memory.recall("s", call_id)
        else:
            memory.forget("s", call_id)
        kept = list(memory._kept.values())
        assert memory._characters == sum(one.size for one in kept) <= 40
        assert len(kept) <= 2


def test_the_events_of_a_whole_answer_are_remembered_like_those_of_a_stream() -> None:
    memory = ThoughtMemory()
    parts = (ThinkingPart("hm", claudes(), "anthropic"), TextPart("b"), ToolCallPart("t1", "look", "{}"))
    watch = memory.watch("s")
    for event in unfold(ChatResponse(id="r", model=CLAUDE, parts=parts, finish_reason="tool_calls")):
        watch.feed(event)
    assert memory.recall("s", "t1") == (parts[0],)
