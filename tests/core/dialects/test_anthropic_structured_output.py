"""Schemas that Anthropic can hold a model to, where their references are many."""

from __future__ import annotations

from typing import Any

import pytest

from aigateway_core.dialects.anthropic.structured_output import structured
from aigateway_core.model import JsonObject

STRING: JsonObject = {"type": "string"}


def linked(count: int, *, last: Any, width: int = 1) -> JsonObject:
    """So many definitions, each of which refers ``width`` times to the next; ``last`` is what the last one holds."""
    steps = {
        f"d{place}": {
            "type": "object",
            "properties": {f"p{way}": {"$ref": f"#/$defs/d{place + 1}"} for way in range(width)},
        }
        for place in range(count)
    }
    root = {"type": "object", "properties": {"r": {"$ref": "#/$defs/d0"}}}
    return {**root, "$defs": {**steps, f"d{count}": last}}


@pytest.mark.timeout(20)
def test_schemas_that_refer_to_each_other_in_many_ways_take_no_longer_than_in_one() -> None:
    assert structured(linked(200, last=STRING, width=2)) is not None


def test_a_way_through_a_thousand_references_is_followed_to_its_end() -> None:
    assert structured(linked(5000, last=STRING)) is not None
    assert structured(linked(5000, last={"type": "object", "properties": {"a": {"$ref": "#/$defs/d7"}}})) is None


@pytest.mark.parametrize("reference", [5, [], {}, True, "", "#", "#/", "#/$defs/d0/properties/p0/x"])
def test_a_reference_that_leads_nowhere_makes_a_schema_that_nobody_can_be_held_to(reference: Any) -> None:
    schema = linked(2, last={"type": "object", "properties": {"a": {"$ref": reference}}})
    assert structured(schema) is None
