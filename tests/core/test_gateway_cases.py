"""Numbered cases of the translation sheet that the request path decides, whatever the dialects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from core.dialects.sheet import case
from core.gateway_house import (
    ANTHROPIC,
    ANTHROPIC_WHOLE,
    MESSAGES,
    OPENAI,
    WHOLE,
    House,
    Script,
    anthropic_like,
    openai_like,
    reply,
)

from aigateway_core.dialects.dialect import Dialect
from aigateway_core.model import JsonObject, ModelInfo
from aigateway_core.plugin import Provider

pytestmark = pytest.mark.anyio


def knowing(provider: Provider, most: int | None) -> Provider:
    """The same provider, which knows how many tokens its one model answers with at most."""
    provider.models = (ModelInfo(id="m", max_output_tokens=most),)
    return provider


@pytest.mark.parametrize(
    ("client", "make", "whole", "field", "most", "expected"),
    [
        case(39, "to_chat", ANTHROPIC, openai_like, WHOLE, "max_completion_tokens", 98304, 98304),
        case(39, "to_messages", OPENAI, anthropic_like, ANTHROPIC_WHOLE, "max_tokens", 98304, 98304),
        case(39, "within_the_limit", ANTHROPIC, openai_like, WHOLE, "max_completion_tokens", 200000, 128000),
        case(39, "limit_not_known", ANTHROPIC, openai_like, WHOLE, "max_completion_tokens", None, 128000),
    ],
)
async def test_no_more_tokens_are_asked_for_than_the_model_has(
    client: Dialect,
    make: Callable[[], Any],
    whole: JsonObject,
    field: str,
    most: int | None,
    expected: int,
) -> None:
    it = House(Script(a=[reply(whole)]), knowing(make(), most), "a")
    await it.whole({**MESSAGES, "max_tokens": 128_000}, client)
    [(_, sent)] = it.script.seen
    assert sent[field] == expected
