"""What becomes of a schema, case by case (S1 to S33), and where sources disagree, what was chosen."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from aigateway_antigravity.catalogue import Catalogue
from aigateway_antigravity.config import AntigravityConfig
from aigateway_antigravity.schemas import response_schema, tool_schema
from aigateway_antigravity.shape import shaped
from aigateway_core.plugin import Secret

EMPTY: dict[str, Any] = {"type": "object", "properties": {}}


def cleaned(schema: Any, *, claude: bool = False, **around: Any) -> Any:
    """What becomes of a property's schema in a tool whose root has ``around`` as well."""
    root = {"type": "object", "properties": {"p": schema}, "required": ["p"], **around}
    return tool_schema(root, claude=claude)["properties"]["p"]


def test_S1_a_constant_is_an_enum_with_one_value_and_told() -> None:
    # The enum stays: string enums are kept. That some backends are said to ignore it is why it is told as well.
    told = {"type": "string", "description": "Allowed: alpha", "enum": ["alpha"]}
    assert cleaned({"type": "string", "const": "alpha"}) == told


def test_S2_an_enum_of_numbers_is_told_in_a_tool_and_a_list_of_texts_in_an_answer() -> None:
    schema = {"type": "integer", "enum": [0, 1, 2]}
    assert cleaned(schema) == {"type": "integer", "description": "Allowed: 0, 1, 2"}
    assert response_schema(schema) == {**cleaned(schema), "enum": ["0", "1", "2"]}


def test_an_enum_of_strings_stays_and_is_told_up_to_ten_values() -> None:
    words = [f"w{index}" for index in range(11)]
    assert cleaned({"type": "string", "enum": words[:2]})["description"] == "Allowed: w0, w1"
    assert cleaned({"type": "string", "enum": words}) == {"type": "string", "enum": words}


def test_an_enum_that_only_words_can_tell_is_told_with_more_than_ten() -> None:
    assert cleaned({"type": "integer", "enum": list(range(12))})["description"].endswith("9, 10, 11")


def test_neither_null_nor_an_empty_text_is_a_value_of_an_enum() -> None:
    # Google refuses the empty one; null is what "nullable" is for.
    schema = cleaned({"type": "string", "enum": ["a", "", None, "a"]})
    assert schema == {"type": "string", "description": "Allowed: a (nullable)", "nullable": True, "enum": ["a"]}


def test_S3_an_enum_of_booleans_is_told_even_in_an_answer() -> None:
    assert response_schema({"type": "boolean", "enum": [True]}) == {"type": "boolean", "description": "Allowed: true"}


def test_S4_null_beside_a_type_makes_it_nullable_and_it_stays_required() -> None:
    # Others take it out of "required"; a client that asks for the property, be it null, means it.
    root = {"type": "object", "properties": {"p": {"type": ["string", "null"], "description": "D"}}, "required": ["p"]}
    written = tool_schema(root, claude=False)
    assert written["properties"]["p"] == {"type": "string", "description": "D (nullable)", "nullable": True}
    assert written["required"] == ["p"]


def test_S5_of_several_types_the_first_stays_and_all_are_told() -> None:
    told = {"type": "string", "description": "Accepts: string | integer"}
    assert cleaned({"type": ["string", "integer"]}) == told


def test_of_several_types_the_one_whose_inside_is_described_stays() -> None:
    # Else its properties would be lost.
    schema = cleaned({"type": ["string", "object"], "properties": {"x": {"type": "string"}}})
    assert (schema["type"], list(schema["properties"])) == ("object", ["x"])


def test_S6_of_alternatives_the_object_stays_with_a_hint_and_null_makes_it_nullable() -> None:
    item = {"type": "object", "properties": {"x": {"type": "string"}}}
    chosen = cleaned({"anyOf": [{"type": "string"}, item], "description": "parent"})
    assert chosen == {**item, "description": "parent (Accepts: string | object)"}
    nullable = {"type": "string", "description": "nullable", "nullable": True}
    assert cleaned({"anyOf": [{"type": "string"}, {"type": "null"}]}) == nullable


def test_an_object_stays_before_an_array() -> None:
    chosen = cleaned({"oneOf": [{"type": "array", "items": {}}, {"properties": {"x": {"type": "integer"}}}]})
    assert chosen["properties"] == {"x": {"type": "integer"}}


@pytest.mark.parametrize("null", [{"type": "null"}, {"const": None}, {"enum": [None]}, {"type": "NULL", "title": "no"}])
def test_null_among_alternatives_is_not_one(null: Any) -> None:
    constant = {"const": "a", "description": "first of letters"}
    written = {
        "type": "string",
        "description": "first of letters (Allowed: a) (nullable)",
        "nullable": True,
        "enum": ["a"],
    }
    assert cleaned({"anyOf": [null, constant]}) == written


@pytest.mark.parametrize("word", ["anyOf", "oneOf"])
def test_the_first_of_equal_alternatives_stays_behind_the_description_of_both(word: str) -> None:
    branches = [{"type": "array", "items": {"type": "integer"}, "description": "child"}, {"type": "array"}]
    chosen = cleaned({word: [{"type": "string"}, *branches], "description": "parent"})
    assert chosen["items"] == {"type": "integer"}
    assert chosen["description"] == "parent (child) (Accepts: string | array)"


def test_what_one_alternative_needs_is_not_needed_where_it_adds_no_property() -> None:
    schema = {"type": "object", "properties": {"a": {}, "b": {}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}
    assert "required" not in tool_schema(schema, claude=False)


def test_S7_alternatives_that_are_constants_are_one_enum() -> None:
    # The other reading (the first branch, with a hint) would hide the rest from the model.
    told = {"type": "string", "description": "Allowed: a, b", "enum": ["a", "b"]}
    assert cleaned({"anyOf": [{"const": "a"}, {"type": "string", "const": "b", "title": "B"}]}) == told
    assert cleaned({"oneOf": [{"const": 1}, {"const": 2}]}) == {"type": "integer", "description": "Allowed: 1, 2"}


def test_S8_all_of_several_schemas_hold_and_the_parent_wins() -> None:
    parts = [{"properties": {"a": {"type": "string"}}, "required": ["a"]}, {"properties": {"b": {}}, "required": ["b"]}]
    written = tool_schema({"properties": {"a": {"type": "integer"}}, "allOf": parts}, claude=False)
    assert written["properties"] == {"a": {"type": "integer"}, "b": {"type": "string"}}
    assert written["required"] == ["a", "b"]
    assert "allOf" not in written


def test_of_conditions_within_allOf_only_the_properties_are_taken() -> None:
    part = {"if": {"properties": {"z": {}}}, "then": {"properties": {"x": {"type": "number"}}, "required": ["x"]}}
    assert tool_schema({"type": "object", "allOf": [part]}, claude=False) == {
        "type": "object",
        "properties": {"x": {"type": "number"}},
    }


def test_S9_a_reference_is_put_in_place_and_what_stands_beside_it_wins() -> None:
    user = {"type": "object", "properties": {"name": {"type": "string"}}, "description": "theirs"}
    around = {"definitions": {"User": user}}
    assert cleaned({"$ref": "#/definitions/User", "description": "mine"}, **around) == {**user, "description": "mine"}
    assert "definitions" not in json.dumps(tool_schema({"$ref": "#/definitions/User", **around}, claude=False))


def test_S10_a_schema_that_refers_to_itself_ends() -> None:
    node = {"type": "object", "description": "a node", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    written = tool_schema({"$ref": "#/$defs/Node", "$defs": {"Node": node}}, claude=False)
    assert written["properties"]["next"] == {"type": "object", "description": "a node (See: Node)"}


def test_S10_a_schema_that_refers_to_its_root_ends() -> None:
    written = tool_schema({"type": "object", "properties": {"child": {"$ref": "#"}}}, claude=False)
    assert written["properties"]["child"] == {"type": "object", "description": "See: #"}


@pytest.mark.parametrize("word", ["allOf", "anyOf", "oneOf"])
def test_S10_a_schema_that_is_made_of_itself_ends(word: str) -> None:
    around = {"$defs": {"A": {"properties": {"next": {word: [{"$ref": "#/$defs/A"}]}}, word: [{"$ref": "#/$defs/A"}]}}}
    assert cleaned({"$ref": "#/$defs/A"}, **around)["properties"]["next"]["type"] == "object"


def test_the_same_definition_twice_is_put_in_place_twice() -> None:
    base = {"type": "object", "properties": {"x": {"type": "integer"}}}
    schema = {"allOf": [{"$ref": "#/$defs/Base"}], "properties": {"p": {"$ref": "#/$defs/Base"}}}
    written = tool_schema({**schema, "$defs": {"Base": base}}, claude=False)
    assert written["properties"] == {"p": base, "x": {"type": "integer"}}


def test_S11_a_reference_that_leads_elsewhere_is_named() -> None:
    # Without a type it would be refused; a string is what a model can always write.
    assert cleaned({"$ref": "https://ex/y#/Foo"}) == {"type": "string", "description": "See: Foo"}
    assert cleaned({"$ref": "#/$defs/Nowhere", "description": "D"})["description"] == "D (See: Nowhere)"


@pytest.mark.parametrize(
    ("reference", "definitions"),
    [
        pytest.param("#/$defs/A/$defs/B", {"A": {"$defs": {"B": {"type": "integer"}}}}, id="S12 two levels"),
        pytest.param("#/$defs/A~1B", {"A/B": {"type": "integer"}}, id="S12 escaped slash"),
        pytest.param("#/$defs/A~0B", {"A~B": {"type": "integer"}}, id="S12 escaped tilde"),
        pytest.param("#/$defs/A%20B", {"A B": {"type": "integer"}}, id="S12 percent"),
        pytest.param("#/$defs/A/allOf/0", {"A": {"allOf": [{"type": "integer"}]}}, id="S12 index"),
        pytest.param("#/$defs/A", {"A": {"$ref": "#/$defs/B"}, "B": {"type": "integer"}}, id="S12 chain"),
    ],
)
def test_a_pointer_is_followed(reference: str, definitions: Any) -> None:
    assert cleaned({"$ref": reference}, **{"$defs": definitions}) == {"type": "integer"}


def test_S12_definitions_that_a_property_brings_along_are_found_after_those_of_the_root() -> None:
    inner = {"$ref": "#/$defs/B", "$defs": {"B": {"type": "integer"}}}
    assert cleaned(inner) == {"type": "integer"}
    assert cleaned(inner, **{"$defs": {"B": {"type": "boolean"}}}) == {"type": "boolean"}


def test_S12_a_chain_of_references_may_be_long_but_not_endless() -> None:
    names = {f"d{index}": {"$ref": f"#/$defs/d{index + 1}"} for index in range(99)}
    assert cleaned({"$ref": "#/$defs/d70"}, **{"$defs": {**names, "d99": {"type": "integer"}}}) == {"type": "integer"}
    assert cleaned({"$ref": "#/$defs/d0"}, **{"$defs": names})["description"].startswith("See: d")


def test_S13_limits_are_told() -> None:
    schema = {"type": "string", "minLength": 3, "format": "date-time", "description": "D"}
    assert cleaned(schema) == {"type": "string", "description": "D (minLength: 3) (format: date-time)"}


def test_what_must_not_be_is_told() -> None:
    assert cleaned({"type": "string", "not": {"const": "é<&>"}})["description"] == 'not: {"const":"é<&>"}'


def test_S14_a_default_that_is_an_object_is_left_out() -> None:
    assert cleaned({"type": "object", "default": {"a": 1}}) == {"type": "object"}
    assert cleaned({"default": {"type": "string"}}) == {"type": "string"}


def test_S15_whether_more_properties_may_be_is_told_in_a_tool_and_kept_in_an_answer() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
    kept = {"type": "object", "properties": {"a": {"type": "string"}}}
    assert tool_schema(schema, claude=False) == {**kept, "description": "No extra properties allowed"}
    assert response_schema(schema) == schema
    for more in (True, {}, {"description": "of any type"}, {"type": "string"}):
        # Of what else may be, the type is told: a map would else look like an object that is always empty.
        told = {"description": "Other properties: string"} if more == {"type": "string"} else {}
        assert tool_schema({**schema, "additionalProperties": more}, claude=False) == {**kept, **told}
        assert response_schema({**schema, "additionalProperties": more}) == kept


def test_S16_conditions_add_what_they_may_ask_for() -> None:
    schema = {
        "properties": {"x": {"type": "integer"}},
        "if": {"properties": {"k": {"const": 1}}},
        "then": {"properties": {"x": {"type": "string"}, "y": {"type": "string"}}, "required": ["y"]},
        "else": {"if": {}, "then": {"properties": {"z": {"type": "boolean"}}}},
    }
    assert tool_schema(schema, claude=False) == {
        "type": "object",
        "properties": {"x": {"type": "integer"}, "y": {"type": "string"}, "z": {"type": "boolean"}},
    }


NAMES = ("title", "format", "default", "const", "enum", "x-foo", "$ref", "not", "type", "required", "properties", "_")


def test_S17_a_property_may_have_the_name_of_a_keyword() -> None:
    root = {"type": "object", "properties": {name: {"type": "integer"} for name in NAMES}, "required": list(NAMES)}
    assert tool_schema(root, claude=True) == root


def test_S18_a_property_named_properties_holds_a_schema() -> None:
    inner = {"type": "object", "propertyNames": {"pattern": "a"}, "properties": {"properties": {"type": "string"}}}
    written = tool_schema({"type": "object", "properties": {"properties": inner}}, claude=False)
    inside = {"type": "object", "properties": {"properties": {"type": "string"}}}
    assert written == {"type": "object", "properties": {"properties": inside}}


def test_S19_only_what_there_is_can_be_required() -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a", "zz", 3, "a"],
    }
    assert tool_schema(schema, claude=False)["required"] == ["a"]
    assert "required" not in tool_schema({**schema, "required": ["zz"]}, claude=False)
    assert "required" not in tool_schema({**schema, "required": "a"}, claude=False)


def test_S20_a_bare_map_of_properties_is_an_object() -> None:
    written = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}, "required": ["b"]}
    bare = {"a": {"type": "string"}, "b": {"type": "integer", "required": True}}
    assert tool_schema(bare, claude=False) == written
    assert cleaned({"type": "object", **bare}) == written
    assert cleaned({"type": "OBJECT", "properties": bare}) == written


def test_a_property_that_says_it_is_not_required_is_not() -> None:
    assert "required" not in cleaned({"type": "object", "properties": {"a": {"type": "string", "required": False}}})


def test_S21_what_annotates_a_string_is_no_property() -> None:
    schema = {"type": "string", "enum": ["FOO"], "x-google-enum-descriptions": {"FOO": {"type": "string"}}}
    assert cleaned(schema) == {"type": "string", "description": "Allowed: FOO", "enum": ["FOO"]}
    assert "properties" not in cleaned({"type": "object", "x-a": {"type": "string"}, "discriminator": {"type": "k"}})
    assert "properties" not in cleaned({"type": "object", "meta": {"hello": 1}})


@pytest.mark.parametrize("schema", [{"type": "object"}, EMPTY], ids=["S22 none", "S22 empty"])
def test_an_object_without_properties_needs_a_reason_where_the_model_is_claude(schema: dict[str, Any]) -> None:
    written = tool_schema(schema, claude=True)
    assert written["required"] == ["reason"]
    assert written["properties"]["reason"]["type"] == "string"
    assert tool_schema(schema, claude=False) == schema
    assert cleaned(schema, claude=True) == written


def test_S23_an_object_that_needs_nothing_needs_a_flag_where_the_model_is_claude() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    written = {"type": "object", "properties": {"a": {"type": "string"}, "_": {"type": "boolean"}}, "required": ["_"]}
    assert tool_schema(schema, claude=True) == written
    assert cleaned({"type": "array", "items": schema}, claude=True)["items"] == written
    assert tool_schema(schema, claude=False) == schema
    needing = {**schema, "required": ["a"]}
    assert tool_schema(needing, claude=True) == needing


def test_S24_an_answer_has_no_placeholders() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "object"}, "b": EMPTY}}
    assert response_schema(schema) == schema


def test_S25_to_clean_twice_is_to_clean_once() -> None:
    schema = {
        "properties": {
            "a": {"type": ["integer", "string", "null"], "maximum": 3, "enum": [1, 2]},
            "b": {"anyOf": [{"type": "string", "const": "x"}, {"$ref": "#/$defs/N"}], "title": "B"},
            "c": {"type": "array", "items": [{"type": "string"}, {"type": "integer"}]},
        },
        "additionalProperties": False,
        "$defs": {"N": {"properties": {"n": {"$ref": "#/$defs/N"}}}},
    }
    for claude in (False, True):
        once = tool_schema(schema, claude=claude)
        assert json.dumps(tool_schema(once, claude=claude)) == json.dumps(once)
    assert response_schema(response_schema(schema)) == response_schema(schema)


@pytest.mark.parametrize("model", ["gemini-3-flash", "claude-opus-4-6-thinking"])
def test_S26_arguments_of_earlier_calls_are_no_schemas(model: str) -> None:
    arguments = {"title": "t", "format": "f", "default": 1, "const": 2, "x-y": 3, "properties": {"a": {"$ref": "#/b"}}}
    call = {"id": "c", "name": "f", "args": arguments}
    result = {"id": "c", "name": "f", "response": {"result": arguments}}
    body = {
        "contents": [
            {"role": "user", "parts": [{"text": "go"}]},
            {"role": "model", "parts": [{"functionCall": call}]},
            {"role": "user", "parts": [{"functionResponse": result}]},
        ],
        "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object", "x-y": 1}}]}],
    }
    config = AntigravityConfig(oauth_client_id="client", oauth_client_secret=Secret("secret-secret"))
    request = shaped(body, Catalogue(config).find(model))
    assert "x-y" not in json.dumps(request["tools"])
    _, called, answered = request["contents"]
    assert json.dumps(called["parts"][0]["functionCall"]["args"]) == json.dumps(arguments)
    assert json.dumps(answered["parts"][0]["functionResponse"]["response"]) == json.dumps({"result": arguments})


def test_S27_the_spelling_of_the_gemini_api_is_understood() -> None:
    schema = {
        "type": "OBJECT",
        "property_ordering": ["a", "b"],
        "properties": {
            "a": {"type": "STRING", "nullable": True, "min_length": "3", "format": "enum", "enum": ["x"]},
            "b": {"any_of": [{"type": "NUMBER"}, {"type": "ARRAY", "min_items": "1", "items": {"type": "INTEGER"}}]},
            "c": {"type": "TYPE_UNSPECIFIED"},
        },
    }
    assert tool_schema(schema, claude=False)["properties"] == {
        "a": {
            "type": "string",
            "description": "Allowed: x (minLength: 3) (format: enum) (nullable)",
            "nullable": True,
            "enum": ["x"],
        },
        "b": {
            "type": "array",
            "description": "Accepts: number | array (minItems: 1)",
            "items": {"type": "integer"},
        },
        "c": {"type": "string"},
    }


def test_S27_references_are_followed_in_the_spelling_of_the_gemini_api() -> None:
    assert cleaned({"ref": "#/defs/A"}, defs={"A": {"type": "INTEGER"}}) == {"type": "integer"}


def test_S29_numbers_keep_their_digits_and_texts_their_signs() -> None:
    schema = cleaned({"type": "integer", "maximum": 9007199254740993, "description": "<tag> & x"})
    assert schema == {"type": "integer", "description": "<tag> & x (maximum: 9007199254740993)"}


FOREIGN: dict[str, Any] = {
    **dict.fromkeys(("optional", "readOnly", "writeOnly", "deprecated", "encrypted", "prefill"), True),
    **dict.fromkeys(("$schema", "$id", "$comment", "contentMediaType", "example", "title"), "text"),
    **{key: {"a": {}} for key in ("contains", "dependencies", "discriminator", "propertyNames", "dependentRequired")},
    **{key: {"a": {"type": "string"}} for key in ("patternProperties", "x-mcp-header", "externalDocs", "neverHeardOf")},
    **{key: [{}] for key in ("prefixItems", "enumTitles", "enumDescriptions")},
    "unevaluatedProperties": False,
}


@pytest.mark.parametrize("word", FOREIGN, ids=lambda word: f"S30 {word}")
def test_a_keyword_that_is_not_known_does_not_go_out(word: str) -> None:
    assert cleaned({"type": "string", word: FOREIGN[word]}) == {"type": "string"}
    assert response_schema({"type": "string", word: FOREIGN[word]}) == {"type": "string"}


def test_a_title_is_told_to_claude_alone() -> None:
    assert cleaned({"type": "string", "title": "T"}, claude=True) == {"type": "string", "title": "T"}


def test_S31_of_the_items_of_a_tuple_the_first_stays_and_all_are_told() -> None:
    told = "Items in this order: string, integer"
    pair = [{"type": "string"}, {"type": "integer"}]
    assert cleaned({"type": "array", "items": pair}) == {
        "type": "array",
        "description": told,
        "items": {"type": "string"},
    }
    assert cleaned({"type": "array", "prefixItems": pair, "items": False})["items"] == {"type": "string"}
    for none in ({"type": "array", "items": []}, {"type": "array"}, {"type": "array", "items": True}):
        assert cleaned(none) == {"type": "array", "items": {"type": "string"}}


def test_S32_a_property_that_may_be_anything_is_a_string_and_one_that_may_be_nothing_is_left_out() -> None:
    # A property that the client requires stays required as long as it is there.
    schema: dict[str, Any] = {"type": "object", "properties": {"x": True, "y": False, "z": 3}, "required": ["x", "y"]}
    written = {"type": "object", "properties": {"x": {"type": "string"}, "z": {"type": "string"}}, "required": ["x"]}
    assert tool_schema(schema, claude=False) == written


@pytest.mark.parametrize(
    "schema",
    [{}, {"type": "string"}, {"type": "array", "items": {}}, {"$ref": "#/a"}, {"anyOf": [{"type": "integer"}]}],
    ids=json.dumps,
)
def test_S33_the_parameters_of_a_function_are_an_object_whatever_was_given(schema: dict[str, Any]) -> None:
    assert tool_schema(schema, claude=False) == EMPTY
    assert tool_schema(schema, claude=True)["required"] == ["reason"]


def _work(schema: dict[str, Any]) -> int:
    """How many functions are called to clean it."""
    called = 0

    def count(_frame: object, event: str, _of: object) -> None:
        nonlocal called
        called += event == "call"

    sys.setprofile(count)
    try:
        tool_schema(schema, claude=True)
    finally:
        sys.setprofile(None)
    return called


def test_the_same_schema_is_cleaned_once_for_all_turns() -> None:
    names = [f"once_{index}" for index in range(30)]
    schema = {"type": "object", "properties": {name: {"type": ["string", "null"]} for name in names}}
    first = _work(schema)
    assert _work(json.loads(json.dumps(schema))) < first / 10


def test_what_is_done_with_a_cleaned_schema_does_not_reach_the_next_request() -> None:
    schema = {"type": "object", "properties": {"own": {"type": "string"}}}
    wanted = json.dumps(tool_schema(schema, claude=True))
    tool_schema(schema, claude=True)["properties"].clear()
    assert json.dumps(tool_schema(schema, claude=True)) == wanted
    assert tool_schema(schema, claude=False) == schema


def test_a_schema_that_no_json_spells_is_cleaned_all_the_same() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 2**70}}}
    assert tool_schema(schema, claude=False)["properties"]["n"]["description"] == f"maximum: {2**70}"
