"""Echo repeats what it was told: a provider without a vendor, so that a gateway answers before any key is owned."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from uuid import uuid4

import attrs

from aigateway_core.plugin import (
    ChatRequest,
    ChatResponse,
    ModelInfo,
    ProviderSpec,
    StreamEvent,
    StreamFinish,
    StreamStart,
    TextDelta,
    Upstream,
    Usage,
    UsageUpdate,
    fold,
    hookimpl,
)


@attrs.frozen(kw_only=True)
class EchoConfig:
    """``delay`` is the pause before each word, in seconds: 0.2 lets one watch a stream."""

    delay: float = 0.0


class EchoProvider:
    """Answers with the text of the last user message, streamed word by word."""

    models = (ModelInfo(id="echo-1", display_name="Echo"),)
    model_patterns = ()

    def __init__(self, config: EchoConfig) -> None:
        self._delay = config.delay

    async def complete(self, request: ChatRequest, upstream: Upstream) -> ChatResponse:
        """The same words, at once."""
        return fold([event async for event in self.stream(request, upstream)])

    async def stream(self, request: ChatRequest, upstream: Upstream) -> AsyncIterator[StreamEvent]:
        """Word by word; words are what it counts as tokens."""
        said = [message.text for message in request.messages if message.role == "user" and message.text.strip()]
        words = re.findall(r"\s*\S+", said[-1]) if said else ["…"]
        yield StreamStart(f"echo-{uuid4().hex}", request.model)
        for word in words:
            await asyncio.sleep(self._delay)
            yield TextDelta(word)
        heard = sum(len(message.text.split()) for message in request.messages)
        yield UsageUpdate(Usage(input_tokens=heard, output_tokens=len(words), estimated=True))
        yield StreamFinish("stop")


@hookimpl
def aigateway_register_providers() -> Iterable[ProviderSpec[EchoConfig]]:
    """Offer Echo."""
    yield ProviderSpec(name="echo", title="Echo", config=EchoConfig, build=EchoProvider, auth="none")
