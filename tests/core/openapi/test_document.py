"""The document of the API: valid, whole, and about the routes that there are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import falcon.inspect
import pytest
import yaml
from core.contract import METHODS, document, operations, problems, resolved
from openapi_spec_validator import OpenAPIV31SpecValidator

from aigateway_core import bootstrap
from aigateway_core.openapi import FOLDER, bundle
from aigateway_core.secret import Secret
from aigateway_core.settings import DatabaseSettings, KeySettings, PluginsSettings, Settings


def test_it_is_valid_in_one_piece() -> None:
    OpenAPIV31SpecValidator(document()).validate()


def test_it_is_valid_in_its_files() -> None:
    index = FOLDER / "index.yaml"
    OpenAPIV31SpecValidator(yaml.safe_load(index.read_text()), base_uri=index.as_uri()).validate()


def test_every_file_is_a_part_of_it() -> None:
    named = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.yaml")}
    said = {
        (file.parent / reference).resolve().relative_to(FOLDER).as_posix()
        for file in FOLDER.rglob("*.yaml")
        for reference in re.findall(r"\$ref: ([\w./]+\.yaml)#", file.read_text())
    }
    assert named == said | {"index.yaml"}


def test_every_part_of_a_file_is_used() -> None:
    unused = [
        f"{file.relative_to(FOLDER)}#/{name}"
        for file in [*FOLDER.glob("paths/*.yaml"), *FOLDER.glob("schemas/*.yaml")]
        for name in yaml.safe_load(file.read_text())
        if not any(re.search(rf"{file.name}#/{name}\b|\"#/{name}\"", each.read_text()) for each in _files())
    ]
    assert not unused


def _files() -> list[Path]:
    return sorted(FOLDER.rglob("*.yaml"))


def test_every_shared_part_is_used() -> None:
    text = str(document())
    unused = [
        f"{kind}/{name}"
        for kind, parts in document()["components"].items()
        for name in parts
        if kind != "securitySchemes" and f"#/components/{kind}/{name}'" not in text
    ]
    assert not unused


def test_no_reference_leads_out_of_it() -> None:
    strange = [said for said in _references(document()) if not said.startswith("#/components/")]
    assert not strange


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for each in node.values():
            yield from _references(each)
    elif isinstance(node, list):
        for each in node:
            yield from _references(each)


KEYWORDS = {
    *("$ref", "type", "enum", "const", "anyOf", "allOf", "properties", "required", "additionalProperties", "items"),
    *("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern", "format", "default"),
    *("description", "contentMediaType", "uniqueItems"),
}


def test_schemas_are_written_in_known_words() -> None:
    """A comma in a line of YAML makes a new key of half a sentence, and validators let unknown keywords pass."""
    strange = [
        f"{place}: {word}"
        for name, schema in document()["components"]["schemas"].items()
        for place, part in _schemas(schema, name)
        for word in part
        if word not in KEYWORDS
    ]
    assert not strange


def _schemas(schema: Any, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if not isinstance(schema, dict):
        return
    yield place, schema
    for name, each in schema.get("properties", {}).items():
        yield from _schemas(each, f"{place}.{name}")
    for word in ("items", "additionalProperties"):
        yield from _schemas(schema.get(word), f"{place}.{word}")
    for word in ("anyOf", "allOf"):
        for each in schema.get(word, []):
            yield from _schemas(each, place)


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """Path and method of everything that the app of a gateway answers."""
    settings = Settings(
        database=DatabaseSettings(path=tmp_path_factory.mktemp("openapi") / "gateway.db"),
        keys=KeySettings(admin=Secret("admin-key-of-these-tests")),
        plugins=PluginsSettings(allowed=frozenset()),
    )
    app = bootstrap.House(bootstrap.assemble(settings)).app
    return {
        (_bare(route.path), method.method.lower())
        for route in falcon.inspect.inspect_app(app).routes
        for method in route.methods
        if not method.internal
    }


def _bare(path: str) -> str:
    """A path without the names of its parameters, and without the method of Gemini's that stands behind a colon."""
    return re.sub(r"(?<=\}):\w+$", "", re.sub(r"\{[^}]*\}", "{}", path))


def test_the_routes_and_the_document_are_equal_sets(routes: set[tuple[str, str]]) -> None:
    documented = {(_bare(path), method) for path, method, _ in operations()}
    assert routes - documented == set(), "routes that the document does not have"
    assert documented - routes == set(), "documented, but nobody answers"


def test_every_operation_has_a_name_of_its_own_and_a_tag_that_is_known() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names))
    known = {tag["name"] for tag in document()["tags"]}
    assert {tag for _, _, operation in operations() for tag in operation["tags"]} == known


def test_every_admin_operation_asks_for_the_admin_key_but_the_callback() -> None:
    without = [
        path for path, _, said in operations() if path.startswith("/api/") and said["security"] != [{"adminKey": []}]
    ]
    assert without == ["/api/v1/oauth/callback"]


def test_every_parameter_of_a_path_is_told() -> None:
    for path, method, operation in operations():
        shared = document()["paths"][path].get("parameters", [])
        told = [resolved(each) for each in [*shared, *operation.get("parameters", [])]]
        assert {each["name"] for each in told if each["in"] == "path"} == set(re.findall(r"\{(\w+)\}", path)), method


def _examples() -> Iterator[Any]:
    for place, said in _places():
        for kind, content in said.get("content", {}).items():
            given = content.get("examples") or ({"": {"value": content["example"]}} if "example" in content else {})
            for name, each in given.items():
                yield pytest.param(content["schema"], each["value"], id=f"{place} {kind} {name}")


def _places() -> Iterator[tuple[str, Any]]:
    """Whatever may hold an example."""
    for path, method, operation in operations():
        yield f"{method} {path}", operation.get("requestBody", {})
        yield from ((f"{method} {path} {status}", said) for status, said in operation["responses"].items())
    for kind in ("requestBodies", "responses"):
        yield from document()["components"][kind].items()


@pytest.mark.parametrize(("schema", "value"), list(_examples()))
def test_an_example_is_what_its_schema_says(schema: Any, value: Any) -> None:
    assert problems(schema, value) == []


def test_an_admin_operation_that_takes_a_body_shows_one() -> None:
    bare = [
        operation["operationId"]
        for _, _, operation in operations()
        for content in resolved(operation.get("requestBody", {})).get("content", {}).values()
        if not content.get("examples")
    ]
    assert not bare


def test_it_is_made_anew_for_whoever_asks() -> None:
    """Nobody's change of the document is another one's document."""
    first = bundle()
    first["paths"].clear()
    assert set(bundle()["paths"]["/health"]) <= set(METHODS)
