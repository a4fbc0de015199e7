"""Acme's models, for aigateway. Acme takes JSON and answers in lines of it: ``{"piece": …}``, then ``{"done": …}``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any
from uuid import uuid4

import attrs

from aigateway_core.plugin import (
    ChatRequest,
    ChatResponse,
    ErrorKind,
    FinishReason,
    Losses,
    ModelInfo,
    ProviderSpec,
    StreamEvent,
    StreamFinish,
    StreamStart,
    TextDelta,
    TextPart,
    Upstream,
    UpstreamError,
    Usage,
    UsageUpdate,
    fold,
    hookimpl,
    loads_upstream,
)

_FINISH: Mapping[str, FinishReason] = {"end": "stop", "limit": "length"}


@attrs.frozen(kw_only=True)
class AcmeConfig:
    """Where Acme is."""

    base_url: str = "https://api.acme.example/v2"


class AcmeProvider:
    """Acme always streams, so that a whole answer is a stream gathered up."""

    models = (ModelInfo(id="acme-large", display_name="Acme Large", context_window=32_000),)
    model_patterns = ("acme-*",)

    def __init__(self, config: AcmeConfig) -> None:
        self._url = f"{config.base_url}/generate"

    def losses(self, request: ChatRequest) -> Losses:
        """Acme reads text and has no tools: a request that needs more is refused instead of answered wrongly."""
        only_text = all(isinstance(part, TextPart) for message in request.messages for part in message.parts)
        needs = {"tools": bool(request.tools), "messages": not only_text}
        return Losses(refused=tuple(name for name, needed in needs.items() if needed))

    async def complete(self, request: ChatRequest, upstream: Upstream) -> ChatResponse:
        """The whole answer."""
        return fold([event async for event in self.stream(request, upstream)])

    async def stream(self, request: ChatRequest, upstream: Upstream) -> AsyncIterator[StreamEvent]:
        """The answer as it comes."""
        async with upstream.stream(self._url, json=_encode(request)) as answer:
            yield StreamStart(f"acme-{uuid4().hex}", request.model)
            async for line in answer.lines():
                match loads_upstream(line.encode()):
                    case {"piece": str(piece)}:
                        yield TextDelta(piece)
                    case {"done": str(why), "tokens": {"in": int(read), "out": int(written)}}:
                        yield UsageUpdate(Usage(input_tokens=read, output_tokens=written))
                        yield StreamFinish(_FINISH.get(why, "stop"))
                        return
                    case _:
                        raise UpstreamError(ErrorKind.PROTOCOL, "Acme sent a line that nobody can read")
        raise UpstreamError(ErrorKind.PROTOCOL, "Acme broke off its answer")


def _encode(request: ChatRequest) -> dict[str, Any]:
    turns = [{"who": "guide", "says": text} for text in request.system]
    turns += [{"who": message.role, "says": message.text} for message in request.messages]
    return {"engine": request.model, "turns": turns, "limit": request.max_tokens or 1024}


@hookimpl
def aigateway_register_providers() -> Iterable[ProviderSpec[AcmeConfig]]:
    """Offer Acme."""
    yield ProviderSpec(name="acme", title="Acme", config=AcmeConfig, build=AcmeProvider, auth="bearer")
