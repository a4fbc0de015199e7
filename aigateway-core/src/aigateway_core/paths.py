"""Paths, as people write them."""

from __future__ import annotations

from pathlib import Path


def path(text: str) -> Path:
    """The path that is written so; ``~`` is a home. Raises :class:`ValueError` for what is none."""
    if "\0" in text:
        raise ValueError(f"expected a path, got {text!r}")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ValueError(f"nobody has the home of {text!r}") from None
