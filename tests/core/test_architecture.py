"""Who may import whom. The rules are data; what breaks one is named with its file and line."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "aigateway-core" / "src" / "aigateway_core"
PLUGINS = sorted([*ROOT.glob("aigateway-*/src/*"), *ROOT.glob("examples/*/src/*")])

WORDS = {"model", "events", "records", "errors", "secret", "jsontext"}
"""The vocabulary: what everybody may speak in."""

MAY_IMPORT: dict[str, set[str]] = {
    # The vocabulary itself.
    "errors": set(),
    "secret": set(),
    "model": set(),
    "events": {"model"},
    "jsontext": {"errors", "model"},
    "records": {"errors"},
    # Wire formats: no I/O.
    "dialects": {"model", "events", "errors", "jsontext", "secret"},
    # The wire.
    "replies": set(),
    "bodies": {"dialects", "errors", "replies"},
    "faults": {"dialects", "errors"},
    "relaying": set(),
    "signing": {"secret"},
    "outgoing": {"relaying", "bodies", "errors", "faults", "jsontext", "replies", "signing"},
    "upstream": {"bodies", "faults", "dialects", "errors", "outgoing", "replies", "secret"},
    "addresses": {"errors", "secret"},
    "engine": {"addresses", "faults", "errors"},
    # What plugins see, the plugins that come along, and the tests for plugins.
    "plugin": WORDS | {"upstream", "signing", "faults", "dialects"},
    "builtin": {"plugin"},
    "testing": {"plugin"},
    "_pytest_plugin": {"plugin", "testing"},
    # What outlives a request. Others know the values and protocols (storage.rows, state), not what is behind them.
    "disk": set(),
    "vault": {"disk", "errors", "secret"},
    "state": {"model", "records", "errors", "secret", "vault"},
    "storage.rows": {"records", "errors", "secret"},
    "assignment": set(),
    "storage": {"model", "records", "errors", "secret", "vault", "storage.rows", "assignment"},
    # Settings, and the loading of plugins.
    "paths": set(),
    "converter": {"errors", "paths", "secret"},
    "structuring": {"converter", "errors", "secret"},
    "sources": {"converter", "errors", "paths", "secret"},
    "environment_keys": {"secret"},
    "settings": {"environment_keys", "converter", "structuring", "sources", "errors", "secret", "addresses"},
    "logs": {"secret", "settings"},
    "startup_files": set(),
    "plugins": {"builtin", "plugin", "settings", "startup_files", "structuring", "errors", "secret"},
    "plugin_settings": {"plugin", "plugins", "settings", "structuring", "errors", "secret"},
    "assembly": WORDS
    | {"builtin", "ledger", "plugin", "plugin_settings", "plugins", "settings", "snapshot", "structuring"},
    # The request path: a later step never calls an earlier one.
    "snapshot": WORDS | {"plugin", "dialects", "upstream"},
    "routing": WORDS | {"snapshot"},
    "affinity": WORDS,
    "escalation": WORDS,
    "accounts": WORDS | {"escalation", "affinity", "routing", "snapshot", "state"},
    "standings": {"errors", "records", "state", "storage.rows"},
    "key_limits": WORDS | {"state"},
    "egress": WORDS | {"engine", "upstream", "snapshot"},
    "token_spool": {"disk", "vault"},
    "token_keeping": {"errors", "token_spool"},
    "renewal": WORDS
    | {"egress", "snapshot", "storage.rows", "structuring", "plugin", "token_keeping", "token_spool", "upstream"},
    "credentials": WORDS | {"renewal", "signing", "snapshot", "plugin"},
    "lanes": {"records", "plugin"},
    "recording": WORDS | {"lanes", "routing", "plugin"},
    "headers": set(),
    "patience": set(),
    "restraint": {"errors", "routing"},
    "exchange": WORDS | {"dialects", "upstream", "plugin", "headers"},
    "translation": WORDS | {"dialects", "upstream", "plugin", "exchange", "headers"},
    "counting": WORDS | {"dialects", "upstream", "plugin", "exchange", "headers"},
    "operations": WORDS | {"dialects", "routing", "exchange", "translation", "counting"},
    "answers": WORDS | {"dialects", "exchange", "recording"},
    "gateway": WORDS
    | {"answers", "patience", "restraint"}
    | {"dialects", "routing", "affinity", "accounts", "egress", "credentials", "upstream", "recording", "exchange"}
    | {"operations", "snapshot", "key_limits"},
    # Beside the path.
    "guesses": {"errors", "state"},
    "access": WORDS | {"snapshot", "guesses"},
    "catalogue": WORDS | {"routing", "snapshot"},
    "spool": {"records", "errors"},
    "ledger": WORDS | {"spool"},
    "retention": {"errors", "state"},
    "metrics": {"records"},
    "readiness": set(),
    "proxy_pool": WORDS | {"egress", "storage.rows"},
    "live": WORDS | {"credentials", "snapshot", "state", "storage.rows", "structuring", "plugin"},
    "login_answers": {"errors"},
    "logins": WORDS | {"login_answers", "addresses", "renewal", "snapshot", "storage.rows", "structuring", "plugin"},
    "checkup": WORDS | {"credentials", "plugin", "renewal", "snapshot", "storage.rows", "structuring", "upstream"},
    "administration": WORDS
    | {"logins", "checkup", "addresses", "assignment", "converter", "routing", "snapshot", "state", "storage.rows"}
    | {"structuring", "plugin"},
    # What happens with call records, from the start to the end: it puts together the parts that do it.
    "bookkeeping": WORDS
    | {"assembly", "ledger", "metrics", "recording", "restraint", "retention", "settings", "snapshot", "spool", "state"}
    | {"storage"},
    "office": WORDS
    | {"administration", "assembly", "logins", "checkup", "addresses", "egress", "renewal", "state", "storage"},
    # HTTP.
    "openapi": {"jsontext"},
    "resources": WORDS
    | {
        "openapi",
        "metrics",
        "guesses",
        "readiness",
        "logins",
        "gateway",
        "answers",
        "dialects",
        "access",
        "catalogue",
        "administration",
    }
    | {"storage.rows"},
    "app": WORDS
    | {"metrics", "readiness", "resources", "gateway", "dialects", "access", "catalogue", "administration"},
    # From the settings to what they name, and what an operator does with it.
    "stores": {"settings", "secret", "state", "storage", "vault"},
    "first_look": {"access", "assembly", "stores", "settings", "secret", "storage", "errors"},
    "provisioning": {"assembly", "stores", "settings", "storage", "errors"},
    # The outermost ring.
    "server": {"relaying", "bootstrap", "settings", "errors", "jsontext", "logs"},
    # The command shows what bootstrap hands it: the administration, the plugins, the snapshot's values.
    "__main__": {"cli"},
    "cli": WORDS
    | {"bootstrap", "provisioning", "server", "settings", "logs", "structuring"}
    | {"administration", "logins", "plugins", "plugin", "snapshot"},
}
"""By module or package of the core: which others it may import. ``bootstrap`` may import everything."""

ONLY_IN: dict[str, set[str]] = {
    "falcon": {"app", "resources"},
    "pony": {"storage"},
    "pymysql": {"storage"},
    "redis": {"state"},
    "uvicorn": {"server"},
    "pluggy": {"plugin", "plugins"},
    "aiohttp": {"engine"},
    "aiohttp_socks": {"engine"},
    "httpx": {
        "engine",
        "egress",
        "upstream",
        "outgoing",
        "replies",
        "signing",
        "bodies",
        "faults",
        "credentials",
        "renewal",
        "builtin",
        "plugin",
        "testing",
    },
    "typer": {"cli"},
    "jinja2": {"openapi"},
    "markdown_it": {"openapi"},
    "markupsafe": {"openapi"},
    "cryptography": {"vault"},
    "prometheus_client": {"metrics"},
    "pytest": {"testing", "_pytest_plugin"},
}
"""Libraries that only these parts of the core may know."""

FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "manager", "service", "base", "common", "misc"}
MOST_LINES = 350


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from aigateway_core import model` names a module too.
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def files(folders: Iterable[Path]) -> list[Path]:
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def unit_of(dotted: str) -> str | None:
    """The part of the core that a module belongs to: the longest name in the table that it begins with."""
    known = [unit for unit in (*MAY_IMPORT, "bootstrap") if dotted == unit or dotted.startswith(f"{unit}.")]
    return max(known, key=len, default=None)


def own_unit(path: Path) -> str | None:
    return unit_of(".".join(path.relative_to(CORE).with_suffix("").parts))


def at(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def test_every_part_of_the_core_has_its_rule() -> None:
    unknown = [at(path, 1) for path in files([CORE]) if own_unit(path) is None and path.name != "__init__.py"]
    assert not unknown, f"say in MAY_IMPORT what these may import: {unknown}"
    gone = [
        unit
        for unit in MAY_IMPORT
        if not (CORE / unit.replace(".", "/")).is_dir() and not (CORE / f"{unit.replace('.', '/')}.py").exists()
    ]
    assert not gone, f"there is no such part any more: {gone}"


def test_the_core_imports_in_one_direction() -> None:
    broken = [
        f"{at(path, line)}: {unit} must not import {name}"
        for path in files([CORE])
        if (unit := own_unit(path)) not in (None, "bootstrap")
        for line, name in imports_of(path)
        if name.startswith("aigateway_core.")
        and (other := unit_of(name.removeprefix("aigateway_core."))) not in (None, unit)
        and other not in MAY_IMPORT[unit]
    ]
    assert not broken, "\n" + "\n".join(broken)


def test_libraries_stay_where_they_belong() -> None:
    broken = [
        f"{at(path, line)}: {library} belongs into {', '.join(sorted(ONLY_IN[library]))}"
        for path in files([CORE])
        for line, name in imports_of(path)
        if (library := name.partition(".")[0]) in ONLY_IN
        and (own_unit(path) or "").partition(".")[0] not in ONLY_IN[library]
    ]
    assert not broken, "\n" + "\n".join(broken)


def test_plugins_import_the_plugin_api_and_nothing_else_of_ours() -> None:
    broken = [
        f"{at(path, line)}: {name}"
        for package in PLUGINS
        if package != CORE
        for path in files([package])
        for line, name in imports_of(path)
        if name.startswith("aigateway_") and not name.startswith(("aigateway_core.plugin.", f"{package.name}."))
    ]
    assert not broken, "a plugin may import aigateway_core.plugin alone:\n" + "\n".join(broken)


def test_the_tests_of_the_examples_use_what_a_stranger_has() -> None:
    broken = [
        f"{at(path, line)}: {name}"
        for folder in ROOT.glob("examples/*/tests")
        for path in files([folder])
        for line, name in imports_of(path)
        if name.startswith("aigateway_core.")
        and not name.startswith(("aigateway_core.plugin.", "aigateway_core.testing."))
    ]
    assert not broken, "\n".join(broken)


def test_no_plugin_goes_round_the_names_that_the_api_exports() -> None:
    """``aigateway_core.plugin.provider`` is a detail; ``from aigateway_core.plugin import Provider`` is the promise."""
    broken = [
        f"{at(path, line)}: {name}"
        for package in PLUGINS
        if package != CORE
        for path in files([package])
        for line, name in imports_of(path)
        if name.startswith("aigateway_core.plugin.") and name.count(".") > 2
    ]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("path", files(PLUGINS), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_short_and_its_name_says_something(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES, f"{lines} lines: split it by its nouns"
    assert path.stem not in FORBIDDEN_NAMES
    assert not FORBIDDEN_NAMES & set(path.parts[len(ROOT.parts) :])
