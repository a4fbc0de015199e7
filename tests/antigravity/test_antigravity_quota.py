"""What an account has left, and what the catalogue learns when it is asked."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from clock import Clock
from hypothesis import given
from hypothesis import strategies as st

from aigateway_antigravity.catalogue import Catalogue
from aigateway_antigravity.config import AntigravityConfig
from aigateway_antigravity.project import Projects
from aigateway_antigravity.quota import Quotas
from aigateway_core.plugin import QuotaLeft, Secret, UpstreamError
from aigateway_core.testing import FakeUpstream, Reply

pytestmark = pytest.mark.anyio
RESET = "2026-08-22T18:00:00Z"
MOMENT = datetime(2026, 8, 22, 18, tzinfo=UTC)
ANSWER = {
    "models": {
        "claude-sonnet-4-6": {"maxTokens": 190_000, "quotaInfo": {"remainingFraction": 0.62, "resetTime": RESET}},
        "gemini-3-flash": {"quotaInfo": {"resetTime": RESET}},
        "gemini-9-pro": {"displayName": "Gemini 9 Pro"},
        "chat_20706": {"quotaInfo": {"remainingFraction": 1}},
    }
}


def reply(body: Any, status: int = 200) -> Reply:
    return Reply(json.dumps(body).encode(), status)


def upstream(*replies: Reply | Exception, **metadata: Any) -> FakeUpstream:
    made = FakeUpstream(*replies)
    made.account_id, made.metadata = "a-1", {"project": "proj-a", **metadata}
    return made


class Parts:
    def __init__(self) -> None:
        config = AntigravityConfig(
            oauth_client_id="c", oauth_client_secret=Secret("secret-secret"), user_agent="mine/1"
        )
        self.catalogue = Catalogue(config)
        self.clock = Clock()
        self.quotas = Quotas(config, Projects(config), self.catalogue, clock=self.clock)

    @property
    def listed(self) -> set[str]:
        return {info.id for info in self.catalogue.infos}


@pytest.fixture
def parts() -> Parts:
    return Parts()


def asked(upstream: FakeUpstream) -> list[tuple[str, dict[str, Any]]]:
    return [(str(each.url).rpartition(":")[2], json.loads(each.content)) for each in upstream.requests]


async def until_quiet(parts: Parts) -> None:
    await asyncio.gather(*parts.quotas._glances)


async def test_each_model_says_what_is_left_and_when_it_comes_back(parts: Parts) -> None:
    google = upstream(reply(ANSWER))
    assert await parts.quotas.of(google) == [
        QuotaLeft(model="claude-sonnet-4-6", quota_group="claude", fraction=0.62, resets_at=MOMENT),
        QuotaLeft(model="gemini-3-flash", quota_group="gemini-flash", fraction=0.0, resets_at=MOMENT),
        QuotaLeft(model="gemini-9-pro", quota_group="gemini-pro"),
    ]
    assert asked(google) == [("fetchAvailableModels", {"project": "proj-a"})]
    assert google.requests[0].headers["user-agent"] == "mine/1"


@pytest.mark.parametrize(
    ("quota", "fraction"),
    [
        pytest.param({"resetTime": RESET}, 0.0, id="X25 dropped zero"),
        pytest.param(None, None, id="X25 unknown"),
        pytest.param({}, None, id="X25 empty"),
        ({"remainingFraction": 0.5}, 0.5),
        ({"remainingFraction": 0}, 0.0),
        ({"remainingFraction": 7, "resetTime": RESET}, 1.0),
        ({"remainingFraction": "much"}, None),
        ({"remainingFraction": True}, None),
        ({"remainingFraction": 0.5, "resetTime": "soon"}, 0.5),
    ],
)
async def test_what_is_left_out_is_read_as_what_it_means(quota: Any, fraction: float | None, parts: Parts) -> None:
    known = {"gemini-3.1-flash-lite": {"quotaInfo": {"remainingFraction": 1.0}}}
    told = {"models": {**known, "gemini-3-flash": {} if quota is None else {"quotaInfo": quota}}}
    left = {each.model: each for each in await parts.quotas.of(upstream(reply(told)))}
    assert left["gemini-3-flash"].fraction == fraction


async def test_X26_an_account_that_may_not_name_its_project_asks_without(parts: Parts) -> None:
    google = upstream(reply({}, 403), reply(ANSWER))
    assert len(await parts.quotas.of(google)) == 3
    assert asked(google) == [("fetchAvailableModels", {"project": "proj-a"}), ("fetchAvailableModels", {})]


@pytest.mark.parametrize(("statuses", "requests"), [((403, 403), 2), ((429,), 1), ((401,), 1)])
async def test_X26_it_asks_once_more_and_only_then(statuses: tuple[int, ...], requests: int, parts: Parts) -> None:
    google = upstream(*(reply({}, status) for status in statuses))
    with pytest.raises(UpstreamError) as raised:
        await parts.quotas.of(google)
    assert (raised.value.status, len(google.requests)) == (statuses[-1], requests)


async def test_quotas_that_the_models_do_not_tell_are_asked_for_by_themselves(parts: Parts) -> None:
    buckets = [
        {"modelId": "gemini-3-flash", "tokenType": "REQUESTS", "remainingFraction": 0.25, "resetTime": RESET},
        {"modelId": 5},
        "junk",
    ]
    google = upstream(reply({"models": {"gemini-3-flash": {}, "gemini-9-pro": {}}}), reply({"buckets": buckets}))
    assert await parts.quotas.of(google) == [
        QuotaLeft(model="gemini-3-flash", quota_group="gemini-flash", fraction=0.25, resets_at=MOMENT),
        QuotaLeft(model="gemini-9-pro", quota_group="gemini-pro"),
    ]
    assert asked(google)[1] == ("retrieveUserQuota", {"project": "proj-a"})


async def test_without_any_quota_the_models_are_told_still(parts: Parts) -> None:
    google = upstream(reply({"models": {"gemini-3-flash": {}}}), reply({}, 404))
    assert [each.fraction for each in await parts.quotas.of(google)] == [None]


async def test_an_account_without_a_project_finds_it_first(parts: Parts) -> None:
    google = upstream(reply({"cloudaicompanionProject": "proj-b"}), reply(ANSWER), project="")
    await parts.quotas.of(google)
    assert asked(google)[1] == ("fetchAvailableModels", {"project": "proj-b"})


# -- what is learnt


async def test_the_catalogue_learns_from_every_answer(parts: Parts) -> None:
    assert "gemini-pro-agent" in parts.listed
    await parts.quotas.of(upstream(reply(ANSWER)))
    assert {"claude-sonnet-4-6", "gemini-3-flash", "gemini-9-pro"} <= parts.listed
    assert not {"gemini-pro-agent", "chat_20706"} & parts.listed
    assert parts.catalogue.info("claude-sonnet-4-6").context_window == 190_000


async def test_a_glance_learns_in_the_background_and_not_again_for_hours(parts: Parts) -> None:
    google = upstream(reply(ANSWER))
    for _ in range(5):
        parts.quotas.glance(google)
    assert google.requests == []
    await until_quiet(parts)
    assert "gemini-9-pro" in parts.listed
    parts.clock.now += 5 * 3600
    parts.quotas.glance(google)
    await until_quiet(parts)
    assert len(google.requests) == 1
    parts.clock.now += 2 * 3600
    parts.quotas.glance(google)
    await until_quiet(parts)
    assert len(google.requests) == 2


async def test_a_question_of_the_operators_is_a_glance_too(parts: Parts) -> None:
    google = upstream(reply(ANSWER))
    await parts.quotas.of(google)
    parts.quotas.glance(google)
    await until_quiet(parts)
    assert len(google.requests) == 1


@pytest.mark.parametrize("trouble", [reply({}, 500), reply({}, 401), Reply(b"<html>"), RuntimeError("a defect")])
async def test_a_glance_that_fails_troubles_nobody_and_is_not_repeated_at_once(
    trouble: Reply | Exception, parts: Parts
) -> None:
    google = upstream(trouble)
    parts.quotas.glance(google)
    await until_quiet(parts)
    seen = len(google.requests)
    parts.quotas.glance(google)
    await until_quiet(parts)
    assert len(google.requests) == seen
    parts.clock.now += 700
    parts.quotas.glance(google)
    await until_quiet(parts)
    assert len(google.requests) == 2 * seen
    assert "gemini-pro-agent" in parts.listed


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5) | st.just(RESET),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
QUOTA = st.fixed_dictionaries({}, optional={"remainingFraction": JSON, "resetTime": JSON})


@given(
    st.dictionaries(
        st.sampled_from(["gemini-3-flash", "claude-x"]), st.fixed_dictionaries({"quotaInfo": QUOTA | JSON}) | JSON
    )
)
async def test_what_is_left_is_a_share_or_unknown_whatever_is_answered(models: dict[str, Any]) -> None:
    body = json.dumps({"models": models}, allow_nan=False, default=str) if _is_json(models) else "{}"
    left = await Parts().quotas.of(upstream(Reply(body.encode()), reply({})))
    assert all(each.fraction is None or 0 <= each.fraction <= 1 for each in left)


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True
