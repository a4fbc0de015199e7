"""Accounts in the whole gateway: projects that are found late or not at all, names of models, quotas, and the risk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.fakes.cloud_code import FakeCloudCode
from login_house import EMAIL, MODEL, Google, LoginHouse, answering, login_house

from aigateway_antigravity.login import RISK
from aigateway_core.testing import FakeIdentityProvider

pytestmark = pytest.mark.anyio
HELLO = [{"role": "user", "content": "hello"}]
NO_PROJECT: dict[str, Any] = {"metadata": {}}


@pytest.fixture
def there(fake_identity_provider: FakeIdentityProvider) -> Iterator[Google]:
    there = Google(fake_identity_provider, FakeCloudCode(fake_identity_provider))
    there.has()
    there.cloud.start()
    yield there
    there.cloud.stop()
    assert there.cloud.violations == []


@pytest.fixture
async def house(there: Google, tmp_path: Path) -> AsyncIterator[LoginHouse]:
    async with login_house(there, tmp_path) as house:
        yield house


def asked(there: Google, method: str) -> int:
    return len(there.cloud.asked(model=method))


def wire(there: Google, model: str) -> dict[str, Any]:
    """The request that reached this model."""
    body: dict[str, Any] = there.cloud.asked(model=model)[-1].json
    return body


# -- projects


async def test_a_project_is_found_before_the_first_requests_of_an_account_and_once(
    house: LoginHouse, there: Google
) -> None:
    await house.add("new", there.idp.tokens(), **NO_PROJECT)
    answers = await asyncio.gather(*(house.ask() for _ in range(8)))
    assert [answer.status_code for answer in answers] == [200] * 8, answers[0].text
    assert (asked(there, "loadCodeAssist"), asked(there, "onboardUser")) == (1, 0)
    assert {question.json["project"] for question in there.questions} == {"proj-1"}


async def test_a_project_that_was_found_late_is_stored_so_that_the_next_start_need_not_look_for_it(
    there: Google, tmp_path: Path
) -> None:
    async with login_house(there, tmp_path) as house:
        account_id = await house.add("new", there.idp.tokens(), metadata={"note": "mine"})
        before = (await house.accounts())["new"]
        assert (await house.ask()).status_code == 200
        async with asyncio.timeout(10):
            while "project" not in (await house.accounts())["new"]["metadata"]:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)
        after = (await house.accounts())["new"]
        assert after["metadata"] == {"note": "mine", "project": "proj-1", "tier": "free-tier"}
        assert (after["id"], after["updated_at"]) == (account_id, before["updated_at"])
        assert (await house.ask()).status_code == 200
    async with login_house(there, tmp_path) as again:
        assert (await again.ask()).status_code == 200
    assert asked(there, "loadCodeAssist") == 1


async def test_P10_without_a_project_no_question_leaves_and_the_account_says_what_to_do(
    house: LoginHouse, there: Google
) -> None:
    tier = {"reasonMessage": "Verify your account.", "validationUrl": "https://accounts.example.com/verify"}
    there.has(project=None, current_tier=None, allowed_tiers=(), ineligible_tiers=(tier,))
    await house.add("alone", there.idp.tokens(), **NO_PROJECT)
    answer = await house.ask()
    assert answer.status_code == 502
    assert "no project" in answer.text
    assert "store one as project in the account's metadata" in answer.text
    assert "accounts.example.com" not in answer.text
    assert there.questions == []
    account = (await house.accounts())["alone"]
    assert account["status"] == "disabled"
    assert "Verify your account. https://accounts.example.com/verify" in str(account)
    await house.ask()
    assert asked(there, "loadCodeAssist") == 1


async def test_P10_a_login_mends_the_account(house: LoginHouse, there: Google) -> None:
    there.has(project=None, current_tier=None, allowed_tiers=(), ineligible_tiers=({"reasonMessage": "Verify."},))
    account_id = await house.add(EMAIL, there.idp.tokens(), metadata={"identity": EMAIL})
    await house.ask()
    assert (await house.accounts())[EMAIL]["status"] == "disabled"
    assert (await house.log_in()).status_code == 502
    there.has()
    answer = await house.log_in()
    assert (answer.json()["id"], answer.json()["status"]) == (account_id, "active")
    assert (await house.ask()).status_code == 200


async def test_P10_another_account_answers(house: LoginHouse, there: Google) -> None:
    there.has("none@example.com", project=None, current_tier=None, allowed_tiers=(), ineligible_tiers=({},))
    await house.add("with", there.idp.tokens())
    there.idp.identity = "none@example.com"
    await house.add("without", there.idp.tokens(), **NO_PROJECT)
    assert {(await house.ask()).status_code for _ in range(4)} == {200}


async def test_P11_a_failure_is_not_repeated_by_the_next_request(house: LoginHouse, there: Google) -> None:
    there.cloud.script(there.cloud.refuse(500, "no"), model="loadCodeAssist")
    await house.add("new", there.idp.tokens(), **NO_PROJECT)
    for _ in range(3):
        answer = await house.ask()
        assert answer.status_code in (429, 503)
        assert 250 < int(answer.headers["retry-after"]) <= 301
    assert asked(there, "loadCodeAssist") == 1
    assert there.questions == []


@pytest.mark.parametrize(
    ("url", "body"),
    [
        pytest.param("/v1/chat/completions", {"model": MODEL, "messages": HELLO}, id="P12 translated"),
        pytest.param(
            f"/v1beta/models/{MODEL}:generateContent",
            {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]},
            id="P12 native",
        ),
    ],
)
async def test_a_clients_project_is_never_passed_on(
    url: str, body: dict[str, Any], house: LoginHouse, there: Google
) -> None:
    """Google would charge the call to it, and refuse."""
    await house.add("one", there.idp.tokens())
    given = {"x-goog-user-project": "my-own-project", "x-goog-api-client": "mine/1"}
    answer = await house.send("POST", url, json=body, headers=given)
    assert answer.status_code == 200, answer.text
    (question,) = there.questions
    assert not {"x-goog-user-project", "x-goog-api-client"} & question.headers.keys()


# -- names of models


async def test_E19_a_name_says_which_claude_and_how_much_it_thinks(house: LoginHouse, there: Google) -> None:
    await house.add("one", there.idp.tokens())
    answer = await house.ask("gemini-claude-opus-4-6-thinking-low", max_tokens=20_000)
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == "gemini-claude-opus-4-6-thinking-low"
    sent = wire(there, "claude-opus-4-6-thinking")["request"]["generationConfig"]
    assert sent["thinkingConfig"]["thinkingBudget"] == 8192


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        pytest.param("claude-opus-4-6", "claude-opus-4-6-thinking", id="E20 claude"),
        pytest.param("gemini-3.1-pro-high", "gemini-pro-agent", id="E20 gemini"),
        pytest.param("antigravity/foo-1", "foo-1", id="E20 unknown"),
    ],
)
async def test_names_reach_the_wire_as_the_models_that_they_mean(
    name: str, sent: str, house: LoginHouse, there: Google
) -> None:
    await house.add("one", there.idp.tokens())
    answer = await house.ask(name)
    assert [question.model for question in there.cloud.exchanges if "verb" in question.said_by_path] == [sent]
    assert answer.json().get("model", name) == name
    # Of the unknown one Google says itself that there is none.
    there.cloud.violations[:] = [each for each in there.cloud.violations if not each.startswith("foo-1 ")]
    assert (answer.status_code == 404) is (sent == "foo-1")


async def test_E21_the_operators_names_reach_the_wire(there: Google, tmp_path: Path) -> None:
    aliases = {"gpt*": "gemini-3-flash", "gpt-4*": "gemini-3.1-flash-lite", "gpt-4-turbo": "claude-sonnet-4-6"}
    async with login_house(there, tmp_path, aliases=aliases) as house:
        await house.add("one", there.idp.tokens())
        for name in ("gpt-3", "gpt-4-mini", "gpt-4-turbo"):
            assert (await house.ask(name)).status_code == 200
    sent = [question.model for question in there.cloud.exchanges if "verb" in question.said_by_path]
    assert sent == ["gemini-3-flash", "gemini-3.1-flash-lite", "claude-sonnet-4-6"]


async def test_a_quota_that_is_used_up_is_that_of_every_name_of_its_models(house: LoginHouse, there: Google) -> None:
    there.has().exhaust("claude", 3600)
    await house.add("one", there.idp.tokens())
    assert (await house.ask("claude-sonnet-4-6")).status_code == 429
    seen = len(there.cloud.exchanges)
    for name in ("claude-opus-4-5-20251101", "claude-opus-4-6", "gemini-claude-sonnet-4-5", "claude-haiku-4-5"):
        answer = await house.ask(name)
        assert answer.status_code == 429, name
        assert 3000 < int(answer.headers["retry-after"]) <= 3601
    assert len(there.cloud.exchanges) == seen
    assert (await house.ask()).status_code == 200


# -- quotas and the list of models


async def test_what_an_account_has_left_is_told_by_model(house: LoginHouse, there: Google) -> None:
    account = there.has(strict_models=True)
    account.exhaust("claude", 3600)
    account_id = await house.add("one", there.idp.tokens())
    answer = await house.admin.get(f"/api/v1/accounts/{account_id}/quota")
    assert answer.status_code == 200, answer.text
    left = {each["model"]: each for each in answer.json()["data"]}
    assert (left["claude-sonnet-4-6"]["fraction_left"], left["claude-sonnet-4-6"]["quota_group"]) == (0.0, "claude")
    assert left["gemini-3-flash"]["fraction_left"] == 1.0
    assert left["gemini-3-flash"]["resets_at"] is not None
    assert "tab_flash_lite_preview" not in left
    assert [exchange.json for exchange in there.cloud.asked(model="fetchAvailableModels")] == [
        {"project": "proj-1"},
        {},
    ]
    there.cloud.violations.clear()


async def test_asking_for_a_quota_costs_an_account_nothing(house: LoginHouse, there: Google) -> None:
    account_id = await house.add("one", there.idp.tokens())
    banned = "This service has been disabled in this account for violation of Terms of Service."
    there.cloud.script(there.cloud.refuse(403, banned), model="fetchAvailableModels")
    answer = await house.admin.get(f"/api/v1/accounts/{account_id}/quota")
    assert answer.status_code == 502
    assert "violation of Terms of Service" in answer.text
    assert (await house.accounts())["one"]["status"] == "active"
    assert asked(there, "fetchAvailableModels") == 1


async def test_the_list_of_models_is_what_the_accounts_have_once_one_has_answered(
    house: LoginHouse, there: Google
) -> None:
    """The fake has all models of the table, so what shows is what it is told that they can."""
    await house.add("one", there.idp.tokens())
    before = await listed(house)
    assert before["gemini-pro-agent"]["max_output_tokens"] == 65_535
    assert before["claude-opus-4-6"]["context_window"] == 200_000
    assert "gemini-9-flash" not in before
    told = {"models": {"gemini-9-flash": {"maxTokens": 2_000_000}, MODEL: {"maxOutputTokens": 32_000}}}
    there.cloud.script(answering(told), model="fetchAvailableModels")
    assert (await house.ask()).status_code == 200
    async with asyncio.timeout(10):
        while "gemini-9-flash" not in (now := await listed(house)):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)
    assert now["gemini-9-flash"]["context_window"] == 2_000_000
    assert now[MODEL]["max_output_tokens"] == 32_000
    assert "gemini-pro-agent" not in now
    assert (await house.ask("gemini-pro-agent")).status_code == 200


async def listed(house: LoginHouse) -> dict[str, Any]:
    answer = await house.send("GET", "/v1/models")
    return {model["id"]: model for model in answer.json()["data"]}


# -- the risk


async def test_the_risk_is_shown_and_has_to_be_accepted(house: LoginHouse) -> None:
    provider = (await house.admin.get("/api/v1/providers/antigravity")).json()
    assert (provider["risk"], provider["name"]) == (RISK, "Antigravity")
    refused = await house.admin.post("/api/v1/oauth/antigravity/start", json={})
    assert refused.status_code == 409
    assert "Google has disabled accounts" in refused.text
    begun = await house.begin()
    assert begun["risk"] == RISK
    assert EMAIL not in str(begun)
