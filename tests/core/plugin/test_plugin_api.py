"""What plugins may rely on is written down, so that no change of it goes unseen."""

from __future__ import annotations

import collections.abc
import inspect
import re
import typing
from difflib import unified_diff
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from core.plugin.public_api import PUBLIC, text

PINNED = Path(__file__).with_name("public_api.txt")


def test_names_and_signatures_are_the_pinned_ones() -> None:
    pinned = PINNED.read_text(encoding="utf-8").splitlines()
    changes = list(unified_diff(pinned, text().splitlines(), "pinned", "now", lineterm="", n=0))
    assert not changes, (
        "the public API has changed. If that is meant, say it in CHANGELOG.md and run\n"
        "python tests/core/plugin/public_api.py > tests/core/plugin/public_api.txt\n" + "\n".join(changes)
    )


def test_every_type_in_a_public_signature_is_public_itself() -> None:
    private = {"ConfigT"}
    ours = {
        name
        for part in ("model", "events", "errors", "records", "upstream", "dialects.dialect", "plugin.provider")
        for name in vars(import_module(f"aigateway_core.{part}"))
        if name[0].isupper() and not name.isupper()
    }
    ours -= set(vars(typing)) | set(vars(collections.abc)) | private
    used = set(re.findall(r"\b[A-Z][A-Za-z]+\b", re.sub(r"^\S*|\"[^\"]*Literal.*?\"", "", text(), flags=re.MULTILINE)))
    public = {name for module in PUBLIC for name in module.__all__}
    assert sorted((used & ours) - public) == []


@pytest.mark.parametrize("module", PUBLIC, ids=lambda module: module.__name__)
def test_every_public_name_is_there_once_and_in_order(module: ModuleType) -> None:
    names = module.__all__
    assert list(names) == sorted(set(names))
    assert all(hasattr(module, name) for name in names)


@pytest.mark.parametrize("module", PUBLIC, ids=lambda module: module.__name__)
def test_every_public_class_and_function_says_what_it_is(module: ModuleType) -> None:
    named = [(name, getattr(module, name)) for name in module.__all__]
    silent = [
        name for name, value in named if isinstance(value, type) or inspect.isfunction(value) if not value.__doc__
    ]
    assert not silent
