"""Calls to a provider under test, and what must hold of any of them."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, NoReturn

import attrs
import pytest

from aigateway_core.plugin import (
    ChatRequest,
    ChatResponse,
    Message,
    Provider,
    StreamEvent,
    StreamFinish,
    StreamStart,
    TextPart,
    Tool,
    ToolCallDelta,
    ToolCallStart,
    UpstreamError,
)
from aigateway_core.testing.fakes import FakeUpstream, FakeVendor, Reply


def known_model(provider: Provider, vendor: FakeVendor | None) -> str:
    """A model to ask for: the vendor's word, else the first known one, else one that fits the first pattern."""
    if vendor is not None and vendor.model:
        return vendor.model
    return provider.models[0].id if provider.models else provider.model_patterns[0].replace("*", "test")


def question(provider: Provider, vendor: FakeVendor | None, *, tools: Sequence[Tool] = ()) -> ChatRequest:
    """A plain question."""
    message = Message("user", (TextPart("How is the weather in Riga?"),))
    return ChatRequest(model=known_model(provider, vendor), messages=(message,), max_tokens=100, tools=tuple(tools))


def plays(provider: Provider, body: bytes | Sequence[bytes] | None) -> FakeUpstream:
    """An upstream that answers everything with ``body``; with nothing at all when there is none."""
    return FakeUpstream(provider=provider) if body is None else FakeUpstream(Reply(body), provider=provider)


def generator(provider: Provider, request: ChatRequest, upstream: FakeUpstream) -> Any:
    """The events of a streamed answer, still to be fetched."""
    events: AsyncIterator[StreamEvent] = provider.stream(
        attrs.evolve(request, stream=True, include_usage=True), upstream
    )
    assert hasattr(events, "aclose"), "stream must be an async generator: `async def` with `yield`"
    return events


async def events_of(provider: Provider, request: ChatRequest, upstream: FakeUpstream) -> list[StreamEvent]:
    """All events of a streamed answer."""
    async with aclosing(generator(provider, request, upstream)) as events:
        return [event async for event in events]


async def outcome(provider: Provider, vendor: FakeVendor, upstream: FakeUpstream, *, streamed: bool = False) -> Any:
    """The events or the response of a call, or the :class:`UpstreamError` that it raised.

    Any other exception is a fault of the provider and fails the test.
    """
    request = question(provider, vendor)
    try:
        return await (events_of(provider, request, upstream) if streamed else provider.complete(request, upstream))
    except UpstreamError as error:
        return error


def without_id(response: ChatResponse) -> ChatResponse:
    """The answer but for its id: some wires have none, and the provider then makes one up for each call."""
    return attrs.evolve(response, id="")


def check_order(events: Sequence[StreamEvent]) -> None:
    """Assert that the events come in the order that a stream has."""
    assert isinstance(events[0], StreamStart)
    assert sum(isinstance(event, StreamStart) for event in events) == 1
    assert sum(isinstance(event, StreamFinish) for event in events) == 1
    begun: set[int] = set()
    for event in events:
        if isinstance(event, ToolCallStart):
            assert event.index == len(begun), "tool calls are counted from 0"
            begun.add(event.index)
        elif isinstance(event, ToolCallDelta):
            assert event.index in begun, "arguments came before their call"


def forbid_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every connection that is opened besides the upstream fail."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("the provider opened a connection of its own; it must use the Upstream it is handed")

    for owner, name in ((socket.socket, "connect"), (socket.socket, "connect_ex"), (socket, "getaddrinfo")):
        monkeypatch.setattr(owner, name, refuse)
