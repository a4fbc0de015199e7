"""How commands reach what an operator may change: through the same code as the admin API."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aigateway_core import bootstrap
from aigateway_core.administration import Administration
from aigateway_core.cli.options import ConfigFile
from aigateway_core.settings import load

PAGE = 200
"""Rows of a list at a time."""

T = TypeVar("T")


def administer(config: ConfigFile, deed: Callable[[Administration], Awaitable[T]]) -> T:
    """Do this with the storage of this configuration."""

    async def run() -> T:
        async with bootstrap.administration(bootstrap.assemble(load(config))) as administration:
            return await deed(administration)

    return asyncio.run(run())


async def every(page: Callable[[int], Awaitable[dict[str, Any]]]) -> list[dict[str, Any]]:
    """All rows of a list; ``page`` gives those from an offset on."""
    found: list[dict[str, Any]] = []
    while True:
        answer = await page(len(found))
        found += answer["data"]
        if not answer["data"] or len(found) >= answer["total"]:
            return found


def given(**values: Any) -> dict[str, Any]:
    """What was said of these."""
    return {name: value for name, value in values.items() if value is not None}
