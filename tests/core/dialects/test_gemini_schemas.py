"""Schemas of the Gemini dialect: read into JSON Schema, and written as the classic message."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from core.dialects.strategies import SCHEMAS
from google.genai import types
from hypothesis import given, settings
from hypothesis import strategies as st

from aigateway_core.dialects.gemini.classic_schema import classic_schema
from aigateway_core.dialects.gemini.profile import SCHEMA_KEYWORDS
from aigateway_core.dialects.gemini.schemas import json_schema
from aigateway_core.model import JsonObject

NARROW = frozenset({"type", "description", "properties", "required", "items", "enum", "nullable"})
"""What stricter servers behind this wire take."""


def written(schema: JsonObject) -> JsonObject:
    return classic_schema(schema, SCHEMA_KEYWORDS)


def narrowed(schema: JsonObject) -> JsonObject:
    return classic_schema(schema, NARROW)


def of(name: str, schema: Any, **top: Any) -> JsonObject:
    return {"type": "object", "properties": {name: schema}, **top}


# -- from clients


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "STRING", "nullable": False}, {"type": "string"}),
        (
            {"type": "STRING", "enum": ["x", "y"], "nullable": True},
            {"type": ["string", "null"], "enum": ["x", "y", None]},
        ),
        ({"type": "STRING", "enum": ["x", None], "nullable": True}, {"type": ["string", "null"], "enum": ["x", None]}),
        (
            {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}], "nullable": True},
            {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]},
        ),
        (
            {"anyOf": [{"type": "STRING"}, {"type": "NULL"}], "nullable": True},
            {"anyOf": [{"type": "string"}, {"type": "null"}]},
        ),
        ({"type": "TYPE_UNSPECIFIED", "description": "d"}, {"description": "d"}),
        ({"type": ["STRING", "NULL"]}, {"type": ["string", "null"]}),
        (
            {"type": "ARRAY", "items": {"type": "NUMBER"}, "minItems": "1"},
            {"type": "array", "items": {"type": "number"}, "minItems": 1},
        ),
        (
            {"type": "OBJECT", "properties": {}, "property_ordering": ["a"]},
            {"type": "object", "properties": {}},
        ),
        ({"any_of": [{"type": "STRING"}]}, {"anyOf": [{"type": "string"}]}),
        ({"type": "STRING", "enum": ["STRING", "OBJECT"]}, {"type": "string", "enum": ["STRING", "OBJECT"]}),
        (
            {"$ref": "#/$defs/A", "$defs": {"A": {"type": "OBJECT"}}},
            {"$ref": "#/$defs/A", "$defs": {"A": {"type": "object"}}},
        ),
        (
            of("type", {"type": "STRING"}, default={"type": "STRING"}),
            of("type", {"type": "string"}, default={"type": "STRING"}),
        ),
        (of("nullable", {"type": "BOOLEAN"}), of("nullable", {"type": "boolean"})),
        ({"additionalProperties": False}, {"additionalProperties": False}),
    ],
)
def test_a_schema_becomes_json_schema(given: JsonObject, expected: JsonObject) -> None:
    assert json_schema(given) == expected
    assert json_schema(expected) == expected


# -- for upstreams that know the classic message alone

STRING = {"type": "STRING"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "string", "const": "alpha"}, {"type": "STRING", "enum": ["alpha"]}),
        (
            {"type": "integer", "enum": [0, 1, 2]},
            {"type": "INTEGER", "description": "Allowed: 0, 1, 2"},
        ),
        ({"type": ["string", "null"]}, {"type": "STRING", "nullable": True}),
        ({"type": ["string", "integer"]}, {"type": "STRING", "description": "Accepts: string | integer"}),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "STRING", "nullable": True}),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]}),
        (
            {
                "allOf": [of("a", {"type": "string"}, required=["a"]), of("b", {"type": "string"}, required=["b"])],
            },
            {"type": "OBJECT", "properties": {"a": STRING, "b": STRING}, "required": ["a", "b"]},
        ),
        (
            of(
                "u",
                {"$ref": "#/definitions/User", "description": "own"},
                definitions={"User": {"type": "integer", "description": "d"}},
            ),
            {"type": "OBJECT", "properties": {"u": {"type": "INTEGER", "description": "own"}}},
        ),
        (
            {"$ref": "#/$defs/A~1B", "$defs": {"A/B": {"type": "boolean"}}},
            {"type": "BOOLEAN"},
        ),
        ({"$ref": "https://ex/y#/Foo"}, {"type": "STRING", "description": "See: Foo"}),
        (
            {"type": "string", "minLength": 3, "format": "date-time", "description": "D"},
            {"type": "STRING", "minLength": 3, "format": "date-time", "description": "D"},
        ),
        (
            {"type": "string", "format": "uri", "default": "x", "exclusiveMinimum": 1},
            {"type": "STRING", "description": "exclusiveMinimum: 1 (format: uri) (default: x)"},
        ),
        ({"type": "object", "default": {"a": 1}, "additionalProperties": False}, {"type": "OBJECT"}),
        (
            {
                **of("x", {"type": "string"}),
                "if": {"properties": {"x": {"const": 1}}},
                "then": of("x", {"type": "integer"}, required=["x"]),
                "else": of("y", {"type": "integer"}),
            },
            {"type": "OBJECT", "properties": {"x": STRING, "y": {"type": "INTEGER"}}},
        ),
        (
            {
                "type": "object",
                "properties": {name: {"type": "string"} for name in ("title", "format", "const", "x-foo")},
            },
            {"type": "OBJECT", "properties": dict.fromkeys(("title", "format", "const", "x-foo"), STRING)},
        ),
        (
            of("properties", {"type": "object", "properties": {"a": {"type": "string"}}, "propertyNames": {}}),
            {"type": "OBJECT", "properties": {"properties": {"type": "OBJECT", "properties": {"a": STRING}}}},
        ),
        (
            of("a", {"type": "string"}, required=["a", "zz"]),
            {"type": "OBJECT", "properties": {"a": STRING}, "required": ["a"]},
        ),
        (of("a", {"type": "string"}, required=["zz"]), {"type": "OBJECT", "properties": {"a": STRING}}),
        (
            of("b", {"type": "integer", "required": True}),
            {"type": "OBJECT", "properties": {"b": {"type": "INTEGER"}}, "required": ["b"]},
        ),
        (
            {"type": "string", "optional": True, "readOnly": True, "x-google": {}, "$schema": "s", "deprecated": True},
            STRING,
        ),
        (
            {"type": "array", "items": [{"type": "integer"}, {"type": "string"}]},
            {"type": "ARRAY", "items": {"type": "INTEGER"}},
        ),
        ({"type": "array", "items": []}, {"type": "ARRAY", "items": STRING}),
        (of("x", True, required=["x"]), {"type": "OBJECT", "properties": {}}),
        ({}, {"type": "STRING"}),
        ({"type": "number", "maximum": 9007199254740993}, {"type": "NUMBER", "maximum": 9007199254740993}),
        ({"type": "string", "enum": ["a", None, ""]}, {"type": "STRING", "enum": ["a"]}),
    ],
)
def test_a_schema_becomes_the_classic_message(given: JsonObject, expected: JsonObject) -> None:
    message = written(given)
    assert message == expected
    types.Schema.model_validate(message)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"anyOf": [{"type": "string"}, of("a", {"type": "string"})], "description": "own"},
            {"type": "OBJECT", "description": "own (Accepts: string | object)", "properties": {"a": STRING}},
        ),
        (
            {"type": "string", "minLength": 3, "pattern": "^a", "title": "T"},
            {"type": "STRING", "description": "minLength: 3 (pattern: ^a)"},
        ),
        ({"anyOf": [{"type": "null"}]}, {"type": "STRING", "nullable": True}),
        (
            {"anyOf": [{"type": "string", "description": "b"}], "description": "a"},
            {"type": "STRING", "description": "a (b)"},
        ),
        (
            {"type": "integer", "maximum": 9007199254740993},
            {"type": "INTEGER", "description": "maximum: 9007199254740993"},
        ),
    ],
)
def test_what_a_stricter_server_lacks_is_told_in_the_description(given: JsonObject, expected: JsonObject) -> None:
    assert narrowed(given) == expected


def test_a_schema_that_refers_to_itself_ends() -> None:
    node = {"type": "object", "description": "a node", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    message = written({"$ref": "#/$defs/Node", "$defs": {"Node": node}})
    inner = message["properties"]["next"]
    assert inner == {"type": "OBJECT", "description": "a node (See: Node)"}


def test_references_that_multiply_end() -> None:
    step = {
        f"D{n}": {
            "type": "object",
            "properties": {"a": {"$ref": f"#/$defs/D{n + 1}"}, "b": {"$ref": f"#/$defs/D{n + 1}"}},
        }
        for n in range(40)
    }
    assert written({"$ref": "#/$defs/D0", "$defs": step})["type"] == "OBJECT"


LONG = "x" * 100_000
REPEATED: JsonObject = {f"p{index}": {"$ref": "#/$defs/d0"} for index in range(1000)}


@pytest.mark.parametrize(
    "definitions",
    [
        pytest.param({"d0": {"type": "string", "description": LONG}}, id="a long description"),
        pytest.param({"d0": {"type": "string", "enum": [LONG]}}, id="a long value"),
        pytest.param({"d0": {"properties": {"a": {"description": LONG}}}}, id="a long description further in"),
        pytest.param({"d0": {"type": "string", "enum": [[LONG]]}}, id="a long value in a list"),
        pytest.param({"d0": {"description": LONG[:20_000], "properties": REPEATED}}, id="a long description of itself"),
        pytest.param({f"d{index}": {"$ref": f"#/$defs/d{index + 1}"} for index in range(3000)}, id="a long chain"),
    ],
)
def test_what_many_references_repeat_ends(definitions: JsonObject) -> None:
    schema = {"type": "object", "properties": REPEATED, "$defs": definitions}
    started = time.monotonic()
    message = written(schema)
    assert len(json.dumps(message)) < 500_000
    assert list(message["properties"]) == list(REPEATED)
    assert time.monotonic() - started < 5


def test_parts_of_parts_are_taken_in() -> None:
    inner = {"allOf": [of("a", {"type": "string"}), {"allOf": [of("b", {"type": "string"})]}]}
    assert written({"allOf": [inner]}) == {"type": "OBJECT", "properties": {"a": STRING, "b": STRING}}
    endless = {"allOf": [{"$ref": "#/$defs/A"}], "type": "string"}
    assert written({"$ref": "#/$defs/A", "$defs": {"A": endless}}) == STRING


def test_a_reference_to_the_root_ends() -> None:
    assert written({"allOf": [{"$ref": "#/allOf/0"}]})["type"] == "STRING"


@settings(max_examples=60, deadline=None)
@given(SCHEMAS)
def test_a_message_read_again_is_written_the_same(schema: JsonObject) -> None:
    message = written(schema)
    types.Schema.model_validate(message)
    assert written(json_schema(message)) == message
    assert narrowed(json_schema(narrowed(schema))) == narrowed(schema)


WORDS = st.sampled_from(
    [
        *("type", "properties", "items", "anyOf", "allOf", "oneOf", "$ref", "enum", "const", "required", "if", "then"),
        *("not", "title", "description", "nullable", "minItems", "maximum", "format", "pattern"),
    ]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(0, 9)
    | st.sampled_from(["string", "OBJECT", "null", "#/a", "#/properties/a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.just("a"), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(WORDS, VALUES, max_size=4))
def test_any_object_becomes_a_message(schema: JsonObject) -> None:
    for message in (written(schema), written(json_schema(schema))):
        types.Schema.model_validate(message)
    narrowed(schema)
