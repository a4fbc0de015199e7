"""Tools in the forms that only OpenAI's two chat APIs have, and the free text that some of them are called with.

Other vendors are told of them as functions: a free text becomes the one property ``input`` (translation table, 1.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import orjson

from aigateway_core.model import JsonObject, Tool


@attrs.frozen
class OpenAITool(Tool):
    """A tool in a form that only OpenAI's APIs have; ``name`` is what other vendors know it by.

    ``own_name`` is its name within its ``namespace``, if it is in one. A ``custom`` tool takes free text in ``format``,
    in the form that Responses has for it. A ``legacy`` one was declared in ``functions``, which Chat Completions had
    before ``tools``; its calls have a form of their own.
    """

    own_name: str = ""
    namespace: str | None = None
    namespace_description: str = ""
    custom: bool = False
    format: Mapping[str, Any] | None = None
    legacy: bool = False


def free_text_schema(form: JsonObject | None) -> JsonObject:
    """A function's schema for free text; a model that is not bound to the grammar is told of it."""
    text: JsonObject = {"type": "string"}
    definition = (form or {}).get("definition")
    if type(definition) is str:
        text["description"] = f"Text that this grammar accepts:\n{definition}"
    return {"type": "object", "properties": {"input": text}, "required": ["input"], "additionalProperties": False}


def wrapped_input(text: str) -> str:
    """Free text as the arguments of the function that stands for a custom tool."""
    return orjson.dumps({"input": text}).decode()


def free_text(arguments: str) -> str | None:
    """The free text behind the arguments of a call; None when they were broken off.

    Models that were never told of the wrapping write the text itself, or give its one property another name.
    """
    try:
        value = orjson.loads(arguments.encode("utf-8", "replace"))
    except orjson.JSONDecodeError:
        return None if arguments.lstrip().startswith("{") else arguments
    if type(value) is dict:
        value = value.get("input", next(iter(value.values()), "") if len(value) < 2 else arguments)
    return value if type(value) is str else arguments
