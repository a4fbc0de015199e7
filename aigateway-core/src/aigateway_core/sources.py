"""Where settings are said: a YAML file, the environment laid over it, and what the two refer to.

The result is one untyped tree; :func:`aigateway_core.settings.load` gives it its types.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs
import yaml
from typing_extensions import override

from aigateway_core.converter import EnvironmentText, Reference
from aigateway_core.errors import SettingsError
from aigateway_core.paths import path

APPLICATION = "aigateway"
"""The name of the user's configuration and data folders."""

CONFIG_VARIABLE = "AIGATEWAY_CONFIG"
PREFIX = "AIGATEWAY__"

_MAX_REFERRED_BYTES = 64 << 10

Tree = dict[str, Any]


def find(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The configuration file: the one that was named, or the first of the usual places; None when there is none.

    Raises :class:`SettingsError` when what was named is no path.
    """
    if config is not None:
        return config
    if named := environ.get(CONFIG_VARIABLE):
        try:
            return path(named)
        except ValueError as error:
            raise SettingsError([f"{CONFIG_VARIABLE}: {error}"]) from error
    usual = (
        Path("config.yaml"),
        Path("config", "config.yaml"),
        platformdirs.user_config_path(APPLICATION, appauthor=False) / "config.yaml",
    )
    return next((each for each in usual if each.is_file()), None)


def read(source: Path) -> Tree:
    """The tree in a YAML file. Raises :class:`SettingsError` when there is no readable file, or no mapping in it."""
    try:
        text = source.read_text("utf-8")
        tree = yaml.load(text, _UniqueKeys)  # noqa: S506 - a subclass of the safe loader
    except OSError as error:
        raise SettingsError([f"{source}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise SettingsError([f"{source}: is not UTF-8 text (byte {error.start})"]) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise SettingsError([f"{source}: {place}{error.problem}"]) from error
    except yaml.YAMLError as error:
        raise SettingsError([f"{source}: is not YAML: {' '.join(str(error).split())}"]) from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise SettingsError([f"{source}: expected a mapping of sections (server, database, …)"])
    return tree


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that is written twice, of which YAML would silently keep the last."""

    @override
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"the key {key.value!r} is written twice", problem_mark=key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def overlay(tree: Tree, environ: Mapping[str, str]) -> list[str]:
    """Lay ``AIGATEWAY__SECTION__KEY`` over the tree, in place; returns what stood in the way."""
    problems: list[str] = []
    for variable in sorted(name for name in environ if name.startswith(PREFIX)):
        *sections, key = variable.removeprefix(PREFIX).lower().split("__")
        place: Any = tree
        for section in sections:
            name = _written(place, section)
            if place.get(name) is None:
                place[name] = {}
            place = place[name]
            if not isinstance(place, dict):
                problems.append(f"{variable}: {name} is not a section")
                break
        else:
            place[_written(place, key)] = EnvironmentText(environ[variable], variable)
    return problems


def _written(section: Mapping[Any, Any], word: str) -> str:
    """How the file spells ``word``: a variable's name has neither hyphens nor lower-case letters."""
    plain = word.replace("-", "_")
    return next((key for key in section if isinstance(key, str) and key.lower().replace("-", "_") == plain), word)


def referring(value: Any, environ: Mapping[str, str]) -> Any:
    """``value`` with every ``{env: NAME}`` and ``{file: PATH}`` in it looked up."""
    if isinstance(value, list):
        return [referring(element, environ) for element in value]
    if not isinstance(value, dict):
        return value
    match list(value.items()):
        case [("env", str(name))]:
            return _from_environment(value, name, environ)
        case [("file", str(name))]:
            return _from_file(value, name)
    return {key: referring(inner, environ) for key, inner in value.items()}


def _from_environment(written: Tree, name: str, environ: Mapping[str, str]) -> Reference:
    if found := environ.get(name):
        return Reference(written, found)
    return Reference(written, None, f"the environment variable {name} is not set")


def _from_file(written: Tree, name: str) -> Reference:
    try:
        with path(name).open("rb") as file:
            found = file.read(_MAX_REFERRED_BYTES).decode("utf-8").rstrip("\r\n")
    except OSError as error:
        return Reference(written, None, f"the file {name} cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        return Reference(written, None, f"the file {name} is not UTF-8 text")
    except ValueError as error:
        return Reference(written, None, f"the file cannot be read: {error}")
    return Reference(written, found) if found else Reference(written, None, f"the file {name} is empty")
