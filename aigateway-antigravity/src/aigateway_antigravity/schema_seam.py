"""Schemas as this wire takes them, as soon as the modules that know it are there."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from aigateway_core.plugin import JsonObject


def declared(tools: Sequence[Any], *, claude: bool) -> list[JsonObject]:
    """The ``tools`` of a body."""
    try:
        module = importlib.import_module("aigateway_antigravity.declarations")
    except ModuleNotFoundError:
        return list(tools)
    return list(module.declared(tools, claude=claude))


def response_schema(schema: Mapping[str, Any]) -> JsonObject:
    """The schema of an answer."""
    try:
        module = importlib.import_module("aigateway_antigravity.schemas")
    except ModuleNotFoundError:
        return dict(schema)
    return dict(module.response_schema(schema))
