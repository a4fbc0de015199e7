"""A gateway over a scripted transport, without any network: for tests of the request path.

Each account's requests are answered by a script of its own; what the gateway recorded is at hand in ``House.sink``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack

import attrs
import httpx

from aigateway_core.accounts import AccountSelector
from aigateway_core.answers import StreamAnswer
from aigateway_core.credentials import Credentials
from aigateway_core.dialects.anthropic import Anthropic
from aigateway_core.dialects.dialect import Dialect
from aigateway_core.dialects.openai_chat import OpenAIChat
from aigateway_core.egress import Egress, WayOut
from aigateway_core.egress.health import ProxyHealthBook
from aigateway_core.engine import Transports
from aigateway_core.events import StreamEvent, StreamFinish, StreamStart, TextDelta, UsageUpdate
from aigateway_core.exchange import Whole
from aigateway_core.gateway import Gateway, Incoming
from aigateway_core.key_limits import KeyLimits
from aigateway_core.model import ChatRequest, ChatResponse, ModelInfo, TextPart, Usage
from aigateway_core.plugin import (
    AnthropicCompatibleConfig,
    AnthropicCompatibleProvider,
    AuthStrategy,
    OpenAICompatibleConfig,
    OpenAICompatibleProvider,
    Provider,
    Secret,
)
from aigateway_core.proxy_pool import ProxyPool
from aigateway_core.recording import Recorder, RecorderLimits
from aigateway_core.records import Account, Caller, CallRecord
from aigateway_core.restraint import Restraint
from aigateway_core.routing import Router
from aigateway_core.snapshot import CurrentSnapshot, ProviderEntry, Snapshot
from aigateway_core.state.memory import MemoryState
from aigateway_core.upstream import Limits, Upstream

OPENAI, ANTHROPIC = OpenAIChat(), Anthropic()
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
MESSAGES = {**CHAT, "max_tokens": 100}
WHOLE = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m-2026",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    "x_vendor": {"kept": True},
}


def chunk(delta: dict[str, object], finish: str | None = None, **more: object) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m-2026", "choices": [choice]}
    return b"data: " + json.dumps({**body, **more}, separators=(",", ":")).encode() + b"\n\n"


USAGE_CHUNK = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m-2026","choices":[],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}\n\n'
)
STREAM = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "hel"}),
    chunk({"content": "lo"}),
    chunk({}, "stop"),
    USAGE_CHUNK,
    b"data: [DONE]\n\n",
]
ANTHROPIC_WHOLE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 2},
}


class Body(httpx.AsyncByteStream):
    """A response body that knows whether it was closed; an exception among its chunks is raised."""

    def __init__(self, chunks: Sequence[bytes | Exception], wait: float = 0) -> None:
        self._chunks = chunks
        self._wait = wait
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for each in self._chunks:
            await asyncio.sleep(self._wait)
            if isinstance(each, Exception):
                raise each
            yield each

    async def aclose(self) -> None:
        self.closed = True


def reply(body: object) -> httpx.Response:
    return httpx.Response(200, json=body)


def streamed(*chunks: bytes | Exception, wait: float = 0) -> httpx.Response:
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Body(chunks, wait))


def refused(status: int, **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"error": {"message": f"no {status}", "type": "x"}}, headers=headers)


class Script(httpx.AsyncBaseTransport):
    """Answers each account's requests in order; the last answer of an account repeats."""

    def __init__(self, **answers: Sequence[httpx.Response | Exception]) -> None:
        self._answers = {name: list(each) for name, each in answers.items()}
        self.seen: list[tuple[str, dict[str, object]]] = []
        self.headers: list[httpx.Headers] = []
        self.urls: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        account = request.headers["x-account"]
        self.seen.append((account, json.loads(request.content)))
        self.headers.append(request.headers)
        self.urls.append(str(request.url))
        left = self._answers[account]
        answer = left.pop(0) if len(left) > 1 else left[0]
        await asyncio.sleep(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Signs(httpx.Auth):
    def __init__(self, name: str) -> None:
        self._name = name

    def auth_flow(self, request: httpx.Request):  # type: ignore[no-untyped-def]
        request.headers["x-account"] = self._name
        yield request


@attrs.frozen
class Token:
    token: Secret


class Strategy:
    credential = Token

    def auth(self, account: Account) -> httpx.Auth:
        return Signs(account.id)


class OneWay(Egress):
    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        super().__init__(Transports(), CurrentSnapshot(), ProxyPool(), ProxyHealthBook())
        self._transport = transport

    async def way_out(self, account: Account, *, even_down: bool = False) -> WayOut:
        return WayOut(self._transport, proxied=False)


class Kept:
    def __init__(self) -> None:
        self.records: list[CallRecord] = []

    async def write(self, records: Sequence[CallRecord]) -> None:
        self.records.extend(records)

    async def aclose(self) -> None:
        pass


class House:
    """A gateway over a script, and what it recorded."""

    def __init__(
        self,
        script: Script,
        provider: Provider,
        accounts: str = "abc",
        *,
        strategy: AuthStrategy | None = None,
        egress: Egress | None = None,
        max_attempts: int = 3,
        patience: float = 0.0,
        restraint: Restraint | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.entry = ProviderEntry(
            id="acme",
            kind="acme",
            title="Acme",
            provider=provider,
            strategy=strategy or Strategy(),
            strategy_name="bearer",
        )
        self.snapshot = CurrentSnapshot()
        listed = tuple(map(account, accounts))
        self.snapshot.value = Snapshot(version=1, accounts={"acme": listed} if listed else {})
        self.script = script
        self.state = MemoryState()
        self.sink = Kept()
        self.recorder = Recorder([self.sink], RecorderLimits(flush_interval=60))
        self.gateway = Gateway(
            router=Router([self.entry]),
            selector=AccountSelector(self.snapshot, self.state),
            egress=egress or OneWay(script),
            credentials=Credentials(),
            recorder=self.recorder,
            key_limits=KeyLimits(self.state),
            limits=limits or Limits(),
            max_attempts=max_attempts,
            patience=patience,
            restraint=restraint or Restraint(),
        )

    async def ask(
        self,
        body: object,
        dialect: Dialect = OPENAI,
        exits: AsyncExitStack | None = None,
        header: Callable[[str], str | None] = lambda _: None,
    ) -> Whole | StreamAnswer:
        async def read() -> bytes:
            return body if isinstance(body, bytes) else json.dumps(body).encode()

        caller = Caller(id="-", role="client")
        stack = exits or AsyncExitStack()
        return await self.gateway.answer(Incoming(dialect, caller, "req-1", read(), lambda: stack, header))

    async def whole(self, body: object, dialect: Dialect = OPENAI) -> dict[str, object]:
        answer = await self.ask(body, dialect)
        assert isinstance(answer, Whole)
        parsed: dict[str, object] = json.loads(answer.body)
        return parsed

    async def stream(self, body: dict[str, object], dialect: Dialect = OPENAI) -> bytes:
        async with AsyncExitStack() as exits:
            answer = await self.ask({**body, "stream": True}, dialect, exits)
            assert isinstance(answer, StreamAnswer)
            return b"".join([each async for each in answer])

    async def record(self) -> CallRecord:
        """The one record that was kept."""
        await self.recorder.aclose()
        (record,) = self.sink.records
        return record


def account(name: str) -> Account:
    return Account(id=name, provider_id="acme", credential=Token(Secret(f"secret-of-{name}-12345")))


def openai_like() -> Provider:
    return OpenAICompatibleProvider(OpenAICompatibleConfig(base_url="http://vendor.test/v1", models=("m",)))


def anthropic_like() -> Provider:
    return AnthropicCompatibleProvider(AnthropicCompatibleConfig(base_url="http://vendor.test", models=("m",)))


def house(
    accounts: str = "abc", provider: Provider | None = None, **answers: Sequence[httpx.Response | Exception]
) -> House:
    return House(Script(**answers), provider or openai_like(), accounts)


class Events:
    """A provider that yields these events; an exception among them is raised."""

    models = (ModelInfo(id="m"),)
    model_patterns = ()

    def __init__(self, *events: object) -> None:
        self._events = events

    async def complete(self, request: ChatRequest, upstream: Upstream) -> ChatResponse:
        return ChatResponse(id="r", model=request.model, parts=(TextPart("whole"),))

    async def stream(self, request: ChatRequest, upstream: Upstream) -> AsyncIterator[StreamEvent]:
        async with upstream.stream("http://vendor.test/", json={}):
            for event in self._events:
                if isinstance(event, BaseException):
                    raise event
                yield event  # type: ignore[misc]


START, TEXT, FINISH = StreamStart("r", "m"), TextDelta("hello"), StreamFinish("stop")
TOLD = UsageUpdate(Usage(input_tokens=30, output_tokens=20))
ANY = {name: [reply(WHOLE)] for name in "abc"}
"""Answers for providers that do not look at them."""
