"""``requirements.lock``: what the image is made of, to the byte."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCK = (ROOT / "requirements.lock").read_text("utf-8")
ENTRY = re.compile(r"^([a-z0-9-]+)==(\S+)([^\\\n]*)((?: \\\n +--hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE)
SMALL = ("pluggy", "idna")


def entries() -> dict[str, str]:
    """Each distribution with its version."""
    return {found[1]: found[2] for found in ENTRY.finditer(LOCK)}


def everywhere() -> set[str]:
    """Those that are not for one system or one Python alone."""
    return {found[1] for found in ENTRY.finditer(LOCK) if not found[3].strip()}


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))


def test_x_01_every_entry_has_hashes_and_there_is_nothing_else_and_no_address() -> None:
    rest = ENTRY.sub("", LOCK)
    assert [line for line in rest.splitlines() if line and not line.startswith("#")] == []
    assert "://" not in LOCK


def test_x_01_it_has_the_versions_that_everything_is_tested_with() -> None:
    assert set(entries().items()) <= set(pins().items())


def test_x_01_it_is_complete() -> None:
    """All that the core asks for, and all that asks for in turn, as far as it is installed here."""
    needed = _closure()
    assert len(needed) > 30
    assert needed - set(entries()) == {"aigateway-core"}


def _required(name: str) -> Iterator[str]:
    try:
        lines = requires(name) or ()
    except PackageNotFoundError:
        return  # of another system or another Python
    for each in map(Requirement, lines):
        if each.marker is None or each.marker.evaluate({"extra": ""}):
            yield canonicalize_name(each.name)


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """Two small entries of it."""
    file = tmp_path / "part.lock"
    file.write_text("\n".join(found[0] for found in ENTRY.finditer(LOCK) if found[1] in SMALL), "utf-8")
    return file


def install(part: Path) -> subprocess.CompletedProcess[str]:
    options = ["--require-hashes", "--only-binary", ":all:", "--no-deps", "--target", str(part.parent / "installed")]
    command = [sys.executable, "-m", "pip", "install", "--quiet", *options, "-r", str(part)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


def test_x_01_what_has_the_hash_of_the_lock_is_installed_and_nothing_else_is(part: Path) -> None:
    installed = part.parent / "installed"
    flipped = part.read_text("utf-8")
    for name in SMALL:
        entry = next(found[0] for found in ENTRY.finditer(flipped) if found[1] == name)
        wrong = re.sub(r"sha256:(.)", lambda found: "sha256:" + ("0" if found[1] != "0" else "1"), entry)
        right, text = part.read_text("utf-8"), flipped.replace(entry, wrong)
        part.write_text(text, "utf-8")
        refused = install(part)
        assert refused.returncode != 0
        assert "DO NOT MATCH THE HASHES" in refused.stderr
        assert not installed.exists()
        part.write_text(right, "utf-8")
    done = install(part)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in installed.iterdir() if path.suffix != ".dist-info"} >= set(SMALL)


def test_x_01_what_the_lock_does_not_name_is_not_installed(part: Path) -> None:
    part.write_text(f"{part.read_text('utf-8')}\nattrs\n", "utf-8")
    assert install(part).returncode != 0
    assert not (part.parent / "installed").exists()


def test_x_01_the_image_is_made_of_it() -> None:
    lines = (ROOT / "examples" / "Dockerfile").read_text("utf-8").replace("\\\n", " ").splitlines()
    installs = [line for line in lines if "pip install" in line]
    assert [("--require-hashes" in line, "--no-index" in line) for line in installs] == [(True, False), (False, True)]
    assert "--only-binary :all:" in installs[0]
    assert {"--no-deps", "--no-build-isolation"} <= set(installs[1].split())
    taken_out = set(installs[1].partition("uninstall --yes ")[2].partition(" &&")[0].split())
    assert taken_out == everywhere() - _closure()


def _closure() -> set[str]:
    needed, found = ["aigateway-core"], set()
    while needed:
        name = needed.pop()
        if name not in found:
            found.add(name)
            needed += _required(name)
    return found
