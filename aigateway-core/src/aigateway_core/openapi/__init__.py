"""The API's document: OpenAPI 3.1 in several files, and the one piece that it is served in.

``index.yaml`` names every path and holds what operations share, ``paths/*.yaml`` have the operations,
``schemas/*.yaml`` the shapes. They refer to each other by relative file names, as any tool for OpenAPI reads them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any

import yaml

from aigateway_core.jsontext import dumps

FOLDER = Path(__file__).parent
_INDEX = "index.yaml"
_SCHEMAS = "schemas/"
_loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def bundle() -> dict[str, Any]:
    """The whole document: schemas become components, other parts stand where they were referred to.

    Reads some dozen files, which takes a tenth of a second.
    """
    return _Bundler().bundled()


@cache
def bundled_json() -> bytes:
    """:func:`bundle`, ready to be sent; made once."""
    return dumps(bundle())


class _Bundler:
    """Follows references from file to file."""

    def __init__(self) -> None:
        self._files: dict[str, Any] = {}
        self._schemas: dict[str, tuple[str, Any]] = {}

    def bundled(self) -> dict[str, Any]:
        """All of it, with the schemas in the order of their names."""
        document: dict[str, Any] = self._read(_INDEX, self._file(_INDEX))
        components = document.setdefault("components", {})
        components["schemas"] = {name: self._schemas[name][1] for name in sorted(self._schemas)}
        return document

    def _file(self, name: str) -> Any:
        if name not in self._files:
            self._files[name] = yaml.load((FOLDER / name).read_text(encoding="utf-8"), Loader=_loader)  # noqa: S506
        return self._files[name]

    def _read(self, here: str, value: Any) -> Any:
        """``value``, which stands in the file ``here``, with every reference as the whole document has it."""
        if isinstance(value, list):
            return [self._read(here, each) for each in value]
        if not isinstance(value, dict):
            return value
        if isinstance(said := value.get("$ref"), str):
            beside = {name: self._read(here, each) for name, each in value.items() if name != "$ref"}
            return self._followed(here, said, beside)
        return {name: self._read(here, each) for name, each in value.items()}

    def _followed(self, here: str, said: str, beside: dict[str, Any]) -> Any:
        name, _, pointer = said.partition("#")
        target = normpath(join(dirname(here), name)) if name else here
        if target == _INDEX:
            return {"$ref": f"#{pointer}", **beside}
        value = self._file(target)
        for step in pointer.strip("/").split("/"):
            value = value[step]
        if not target.startswith(_SCHEMAS):
            return self._read(target, value)
        return {"$ref": f"#/components/schemas/{self._schema(target, pointer.strip('/'), value)}", **beside}

    def _schema(self, target: str, name: str, value: Any) -> str:
        """The name of a schema among the components. Raises :class:`ValueError` when two files have the same."""
        known = self._schemas.get(name)
        if known is None:
            self._schemas[name] = (target, None)  # a schema may refer to itself
            self._schemas[name] = (target, self._read(target, value))
        elif known[0] != target:
            raise ValueError(f"both {known[0]} and {target} have a schema {name}")
        return name
