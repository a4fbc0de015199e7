"""What the code itself may not hold, and what importing it may not do."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.catalogue import carried

ROOT = Path(__file__).resolve().parents[2]

EXCUSED = {
    "S101": "what a type checker cannot see",
    "S104": "an address that is compared, not bound",
    "S105": "a word that is no password",
    "S107": "a word that is no password",
    "S311": "a pause that is spread, which hides nothing",
    "S506": "a subclass of the safe loader",
    "S608": "SQL that is made of constants of ours",
    "S704": "markup of our own files",
}
"""The rules of ruff's bandit that a line of the product may be excused from, and what for."""


def sources() -> Iterator[tuple[Path, str]]:
    for pattern in ("aigateway-*/src/**/*.py", "examples/*/src/**/*.py"):
        yield from ((path.relative_to(ROOT), path.read_text("utf-8")) for path in ROOT.glob(pattern))


def lines_with(pattern: str) -> list[str]:
    found = re.compile(pattern)
    return [f"{path}: {line.strip()}" for path, text in sources() for line in text.splitlines() if found.search(line)]


def test_x_03_the_rules_of_bandit_are_on_and_the_product_is_excused_from_few() -> None:
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["ruff"]["lint"]
    assert {"S", "BLE", "T20", "ASYNC"} <= set(lint["select"])
    assert [rule for rule in lint["ignore"] if rule.startswith("S")] == []
    softened = {
        place: rules
        for place, given in lint["per-file-ignores"].items()
        if (rules := {rule for rule in given if re.fullmatch(r"S\d*", rule)}) and "tests/" not in place
    }
    assert {rule for rules in softened.values() for rule in rules} <= {"S101", "S105"}, softened
    said = [each for _, text in sources() for each in re.findall(r"# noqa: ([\w, ]+)", text)]
    assert {rule for rules in said for rule in re.findall(r"\bS\d+", rules)} <= set(EXCUSED)
    assert lines_with(r"# noqa(?!:)") == []
    assert lines_with(r"#\s*(nosec|type: ignore(?!\[))") == []


def test_s_24_no_line_leaves_tls_unverified() -> None:
    assert lines_with(r"verify\s*=\s*False|CERT_NONE|CERT_OPTIONAL|_create_unverified|check_hostname\s*=\s*False") == []
    assert lines_with(r"ssl\s*=\s*False|verify_ssl|TLSv1\b|TLSv1_1|PROTOCOL_TLS\b|SECLEVEL|OP_LEGACY") == []


def test_x_03_no_distribution_brings_a_file_that_runs_at_every_start() -> None:
    planted = [path for path in ROOT.glob("*/src/**/*") if path.suffix == ".pth" or path.stem == "sitecustomize"]
    assert planted == []


IMPORT_ALL = """
import importlib, pkgutil, sys

def hook(event, arguments):
    if event.startswith(("socket.connect", "socket.getaddrinfo", "socket.bind", "subprocess", "os.system", "os.exec",
                         "os.posix_spawn", "urllib", "os.fork")):
        print("did", event, file=sys.stderr)
        raise SystemExit(3)
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        if not str(arguments[0]).endswith(".pyc") and "__pycache__" not in str(arguments[0]):
            print("wrote", arguments[0], file=sys.stderr)
            raise SystemExit(4)

sys.addaudithook(hook)
package = importlib.import_module("aigateway_core")
names = [found.name for found in pkgutil.walk_packages(package.__path__, "aigateway_core.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(len(names))
"""


@pytest.mark.timeout(120)
def test_x_03_importing_it_asks_no_network_starts_nothing_and_writes_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-B", "-c", IMPORT_ALL], capture_output=True, text=True, check=False, timeout=110
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 150


def test_what_the_security_page_promises_is_shown_by_tests() -> None:
    promised = set(re.findall(r"\b[SX]-\d\d\b", (ROOT / "SECURITY.md").read_text("utf-8")))
    assert len(promised) > 15
    assert promised <= set(carried())
