"""Alternatives at the root of a tool's schema, which Anthropic does not take, as one object that says as much."""

from __future__ import annotations

from typing import Any

import pytest

from aigateway_core.dialects.anthropic import Anthropic
from aigateway_core.jsontext import dumps
from aigateway_core.model import ChatRequest, Message, TextPart, Tool


def written(schema: dict[str, Any]) -> Any:
    request = ChatRequest(
        model="claude-opus-5", messages=(Message("user", (TextPart("hi"),)),), tools=(Tool("t", None, schema),)
    )
    (tool,) = Anthropic().encode_request(request)["tools"]
    return tool["input_schema"]


def union(*branches: dict[str, Any], **beside: Any) -> dict[str, Any]:
    return {"anyOf": list(branches), **beside}


def variant(word: str, **properties: Any) -> dict[str, Any]:
    """One of a union of classes, as pydantic writes them."""
    kind = {"const": word, "title": "Kind", "type": "string"}
    return {
        "type": "object",
        "title": word,
        "properties": {"kind": kind, **properties},
        "required": ["kind", *properties],
    }


def of(schema: dict[str, Any]) -> dict[str, Any]:
    """What is left of an only branch."""
    return {name: schema[name] for name in ("properties", "required")}


CIRCLE, SQUARE = variant("circle", radius={"type": "number"}), variant("square", side={"type": "number"})
KIND = CIRCLE["properties"]["kind"]
WORDS = {"title": "Kind", "type": "string", "enum": ["circle", "square"]}
SHAPES = {
    "properties": {"kind": WORDS, "radius": {"type": "number"}, "side": {"type": "number"}},
    "required": ["kind"],
}
DEFINED = {"$defs": {"Circle": CIRCLE, "Square": SQUARE}}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (union(CIRCLE, SQUARE), SHAPES),
        ({"oneOf": [CIRCLE, SQUARE], "type": "object"}, SHAPES),
        (union({"$ref": "#/$defs/Circle"}, {"$ref": "#/$defs/Square"}, **DEFINED), {**SHAPES, **DEFINED}),
        (union({"$ref": "#/$defs/Circle"}, {"type": "null"}, **DEFINED), {**of(CIRCLE), **DEFINED}),
        (union(union(CIRCLE), {"allOf": [SQUARE]}), SHAPES),
        (union(CIRCLE, CIRCLE), of(CIRCLE)),
        (
            {"allOf": [CIRCLE, {"properties": {"radius": {"minimum": 0}}, "required": ["colour"]}], "required": ["x"]},
            {
                "properties": {
                    "kind": KIND,
                    "radius": {"allOf": [{"type": "number"}, {"minimum": 0}]},
                },
                "required": ["x", "kind", "radius", "colour"],
            },
        ),
        (
            union({"properties": {"a": {"type": "string"}}}, {"properties": {"a": {"type": "integer"}}}),
            {"properties": {"a": {"anyOf": [{"type": "string"}, {"type": "integer"}]}}},
        ),
        (
            union({"properties": {"a": {"const": 1}}}, {"properties": {"a": {"enum": [2, 1]}}}),
            {"properties": {"a": {"enum": [1, 2]}}},
        ),
        (
            union(CIRCLE, properties={"kind": WORDS}),
            {
                "properties": {"kind": {"allOf": [WORDS, KIND]}, "radius": {"type": "number"}},
                "required": ["kind", "radius"],
            },
        ),
        (union({"$ref": "#/anyOf/0"}, True), {"properties": {}}),
        (union({"$ref": "#"}, CIRCLE), {"properties": CIRCLE["properties"]}),
    ],
)
def test_a_union_of_objects_is_one_object_that_can_say_each_of_them(
    schema: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert written(schema) == {"type": "object", **expected}


def test_a_union_within_itself_comes_to_an_end() -> None:
    node = union(CIRCLE, *[{"$ref": "#/$defs/Node"}] * 10)
    schema = written(union({"$ref": "#/$defs/Node"}, **{"$defs": {"Node": node}}))
    assert schema["properties"] == CIRCLE["properties"]


def test_references_to_one_long_text_do_not_repeat_it_without_end() -> None:
    long = {"properties": {"a": {"description": "x" * 50_000}}}
    branches = [{"allOf": [{"$ref": "#/$defs/Long"}, {"properties": {"a": {"const": each}}}]} for each in range(1_000)]
    schema = union(*branches, **{"$defs": {"Long": long}})
    assert len(dumps(written(schema))) < 2 * len(dumps(schema)) + 200_000
