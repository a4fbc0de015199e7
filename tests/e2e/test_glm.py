"""GLM as a user has it: its error codes and what they cost whom, its plans, its keys, its copy of Anthropic's API."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest
from e2e.anthropic_talker import AnthropicTalker
from e2e.fakes.anthropic import AnthropicWire
from e2e.fakes.glm_copies import GLMMessagesWire, GLMPlanWire, SignedGLMWire
from e2e.fakes.server import FakeVendor
from e2e.fakes.vendor import Refusal, Script
from e2e.gateway_process import CLIENT_KEY, GatewayProcess
from e2e.house import KEYS, Vendors
from e2e.mishaps import Mishap, ask, assert_shaped
from e2e.talkers import MODES, Mode, ToolSpec

StartGateway = Callable[..., GatewayProcess]
KEY = "glm-one.secret-of-one"
DIALECTS = ("anthropic", "openai-chat")
WORDS = "the vendor's words"

in_each_dialect = pytest.mark.parametrize("dialect", DIALECTS)
whole_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def refusal(status: int, code: str | int, *, message: str = WORDS, flat: bool = False) -> Script:
    error = {"code": code, "message": message}
    return Script(refusal=Refusal(status=status, body=json.dumps(error if flat else {"error": error}).encode()))


class Pool:
    """A gateway with two GLM accounts of the test's own; what their keys get is scripted."""

    def __init__(self, gateway: GatewayProcess, vendor: FakeVendor, name: str) -> None:
        self.gateway = gateway
        self._vendor = vendor
        self._keys = [f"{name}.{number}" for number in ("one", "two")]
        vendor.keys.update(self._keys)
        self._accounts = [gateway.add_account("glm", key) for key in self._keys]
        self._mark = gateway.mark()

    def close(self) -> None:
        """Take the accounts away."""
        for account in self._accounts:
            self.gateway.admin("DELETE", f"/accounts/{account}")

    def plays(self, *scripts: Script) -> Pool:
        """Play these for the first account and the second; without one, it answers."""
        for key, script in zip(self._keys, (*scripts, Script(), Script()), strict=False):
            self._vendor.script(script, key=key)
        return self

    def fails(self, dialect: str, *, stream: bool = False) -> Mishap:
        return ask(self.gateway, dialect, "glm-4.6", stream=stream)

    def attempts(self, rows: int = 1) -> list[tuple[str, str]]:
        """Kind and scope of each attempt that failed, of all requests so far."""
        every = [one for row in self.gateway.rows(self._mark, rows) for one in row["attempts"]]
        return [(one["error_kind"], one["scope"]) for one in every if one["error_kind"]]


@pytest.fixture(scope="module")
def pool_gateway(start_gateway: StartGateway, vendors: Vendors) -> GatewayProcess:
    return start_gateway({"providers": vendors.providers(keys=False)})


@pytest.fixture
def pool(pool_gateway: GatewayProcess, vendors: Vendors) -> Iterator[Pool]:
    made = Pool(pool_gateway, vendors.glm, f"glm-{len(vendors.glm.keys)}")
    yield made
    made.close()


@in_each_dialect
@whole_and_streamed
def test_case_148_too_many_at_a_time_is_asked_of_another_account(dialect: str, stream: bool, pool: Pool) -> None:
    limited = refusal(429, "1302")
    failed = pool.plays(limited, limited).fails(dialect, stream=stream)
    assert_shaped(dialect, 429, failed.body)
    assert failed.status == 429
    assert int(failed.raised.response.headers["retry-after"]) >= 1  # type: ignore[union-attr]
    kind = {"anthropic": "rate_limit_error", "openai-chat": "rate_limit_error"}[dialect]
    assert (failed.body["error"]["type"], WORDS in failed.body["error"]["message"]) == (kind, True)
    assert pool.attempts() == [("rate_limit", "model")] * 2


@in_each_dialect
def test_case_148_one_healthy_account_is_enough(dialect: str, pool: Pool) -> None:
    pool.plays(refusal(429, "1302"))
    for _ in range(3):
        assert "one two three" in _text(pool.gateway, dialect)
    # It rests for some seconds after that, so it is asked once and not three times.
    assert pool.attempts(3) == [("rate_limit", "model")]


@in_each_dialect
def test_case_149_an_overloaded_platform_is_no_accounts_fault(dialect: str, pool: Pool) -> None:
    busy = refusal(429, "1305")
    failed = pool.plays(busy, busy).fails(dialect)
    assert (failed.status, failed.body["error"]["type"]) == {
        "anthropic": (529, "overloaded_error"),
        "openai-chat": (503, "service_unavailable_error"),
    }[dialect]
    assert pool.attempts() == [("overloaded", "request")] * 2
    pool.plays(Script(), Script())
    assert "one two three" in _text(pool.gateway, dialect)


@in_each_dialect
@whole_and_streamed
def test_case_150_an_empty_balance_costs_its_account_alone(dialect: str, stream: bool, pool: Pool) -> None:
    empty = refusal(429, "1113")
    pool.plays(empty)
    for _ in range(3):
        assert "one two three" in _text(pool.gateway, dialect)
    assert pool.attempts(3) == [("quota", "account")]
    pool.plays(empty, empty)
    failed = pool.fails(dialect, stream=stream)
    assert failed.status == {"anthropic": 402, "openai-chat": 429}[dialect]
    told = failed.body["error"]
    assert (told["type"], told.get("code")) == {
        "anthropic": ("billing_error", None),
        "openai-chat": ("insufficient_quota", "insufficient_quota"),
    }[dialect]


@in_each_dialect
def test_case_151_a_prompt_that_is_too_long_is_too_long_for_everybody(dialect: str, pool: Pool) -> None:
    failed = pool.plays(refusal(400, "1261", message="Prompt exceeds max length"), refusal(400, "1261")).fails(dialect)
    assert failed.status == 400
    if dialect == "anthropic":
        assert failed.body["error"]["message"].startswith("prompt is too long")
    else:
        assert failed.body["error"]["code"] == "context_length_exceeded"
    assert pool.attempts() == [("context_length", "request")]


@in_each_dialect
def test_case_152_unsafe_content_is_not_offered_to_another_account(dialect: str, pool: Pool) -> None:
    failed = pool.plays(refusal(400, "1301"), refusal(400, "1301")).fails(dialect)
    assert (failed.status, failed.body["error"]["type"]) == (400, "invalid_request_error")
    assert pool.attempts() == [("content_filter", "request")]


@in_each_dialect
@pytest.mark.parametrize("code", ["1210", 1210], ids=["text", "number"])
@pytest.mark.parametrize("flat", [True, False], ids=["flat", "nested"])
def test_case_153_a_bad_parameter_is_one_in_every_shape(dialect: str, flat: bool, code: str | int, pool: Pool) -> None:
    bad = refusal(400, code, flat=flat)
    failed = pool.plays(bad, bad).fails(dialect)
    assert (failed.status, failed.body["error"]["type"]) == (400, "invalid_request_error")
    assert WORDS in failed.body["error"]["message"]
    assert pool.attempts() == [("invalid_request", "request")]


def _text(gateway: GatewayProcess, dialect: str) -> str:
    question: Any = [{"role": "user", "content": "one two three"}]
    if dialect == "anthropic":
        with anthropic.Anthropic(api_key=CLIENT_KEY, base_url=gateway.url, max_retries=0, timeout=30) as one:
            [block] = one.messages.create(model="glm-4.6", max_tokens=99, messages=question).content
            assert block.type == "text"
            return block.text
    with openai.OpenAI(api_key=CLIENT_KEY, base_url=f"{gateway.url}/v1", max_retries=0, timeout=30) as two:
        return two.chat.completions.create(model="glm-4.6", messages=question).choices[0].message.content or ""


# -- plans, keys, and the copy of Anthropic's API


@pytest.fixture(scope="module")
def plan() -> Iterator[FakeVendor]:
    """What the keys of a Coding Plan open."""
    vendor = FakeVendor(GLMPlanWire(), [KEYS["glm"]], GLMMessagesWire())
    vendor.start()
    yield vendor
    vendor.stop()
    assert vendor.violations == []


@pytest.fixture(scope="module")
def plan_gateway(start_gateway: StartGateway, vendors: Vendors, plan: FakeVendor) -> GatewayProcess:
    providers = vendors.providers()
    urls = {"base_url": f"{plan.url}/api/coding/paas/v4", "anthropic_base_url": f"{plan.url}/api/anthropic/"}
    return start_gateway({"providers": {**providers, "glm": {**urls, "api_key": KEYS["glm"]}}})


def test_a_coding_plan_is_a_base_url(plan_gateway: GatewayProcess, plan: FakeVendor) -> None:
    assert "one two three" in _text(plan_gateway, "openai-chat")
    assert plan.exchanges[-1].path == "/api/coding/paas/v4/chat/completions"


def test_anthropics_clients_reach_the_copy_untranslated(plan_gateway: GatewayProcess, plan: FakeVendor) -> None:
    mark = plan_gateway.mark()
    assert "one two three" in _text(plan_gateway, "anthropic")
    sent = plan.exchanges[-1]
    assert sent.path == "/api/anthropic/v1/messages"
    assert (sent.headers["anthropic-version"], sent.json["model"]) == ("2026-10-21", "glm-4.6")
    [row] = plan_gateway.rows(mark, 1)
    assert row["native"]


def test_case_039_more_than_a_model_can_say_is_cut_down_on_every_way(
    plan_gateway: GatewayProcess, plan: FakeVendor
) -> None:
    question: Any = [{"role": "user", "content": "hello"}]
    with anthropic.Anthropic(api_key=CLIENT_KEY, base_url=plan_gateway.url, max_retries=0, timeout=30) as one:
        one.messages.create(model="glm-4.5-air[1m]", max_tokens=128_000, messages=question)
    with openai.OpenAI(api_key=CLIENT_KEY, base_url=f"{plan_gateway.url}/v1", max_retries=0) as two:
        two.chat.completions.create(model="glm-4.5-air", max_completion_tokens=128_000, messages=question)
    asked = [(each.json["model"], each.json["max_tokens"]) for each in plan.exchanges[-2:]]
    assert asked == [("glm-4.5-air", 98_304)] * 2


def test_the_copys_errors_are_told_as_anthropics(plan_gateway: GatewayProcess, plan: FakeVendor) -> None:
    plan.script(refusal(429, "1305"), model="glm-4.6-busy")
    failed = ask(plan_gateway, "anthropic", "glm-4.6-busy", stream=True)
    assert_shaped("anthropic", 529, failed.body)
    assert (failed.status, failed.body["error"]["type"]) == (529, "overloaded_error")


@pytest.mark.parametrize("mode", MODES)
def test_case_166_a_conversation_moves_from_the_copy_to_anthropic_and_back(
    mode: Mode, plan_gateway: GatewayProcess, plan: FakeVendor, vendors: Vendors
) -> None:
    """Either vendor refuses thinking that it has not signed, to the last character."""
    clock = ToolSpec(name="clock", arguments=("tz",))
    thinking = {"type": "enabled", "budget_tokens": 2048}
    wanted = 'use the tool clock with {"tz": "UTC"}'
    with anthropic.Anthropic(api_key=CLIENT_KEY, base_url=plan_gateway.url, max_retries=0, timeout=30) as client:
        talker = AnthropicTalker(client, "glm-4.6", mode, tools=[clock], thinking=thinking)
        for turn, model in enumerate(("glm-4.6", "claude-sonnet-5", "glm-4.6", "claude-sonnet-5", "gpt-5", "glm-4.6")):
            talker.switch(model)
            asked = talker.say(wanted)
            assert asked.thinking == f"Thinking about: {wanted}", turn
            assert talker.answer({asked.calls[0].id: "noon"}).text == "The tool answered: noon"
    assert _thoughts(plan) == 5  # of its three turns so far, two answers each but for the one that is being given
    assert _thoughts(vendors.acme) == 3


def _thoughts(vendor: FakeVendor) -> int:
    """How much of its own thinking a vendor got back with its last request."""
    messages = vendor.exchanges[-1].json["messages"]
    blocks = [block for message in messages if isinstance(message["content"], list) for block in message["content"]]
    return sum(block["type"] == "thinking" for block in blocks)


@pytest.fixture
def signed() -> Iterator[FakeVendor]:
    vendor = FakeVendor(SignedGLMWire(), [KEY])
    vendor.start()
    yield vendor
    vendor.stop()


def test_a_key_that_signs_is_never_sent(start_gateway: StartGateway, signed: FakeVendor) -> None:
    section = {"base_url": f"{signed.url}/api/paas/v4", "auth_strategy": "glm_jwt", "api_key": KEY}
    gateway = start_gateway({"providers": {"glm": section}})
    for dialect in DIALECTS * 2:
        assert "one two three" in _text(gateway, dialect)
    assert KEY.partition(".")[2] not in str([each.headers for each in signed.exchanges])
    assert len({each.key for each in signed.exchanges}) == 1


def test_a_key_that_signs_may_be_wrong(start_gateway: StartGateway, signed: FakeVendor) -> None:
    section = {"base_url": f"{signed.url}/api/paas/v4", "auth_strategy": "glm_jwt", "api_key": "glm-one.not-the-secret"}
    gateway = start_gateway({"providers": {"glm": section}})
    mark = gateway.mark()
    failed = ask(gateway, "openai-chat", "glm-4.6", stream=False)
    assert failed.status == 502
    assert "not-the-secret" not in str(failed.body) + gateway.output
    [row] = gateway.rows(mark, 1)
    assert [(one["error_kind"], one["scope"]) for one in row["attempts"]] == [("credential", "account")]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_case_167_a_field_that_a_copy_does_not_have_is_left_out(stream: bool, start_gateway: StartGateway) -> None:
    """The fake refuses ``context_management`` as long as its beta is not asked for."""
    copy = FakeVendor(AnthropicWire(), [KEYS["acme"]])
    copy.start()
    section = {"kind": "anthropic-compatible", "base_url": copy.url, "models": ["claude-*"], "api_key": KEYS["acme"]}
    gateway = start_gateway({"providers": {"copy": section}})
    mark = gateway.mark()
    with anthropic.Anthropic(api_key=CLIENT_KEY, base_url=gateway.url, max_retries=0, timeout=30) as client:
        answer = client.messages.with_raw_response.create(
            model="claude-sonnet-5",
            max_tokens=99,
            messages=[{"role": "user", "content": "hello"}],
            stream=stream,
            extra_body={"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}},
        )
        assert (answer.headers["x-aigateway-dropped"], "echo:" in answer.http_response.read().decode()) == (
            "context_management",
            True,
        )
    copy.stop()
    assert ["context_management" in each.json for each in copy.exchanges] == [True, False]
    [row] = gateway.rows(mark, 1)
    assert [one["status_code"] for one in row["attempts"]] == [400, 200]
