"""The document as a page to be read: plain HTML with its own style, without scripts and without anything to fetch."""

from __future__ import annotations

import hashlib
import json
import shlex
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from aigateway_core.openapi import FOLDER, bundle

_Node: TypeAlias = Mapping[str, Any]
_METHODS = ("get", "head", "post", "put", "patch", "delete")
_ADDRESS = "http://localhost:8088"
_markdown = MarkdownIt("commonmark", {"html": False})


class Page(NamedTuple):
    """What is sent, and the content security policy that it is sent with: nothing runs, and nothing is fetched."""

    html: bytes
    policy: str


class Row(NamedTuple):
    """A field or a parameter."""

    name: str
    kind: Markup
    required: bool
    text: Markup
    place: str = ""


class Reply(NamedTuple):
    """An answer, and the statuses that it may come with."""

    statuses: Sequence[str]
    text: Markup
    kinds: Sequence[Markup]
    examples: Sequence[str]


class Operation(NamedTuple):
    """All that is told of one operation."""

    id: str
    method: str
    path: str
    summary: str
    text: Markup
    keys: str
    parameters: Sequence[Row]
    body: Sequence[Markup]
    examples: Sequence[tuple[str, str]]
    replies: Sequence[Reply]


class Shape(NamedTuple):
    """A schema by its name."""

    name: str
    kind: Markup
    text: Markup
    rows: Sequence[Row]


@cache
def page() -> Page:
    """The page of :func:`aigateway_core.openapi.bundle`; made once, which takes a tenth of a second."""
    return render(bundle())


def render(document: _Node) -> Page:
    """The page of a whole document."""
    style = (FOLDER / "page.css").read_text(encoding="utf-8")
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    operations = _operations(document)
    html = environment.get_template("page.html").render(
        info=document["info"],
        text=_text(document["info"]),
        style=Markup(style),  # noqa: S704 -- our own file
        groups=[(tag["name"], _text(tag), operations.get(tag["name"], [])) for tag in document["tags"]],
        shapes=[_shape(name, schema) for name, schema in document["components"]["schemas"].items()],
        keys=[(name, _text(scheme)) for name, scheme in document["components"]["securitySchemes"].items()],
    )
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(html.encode(), policy)


def _text(node: _Node) -> Markup:
    return Markup(_markdown.render(node.get("description", "")))  # noqa: S704 -- escaped by the renderer


# -- operations


def _operations(document: _Node) -> Mapping[str, list[Operation]]:
    """By tag, in the order of the document."""
    grouped: dict[str, list[Operation]] = {}
    for path, item in document["paths"].items():
        shared = item.get("parameters", [])
        for method in _METHODS:
            if (said := item.get(method)) is not None:
                operation = _operation(document, method, path, said, [*shared, *said.get("parameters", [])])
                grouped.setdefault(said["tags"][0], []).append(operation)
    return grouped


def _operation(document: _Node, method: str, path: str, said: _Node, parameters: Sequence[_Node]) -> Operation:
    body = _resolved(document, said.get("requestBody", {})).get("content", {})
    return Operation(
        id=said["operationId"],
        method=method.upper(),
        path=path,
        summary=said["summary"],
        text=_text(said),
        keys=_keys(said),
        parameters=[_parameter(_resolved(document, each)) for each in parameters],
        body=[_kind(content["schema"]) for content in body.values()],
        examples=list(_requests(method, path, said, body)),
        replies=list(_replies(document, said["responses"])),
    )


def _keys(said: _Node) -> str:
    wanted = {name for choice in said["security"] for name in choice}
    if not wanted:
        return "no key"
    is_optional = {} in said["security"]
    if "adminKey" in wanted:
        return "admin key, unless asked from this machine" if is_optional else "admin key"
    return "client key, unless none is needed on this machine" if is_optional else "client key"


def _parameter(said: _Node) -> Row:
    return Row(said["name"], _kind(said["schema"]), said.get("required", False), _text(said), said["in"])


def _replies(document: _Node, responses: _Node) -> Iterator[Reply]:
    """The answers, those that are the same but for their status as one."""
    left = dict(responses)
    while left:
        status, said = next(iter(left.items()))
        same = [each for each in left if left[each] == said]
        left = {each: left[each] for each in left if each not in same}
        found = _resolved(document, said)
        content = found.get("content", {})
        kinds = [Markup("{}: {}").format(media, _kind(each.get("schema", {}))) for media, each in content.items()]
        examples = [_json(value) for each in content.values() for _, value in _examples(each) if status < "3"]
        yield Reply(same, _text(found), kinds, examples)


def _requests(method: str, path: str, said: _Node, body: _Node) -> Iterator[tuple[str, str]]:
    """Command lines that ask this."""
    key = "" if said["security"] == [] else ' \\\n  -H "authorization: Bearer $KEY"'
    verb = {"get": "", "head": " -I"}.get(method, "" if method == "post" and body else f" -X {method.upper()}")
    told = [each for content in body.values() for each in _examples(content)] or [("", None)]
    for summary, value in islice(told, 3):
        data = (
            "" if value is None else f" \\\n  -H 'content-type: application/json' \\\n  -d {shlex.quote(_json(value))}"
        )
        yield summary, f"curl -s{verb} {_ADDRESS}{path}{key}{data}"


def _examples(content: _Node) -> list[tuple[str, Any]]:
    if "example" in content:
        return [("", content["example"])]
    return [(each.get("summary", ""), each["value"]) for each in content.get("examples", {}).values()]


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _resolved(document: _Node, node: _Node) -> _Node:
    """What a reference into the components stands for."""
    if (said := node.get("$ref")) is None:
        return node
    found: Any = document
    for step in said.removeprefix("#/").split("/"):
        found = found[step]
    return _resolved(document, found)


# -- shapes


def _shape(name: str, schema: _Node) -> Shape:
    return Shape(name, _kind(schema), _text(schema), list(_rows(schema)))


def _rows(schema: _Node, prefix: str = "") -> Iterator[Row]:
    """The fields, those of objects within it with their path."""
    required = schema.get("required", ())
    for name, said in schema.get("properties", {}).items():
        yield Row(f"{prefix}{name}", _kind(said), name in required, _text(said))
        yield from _rows(said, f"{prefix}{name}.")
    if isinstance(schema.get("items"), Mapping):
        yield from _rows(schema["items"], f"{prefix.removesuffix('.')}[].")
    for part in schema.get("allOf", ()):
        yield from _rows(part, prefix)


def _kind(schema: _Node) -> Markup:
    """What a value may be, in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return Markup('<a href="#schema-{0}">{0}</a>').format(name)
    if "const" in schema:
        return _code(schema["const"])
    if "enum" in schema:
        return Markup(" | ").join(map(_code, schema["enum"]))
    for word, joint in (("anyOf", Markup(" or ")), ("allOf", Markup(" with "))):
        if word in schema:
            return joint.join(_kind(each) for each in schema[word])
    said = schema.get("type", "anything")
    words = [_plain(schema, word) for word in ([said] if isinstance(said, str) else said)]
    return Markup(" or ").join(words) + _limits(schema)


def _plain(schema: _Node, word: str) -> Markup:
    if word == "array" and schema.get("items"):
        return Markup("array of {}").format(_kind(schema["items"]))
    if word == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return Markup("object of {}").format(_kind(schema["additionalProperties"]))
    return Markup("{}").format(schema.get("format", word) if word == "string" else word)


def _limits(schema: _Node) -> Markup:
    said = [f"{word} {schema[name]}" for name, word in _BOUNDS if name in schema]
    if schema.get("default") is not None:
        said.append(f"default {json.dumps(schema['default'])}")
    return Markup(" <small>{}</small>").format(", ".join(said)) if said else Markup("")


_BOUNDS = (
    ("minimum", "≥"),
    ("maximum", "≤"),
    ("minLength", "length ≥"),
    ("maxLength", "length ≤"),
    ("minItems", "items ≥"),
    ("maxItems", "items ≤"),
)


def _code(value: Any) -> Markup:
    return Markup("<code>{}</code>").format(value if isinstance(value, str) else json.dumps(value))
