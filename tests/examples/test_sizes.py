"""A provider stays small: when a change of the plugin API makes these grow, the change is wrong."""

from __future__ import annotations

import ast
from importlib.metadata import entry_points
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
MOST_LINES = {"echo": 60, "acme": 60, "nimbus": 25}


def code_lines(source: str) -> int:
    """Lines that somebody has to think of: neither blank, nor words about the code, nor the list of imported names."""
    besides: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        words = (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        )
        if words or isinstance(node, ast.Import | ast.ImportFrom):
            besides.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(source.splitlines(), start=1)
    return sum(bool(line.strip()) and not line.lstrip().startswith("#") and at not in besides for at, line in lines)


@pytest.mark.parametrize(("name", "most"), MOST_LINES.items())
def test_an_example_is_as_small_as_promised(name: str, most: int) -> None:
    [path] = EXAMPLES.glob(f"aigateway-{name}/src/*/*.py")
    assert 0 < code_lines(path.read_text(encoding="utf-8")) <= most


@pytest.mark.parametrize("name", MOST_LINES)
def test_an_example_is_installed_as_a_plugin(name: str) -> None:
    [entry] = entry_points(group="aigateway", name=name)
    [spec] = entry.load().aigateway_register_providers()
    assert spec.name == name
    assert spec.build(spec.config()).models


def test_every_example_has_its_size() -> None:
    assert {path.name.removeprefix("aigateway-") for path in EXAMPLES.glob("aigateway-*")} == set(MOST_LINES)
