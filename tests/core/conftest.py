"""Small real parts that the tests of the request path are put together from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

import httpx
import pytest
from clock import Clock

from aigateway_core.events import StreamEvent, StreamFinish, StreamStart, TextDelta, UsageUpdate
from aigateway_core.model import ChatRequest, ChatResponse, ModelInfo, TextPart, Usage
from aigateway_core.records import Account
from aigateway_core.snapshot import ProviderEntry
from aigateway_core.upstream import Upstream


@pytest.fixture
def clock() -> Clock:
    return Clock()


class PlainProvider:
    """A provider on a wire of its own: posts to one address and says back what came."""

    def __init__(
        self, models: Sequence[ModelInfo] = (), patterns: Sequence[str] = (), url: str = "http://vendor.test/"
    ) -> None:
        self.models = models
        self.model_patterns = patterns
        self._url = url

    async def complete(self, request: ChatRequest, upstream: Upstream) -> ChatResponse:
        reply = await upstream.post(self._url, json={"model": request.model})
        return ChatResponse(
            id="r1", model=request.model, parts=(TextPart(reply.text),), usage=Usage(input_tokens=1, output_tokens=2)
        )

    async def stream(self, request: ChatRequest, upstream: Upstream) -> AsyncIterator[StreamEvent]:
        async with upstream.stream(self._url, json={"model": request.model, "stream": True}) as reply:
            yield StreamStart("r1", request.model)
            async for line in reply.lines():
                yield TextDelta(line)
        yield UsageUpdate(Usage(input_tokens=1, output_tokens=2))
        yield StreamFinish("stop")


class NoStrategy:
    """Signs nothing."""

    credential = object

    def auth(self, account: Account) -> httpx.Auth:
        return httpx.Auth()


@pytest.fixture
def entry() -> Callable[..., ProviderEntry]:
    """Makes a configured provider: ``entry("acme", models=["a"], patterns=["a-*"])``."""

    def make(
        name: str = "acme", *, models: Sequence[str | ModelInfo] = (), patterns: Sequence[str] = (), priority: int = 0
    ) -> ProviderEntry:
        known = [model if isinstance(model, ModelInfo) else ModelInfo(id=model) for model in models]
        return ProviderEntry(
            id=name,
            kind=name,
            title=name,
            provider=PlainProvider(known, patterns),
            strategy=NoStrategy(),
            strategy_name="none",
            priority=priority,
        )

    return make
