"""What stands in for a required property where a client requires none, and is taken out of the calls again."""

from __future__ import annotations

from aigateway_core.plugin import JsonObject

REASON = "reason"
FLAG = "_"

NAMES = (FLAG, "_placeholder", REASON)
"""The two that are added here, and one that a conversation may bring along from elsewhere."""


def add(written: JsonObject) -> None:
    """Give an object schema that needs nothing a property that it needs."""
    if written.get("required"):
        return
    properties = written.setdefault("properties", {})
    if properties:
        properties.setdefault(FLAG, {"type": "boolean"})
        written["required"] = [FLAG]
    else:
        properties[REASON] = {"type": "string", "description": "Why this is called, in a few words"}
        written["required"] = [REASON]
