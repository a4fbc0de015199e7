"""The functions of a request on the wire, and their names there and back (N1 to N5)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigateway_antigravity.declarations import declared
from aigateway_core.plugin import (
    Anthropic,
    ChatRequest,
    Gemini,
    InvalidRequestError,
    JsonObject,
    Message,
    TextPart,
    Tool,
)

MODEL = "gemini-3-flash"
EMPTY = {"type": "object", "properties": {}}


def functions(*given: Any, claude: bool = False) -> list[JsonObject]:
    (entry,) = declared([{"functionDeclarations": list(given)}], claude=claude)
    (functions,) = entry.values()
    return functions


def request(*names: str) -> ChatRequest:
    """What a client asks for with functions of these names."""
    messages = (Message("user", (TextPart("hello"),)),)
    return ChatRequest(model=MODEL, messages=messages, tools=tuple(Tool(name, parameters=EMPTY) for name in names))


def wire_names(*names: str) -> list[str]:
    """The names under which the functions of a translated request are declared."""
    body = Gemini().encode_request(request(*names))
    return [function["name"] for function in functions(*body["tools"][0]["functionDeclarations"])]


def names_of_calls(asked: ChatRequest, *called: JsonObject) -> JsonObject:
    """What an Anthropic client is answered when the model makes these calls."""
    content = {"role": "model", "parts": [{"functionCall": call} for call in called]}
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    body = {"candidates": [{"content": content, "finishReason": "STOP"}], "usageMetadata": usage}
    return Anthropic().encode_response(Gemini().decode_response(body, asked), asked)


@pytest.mark.parametrize(
    ("name", "beginning"),
    [
        pytest.param("my tool!", "my_tool", id="N1 signs"),
        pytest.param("9lives", "_9lives", id="N1 digit"),
        pytest.param("n" * 70, "n" * 50, id="N1 long"),
        pytest.param("", "tool", id="N1 empty"),
    ],
)
def test_a_name_becomes_a_legal_one_and_comes_back(name: str, beginning: str) -> None:
    # What is changed ends in a hash of the original, always: the same name on every turn, whatever else is declared.
    (wire,) = wire_names(name)
    assert wire.startswith(beginning)
    assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", wire)
    answer = names_of_calls(request(name), {"name": wire, "args": {}})
    assert answer["content"][0]["name"] == name


def test_N2_names_that_would_become_the_same_stay_apart() -> None:
    # "a_b" needs no hash: it is legal, and what becomes of "a b" is never the same.
    names = ("a b", "a_b", "a!b", "a?b")
    wires = wire_names(*names)
    assert len(set(wires)) == 4
    assert wires[1] == "a_b"
    assert wires == wire_names(*names)
    assert wire_names(*reversed(names)) == wires[::-1]
    answer = names_of_calls(request(*names), *({"name": wire, "args": {}} for wire in wires))
    assert [block["name"] for block in answer["content"]] == list(names)


LETTERS = st.text(st.sampled_from("ab_- !.9:\n"), max_size=70)


@given(st.lists(LETTERS, min_size=1, max_size=6, unique=True))
def test_N2_every_name_is_legal_and_told_apart(names: list[str]) -> None:
    wires = wire_names(*names)
    assert len(set(wires)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", wire) for wire in wires)


def test_N3_a_function_that_is_declared_twice_goes_out_once_and_first() -> None:
    tools = [
        {"functionDeclarations": [{"name": "f", "description": "first"}, {"name": "g"}]},
        {"function_declarations": [{"name": "f", "description": "second"}]},
    ]
    (entry,) = declared(tools, claude=False)
    assert [(function["name"], function.get("description")) for function in entry["functionDeclarations"]] == [
        ("f", "first"),
        ("g", None),
    ]


def test_N4_the_id_of_a_call_is_one_that_anthropic_takes() -> None:
    # A hash follows here too: "call:1/x" and "call_1_x" in one answer stay two calls.
    answer = names_of_calls(request("f"), *({"id": call, "name": "f", "args": {}} for call in ("call:1/x", "call_1_x")))
    first, second = (block["id"] for block in answer["content"])
    assert re.fullmatch(r"call_1_x_[a-z0-9]+", first)
    assert second == "call_1_x"


def test_N5_only_what_is_known_of_a_function_goes_out() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    given = {"name": "f", "description": "d", "behavior": "BLOCKING", "parameters": schema}
    foreign = {"strict": True, "cache_control": {"type": "ephemeral"}, "input_examples": [{}], "type": "custom"}
    assert functions({**given, **foreign, "eager_input_streaming": True}) == [given]


def test_S27_both_spellings_are_read_and_one_is_written() -> None:
    schema = {"type": "OBJECT", "properties": {"a": {"type": "STRING", "min_length": "1"}}}
    tools = [
        {"function_declarations": [{"name": "f", "parameters_json_schema": schema, "response_json_schema": schema}]}
    ]
    written = {"type": "object", "properties": {"a": {"type": "string", "description": "minLength: 1"}}}
    assert declared(tools, claude=False) == [
        {"functionDeclarations": [{"name": "f", "parameters": written, "response": written}]}
    ]


def test_S28_of_two_schemas_for_the_parameters_one_goes_out() -> None:
    # JSON Schema says more than the other; and it is the one that the gateway reads for other vendors.
    given = {"name": "f", "parameters": {"type": "OBJECT"}, "parametersJsonSchema": {"a": {"type": "integer"}}}
    assert functions(given) == [
        {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}
    ]


@pytest.mark.parametrize("given", [{}, {"parameters": None}, {"parametersJsonSchema": {}}, {"parameters": "x"}])
def test_S33_a_function_without_a_schema_takes_nothing(given: JsonObject) -> None:
    assert functions({"name": "f", **given}) == [{"name": "f", "parameters": EMPTY}]
    (function,) = functions({"name": "f", **given}, claude=True)
    assert function["parameters"]["required"] == ["reason"]


def test_a_functions_answer_has_no_placeholders() -> None:
    (function,) = functions({"name": "f", "response": {"type": "OBJECT"}}, claude=True)
    assert function["response"] == {"type": "object"}


def test_functions_stand_in_one_entry_and_each_tool_of_googles_in_its_own() -> None:
    tools = [
        {"googleSearch": {}, "functionDeclarations": [{"name": "f"}]},
        {"code_execution": {}, "url_context": None},
        {"functionDeclarations": [{"name": "g"}]},
        {"google_search": {"excludeDomains": ["a.example"]}},
    ]
    entry, *hosted = declared(tools, claude=False)
    assert [function["name"] for function in entry["functionDeclarations"]] == ["f", "g"]
    assert hosted == [{"googleSearch": {}}, {"codeExecution": {}}]


@pytest.mark.parametrize("tools", [[], [{}], [{"functionDeclarations": []}], [{"functionDeclarations": None}]])
def test_where_there_are_no_functions_there_is_no_entry_for_them(tools: list[Any]) -> None:
    assert declared(tools, claude=True) == []


@pytest.mark.parametrize(
    ("tools", "path"),
    [
        ([3], "tools[0]"),
        ([{}, {"functionDeclarations": {}}], "tools[1].functionDeclarations"),
        ([{"functionDeclarations": ["f"]}], "tools[0].functionDeclarations[0]"),
        pytest.param([{"functionDeclarations": [{}]}], "tools[0].functionDeclarations[0].name", id="no name"),
        pytest.param([{"functionDeclarations": [{"name": ""}]}], "tools[0].functionDeclarations[0].name", id="N1 none"),
        pytest.param(
            [{"functionDeclarations": [{"name": "a b"}]}], "tools[0].functionDeclarations[0].name", id="N1 gap"
        ),
        pytest.param(
            [{"functionDeclarations": [{"name": "9"}]}], "tools[0].functionDeclarations[0].name", id="N1 nine"
        ),
        pytest.param(
            [{"functionDeclarations": [{"name": "a\n"}]}], "tools[0].functionDeclarations[0].name", id="N1 line"
        ),
        pytest.param(
            [{"functionDeclarations": [{"name": "a" * 65}]}], "tools[0].functionDeclarations[0].name", id="N1 65"
        ),
    ],
)
def test_what_a_native_client_gets_wrong_is_named(tools: list[Any], path: str) -> None:
    # Nothing is renamed for a client of this very API: calls come back to it as they are.
    with pytest.raises(InvalidRequestError, match=re.escape(path)) as refused:
        declared(tools, claude=False)
    assert refused.value.path == path


def test_a_name_may_have_dots_and_colons_where_a_native_client_gives_it() -> None:
    assert functions({"name": "_a.b:c-d"})[0]["name"] == "_a.b:c-d"
