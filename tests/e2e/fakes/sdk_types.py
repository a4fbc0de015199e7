"""The official SDKs' request types, made to judge: no unknown key at any depth, no value of a neighbouring type."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from e2e.fakes.vendor import Problem
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, SchemaValidator


class RequestType:
    """One of an SDK's ``TypedDict`` types for a request body."""

    def __init__(self, params: Any) -> None:
        self._validator = SchemaValidator(_tightened(TypeAdapter(params).core_schema))

    def problems(self, body: Any) -> Iterator[Problem]:
        """What in ``body`` does not fit the type."""
        try:
            self._validator.validate_python(body, strict=True)
        except ValidationError as error:
            for one in _relevant(error.errors(include_url=False, include_input=False)):
                yield Problem(one["msg"], where=".".join(str(step) for step in one["loc"]), code="invalid_value")


class ModelType:
    """A type made of an SDK's pydantic models, which refuse unknown keys by themselves."""

    def __init__(self, model: Any) -> None:
        adapter = TypeAdapter(model)
        adapter.rebuild(force=True)  # Google's models are built on first use
        self._validator = SchemaValidator(_tightened(adapter.core_schema))

    def problems(self, value: Any, where: str) -> Iterator[Problem]:
        """What in ``value`` does not fit the type. Bytes are judged as the base64 that they are on the wire."""
        try:
            self._validator.validate_json(json.dumps(value), strict=True)
        except ValidationError as error:
            for one in error.errors(include_url=False, include_input=False):
                at = ".".join(str(step) for step in (where, *one["loc"]))
                yield Problem(_google_words(one, at), where=at)


def _google_words(error: ErrorDetails, at: str) -> str:
    if error["type"] != "extra_forbidden":
        return f"Invalid value at '{at}': {error['msg']}"
    place, _, name = at.rpartition(".")
    return f"Invalid JSON payload received. Unknown name \"{name}\" at '{place}': Cannot find field."


def _relevant(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """The errors without those of a union's branches that were not meant, which ``role`` or ``type`` tells."""
    beside = [
        one["loc"][:-1] for one in errors if one["type"] == "literal_error" and one["loc"][-1] in ("role", "type")
    ]
    kept = [one for one in errors if not any(one["loc"][: len(prefix)] == prefix for prefix in beside)]
    return kept or errors[:1]


def _tightened(schema: Any) -> Any:
    """The schema with closed objects, enumerations of the words that there are and no others, and lists in place of
    iterables, which pydantic would check when iterated."""
    if isinstance(schema, list | tuple):
        return type(schema)(_tightened(one) for one in schema)
    if not isinstance(schema, dict):
        return schema
    tight = {key: _tightened(value) for key, value in schema.items()}
    if tight.get("type") == "generator":
        tight["type"] = "list"
    if tight.get("type") == "enum":
        return {"type": "literal", "expected": [member.value for member in schema["members"]]}
    if tight.get("type") == "typed-dict" and tight.get("config", {}).get("extra_fields_behavior") != "allow":
        tight["extra_behavior"] = "forbid"
    return tight
