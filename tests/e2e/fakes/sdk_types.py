"""The official SDKs' request types, made to judge: no unknown key at any depth, no value of a neighbouring type."""

from __future__ import annotations

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


def _relevant(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """The errors without those of a union's branches that were not meant, which ``role`` or ``type`` tells."""
    beside = [
        one["loc"][:-1] for one in errors if one["type"] == "literal_error" and one["loc"][-1] in ("role", "type")
    ]
    kept = [one for one in errors if not any(one["loc"][: len(prefix)] == prefix for prefix in beside)]
    return kept or errors[:1]


def _tightened(schema: Any) -> Any:
    """The schema with closed objects, and lists in place of iterables, which pydantic would check when iterated."""
    if isinstance(schema, list | tuple):
        return type(schema)(_tightened(one) for one in schema)
    if not isinstance(schema, dict):
        return schema
    tight = {key: _tightened(value) for key, value in schema.items()}
    if tight.get("type") == "generator":
        tight["type"] = "list"
    if tight.get("type") == "typed-dict" and tight.get("config", {}).get("extra_fields_behavior") != "allow":
        tight["extra_behavior"] = "forbid"
    return tight
