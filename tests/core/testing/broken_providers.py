"""One good provider, and the same with one fault each: run by test_conformance_suite.py, which knows what must fail.

``FAULT`` on a class is the test that has to catch it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any, ClassVar

import attrs
import httpx
import pytest

from aigateway_core.plugin import (
    ChatRequest,
    ChatResponse,
    Endpoint,
    ErrorKind,
    JsonObject,
    ModelInfo,
    OpenAIChat,
    Provider,
    StreamEvent,
    StreamFinish,
    StreamStart,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
    Upstream,
    UpstreamError,
    UpstreamFailure,
    Usage,
    UsageUpdate,
    classify_status,
    fold,
    loads_upstream,
)
from aigateway_core.testing import FakeVendor, ProviderConformance

TEXT = [b'{"text": "Hello"}\n', b'{"text": " there"}\n', b'{"end": "stop", "in": 9, "out": 4}\n']
CALL = [b'{"call": "weather", "with": "{}"}\n', b'{"end": "tool_calls", "in": 9, "out": 4}\n']


class Good:
    """A vendor of JSON lines, well treated."""

    models: tuple[ModelInfo, ...] = (ModelInfo(id="m-1"),)
    model_patterns: tuple[str, ...] = ()
    url = "https://vendor.test/chat"

    async def complete(self, request: ChatRequest, upstream: Upstream) -> ChatResponse:
        return fold([event async for event in self.stream(request, upstream)])

    async def stream(self, request: ChatRequest, upstream: Upstream) -> AsyncIterator[StreamEvent]:
        async with upstream.stream(self.url, json={"model": request.model}) as answer:
            yield StreamStart("id-1", request.model)
            async for line in answer.lines():
                for event in self.decode(loads_upstream(line.encode())):
                    yield event
                    if isinstance(event, StreamFinish):
                        return
        raise UpstreamError(ErrorKind.PROTOCOL, "cut")

    def decode(self, line: JsonObject) -> list[StreamEvent]:
        match line:
            case {"text": str(text)}:
                return [TextDelta(text)]
            case {"call": str(name), "with": str(arguments)}:
                return [ToolCallStart(0, "call-1", name), ToolCallDelta(0, arguments)]
            case {"end": "stop" | "tool_calls" as why, "in": int(read), "out": int(written)}:
                return [UsageUpdate(Usage(input_tokens=read, output_tokens=written)), StreamFinish(why)]
        raise UpstreamError(ErrorKind.PROTOCOL, "not in the protocol")

    def endpoint(self, dialect: str, operation: str, model: str) -> Endpoint | None:
        return Endpoint(self.url, OpenAIChat(), prepare=self.prepare) if dialect == "openai-chat" else None

    def prepare(self, body: JsonObject) -> JsonObject:
        return body

    def counts_tokens(self, model: str) -> bool:
        return True

    async def count_tokens(self, request: ChatRequest, upstream: Upstream) -> int:
        answer = loads_upstream((await upstream.post(f"{self.url}/count", json={})).content)
        if not isinstance(answer.get("tokens"), int):
            raise UpstreamError(ErrorKind.PROTOCOL, "no count")
        return int(answer["tokens"])

    def classify_error(self, failure: UpstreamFailure) -> UpstreamError:
        return classify_status(failure)


class Silent(Good):
    models = ()


class Forgetful(Good):
    """Tells no usage."""

    def decode(self, line: JsonObject) -> list[StreamEvent]:
        return [event for event in super().decode(line) if not isinstance(event, UsageUpdate)]


class Doubled(Good):
    """Finishes twice."""

    def decode(self, line: JsonObject) -> list[StreamEvent]:
        events = super().decode(line)
        return [StreamStart("id-1", "m-1"), *events] if "end" in line else events


class Trimming(Good):
    """Whole answers lose what streams keep."""

    async def complete(self, request: ChatRequest, upstream: Upstream) -> ChatResponse:
        response = await super().complete(request, upstream)
        return attrs.evolve(response, parts=response.parts[:1] + response.parts)


class ToolBlind(Good):
    """Calls of tools get lost in streams."""

    async def stream(self, request: ChatRequest, upstream: Upstream) -> AsyncIterator[StreamEvent]:
        async for event in super().stream(request, upstream):
            if not isinstance(event, ToolCallDelta):
                yield event

    async def complete(self, request: ChatRequest, upstream: Upstream) -> ChatResponse:
        return fold([event async for event in super().stream(attrs.evolve(request), upstream)])

    def decode(self, line: JsonObject) -> list[StreamEvent]:
        return [ToolCallDelta(0, '{"a":1}') if isinstance(e, ToolCallDelta) else e for e in super().decode(line)]


class Chunky(Good):
    """Takes every chunk for a line."""

    async def stream(self, request: ChatRequest, upstream: Upstream) -> AsyncIterator[StreamEvent]:
        async with upstream.stream(self.url, json={}) as answer:
            yield StreamStart("id-1", request.model)
            async for chunk in answer.chunks():
                for line in chunk.splitlines():
                    for event in self.decode(loads_upstream(line)):
                        yield event


class Sharing(Good):
    """Keeps what belongs to one call on itself."""

    def __init__(self) -> None:
        self._events: list[StreamEvent] = []

    async def stream(self, request: ChatRequest, upstream: Upstream) -> AsyncIterator[StreamEvent]:
        self._events = []
        async for event in super().stream(request, upstream):
            self._events.append(event)
        for event in self._events:
            yield event


class Meddling(Good):
    """Writes into the request."""

    async def complete(self, request: ChatRequest, upstream: Upstream) -> ChatResponse:
        object.__setattr__(request, "max_tokens", 1)
        return await super().complete(request, upstream)


class Wayward(Good):
    """Builds a client of its own."""

    async def complete(self, request: ChatRequest, upstream: Upstream) -> ChatResponse:
        async with httpx.AsyncHTTPTransport() as transport:
            with suppress(httpx.HTTPError):
                await transport.handle_async_request(httpx.Request("POST", "http://127.0.0.1:9/"))
        return await super().complete(request, upstream)


class Stubborn(Good):
    """Tries again by itself."""

    async def complete(self, request: ChatRequest, upstream: Upstream) -> ChatResponse:
        try:
            return await super().complete(request, upstream)
        except UpstreamError:
            return await super().complete(request, upstream)


class Leaking(Good):
    """Leaves its answers open."""

    async def stream(self, request: ChatRequest, upstream: Upstream) -> AsyncIterator[StreamEvent]:
        answer = await upstream.stream(self.url, json={}).__aenter__()
        yield StreamStart("id-1", request.model)
        async for line in answer.lines():
            for event in self.decode(loads_upstream(line.encode())):
                yield event


class Deaf(Good):
    """Does not hear that its caller has gone."""

    async def complete(self, request: ChatRequest, upstream: Upstream) -> ChatResponse:
        try:
            return await super().complete(request, upstream)
        except asyncio.CancelledError:
            raise UpstreamError(ErrorKind.TIMEOUT, "cancelled") from None


class Glossing(Good):
    """Ends every stream well."""

    async def stream(self, request: ChatRequest, upstream: Upstream) -> AsyncIterator[StreamEvent]:
        async with upstream.stream(self.url, json={}) as answer:
            yield StreamStart("id-1", request.model)
            async for line in answer.lines():
                try:
                    for event in self.decode(json.loads(line)):
                        if not isinstance(event, StreamFinish):
                            yield event
                except ValueError:
                    continue
            yield StreamFinish("stop")


class Vengeful(Good):
    """Blames the account for everything."""

    def classify_error(self, failure: UpstreamFailure) -> UpstreamError:
        return UpstreamError(ErrorKind.CREDENTIAL, "no", scope="account", status=failure.status)


class Fussy(Good):
    """Expects JSON in every refusal."""

    def classify_error(self, failure: UpstreamFailure) -> UpstreamError:
        error = classify_status(failure)
        error.code = json.loads(failure.body)["error"]["code"]
        return error


class Fragile(Good):
    """Expects JSON in every answer."""

    async def stream(self, request: ChatRequest, upstream: Upstream) -> AsyncIterator[StreamEvent]:
        async with upstream.stream(self.url, json={}) as answer:
            yield StreamStart("id-1", request.model)
            async for line in answer.lines():
                for event in self.decode(json.loads(line)):
                    yield event


class Hasty(Good):
    """Loses how long to wait."""

    def classify_error(self, failure: UpstreamFailure) -> UpstreamError:
        error = classify_status(failure)
        error.retry_after = None
        return error


class Wrapping(Good):
    """Says something else than the upstream said."""

    async def stream(self, request: ChatRequest, upstream: Upstream) -> AsyncIterator[StreamEvent]:
        try:
            async for event in super().stream(request, upstream):
                yield event
        except UpstreamError as error:
            raise UpstreamError(error.kind, "it failed", status=error.status, retry_after=error.retry_after) from error


class Chatty(Good):
    """Shows what it knows."""

    def __init__(self) -> None:
        self._seen = ""

    async def complete(self, request: ChatRequest, upstream: Upstream) -> ChatResponse:
        self._seen = getattr(upstream, "SECRET", "")
        return await super().complete(request, upstream)

    def __repr__(self) -> str:
        return f"<Chatty {self._seen}>"


class Narrow(Good):
    """Lets only the fields pass that it knows."""

    def prepare(self, body: JsonObject) -> JsonObject:
        return {name: body[name] for name in ("model", "messages")}


class Guessing(Good):
    """Counts by itself."""

    async def count_tokens(self, request: ChatRequest, upstream: Upstream) -> int:
        return len(request.messages)


class Careless(Good):
    """Takes what is no count for none."""

    async def count_tokens(self, request: ChatRequest, upstream: Upstream) -> int:
        return int(loads_upstream((await upstream.post(self.url, json={})).content).get("tokens", 0))


FAULTS: Mapping[type[Good], str] = {
    Silent: "test_it_offers_models_or_patterns",
    Forgetful: "test_a_whole_answer_has_text_and_usage",
    Doubled: "test_a_stream_begins_once_and_finishes_once",
    Trimming: "test_a_whole_answer_is_the_fold_of_its_stream",
    ToolBlind: "test_a_tool_call_arrives_whole_and_streamed",
    Chunky: "test_the_chunks_that_a_stream_comes_in_change_nothing",
    Sharing: "test_calls_at_the_same_time_do_not_mix",
    Meddling: "test_a_whole_answer_has_text_and_usage",
    Wayward: "test_every_request_is_authenticated_and_goes_through_the_upstream",
    Stubborn: "test_a_call_is_one_request_and_a_failed_one_is_not_tried_again",
    Leaking: "test_a_stream_left_early_closes_its_connection",
    Deaf: "test_a_cancelled_call_closes_its_connection",
    Glossing: "test_a_cut_stream_is_never_a_clean_end",
    Vengeful: "test_a_refusal_has_a_kind_and_a_scope_no_wider_than_true",
    Fussy: "test_a_refusal_in_strange_words_is_judged_by_its_status",
    Fragile: "test_an_answer_that_makes_no_sense_is_an_upstream_error",
    Hasty: "test_the_time_to_wait_is_kept",
    Wrapping: "test_a_failure_of_the_connection_passes_as_it_is",
    Chatty: "test_no_secret_shows",
    Guessing: "test_tokens_are_counted_in_one_authenticated_request",
    Careless: "test_a_count_that_fails_is_an_upstream_error_as_any_other",
    Narrow: "test_unknown_fields_survive_on_the_native_path",
}


class _Suite(ProviderConformance):
    kind: ClassVar[type[Good]] = Good

    @pytest.fixture
    def provider(self) -> Provider:
        return self.kind()

    @pytest.fixture
    def vendor(self) -> FakeVendor:
        return FakeVendor(
            text=b"".join(TEXT),
            text_stream=TEXT,
            tool_call=b"".join(CALL),
            tool_call_stream=CALL,
            model="m-1",
            count=b'{"tokens": 9}',
        )


def _suite(kind: type[Good]) -> Any:
    return type(f"Test{kind.__name__}", (_Suite,), {"kind": kind})


globals().update({f"Test{kind.__name__}": _suite(kind) for kind in (Good, *FAULTS)})
