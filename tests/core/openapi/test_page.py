"""The document as a page: all of it is there, and a browser runs and fetches nothing."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from html.parser import HTMLParser
from typing import Any

import pytest
from core.contract import document, operations
from typing_extensions import override

from aigateway_core.openapi.page import page, render

EMPTY = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


class Read(HTMLParser):
    """What a browser would see, and whether every element is closed in its turn."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.links: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(html)
        self.close()

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name == "id":
                self.ids.append(value or "")
            elif name in ("href", "src"):
                self.links.add(value or "")
        if tag not in EMPTY:
            self.open.append(tag)

    @override
    def handle_endtag(self, tag: str) -> None:
        if tag == "p" and self.open[-1] != "p":
            raise AssertionError("a paragraph is closed that is not open")
        assert self.open.pop() == tag

    @override
    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)


@pytest.fixture(scope="module")
def read() -> Read:
    return Read(page().html.decode())


def test_every_element_is_closed_in_its_turn(read: Read) -> None:
    assert read.open == []


def test_every_operation_and_every_schema_can_be_linked_to(read: Read) -> None:
    wanted = {operation["operationId"] for _, _, operation in operations()}
    wanted |= {f"schema-{name}" for name in document()["components"]["schemas"]}
    assert wanted <= set(read.ids)
    assert len(read.ids) == len(set(read.ids))


def test_no_link_leads_nowhere_or_away(read: Read) -> None:
    assert {link for link in read.links if not link.startswith("#")} == {"openapi.json"}
    assert {link[1:] for link in read.links if link.startswith("#")} <= set(read.ids)


def test_there_is_nothing_to_run_or_to_fetch(read: Read) -> None:
    assert read.tags.isdisjoint({"script", "link", "img", "iframe", "object", "embed", "form", "base"})
    assert not any(name == "style" or name.startswith("on") for name in read.attributes)


def test_the_policy_lets_its_own_style_in_and_nothing_else(read: Read) -> None:
    (style,) = read.texts["style"]
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    said = dict(each.strip().partition(" ")[::2] for each in page().policy.split(";"))
    assert said == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert "url(" not in style
    assert "@import" not in style


def test_what_the_document_says_is_text_and_no_markup() -> None:
    evil = "<script>alert(1)</script>"
    content = {"application/json": {"schema": {"type": "string", "enum": [evil]}, "example": evil}}
    operation: dict[str, Any] = {
        "operationId": "x",
        "tags": ["T"],
        "summary": evil,
        "description": evil,
        "security": [],
        "parameters": [{"name": evil, "in": "query", "schema": {"const": evil}, "description": evil}],
        "responses": {"200": {"description": evil, "content": content}},
    }
    shape = {"type": "object", "description": evil, "properties": {evil: {"type": evil, "default": evil}}}
    made = render(
        {
            "info": {"title": evil, "summary": evil, "description": evil},
            "tags": [{"name": "T", "description": evil}],
            "paths": {f"/{evil}": {"get": operation}},
            "components": {"schemas": {evil: shape}, "securitySchemes": {evil: {"description": evil}}},
        }
    )
    read = Read(made.html.decode())
    assert "script" not in read.tags
    assert evil in read.texts["h1"]


def test_a_body_is_shown_as_a_command_that_a_shell_reads_as_meant() -> None:
    value = {"text": "it's $HOME"}
    content = {"application/json": {"schema": {"type": "object"}, "example": value}}
    operation = {
        "operationId": "x",
        "tags": ["T"],
        "summary": "s",
        "security": [],
        "requestBody": {"content": content},
        "responses": {},
    }
    made = render(
        {
            "info": {"title": "t", "summary": "s"},
            "tags": [{"name": "T"}],
            "paths": {"/x": {"post": operation}},
            "components": {"schemas": {}, "securitySchemes": {}},
        }
    )
    (command,) = (text for text in Read(made.html.decode()).texts["code"] if text.startswith("curl"))
    assert "-H 'content-type: application/json'" in command
    assert """-d '{\n  "text": "it'"'"'s $HOME"\n}'""" in command
