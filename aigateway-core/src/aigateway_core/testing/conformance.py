"""What every provider has to keep, as tests to inherit.

::

    class TestAcme(ProviderConformance):
        @pytest.fixture
        def provider(self) -> Provider:
            return AcmeProvider(AcmeConfig())

        @pytest.fixture
        def vendor(self) -> FakeVendor:
            return FakeVendor(text=..., text_stream=[...], tool_call=..., tool_call_stream=[...])

That is all: no network, no account, no plugin of pytest besides anyio, which httpx brings along. What a provider does
not have is named, with the reason, in :attr:`ProviderConformance.without`; its tests are then skipped in plain sight.
"""

from __future__ import annotations

import asyncio
import copy
import traceback
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any, ClassVar, Literal

import attrs
import httpx
import pytest
from typing_extensions import override

from aigateway_core.plugin import (
    ChatResponse,
    CountsTokens,
    DeclaresLosses,
    Provider,
    SpeaksNatively,
    StreamFinish,
    Tool,
    ToolCallPart,
    UpstreamError,
    fold,
)
from aigateway_core.testing.calls import (
    check_order,
    events_of,
    forbid_sockets,
    generator,
    known_model,
    outcome,
    plays,
    question,
    without_id,
)
from aigateway_core.testing.fakes import FakeUpstream, FakeVendor, Reply
from aigateway_core.testing.native import CLIENT_BODIES, UNKNOWN, carries
from aigateway_core.testing.refusals import READINGS, STRANGE_BODIES, check_reading

OPTIONAL = frozenset({"network", "tool_calls", "usage"})
"""What a provider may do without."""

_WEATHER = Tool(
    "weather",
    "Tells the weather.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


class ProviderConformance:
    """Subclass it, give the fixtures ``provider`` and ``vendor``, and get the tests.

    ``without`` names what this provider does not have, each with the reason: ``network`` (it answers by itself; then no
    ``vendor`` is needed), ``tool_calls``, ``usage`` (its vendor never tells the tokens). Everything else is required.
    """

    without: ClassVar[Mapping[str, str]] = {}

    pytestmark = pytest.mark.anyio

    @override
    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if unknown := set(cls.without) - OPTIONAL:
            optional = ", ".join(sorted(OPTIONAL))
            raise TypeError(
                f"{cls.__name__}.without: not optional: {', '.join(sorted(unknown))}; optional are {optional}"
            )

    @pytest.fixture
    def anyio_backend(self) -> str:
        """The gateway runs on asyncio."""
        return "asyncio"

    @pytest.fixture
    def played(self, request: pytest.FixtureRequest) -> FakeVendor | None:
        """The vendor; None when the provider has no network."""
        return None if "network" in self.without else request.getfixturevalue("vendor")

    @pytest.fixture
    def wire(self, played: FakeVendor | None) -> FakeVendor:
        """The vendor, for tests that make no sense without one."""
        if played is None:
            pytest.skip(f"not applicable, no network: {self.without['network']}")
        return played

    @pytest.fixture
    def tools(self, wire: FakeVendor) -> FakeVendor:
        """The vendor, for tests of tool calls."""
        if "tool_calls" in self.without:
            pytest.skip(f"not applicable, no tool calls: {self.without['tool_calls']}")
        if not (wire.tool_call and wire.tool_call_stream):
            pytest.fail("give tool_call and tool_call_stream, or the reason in without['tool_calls']")
        return wire

    # -- what it offers

    def test_it_offers_models_or_patterns(self, provider: Provider) -> None:
        ids = [model.id for model in provider.models]
        assert ids or provider.model_patterns, "no model could ever be routed to this provider"
        assert all(name.strip() for name in [*ids, *provider.model_patterns])
        assert len(ids) == len(set(ids)), "a model is listed twice"

    def test_a_plain_request_is_not_refused_beforehand(self, provider: Provider, played: FakeVendor | None) -> None:
        if isinstance(provider, DeclaresLosses):
            assert not provider.losses(question(provider, played)).refused

    # -- answers

    async def test_a_whole_answer_has_text_and_usage(self, provider: Provider, played: FakeVendor | None) -> None:
        request = question(provider, played)
        before = copy.deepcopy(attrs.asdict(request))
        response = await provider.complete(request, plays(provider, played.text if played else None))
        assert response.text
        assert response.finish_reason == "stop"
        self._check_usage(response)
        assert attrs.asdict(request) == before, "the request was changed"

    async def test_a_stream_begins_once_and_finishes_once(self, provider: Provider, played: FakeVendor | None) -> None:
        events = await events_of(
            provider, question(provider, played), plays(provider, played.text_stream if played else None)
        )
        check_order(events)
        self._check_usage(fold(events))

    async def test_a_whole_answer_is_the_fold_of_its_stream(
        self, provider: Provider, played: FakeVendor | None
    ) -> None:
        request = question(provider, played)
        whole = await provider.complete(request, plays(provider, played.text if played else None))
        events = await events_of(provider, request, plays(provider, played.text_stream if played else None))
        assert without_id(fold(events)) == without_id(whole)

    async def test_a_tool_call_arrives_whole_and_streamed(self, provider: Provider, tools: FakeVendor) -> None:
        request = question(provider, tools, tools=(_WEATHER,))
        whole = await provider.complete(request, plays(provider, tools.tool_call))
        assert whole.finish_reason == "tool_calls"
        assert any(isinstance(part, ToolCallPart) and part.name and part.id for part in whole.parts)
        events = await events_of(provider, request, plays(provider, tools.tool_call_stream))
        check_order(events)
        assert without_id(fold(events)) == without_id(whole)

    async def test_the_chunks_that_a_stream_comes_in_change_nothing(self, provider: Provider, wire: FakeVendor) -> None:
        request = question(provider, wire)
        bytewise = [bytes([byte]) for byte in b"".join(wire.text_stream)]
        as_sent, in_bytes = [
            fold(await events_of(provider, request, plays(provider, body))) for body in (wire.text_stream, bytewise)
        ]
        assert without_id(in_bytes) == without_id(as_sent)

    async def test_calls_at_the_same_time_do_not_mix(self, provider: Provider, played: FakeVendor | None) -> None:
        bodies = [None] if played is None else [played.text_stream, played.tool_call_stream or played.text_stream]
        request = question(provider, played, tools=() if "tool_calls" in self.without else (_WEATHER,))
        alone = [fold(await events_of(provider, request, plays(provider, body))).parts for body in bodies]
        together = await asyncio.gather(*(events_of(provider, request, plays(provider, body)) for body in bodies * 4))
        assert [fold(events).parts for events in together] == alone * 4

    # -- the wire

    async def test_every_request_is_authenticated_and_goes_through_the_upstream(
        self, provider: Provider, wire: FakeVendor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        forbid_sockets(monkeypatch)
        for streamed, body in ((False, wire.text), (True, wire.text_stream)):
            upstream = plays(provider, body)
            await outcome(provider, wire, upstream, streamed=streamed)
            assert upstream.requests, "an answer came without a request through the upstream"
            assert all(FakeUpstream.SECRET in request.headers["authorization"] for request in upstream.requests)

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    async def test_a_call_is_one_request_and_a_failed_one_is_not_tried_again(
        self, provider: Provider, wire: FakeVendor, streamed: bool
    ) -> None:
        good = wire.text_stream if streamed else wire.text
        for reply in (Reply(good), Reply(wire.errors.get(500, b""), status=500), httpx.ConnectError("no route")):
            upstream = FakeUpstream(reply, Reply(good), provider=provider)
            await outcome(provider, wire, upstream, streamed=streamed)
            assert len(upstream.requests) == 1, f"{len(upstream.requests)} requests for one call"

    async def test_a_stream_left_early_closes_its_connection(self, provider: Provider, wire: FakeVendor) -> None:
        upstream = plays(provider, wire.text_stream)
        async with aclosing(generator(provider, question(provider, wire), upstream)) as events:
            await anext(events)
        assert len(upstream.requests) == 1
        assert upstream.open_answers == 0

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    async def test_a_cancelled_call_closes_its_connection(
        self, provider: Provider, wire: FakeVendor, streamed: bool
    ) -> None:
        upstream = FakeUpstream(Reply(wire.text_stream[:1], ending="silence"), provider=provider)
        call = asyncio.create_task(outcome(provider, wire, upstream, streamed=streamed))
        for _ in range(100):
            await asyncio.sleep(0)
        assert upstream.open_answers == 1
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert call.cancelled(), "the cancellation was swallowed"
        assert upstream.open_answers == 0

    async def test_no_answer_is_left_open(self, provider: Provider, wire: FakeVendor) -> None:
        for body in (wire.text, wire.text_stream, b"no answer"):
            for streamed in (False, True):
                upstream = plays(provider, body)
                await outcome(provider, wire, upstream, streamed=streamed)
                assert upstream.open_answers == 0

    # -- failures

    @pytest.mark.parametrize("ending", ["end", "break"])
    async def test_a_cut_stream_is_never_a_clean_end(
        self, provider: Provider, wire: FakeVendor, ending: Literal["end", "break"]
    ) -> None:
        """Cut anywhere: an :class:`UpstreamError`, or no ``StreamFinish``, or everything had been said."""
        said = fold(await events_of(provider, question(provider, wire), plays(provider, wire.text_stream))).parts
        whole = b"".join(wire.text_stream)
        for kept in range(0, len(whole), max(1, len(whole) // 60)):
            upstream = FakeUpstream(Reply(whole[:kept], ending=ending), provider=provider)
            end = await outcome(provider, wire, upstream, streamed=True)
            clean = not isinstance(end, UpstreamError) and any(isinstance(event, StreamFinish) for event in end)
            assert not clean or fold(end).parts == said, f"cut after {kept} of {len(whole)} bytes, it ended as if whole"

    @pytest.mark.parametrize("status", READINGS)
    async def test_a_refusal_has_a_kind_and_a_scope_no_wider_than_true(
        self, provider: Provider, wire: FakeVendor, status: int
    ) -> None:
        for streamed in (False, True):
            upstream = FakeUpstream(Reply(wire.errors.get(status, b""), status=status), provider=provider)
            error = await outcome(provider, wire, upstream, streamed=streamed)
            assert isinstance(error, UpstreamError)
            check_reading(status, error)

    @pytest.mark.parametrize("body", STRANGE_BODIES.values(), ids=STRANGE_BODIES)
    async def test_a_refusal_in_strange_words_is_judged_by_its_status(
        self, provider: Provider, wire: FakeVendor, body: bytes
    ) -> None:
        for status in READINGS:
            error = await outcome(provider, wire, FakeUpstream(Reply(body, status=status), provider=provider))
            assert isinstance(error, UpstreamError)
            check_reading(status, error)

    @pytest.mark.parametrize("body", STRANGE_BODIES.values(), ids=STRANGE_BODIES)
    async def test_an_answer_that_makes_no_sense_is_an_upstream_error(
        self, provider: Provider, wire: FakeVendor, body: bytes
    ) -> None:
        assert isinstance(await outcome(provider, wire, plays(provider, body)), UpstreamError)
        end = await outcome(provider, wire, plays(provider, body), streamed=True)
        assert isinstance(end, UpstreamError) or not any(isinstance(event, StreamFinish) for event in end)

    async def test_the_time_to_wait_is_kept(self, provider: Provider, wire: FakeVendor) -> None:
        upstream = FakeUpstream(Reply(status=429, headers={"retry-after": "7"}), provider=provider)
        error = await outcome(provider, wire, upstream)
        assert isinstance(error, UpstreamError)
        assert error.retry_after == 7

    async def test_a_failure_of_the_connection_passes_as_it_is(self, provider: Provider, wire: FakeVendor) -> None:
        for streamed in (False, True):
            upstream = FakeUpstream(httpx.ConnectError("no route"), provider=provider)
            error = await outcome(provider, wire, upstream, streamed=streamed)
            assert isinstance(error, UpstreamError)
            assert (error.scope, error.dispatched) == ("endpoint", False)

    async def test_no_secret_shows(self, provider: Provider, wire: FakeVendor) -> None:
        for body in (b'{"error":{"message":"bad key %s"}}', b"%s"):
            reply = Reply(body.replace(b"%s", FakeUpstream.SECRET.encode()), status=401)
            upstream = FakeUpstream(reply, provider=provider)
            error = await outcome(provider, wire, upstream)
            assert isinstance(error, UpstreamError)
            shown = [repr(provider), repr(upstream), repr(error), error.message, *traceback.format_exception(error)]
            assert not any(FakeUpstream.SECRET in text for text in shown)

    # -- counting

    @pytest.fixture
    def counter(self, provider: Provider, wire: FakeVendor) -> CountsTokens:
        """The provider, for tests that make no sense when it cannot count."""
        if not isinstance(provider, CountsTokens) or not provider.counts_tokens(known_model(provider, wire)):
            pytest.skip("not applicable: it does not count tokens")
        if wire.count is None:
            pytest.fail("give count: what the vendor answers when it is asked for the tokens of a prompt")
        return provider

    async def test_tokens_are_counted_in_one_authenticated_request(
        self, provider: Provider, wire: FakeVendor, counter: CountsTokens, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        forbid_sockets(monkeypatch)
        upstream = plays(provider, wire.count)
        assert await counter.count_tokens(question(provider, wire), upstream) > 0
        (request,) = upstream.requests
        assert FakeUpstream.SECRET in request.headers["authorization"]
        assert upstream.open_answers == 0

    async def test_a_count_that_fails_is_an_upstream_error_as_any_other(
        self, provider: Provider, wire: FakeVendor, counter: CountsTokens
    ) -> None:
        for status in READINGS:
            upstream = FakeUpstream(Reply(wire.errors.get(status, b""), status=status), provider=provider)
            with pytest.raises(UpstreamError) as caught:
                await counter.count_tokens(question(provider, wire), upstream)
            check_reading(status, caught.value)
        replies: list[Reply | Exception] = [httpx.ConnectError("no route"), *map(Reply, STRANGE_BODIES.values())]
        for reply in replies:
            with pytest.raises(UpstreamError):
                await counter.count_tokens(question(provider, wire), FakeUpstream(reply, provider=provider))

    # -- the native path

    @pytest.mark.parametrize("dialect", CLIENT_BODIES)
    def test_unknown_fields_survive_on_the_native_path(
        self, provider: Provider, played: FakeVendor | None, dialect: str
    ) -> None:
        model = known_model(provider, played)
        endpoint = provider.endpoint(dialect, "chat", model) if isinstance(provider, SpeaksNatively) else None
        if endpoint is None:
            pytest.skip(f"not applicable: {dialect} is not spoken natively")
        body = CLIENT_BODIES[dialect]
        before = copy.deepcopy(body)
        sent = endpoint.dialect.native_request(body, model)
        prepared = sent if endpoint.prepare is None else endpoint.prepare(sent)
        assert endpoint.dialect.name == dialect
        assert endpoint.url.startswith(("https://", "http://"))
        assert carries(prepared, UNKNOWN) == carries(body, UNKNOWN), "an unknown field got lost"
        assert prepared.get("model", model) == model
        assert body == before, "the client's own body was changed"

    # -- what is shared

    def _check_usage(self, response: ChatResponse) -> None:
        if "usage" not in self.without:
            assert response.usage is not None, "tell the tokens, or the reason in without['usage']"
            assert response.usage.output_tokens > 0
