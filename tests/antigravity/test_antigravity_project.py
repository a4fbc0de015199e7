"""Which project an account's requests belong to: asked for once, made for who is new, and never invented."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from clock import Clock

from aigateway_antigravity.config import AntigravityConfig
from aigateway_antigravity.project import COOLDOWN, Discovery, Projects, named, tier_to_join
from aigateway_core.plugin import ErrorKind, Secret, UpstreamError
from aigateway_core.testing import FakeUpstream, Reply

pytestmark = pytest.mark.anyio
PROD, DAILY = "https://cloudcode-pa.googleapis.com", "https://daily-cloudcode-pa.googleapis.com"
DONE = {"done": True, "response": {"cloudaicompanionProject": {"id": "proj-made", "projectNumber": "1"}}}
FREE = {"id": "free-tier", "isDefault": True}


def config(**given: Any) -> AntigravityConfig:
    return AntigravityConfig(oauth_client_id="client", oauth_client_secret=Secret("secret-secret"), **given)


def reply(body: Any, status: int = 200) -> Reply:
    return Reply(json.dumps(body).encode(), status)


def upstream(*replies: Reply | Exception, account_id: str = "a-1", **metadata: Any) -> FakeUpstream:
    made = FakeUpstream(*replies)
    made.account_id, made.metadata = account_id, metadata
    return made


def projects(**given: Any) -> Projects:
    return Projects(config(), interval=0.001, **given)


def asked(upstream: FakeUpstream) -> list[tuple[str, dict[str, Any]]]:
    """Method and body of each request."""
    return [(str(each.url).rpartition(":")[2], json.loads(each.content)) for each in upstream.requests]


async def refused(wanted: Any) -> UpstreamError:
    with pytest.raises(UpstreamError) as raised:
        await wanted
    return raised.value


# -- what is read


@pytest.mark.parametrize(
    ("told", "project"),
    [
        pytest.param({"cloudaicompanionProject": " proj-a "}, "proj-a", id="P1 text"),
        pytest.param({"cloudaicompanionProject": {"id": "proj-b"}}, "proj-b", id="P1 object"),
        pytest.param({"cloudaicompanionProject": {}}, None, id="P1 empty object"),
        pytest.param({"cloudaicompanionProject": ""}, None, id="P1 empty text"),
        pytest.param({"cloudaicompanionProject": 5}, None, id="P1 number"),
        pytest.param({"cloudaicompanionProject": "a\nb"}, None, id="P1 not printable"),
        pytest.param({"projectId": "proj-c"}, "proj-c", id="P1 other name"),
        pytest.param({"project": {"id": " proj-d"}}, "proj-d", id="P1 third name"),
        pytest.param({}, None, id="P1 nothing"),
    ],
)
def test_a_project_is_read_in_every_form(told: dict[str, Any], project: str | None) -> None:
    assert named(told) == project


@pytest.mark.parametrize(
    ("told", "tier"),
    [
        pytest.param(
            {"allowedTiers": [{"id": "free-tier"}, {"id": "standard-tier", "isDefault": True}]},
            "standard-tier",
            id="P2",
        ),
        pytest.param({"currentTier": {"id": "legacy-tier"}}, "legacy-tier", id="P3 current"),
        pytest.param(
            {"allowedTiers": [{"id": "x"}], "currentTier": {"id": "legacy-tier"}}, "legacy-tier", id="P3 no default"
        ),
        pytest.param({}, "free-tier", id="P3 nothing"),
        pytest.param({"paidTier": {"id": "g1-pro-tier"}}, "free-tier", id="P4"),
        pytest.param(
            {"paidTier": {"id": "g1-pro-tier"}, "currentTier": {"id": "g1-pro-tier"}}, "free-tier", id="P4 current"
        ),
        pytest.param({"allowedTiers": "free-tier", "currentTier": []}, "free-tier", id="P3 junk"),
    ],
)
async def test_the_tier_that_a_new_account_joins(told: dict[str, Any], tier: str) -> None:
    assert tier_to_join(told)["id"] == tier
    google = upstream(reply(told), reply(DONE))
    assert (await projects().discover(google)).project == "proj-made"
    assert asked(google)[1] == ("onboardUser", {"tierId": tier, "metadata": {"ideType": "ANTIGRAVITY"}})


async def test_a_project_that_is_there_is_taken_with_the_tier_that_was_paid_for() -> None:
    told = {
        "cloudaicompanionProject": "proj-a",
        "currentTier": {"id": "free-tier"},
        "paidTier": {"id": "g1-pro-tier"},
        "allowedTiers": [FREE],
    }
    google = upstream(reply(told))
    found = await projects().discover(google)
    assert found == Discovery(project="proj-a", tier="g1-pro-tier")
    assert found.metadata == {"project": "proj-a", "tier": "g1-pro-tier"}
    assert asked(google) == [("loadCodeAssist", {"metadata": {"ideType": "ANTIGRAVITY"}})]
    assert str(google.requests[0].url) == f"{PROD}/v1internal:loadCodeAssist"


@pytest.mark.parametrize(
    "told", [{"currentTier": {"id": "legacy-tier"}}, {"allowedTiers": [{"id": "legacy-tier", "isDefault": True}]}]
)
async def test_the_tier_shown_is_the_current_or_the_default_one(told: dict[str, Any]) -> None:
    found = await projects().discover(upstream(reply({**told, "cloudaicompanionProject": "proj-a"})))
    assert found.tier == "legacy-tier"


# -- who is new


async def test_P5_a_new_account_is_asked_for_until_its_project_is_made() -> None:
    waiting = reply({"name": "operations/abc", "done": False})
    google = upstream(reply({"allowedTiers": [FREE]}), waiting, waiting, reply(DONE))
    assert await projects().discover(google) == Discovery(project="proj-made", tier="free-tier")
    questions = [body for method, body in asked(google) if method == "onboardUser"]
    assert questions == [{"tierId": "free-tier", "metadata": {"ideType": "ANTIGRAVITY"}}] * 3


@pytest.mark.parametrize("response", [{}, None, {"cloudaicompanionProject": {}}, {"cloudaicompanionProject": " "}])
async def test_P6_an_operation_that_ends_without_a_project_is_an_error(response: Any) -> None:
    error = await refused(projects().discover(upstream(reply({}), reply({"done": True, "response": response}))))
    assert (error.kind, error.scope) == (ErrorKind.CREDENTIAL, "account")
    assert "no project" in error.message


async def test_P6_an_operation_that_failed_says_why() -> None:
    done = {"done": True, "error": {"code": 9, "message": "Precondition check\nfailed."}}
    error = await refused(projects().discover(upstream(reply({}), reply(done))))
    assert "Precondition check failed." in error.message


async def test_P7_a_project_that_is_never_made_is_asked_for_a_number_of_times() -> None:
    google = upstream(reply({}), reply({"done": False}))
    error = await refused(projects(polls=4).discover(google))
    assert error.kind is ErrorKind.TIMEOUT
    assert len(google.requests) == 1 + 4


async def test_P7_a_search_ends_in_time_whatever_google_does() -> None:
    google = upstream(Reply(b"", ending="silence"))
    error = await refused(projects(longest=0.05).discover(google))
    assert error.kind is ErrorKind.TIMEOUT
    assert "0.05 seconds" in error.message
    slow = Projects(config(), interval=30, longest=0.05)
    assert (await refused(slow.discover(upstream(reply({}), reply({"done": False}))))).kind is ErrorKind.TIMEOUT


async def test_P8_a_project_of_the_operators_is_named_where_the_tier_is_not_the_free_one() -> None:
    mine = Projects(config(project="mine-1"), interval=0.001)
    google = upstream(reply({"allowedTiers": [FREE]}), reply(DONE))
    assert (await mine.discover(google)).project == "proj-made"
    assert "cloudaicompanionProject" not in asked(google)[1][1]
    google = upstream(reply({"currentTier": {"id": "standard-tier"}}), reply({"done": True}))
    assert (await mine.discover(google)).project == "mine-1"
    assert asked(google)[1][1]["cloudaicompanionProject"] == "mine-1"


async def test_a_tier_that_asks_for_a_project_says_so_before_anything_is_made() -> None:
    tier = {"id": "standard-tier", "isDefault": True, "userDefinedCloudaicompanionProject": True}
    google = upstream(reply({"allowedTiers": [tier]}), reply(DONE))
    error = await refused(projects().discover(google))
    assert "providers.antigravity.project" in str(error.remedy)
    assert [method for method, _ in asked(google)] == ["loadCodeAssist"]


@pytest.mark.parametrize("project", ["", " ", "123456"])
def test_a_number_is_no_project(project: str) -> None:
    with pytest.raises(ValueError, match="its number is refused"):
        config(project=project)


async def test_an_account_that_google_does_not_admit_is_told_why_and_where_to_go() -> None:
    tier = {
        "reasonCode": "VALIDATION_REQUIRED",
        "reasonMessage": "Verify\nyour account.",
        "validationUrl": "https://g.test/v",
    }
    google = upstream(reply({"ineligibleTiers": [tier]}))
    error = await refused(projects().discover(google))
    assert (error.kind, error.scope) == (ErrorKind.CREDENTIAL, "account")
    assert error.remedy == "Verify your account. https://g.test/v"
    assert "g.test" not in error.message
    assert len(google.requests) == 1


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "http://g.test", "https://a b", "https://g.test/" + "x" * 2000, 5]
)
async def test_only_an_address_that_can_be_visited_is_shown(url: Any) -> None:
    tier = {"reasonCode": "INELIGIBLE_ACCOUNT", "validationUrl": url}
    error = await refused(projects().discover(upstream(reply({"ineligibleTiers": [tier]}))))
    assert error.remedy == "INELIGIBLE_ACCOUNT"


async def test_an_account_with_a_tier_is_made_a_project_whatever_others_it_may_not_have() -> None:
    told = {"allowedTiers": [FREE], "ineligibleTiers": [{"reasonMessage": "no", "tierId": "standard-tier"}]}
    assert (await projects().discover(upstream(reply(told), reply(DONE)))).project == "proj-made"


# -- hosts


@pytest.mark.parametrize(
    "away",
    [
        reply({}, 500),
        reply({}, 503),
        reply({}, 404),
        httpx.ConnectError("no"),
        Reply(b"<html>"),
        Reply(b"", ending="break"),
    ],
)
async def test_P9_the_next_host_is_asked_when_the_first_cannot_answer(away: Reply | Exception) -> None:
    google = upstream(away, reply({"cloudaicompanionProject": "proj-daily"}))
    assert (await projects().discover(google)).project == "proj-daily"
    assert [request.url.host for request in google.requests] == [PROD[8:], DAILY[8:]]


@pytest.mark.parametrize("status", [400, 401, 403, 429])
async def test_a_refusal_is_not_taken_to_the_next_host(status: int) -> None:
    google = upstream(reply({}, status))
    assert (await refused(projects().discover(google))).status == status
    assert len(google.requests) == 1


async def test_an_outbound_proxy_that_is_away_is_not_asked_for_the_next_host() -> None:
    google = upstream(httpx.ProxyError("no"))
    assert (await refused(projects().discover(google))).scope == "outbound_proxy"
    assert len(google.requests) == 1


async def test_when_all_hosts_are_away_the_first_ones_failure_is_told() -> None:
    google = upstream(reply({}, 500), reply({}, 502))
    assert (await refused(projects().discover(google))).status == 500


async def test_what_is_sent_is_what_the_operator_says_and_no_more() -> None:
    google = upstream(reply({"cloudaicompanionProject": "p"}))
    mine = Projects(config(user_agent="mine/1.0", discovery_urls=("https://other.test/",)))
    await mine.discover(google)
    (request,) = google.requests
    assert request.headers["user-agent"] == "mine/1.0"
    assert str(request.url) == "https://other.test/v1internal:loadCodeAssist"
    assert not {"x-goog-user-project", "x-goog-api-client", "client-metadata"} & set(request.headers)


# -- before a request


async def test_a_stored_project_asks_nobody() -> None:
    google = upstream(project=" proj-stored ")
    assert await projects().of(google) == "proj-stored"
    assert google.requests == []


async def test_a_missing_project_is_looked_for_once() -> None:
    known, google = projects(), upstream(reply({"cloudaicompanionProject": "proj-a"}), project=" ")
    assert [await known.of(google) for _ in range(3)] == ["proj-a"] * 3
    assert len(google.requests) == 1


async def test_every_account_has_its_own() -> None:
    known = projects()
    one, two = (upstream(reply({"cloudaicompanionProject": name}), account_id=name) for name in ("one", "two"))
    assert [await known.of(each) for each in (one, two, one)] == ["one", "two", "one"]


async def test_P10_without_a_project_nothing_is_sent_and_the_error_says_what_to_do() -> None:
    google = upstream(reply({"ineligibleTiers": [{"reasonMessage": "Verify.", "validationUrl": "https://g.test/v"}]}))
    error = await refused(projects().of(google))
    assert [method for method, _ in asked(google)] == ["loadCodeAssist"]
    assert (error.kind, error.scope, error.dispatched) == (ErrorKind.CREDENTIAL, "account", False)
    assert error.remedy == "Verify. https://g.test/v"
    assert "Log in again, or store one as project in the account's metadata" in error.message


async def test_P11_after_a_failure_nobody_is_asked_for_a_while() -> None:
    clock = Clock()
    known = projects(clock=clock)
    google = upstream(reply({}, 500), reply({}, 500), reply({"cloudaicompanionProject": "proj-a"}))
    error = await refused(known.of(google))
    assert (error.kind, error.scope, error.retry_after) == (ErrorKind.UNAVAILABLE, "account", COOLDOWN)
    clock.now += 10
    again = await refused(known.of(google))
    assert again.retry_after == COOLDOWN - 10
    assert len(google.requests) == 2
    clock.now += COOLDOWN
    assert await known.of(google) == "proj-a"


async def test_an_account_that_was_mended_is_looked_at_anew() -> None:
    clock = Clock()
    known = projects(clock=clock)
    google = upstream(reply({"ineligibleTiers": [{}]}), reply({"cloudaicompanionProject": "proj-a"}))
    for _ in range(3):
        assert (await refused(known.of(google))).remedy is not None
    assert len(google.requests) == 1
    clock.now += 10
    assert await known.of(google) == "proj-a"


async def test_P11_the_failure_of_one_account_is_not_anothers() -> None:
    known = projects()
    await refused(known.of(upstream(reply({}, 500))))
    assert await known.of(upstream(reply({"cloudaicompanionProject": "p"}), account_id="a-2")) == "p"


async def test_an_outbound_proxy_that_comes_back_costs_no_cooldown() -> None:
    known = projects()
    assert (await refused(known.of(upstream(httpx.ProxyError("no"))))).scope == "outbound_proxy"
    assert await known.of(upstream(reply({"cloudaicompanionProject": "p"}))) == "p"


class Gate(httpx.AsyncBaseTransport):
    """Answers when it is opened."""

    def __init__(self, answer: httpx.Response) -> None:
        self.open = asyncio.Event()
        self.asked = 0
        self._answer = answer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        await self.open.wait()
        return self._answer


@pytest.fixture
def gated() -> tuple[Gate, FakeUpstream]:
    made, gate = upstream(), Gate(httpx.Response(200, json={"cloudaicompanionProject": "proj-a"}))
    made._transport = gate
    return gate, made


async def test_all_requests_of_an_account_wait_for_one_search_and_one_that_leaves_does_not_stop_it(
    gated: tuple[Gate, FakeUpstream],
) -> None:
    gate, google = gated
    known = projects()
    waiting = [asyncio.create_task(known.of(google)) for _ in range(20)]
    await asyncio.sleep(0.01)
    waiting[0].cancel()
    await asyncio.sleep(0.01)
    gate.open.set()
    done = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(done[0], asyncio.CancelledError)
    assert done[1:] == ["proj-a"] * 19
    assert gate.asked == 1


async def test_a_request_does_not_wait_long_and_the_search_goes_on(gated: tuple[Gate, FakeUpstream]) -> None:
    gate, google = gated
    known = projects(patience=0.02)
    error = await refused(known.of(google))
    assert (error.kind, error.scope, error.dispatched) == (ErrorKind.UNAVAILABLE, "account", False)
    gate.open.set()
    await asyncio.sleep(0.05)
    assert await known.of(google) == "proj-a"
    assert gate.asked == 1


async def test_a_defect_is_told_without_its_details(monkeypatch: pytest.MonkeyPatch) -> None:
    known = projects()

    async def broken(_: object) -> Discovery:
        raise RuntimeError("of the plugin's own")

    monkeypatch.setattr(known, "discover", broken)
    error = await refused(known.of(upstream()))
    assert "its log says why" in error.message
    assert "plugin's own" not in error.message


@pytest.mark.parametrize(
    "told",
    [
        {
            "allowedTiers": [None, 5, {"id": 7, "isDefault": True}],
            "currentTier": "x",
            "paidTier": [],
            "ineligibleTiers": {},
        },
        {"ineligibleTiers": [None]},
        {"currentTier": {"id": ""}},
    ],
)
async def test_odd_answers_end_in_a_project_or_an_error(told: dict[str, Any]) -> None:
    google = upstream(reply(told), reply(DONE))
    assert (await projects().discover(google)).project == "proj-made"
