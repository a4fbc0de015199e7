"""The documents say what is so: links lead somewhere, code is the code, commands are the commands."""

from __future__ import annotations

import ast
import os
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from core.dialects import tables

from aigateway_core import metrics, plugin, testing
from aigateway_core.cli import app
from aigateway_core.plugin import hookspecs

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "aigateway-core" / "docs"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("*/*.md"), *DOCS.glob("*.md"), *ROOT.glob("examples/*/*.md")])
TUTORIAL = DOCS / "writing-a-provider.md"
CORE = ROOT / "aigateway-core" / "src" / "aigateway_core"

QUOTED = re.compile(r"^<!-- (\S+) -->\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def anchors(text: str) -> set[str]:
    """The anchors of the headings, as forges make them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", read(path), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        file, _, anchor = target.partition("#")
        leads_to = (path.parent / file).resolve() if file else path
        assert leads_to.exists(), f"{target} leads nowhere"
        assert not anchor or anchor in anchors(read(leads_to)), f"{target}: there is no such heading"


def test_code_in_the_tutorial_is_the_code_of_the_examples() -> None:
    quoted = dict(QUOTED.findall(read(TUTORIAL)))
    assert len(quoted) >= 5
    for name, code in quoted.items():
        assert code == read(ROOT / name), f"{name} and {TUTORIAL.name} differ: copy the one into the other"


def test_every_module_of_an_example_with_a_vendor_is_in_the_tutorial() -> None:
    quoted = dict(QUOTED.findall(read(TUTORIAL)))
    modules = {str(path.relative_to(ROOT)) for path in ROOT.glob("examples/*/src/*/*.py") if "echo" not in str(path)}
    assert modules <= set(quoted)


def test_ci_runs_the_test_command_of_the_readme() -> None:
    script = ROOT / ".ci" / "run"
    commands = [block.strip() for block in COMMAND.findall(read(ROOT / "README.md"))]
    [test_command] = [command for command in commands if command.endswith("/tox")]
    assert test_command in read(script).splitlines()
    assert os.access(script, os.X_OK)


def test_the_first_command_installs_what_is_here_and_starts_the_server() -> None:
    commands = [block.strip() for block in COMMAND.findall(read(ROOT / "README.md"))]
    [run] = [command for command in commands if command.endswith("aigateway-core server")]
    folders = re.findall(r" (\./\S+)", run)
    assert folders
    assert all((ROOT / folder / "pyproject.toml").exists() for folder in folders)


def commands_of(group: typer.Typer, *before: str) -> Iterator[str]:
    for command in group.registered_commands:
        name = command.name or (command.callback.__name__ if command.callback else "")
        yield " ".join((*before, name))
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            yield from commands_of(inner.typer_instance, *before, str(inner.name))


def test_commands_in_the_documents_exist() -> None:
    known = set(commands_of(app))
    groups = {name.partition(" ")[0] for name in known if " " in name}
    told: set[str] = set()
    for path in DOCUMENTS:
        for first, second in re.findall(r"aigateway-core ([a-z][a-z-]+)(?: ([a-z][a-z-]+))?", read(path)):
            if first in groups or first in known:
                told.add(f"{first} {second}" if first in groups else first)
    assert told
    assert told <= known, f"no such commands: {sorted(told - known)}"


@pytest.mark.anyio
async def test_every_metric_is_in_the_table_of_the_operators() -> None:
    page = (await metrics.Metrics(lambda: dict.fromkeys(metrics._GAUGES, 0)).page()).decode()
    names = re.findall(r"^# TYPE (\w+)", page, re.MULTILINE)
    table = re.findall(
        r"^\| `(aigateway_\w+)` \|", read(ROOT / "aigateway-core" / "docs" / "operations.md"), re.MULTILINE
    )
    assert names
    assert sorted(table) == sorted(names)


def test_every_hook_is_in_the_tutorial() -> None:
    hooks = [name for name in vars(hookspecs) if name.startswith("aigateway_register_")]
    assert len(hooks) == 3
    assert all(hook in read(TUTORIAL) for hook in hooks)


def test_every_name_in_code_font_that_looks_public_is_public() -> None:
    public = {*plugin.__all__, *testing.__all__}
    told = set(re.findall(r"`([A-Z][a-zA-Z]+)`", read(TUTORIAL)))
    assert told
    assert told <= public, f"not exported: {sorted(told - public)}"


# -- dependencies


def declared(*, extra: str | None = None) -> set[str]:
    project = tomllib.loads(read(ROOT / "aigateway-core" / "pyproject.toml"))["project"]
    asked = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return {re.match(r"[\w.-]+", requirement)[0] for requirement in asked}  # type: ignore[index]


def test_every_dependency_says_what_it_is_for() -> None:
    core, _, testing_part = read(DOCS / "dependencies.md").partition("## For tests")
    for text, names in ((core, declared()), (testing_part, declared(extra="testing"))):
        rows = re.findall(r"^\| ([\w.-]+) \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
        told = [name for name, *_ in rows if name not in ("distribution", "---")]
        assert set(told) == names
        assert told == sorted(told, key=str.lower)


DISTRIBUTION_OF = {
    "markdown_it": "markdown-it-py",
    "yaml": "PyYAML",
    "aiohttp_socks": "aiohttp-socks",
    "prometheus_client": "prometheus-client",
}


def test_every_library_that_is_imported_is_declared() -> None:
    imported: set[str] = set()
    for path in CORE.rglob("*.py"):
        for node in ast.walk(ast.parse(read(path))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    libraries = {DISTRIBUTION_OF.get(name, name) for name in imported - sys.stdlib_module_names - {"aigateway_core"}}
    assert libraries <= declared() | declared(extra="testing")


def test_constraints_are_names_and_versions_alone() -> None:
    lines = [line for line in read(ROOT / "constraints.txt").splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.]+", line) for line in lines)
    assert lines == sorted(lines, key=lambda line: line.partition("==")[0])
    pinned = {line.partition("==")[0] for line in lines}
    assert {re.sub(r"[-_.]+", "-", name).lower() for name in declared() | declared(extra="testing")} <= pinned


def test_the_tables_of_what_each_dialect_keeps_are_current() -> None:
    text = read(tables.DOCUMENT)
    assert sorted(name for _, name, *_ in tables.BLOCK.findall(text)) == sorted(tables.TABLES)
    assert text == tables.current(text), "run: PYTHONPATH=tests python tests/core/dialects/tables.py"


def test_every_glossary_word_is_told_once() -> None:
    words = re.findall(r"^\| \*\*(.+?)\*\*", read(DOCS / "glossary.md"), re.MULTILINE)
    assert len(words) > 30
    assert len(words) == len(set(words))
