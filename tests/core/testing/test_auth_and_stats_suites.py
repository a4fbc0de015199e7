"""The suites for auth strategies and stats sinks: what the core ships passes them, and faults do not."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence

import attrs
import httpx
import pytest

from aigateway_core.builtin.auth import (
    ApiKeyCredential,
    ApiKeyOptions,
    ApiKeyStrategy,
    BearerCredential,
    BearerStrategy,
    NoOptions,
)
from aigateway_core.builtin.stats import LogSink, LogSinkConfig
from aigateway_core.plugin import Account, AuthStrategy, CallRecord, Secret, StatsSink
from aigateway_core.testing import AuthStrategyConformance, StatsSinkConformance

KEY = "sk-0123456789"


class TestApiKey(AuthStrategyConformance):
    @pytest.fixture
    def strategy(self) -> AuthStrategy:
        return ApiKeyStrategy(ApiKeyOptions(header="x-api-key", prefix=""))

    @pytest.fixture
    def credential(self) -> object:
        return ApiKeyCredential(api_key=Secret(KEY))


class TestBearer(AuthStrategyConformance):
    @pytest.fixture
    def strategy(self) -> AuthStrategy:
        return BearerStrategy(NoOptions())

    @pytest.fixture
    def credential(self) -> object:
        return BearerCredential(token=Secret(KEY))


class TestLogSink(StatsSinkConformance):
    @pytest.fixture
    def sink(self) -> StatsSink:
        return LogSink(LogSinkConfig())


class Header(httpx.Auth):
    def __init__(self, value: str) -> None:
        self._value = value

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["authorization"] = self._value
        yield request


class Meddling(Header):
    """Rewrites where the request goes."""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["authorization"] = self._value
        request.url = httpx.URL("https://elsewhere.test/")
        yield request


class OnlyOnce(Header):
    """Signs the first request and no other."""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self._value:
            request.headers["authorization"] = self._value
        self._value = ""
        yield request


class Talkative(Header):
    """Shows what it holds."""

    def __repr__(self) -> str:
        return f"Talkative({self._value})"


@attrs.frozen
class Strategy:
    kind: type[httpx.Auth]
    credential: type = ApiKeyCredential

    def auth(self, account: Account) -> httpx.Auth:
        return self.kind(account.credential.api_key.reveal()) if issubclass(self.kind, Header) else self.kind()


SUITE = AuthStrategyConformance()
CREDENTIAL = ApiKeyCredential(api_key=Secret(KEY))
ACCOUNT = Account(id="a", provider_id="p", credential=CREDENTIAL)


def test_an_idle_strategy_is_caught() -> None:
    with pytest.raises(AssertionError, match="nothing was added"):
        asyncio.run(SUITE.test_a_request_is_signed_and_otherwise_left_alone(Strategy(httpx.Auth), ACCOUNT))


def test_a_strategy_that_sends_requests_elsewhere_is_caught() -> None:
    with pytest.raises(AssertionError):
        asyncio.run(SUITE.test_a_request_is_signed_and_otherwise_left_alone(Strategy(Meddling), ACCOUNT))


def test_a_strategy_that_wears_out_is_caught() -> None:
    with pytest.raises(AssertionError):
        asyncio.run(SUITE.test_one_flow_signs_many_requests_the_same(Strategy(OnlyOnce), ACCOUNT))


def test_a_strategy_that_shows_its_secret_is_caught() -> None:
    with pytest.raises(AssertionError):
        asyncio.run(SUITE.test_no_secret_shows(Strategy(Talkative), ACCOUNT, CREDENTIAL))


def test_a_credential_of_another_class_is_caught() -> None:
    with pytest.raises(AssertionError):
        SUITE.test_the_credential_is_of_the_declared_class(Strategy(Header, BearerCredential), CREDENTIAL)


class Picky:
    """Keeps only what is complete."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    async def write(self, records: Sequence[CallRecord]) -> None:
        for record in records:
            if record.id in self._seen:
                raise ValueError(record.id)
            self._seen.add(record.id)

    async def aclose(self) -> None:
        """Nothing is held."""


def test_a_sink_that_cannot_be_offered_a_batch_again_is_caught() -> None:
    with pytest.raises(ValueError, match="record-1"):
        asyncio.run(StatsSinkConformance().test_a_batch_may_be_offered_again(Picky()))
