"""Arguments on their way back to the client (N6, N7)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigateway_antigravity.arguments import returned
from aigateway_antigravity.schemas import tool_schema


def of(value: Any, schema: Any, **around: Any) -> Any:
    """What becomes of ``value`` where ``schema`` is that of the argument."""
    return returned({"p": value}, {"type": "object", "properties": {"p": schema}, **around})["p"]


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"type": "object", "properties": {"a": {"type": "string"}}}, id="N6 optional"),
        pytest.param({"type": "object", "properties": {"a": {}}, "required": ["a"]}, id="N6 required"),
        pytest.param({"type": "object"}, id="N6 nothing declared"),
        pytest.param({}, id="N6 no schema"),
        pytest.param({"$ref": "#/$defs/A", "$defs": {"A": {"properties": {"a": {}}}}}, id="N6 reference"),
    ],
)
def test_placeholders_that_the_client_did_not_declare_are_left_out(schema: dict[str, Any]) -> None:
    arguments = {"a": "x", "_": True, "reason": "because", "_placeholder": True}
    assert returned(arguments, schema) == {"a": "x"}
    assert returned(arguments, schema, placeholders=False) == arguments


def test_N6_what_the_client_declares_itself_is_its_own() -> None:
    schema = {"type": "object", "properties": {"reason": {"type": "string"}, "_": {"type": "boolean"}}}
    arguments = {"_": True, "reason": "because"}
    assert returned(arguments, schema) == arguments
    branches = {"type": "object", "oneOf": [{"properties": {"reason": {}}}, {"properties": {"_": {}}}]}
    assert returned(arguments, branches) == arguments


def test_N6_placeholders_are_left_out_at_every_depth() -> None:
    inner = {"type": "object", "properties": {"x": {"type": "integer"}}}
    schema = {"type": "object", "properties": {"one": inner, "many": {"type": "array", "items": inner}}}
    arguments = {"one": {"_": True, "x": 1}, "many": [{"_": False}, {"x": 2}], "_": True}
    assert returned(arguments, schema) == {"one": {"x": 1}, "many": [{}, {"x": 2}]}


def test_what_no_schema_describes_is_left_alone() -> None:
    arguments = {"p": {"_": 1, "reason": "r"}, "more": {"_": 1, "n": "1"}}
    assert returned(arguments, {"type": "object", "properties": {"p": {}}}) == arguments


def test_N6_the_placeholder_of_a_schema_that_refers_to_itself_is_left_out() -> None:
    node = {"type": "object", "properties": {"v": {"type": "integer"}, "next": {"$ref": "#/$defs/N"}}}
    schema = {"$ref": "#/$defs/N", "$defs": {"N": node}}
    assert tool_schema(schema, claude=True)["properties"]["next"]["required"] == ["reason"]
    arguments = {"v": "1", "next": {"reason": "r", "v": "2", "next": {"next": {"v": "3", "_": True}}}}
    assert returned(arguments, schema) == {"v": 1, "next": {"v": 2, "next": {"next": {"v": 3}}}}


def test_N7_texts_that_spell_numbers_and_booleans_are_read() -> None:
    kinds = {"port": {"type": "integer"}, "ok": {"type": "boolean"}, "code": {"type": "integer"}}
    arguments = {"port": "8080", "ok": "true", "code": "007"}
    assert returned(arguments, {"type": "object", "properties": kinds}) == {"port": 8080, "ok": True, "code": "007"}


@pytest.mark.parametrize(
    ("text", "schema", "value"),
    [
        ("1.5", {"type": "number"}, 1.5),
        ("8080", {"type": "NUMBER"}, 8080),
        ("-3", {"type": ["integer", "null"]}, -3),
        ("1e3", {"type": "number"}, 1000.0),
        ("false", {"type": "boolean"}, False),
        ("7", {"anyOf": [{"type": "integer"}, {"type": "null"}]}, 7),
        ("7", {"type": "integer", "anyOf": [{"minimum": 3}, {"maximum": 1}]}, 7),
        ("7", {"enum": [7, 8]}, 7),
        ("7", {"allOf": [{"$ref": "#/$defs/N"}]}, 7),
        ('["1", "a"]', {"type": "array", "items": {"type": "integer"}}, [1, "a"]),
        ('{"n": "1", "_": true}', {"type": "object", "properties": {"n": {"type": "integer"}}}, {"n": 1}),
    ],
)
def test_a_text_is_read_where_no_text_may_stand(text: str, schema: Any, value: Any) -> None:
    read = of(text, schema, **{"$defs": {"N": {"type": "integer"}}})
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        ("01.0", {"type": "number"}),
        ("-07", {"type": "integer"}),
        ("1.5", {"type": "integer"}),
        ("1e999", {"type": "number"}),
        ("NaN", {"type": "number"}),
        ("٣", {"type": "integer"}),
        ("1\n", {"type": "integer"}),
        ("9" * 30, {"type": "integer"}),
        ("yes", {"type": "boolean"}),
        ("8080", {"type": "string"}),
        ("8080", {"type": ["integer", "string"]}),
        ("8080", {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        ("8080", {"anyOf": [{"type": "integer"}, {}]}),
        ("8080", {"$ref": "https://e.example/x"}),
        ("true", {}),
        ("1", {"type": "null"}),
        ("[1", {"type": "array"}),
        ('[1],"value":[2]', {"type": "array"}),
        ('{"a": NaN}', {"type": "object"}),
        ("[" * 5000 + "]" * 5000, {"type": "array"}),
        ("[1]", {"type": "object"}),
        ("{}", {"type": "array"}),
    ],
)
def test_any_other_text_stays(text: str, schema: Any) -> None:
    assert of(text, schema) == text


def test_a_map_and_a_tuple_are_read_item_by_item() -> None:
    assert of({"a": "1"}, {"type": "object", "additionalProperties": {"type": "integer"}}) == {"a": 1}
    pair = {"type": "array", "items": [{"type": "integer"}, {"type": "string"}]}
    assert of(["1", "2", "3"], pair) == [1, "2", "3"]
    assert of(["1", "2"], {"type": "array"}) == ["1", "2"]


def test_a_value_that_is_no_text_stays() -> None:
    arguments = {"p": None, "q": 1.5, "r": True, "s": [None]}
    assert (
        returned(arguments, {"type": "object", "properties": {key: {"type": "integer"} for key in arguments}})
        == arguments
    )


@given(st.recursive(st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_what_fits_already_stays_as_it_is(value: Any) -> None:
    schema = {"type": "object", "additionalProperties": {"type": ["string", "integer", "array", "object"]}}
    assert returned({"p": value}, schema, placeholders=False) == {"p": value}
