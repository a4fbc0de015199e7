"""What the gateway says, held against the document of its API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import httpx
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from aigateway_core.openapi import bundle

METHODS = ("get", "head", "post", "put", "patch", "delete")
_HERE = "urn:aigateway:openapi"


@cache
def document() -> dict[str, Any]:
    return bundle()


@cache
def _registry() -> Registry[Any]:
    resource: Resource[Any] = Resource(document(), DRAFT202012)
    return Registry().with_resource(_HERE, resource)


def resolved(node: Any) -> Any:
    """What a reference into the components stands for."""
    while "$ref" in node:
        steps = node["$ref"].removeprefix("#/").split("/")
        node = document()
        for step in steps:
            node = node[step]
    return node


def problems(schema: Any, value: Any) -> list[str]:
    """Why ``value`` is none of ``schema``, which is a part of the document."""
    absolute = _absolute(schema)
    validator = Draft202012Validator(absolute, registry=_registry(), format_checker=Draft202012Validator.FORMAT_CHECKER)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def _absolute(node: Any) -> Any:
    if isinstance(node, list):
        return [_absolute(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        name: f"{_HERE}{each}" if name == "$ref" and isinstance(each, str) else _absolute(each)
        for name, each in node.items()
    }


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method, operation."""
    for path, item in document()["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Every path as a pattern; those without parameters first, then the longest."""
    paths = sorted(document()["paths"], key=lambda path: (path.count("{"), -len(path)))
    return [(re.compile(re.sub(r"\\\{\w+\\\}", "(?:.+)", re.escape(path))), path) for path in paths]


def operation_at(method: str, path: str) -> dict[str, Any] | None:
    """The documented operation that a request asks for, if it asks for one."""
    for pattern, documented in _patterns():
        item = document()["paths"][documented]
        if pattern.fullmatch(path) and method.lower() in item:
            found: dict[str, Any] = item[method.lower()]
            return found
    return None


async def check(response: httpx.Response) -> None:
    """Fail when an answer is not as the document has it; for the ``event_hooks`` of an ``httpx.AsyncClient``."""
    request = response.request
    operation = operation_at(request.method, request.url.path)
    if operation is None:
        return
    where = f"{request.method} {request.url.path} -> {response.status_code}"
    documented = operation["responses"].get(str(response.status_code))
    assert documented is not None, f"{where} is not in the document"
    content = resolved(documented).get("content")
    body = await response.aread()
    if content is None or request.method == "HEAD":
        assert body == b"", f"{where} has a body that is not in the document"
        return
    kind = response.headers["content-type"].partition(";")[0]
    assert kind in content, f"{where} has the undocumented type {kind}"
    if kind == "application/json":
        assert problems(content[kind]["schema"], response.json()) == [], f"{where}: {response.text[:500]}"
