"""What holds for every schema, and for those that are made to be too much."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest
from e2e.fakes.cloud_code_schemas import response_problems, tool_problems
from hypothesis import given
from hypothesis import strategies as st

from aigateway_antigravity.arguments import returned
from aigateway_antigravity.schemas import response_schema, tool_schema

TYPES = ("string", "number", "integer", "boolean", "array", "object", "null", "STRING", "OBJECT", "any")
NAMES = st.sampled_from(("a", "b", "type", "properties", "title", "_", "reason", "x-y", ""))
REFERENCES = st.sampled_from(("#", "#/$defs/a", "#/$defs/b", "#/properties/a", "#/allOf/0", "https://e/x#/y", "#/no"))
WORDS = st.sampled_from(("", "text", "nullable", "Allowed: a, b", "See: a", "x (maximum: 3)", "Accepts: a"))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | WORDS
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)


def _schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    many, named = st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)
    known = {
        "type": st.sampled_from(TYPES) | st.lists(st.sampled_from(TYPES), max_size=3),
        "description": WORDS,
        "title": WORDS,
        "nullable": st.booleans(),
        "enum": st.lists(SCALARS, max_size=12),
        "const": JSON,
        "properties": named,
        "required": st.lists(NAMES, max_size=3) | st.booleans(),
        "items": inner | many,
        "additionalProperties": st.booleans() | inner,
        "$ref": REFERENCES,
        "$defs": named,
        **dict.fromkeys(("allOf", "anyOf", "any_of", "oneOf", "prefixItems"), many),
        **dict.fromkeys(("if", "then", "else", "not", "propertyNames"), inner),
        **dict.fromkeys(("minimum", "default", "pattern", "format", "optional", "x-a"), JSON),
    }
    right = st.fixed_dictionaries({}, optional=known)
    wrong = st.dictionaries(st.sampled_from(tuple(known)), JSON, max_size=4)
    return right | right | right | wrong | named | JSON


SCHEMAS = st.recursive(_schemas(JSON), _schemas, max_leaves=8).filter(lambda schema: isinstance(schema, Mapping))


def check(schema: Any, allowed: set[str]) -> None:
    """That Cloud Code takes ``schema``, as the strictest reading of what is known of it has it."""
    assert set(schema) <= allowed
    assert schema["type"] in ("string", "number", "integer", "boolean", "array", "object")
    assert type(schema.get("description", "x")) is str
    assert schema.get("nullable", True) is True
    assert all(type(value) is str and value for value in schema.get("enum", ["x"]))
    assert schema.get("enum") != []
    assert ("items" in schema) == (schema["type"] == "array")
    assert schema["type"] == "object" or not {"properties", "required"} & set(schema)
    assert schema.get("required") != []
    assert set(schema.get("required", ())) <= set(schema.get("properties", ()))
    for inner in (*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])):
        check(inner, allowed)


def needs(schema: Any) -> None:
    """That every object in ``schema`` needs something."""
    assert schema["type"] != "object" or schema["required"]
    for inner in (*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])):
        needs(inner)


TOOL = {"type", "description", "nullable", "enum", "items", "properties", "required"}


@given(SCHEMAS, st.booleans())
def test_S25_a_tools_schema_ends_within_what_is_allowed_and_stays_there(schema: Any, claude: bool) -> None:
    given_as = repr(schema)
    written = tool_schema(schema, claude=claude)
    check(written, TOOL | {"title"} if claude else TOOL)
    assert not list(tool_problems(written, "parameters", validated=claude))
    assert written["type"] == "object"
    assert json.dumps(tool_schema(written, claude=claude)) == json.dumps(written)
    assert json.dumps(tool_schema(schema, claude=claude)) == json.dumps(written)
    assert repr(schema) == given_as
    if claude:
        needs(written)


@given(SCHEMAS)
def test_S25_an_answers_schema_ends_within_what_is_allowed_and_stays_there(schema: Any) -> None:
    written = response_schema(schema)
    check(written, TOOL | {"additionalProperties"})
    assert not list(response_problems(written, "responseSchema"))
    assert json.dumps(response_schema(written)) == json.dumps(written)


@given(st.dictionaries(NAMES, SCHEMAS, max_size=5), st.booleans())
def test_no_property_gets_lost(properties: dict[str, Any], claude: bool) -> None:
    written = tool_schema({"type": "object", "properties": properties}, claude=claude)
    assert [name for name in written.get("properties", ()) if name in properties] == list(properties)


@given(SCHEMAS, st.dictionaries(NAMES, JSON, max_size=4))
def test_arguments_come_back_whatever_the_schema_says(schema: Any, arguments: dict[str, Any]) -> None:
    assert set(returned(arguments, schema)) <= set(arguments)
    assert list(returned(arguments, schema, placeholders=False)) == list(arguments)


@given(SCHEMAS, st.dictionaries(NAMES, JSON, max_size=4))
def test_what_came_back_comes_back_unchanged(schema: Any, arguments: dict[str, Any]) -> None:
    once = returned(arguments, schema)
    assert repr(returned(once, schema)) == repr(once)


def doubled(word: str) -> dict[str, Any]:
    """Sixty definitions, each made twice of the next."""
    definitions = {}
    for index in range(60):
        nexts = [{"$ref": f"#/$defs/d{index + 1}"}, {"$ref": f"#/$defs/d{index + 1}", "title": "t"}]
        definitions[f"d{index}"] = {word: dict(zip("lr", nexts, strict=True)) if word == "properties" else nexts}
    return definitions


LONG = "x" * 100_000
REPEATED: dict[str, Any] = {f"p{index}": {"$ref": "#/$defs/d0"} for index in range(5000)}


@pytest.mark.parametrize(
    ("properties", "definitions"),
    [
        *(
            pytest.param({"a": {"$ref": "#/$defs/d0"}}, doubled(word), id=f"doubling {word}")
            for word in ("properties", "allOf", "anyOf", "oneOf")
        ),
        pytest.param(REPEATED, {"d0": {"type": "string", "description": LONG}}, id="a long description"),
        pytest.param(REPEATED, {"d0": {"not": {"enum": [LONG]}, "minLength": 3}}, id="a long exclusion"),
        pytest.param(REPEATED, {"d0": {"enum": [[LONG[:900]]] * 9}}, id="long values"),
        pytest.param(
            REPEATED, {"d0": {"description": LONG[:20_000], "properties": REPEATED}}, id="a long one of itself"
        ),
        pytest.param(REPEATED, {"d0": {"type": "object", "properties": REPEATED}}, id="many properties"),
        pytest.param(REPEATED, {f"d{i}": {"$ref": f"#/$defs/d{i + 1}"} for i in range(5000)}, id="a long chain"),
        pytest.param(
            {"a": {"allOf": [{"properties": {f"p{i}": {}}, "required": [f"p{i}"]} for i in range(5000)]}},
            {},
            id="parts",
        ),
    ],
)
def test_what_unfolds_without_end_is_cut(properties: dict[str, Any], definitions: dict[str, Any]) -> None:
    schema = {"type": "object", "properties": properties, "$defs": definitions}
    started = time.monotonic()
    for claude in (False, True):
        written = tool_schema(schema, claude=claude)
        assert list(written["properties"])[: len(properties)] == list(properties)
        assert len(json.dumps(written)) < 3 * len(json.dumps(schema)) + 500_000
    assert returned({"a": {"l": {"l": "1"}}, "p0": "1"}, schema)
    assert time.monotonic() - started < 20


def test_the_near_is_put_in_place_before_the_far_uses_up_what_there_is() -> None:
    definitions = {**doubled("properties"), "small": {"type": "integer"}}
    small = {"$ref": "#/$defs/small"}
    properties = {"before": small, "a": {"$ref": "#/$defs/d0"}, "after": small}
    written = tool_schema({"type": "object", "properties": properties, "$defs": definitions}, claude=False)
    assert written["properties"]["before"] == written["properties"]["after"] == {"type": "integer"}
    assert "See: d" in json.dumps(written["properties"]["a"])


def test_what_refers_to_nothing_may_be_as_large_as_it_is() -> None:
    properties = {f"p{index}": {"type": "string", "description": LONG[:1000]} for index in range(2000)}
    schema = {"type": "object", "properties": properties}
    assert tool_schema(schema, claude=False) == schema


def nested(levels: int, word: str) -> dict[str, Any]:
    schema: Any = {"type": "string"}
    for _ in range(levels):
        schema = {word: {"a": schema} if word == "properties" else [schema] if word.endswith("Of") else schema}
    return {"type": "object", "properties": {"p": schema}}


@pytest.mark.parametrize("word", ["properties", "items", "allOf", "anyOf", "not", "then", "$ref"])
def test_no_depth_is_too_much(word: str) -> None:
    schema = nested(20_000, word)
    for claude in (False, True):
        written = tool_schema(schema, claude=claude)
        check(written, TOOL)
        assert json.dumps(tool_schema(written, claude=claude)) == json.dumps(written)
    assert response_schema(schema)["type"] == "object"
    assert returned({"p": {"a": "1"}}, schema) == {"p": {"a": "1"}}
