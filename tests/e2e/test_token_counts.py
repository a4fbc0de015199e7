"""The official SDKs ask how long a prompt is: the vendor's count where it has one, a marked estimate where not."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx
import pytest
from e2e.fakes.vendor import Script
from e2e.house import KEYS, TARGETS, Target, Vendors
from google import genai

TOOL: Any = {"name": "clock", "input_schema": {"type": "object", "properties": {"tz": {"type": "string"}}}}
MESSAGES: Any = [{"role": "user", "content": "How long is this?"}]
COUNTERS = {"acme": "/v1/messages/count_tokens", "gamma": "/v1beta/models/gemini-3-flash:countTokens"}
"""Who counts, and where."""


def asked_of(vendors: Vendors, target: Target) -> list[str]:
    """The paths that this vendor was asked at."""
    return [exchange.path for exchange in vendors.named(target.provider).exchanges]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.provider)
def test_anthropics_sdk_counts_with_every_vendor(
    target: Target, anthropic_client: anthropic.Anthropic, vendors: Vendors
) -> None:
    before = len(asked_of(vendors, target))
    raw = anthropic_client.messages.with_raw_response.count_tokens(
        model=target.model, messages=MESSAGES, system="Be brief.", tools=[TOOL]
    )
    counted = raw.parse().input_tokens
    assert counted > 0
    if target.provider in COUNTERS:
        assert asked_of(vendors, target)[before:] == [COUNTERS[target.provider]]
        assert counted == vendors.named(target.provider).exchanges[-1].answer.input_tokens  # type: ignore[union-attr]
        assert "x-aigateway-estimate" not in raw.headers
    else:
        assert asked_of(vendors, target)[before:] == []
        assert raw.headers["x-aigateway-estimate"] == "true"


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.provider)
def test_googles_sdk_counts_with_every_vendor(target: Target, gemini_client: genai.Client, vendors: Vendors) -> None:
    before = len(asked_of(vendors, target))
    answer = gemini_client.models.count_tokens(model=target.model, contents="How long is this?")
    assert answer.total_tokens is not None
    assert answer.total_tokens > 0
    asked = [COUNTERS[target.provider]] if target.provider in COUNTERS else []
    assert asked_of(vendors, target)[before:] == asked


def test_an_estimate_knows_of_tools_and_system(anthropic_client: anthropic.Anthropic) -> None:
    """Case 165."""

    def count(**more: Any) -> int:
        return anthropic_client.messages.count_tokens(model="gpt-4o", messages=MESSAGES, **more).input_tokens

    bare = count(tools=[])
    assert bare > 0
    assert count(tools=[TOOL]) > bare
    assert count(system="Be brief.") > bare


def test_a_counter_that_is_down_costs_the_client_nothing_but_exactness(
    anthropic_client: anthropic.Anthropic, vendors: Vendors
) -> None:
    model = "claude-without-counter"
    vendors.acme.script(vendors.acme.refuse(529, "Overloaded"), model=model)
    raw = anthropic_client.messages.with_raw_response.count_tokens(model=model, messages=MESSAGES)
    assert raw.parse().input_tokens > 0
    assert raw.headers["x-aigateway-estimate"] == "true"
    # The account is none the worse for it.
    vendors.acme.script(Script(), model=model)
    answer = anthropic_client.messages.create(model=model, max_tokens=50, messages=MESSAGES)
    assert answer.content


def test_the_fake_counter_is_as_strict_as_its_vendor(vendors: Vendors) -> None:
    headers = {"x-api-key": KEYS["acme"], "anthropic-version": "2023-06-01"}
    for more in ({"max_tokens": 5}, {"stream": False}, {"messages": "hi"}):
        body = {"model": "claude-sonnet-5", "messages": MESSAGES, **more}
        answer = httpx.post(f"{vendors.acme.url}{COUNTERS['acme']}", json=body, headers=headers, trust_env=False)
        assert answer.status_code == 400
    vendors.acme.violations.clear()


def test_what_is_wrong_with_a_prompt_is_told(anthropic_client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError):
        anthropic_client.messages.count_tokens(model="gpt-4o", messages=[{"role": "user", "content": 5}])  # type: ignore[typeddict-item]
    with pytest.raises(anthropic.NotFoundError):
        anthropic_client.messages.count_tokens(model="nobody-1", messages=MESSAGES)
