"""Several accounts, some of them bad: the client sees good answers, the log tells the rest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import openai
import pytest
from e2e.fakes.server import FakeVendor
from e2e.fakes.vendor import Refusal, Script
from e2e.gateway_process import CLIENT_KEY, GatewayProcess
from e2e.house import Vendors

StartGateway = Callable[..., GatewayProcess]


def ask_openai(gateway: GatewayProcess, model: str, text: str, *, stream: bool = False) -> str:
    with openai.OpenAI(api_key=CLIENT_KEY, base_url=f"{gateway.url}/v1", max_retries=0, timeout=30) as client:
        messages: Any = [{"role": "user", "content": text}]
        if not stream:
            return client.chat.completions.create(model=model, messages=messages).choices[0].message.content or ""
        chunks = client.chat.completions.create(model=model, messages=messages, stream=True)
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def ask_anthropic(gateway: GatewayProcess, model: str, text: str) -> str:
    with (
        anthropic.Anthropic(api_key=CLIENT_KEY, base_url=gateway.url, max_retries=0, timeout=30) as client,
        client.messages.stream(model=model, max_tokens=99, messages=[{"role": "user", "content": text}]) as stream,
    ):
        return stream.get_final_text()


@pytest.fixture
def pool(start_gateway: StartGateway, vendors: Vendors, request: pytest.FixtureRequest) -> GatewayProcess:
    """A gateway whose ``openai`` accounts have the parameter's keys; OpenAI does not know those that say ``bad``."""
    gateway = start_gateway({"providers": vendors.providers(keys=False)})
    for key in request.param:
        if not key.startswith("sk-bad"):
            vendors.openai.keys.add(key)
        gateway.add_account("openai", key, label=key)
    return gateway


def accounts(gateway: GatewayProcess) -> dict[str, str]:
    """Label by id."""
    return {account["id"]: account["label"] for account in gateway.admin("GET", "/accounts?limit=100")["data"]}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("pool", [["sk-good-one", "sk-bad-key-401", "sk-limited-429"]], indirect=True)
def test_one_bad_key_and_one_limit_are_never_seen_by_a_client(
    pool: GatewayProcess, stream: bool, vendors: Vendors
) -> None:
    limited = vendors.openai.refuse(429, "Rate limit reached", code="rate_limit_exceeded", retry_after="20")
    vendors.openai.script(limited, key="sk-limited-429")
    seen = len(vendors.openai.exchanges)
    mark = pool.mark()
    texts = [ask_openai(pool, "gpt-4o", f"number {number}", stream=stream) for number in range(12)]
    assert texts == [f"echo: number {number} [turn 1]" for number in range(12)]

    rows = pool.rows(mark, 12)
    label = accounts(pool)
    attempts = Counter((label[one["account_id"]], one["status_code"]) for row in rows for one in row["attempts"])
    assert attempts == {("sk-good-one", 200): 12, ("sk-bad-key-401", 401): 1, ("sk-limited-429", 429): 1}
    assert {(row["outcome"], row["status_code"], label[row["account_id"]]) for row in rows} == {
        ("ok", 200, "sk-good-one")
    }
    assert len(vendors.openai.exchanges) - seen == sum(attempts.values())
    for row in rows:
        for failed in row["attempts"][:-1]:
            assert (failed["error_kind"], failed["scope"]) in {
                ("credential", "account"),
                ("rate_limit", "model"),
                ("rate_limit", "account"),
            }


@pytest.mark.parametrize(
    "pool", [["sk-even-one", "sk-even-two", "sk-even-three", "sk-bad-even-401", "sk-limited-even"]], indirect=True
)
def test_first_picks_are_even_over_the_healthy_accounts(pool: GatewayProcess, vendors: Vendors) -> None:
    limited = vendors.openai.refuse(429, "Rate limit reached", code="rate_limit_exceeded", retry_after="60")
    vendors.openai.script(limited, key="sk-limited-even")
    mark = pool.mark()
    with ThreadPoolExecutor(10) as threads:
        texts = list(threads.map(lambda number: ask_openai(pool, "gpt-4o", f"number {number}"), range(60)))
    assert texts == [f"echo: number {number} [turn 1]" for number in range(60)]
    label = accounts(pool)
    rows = pool.rows(mark, 60)
    first = Counter(label[row["attempts"][0]["account_id"]] for row in rows)
    healthy = [first[f"sk-even-{name}"] for name in ("one", "two", "three")]
    # Ten at once may all have picked before the first refusal came back.
    assert sum(healthy) >= 60 - 2 * 10
    assert max(healthy) - min(healthy) <= 4


@pytest.mark.parametrize("pool", [["sk-turn-one", "sk-turn-two", "sk-turn-three"]], indirect=True)
def test_three_healthy_accounts_take_turns(pool: GatewayProcess) -> None:
    mark = pool.mark()
    for number in range(15):
        ask_openai(pool, "gpt-4o", f"number {number}")
        ask_anthropic(pool, "gpt-5", f"number {number}")
    rows = pool.rows(mark, 30)
    for model in ("gpt-4o", "gpt-5"):
        picks = Counter(row["account_id"] for row in rows if row["model"] == model)
        assert sorted(picks.values()) == [5, 5, 5]


def _broken_streams(vendor: FakeVendor) -> dict[str, Script]:
    return {
        "cut before anything": Script(after=0, end="cut"),
        "cut after the role": Script(after=1, end="cut"),
        "an error as the first thing": Script(after=0, end="error"),
        "overloaded": vendor.refuse(503, "Overloaded"),
        "a page of HTML": Script(
            refusal=Refusal(status=502, body=b"<html><h1>Bad gateway</h1></html>", content_type="text/html")
        ),
    }


@pytest.mark.parametrize(
    "trouble",
    ["cut before anything", "cut after the role", "an error as the first thing", "overloaded", "a page of HTML"],
)
@pytest.mark.parametrize("pool", [["sk-sound-one", "sk-shaky-one"]], indirect=True)
def test_case_159_a_stream_that_fails_before_its_first_content_is_begun_anew_elsewhere(
    pool: GatewayProcess, trouble: str, vendors: Vendors
) -> None:
    key = f"sk-shaky-{trouble.replace(' ', '-')}"
    vendors.openai.keys.add(key)
    pool.add_account("openai", key, label=key)
    vendors.openai.script(_broken_streams(vendors.openai)[trouble], key=key)
    for number in range(3):
        assert ask_openai(pool, "gpt-4o", f"a {number}", stream=True) == f"echo: a {number} [turn 1]"
        assert ask_anthropic(pool, "gpt-4o", f"b {number}") == f"echo: b {number} [turn 1]"
    assert vendors.openai.asked(key=key), "the shaky account was never tried"


@pytest.mark.parametrize("code", ["1113", "1302", "1002", "1309"])
def test_glm_codes_move_on_to_another_account(code: str, start_gateway: StartGateway, vendors: Vendors) -> None:
    gateway = start_gateway({"providers": vendors.providers(keys=False)})
    for key in (f"glm-poor-{code}.secret", f"glm-rich-{code}.secret"):
        vendors.glm.keys.add(key)
        gateway.add_account("glm", key, label=key)
    vendors.glm.script(
        vendors.glm.refuse(401 if code == "1002" else 429, "no", code=code), key=f"glm-poor-{code}.secret"
    )
    for number in range(3):
        assert ask_anthropic(gateway, "glm-4.6", f"number {number}") == f"echo: number {number} [turn 1]"
    assert len(vendors.glm.asked(key=f"glm-poor-{code}.secret")) >= 1


@pytest.mark.parametrize("pool", [["sk-tired-one", "sk-tired-two"]], indirect=True)
def test_when_every_account_is_limited_the_client_learns_for_how_long(pool: GatewayProcess, vendors: Vendors) -> None:
    for key, seconds in (("sk-tired-one", "40"), ("sk-tired-two", "20")):
        vendors.openai.script(
            vendors.openai.refuse(429, "slow", code="rate_limit_exceeded", retry_after=seconds), key=key
        )
    with pytest.raises(openai.RateLimitError):
        ask_openai(pool, "gpt-4o", "hello")
    with pytest.raises(openai.RateLimitError) as caught:
        ask_openai(pool, "gpt-4o", "hello again")
    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 20
    with pytest.raises(anthropic.RateLimitError) as told:
        ask_anthropic(pool, "gpt-4o", "hello")
    assert 1 <= int(told.value.response.headers["retry-after"]) <= 20
    assert json.loads(told.value.response.content)["error"]["type"] == "rate_limit_error"


@pytest.mark.parametrize("pool", [["sk-right-one", "sk-right-two"]], indirect=True)
def test_a_request_that_is_wrong_is_not_tried_on_every_account(pool: GatewayProcess, vendors: Vendors) -> None:
    wrong = vendors.openai.refuse(
        400, "This model's maximum context length is 10 tokens.", code="context_length_exceeded"
    )
    vendors.openai.script(wrong, model="gpt-tiny")
    mark = pool.mark()
    with pytest.raises(openai.BadRequestError, match="context"):
        ask_openai(pool, "gpt-tiny", "hello")
    [row] = pool.rows(mark, 1)
    assert len(row["attempts"]) == 1
    assert ask_openai(pool, "gpt-4o", "hello") == "echo: hello [turn 1]"
    assert len(vendors.openai.asked(model="gpt-tiny")) == 1
