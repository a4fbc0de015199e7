"""Logging in with Google, and living with its tokens: through the whole gateway, with the plugin's own options."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from core.token_house import TokenHouse
from e2e.fakes.cloud_code import FakeCloudCode
from e2e.fakes.cloud_code_accounts import FREE_TIER
from login_house import EMAIL, Google, LoginHouse, login_house, query_of
from outbound_proxies import HttpProxy

from aigateway_antigravity.login import PORTS, SCOPES
from aigateway_core import credentials
from aigateway_core.builtin.oauth import OAuthOptions, OAuthStrategy
from aigateway_core.cli.loopback import listening
from aigateway_core.logins import Answer
from aigateway_core.plugin import InvalidRequestError, LoginNeededError, UpstreamError
from aigateway_core.storage import SYSTEM, NewAccount, SQLiteFile
from aigateway_core.structuring import structure
from aigateway_core.testing import FakeIdentityProvider, TokenAnswer

pytestmark = pytest.mark.anyio


@pytest.fixture
def idp(fake_identity_provider: FakeIdentityProvider) -> FakeIdentityProvider:
    fake_identity_provider.rotates = False
    return fake_identity_provider


@pytest.fixture
def there(idp: FakeIdentityProvider) -> Iterator[Google]:
    there = Google(idp, FakeCloudCode(idp))
    there.has()
    there.cloud.start()
    yield there
    there.cloud.stop()
    assert there.cloud.violations == []


@pytest.fixture
async def house(there: Google, tmp_path: Path) -> AsyncIterator[LoginHouse]:
    async with login_house(there, tmp_path) as house:
        yield house


def strategy(there: Google) -> OAuthStrategy:
    return OAuthStrategy(structure(there.options(), OAuthOptions))


def ended(idp: FakeIdentityProvider) -> dict[str, Any]:
    """Tokens whose access has ended."""
    lifetime, idp.lifetime = idp.lifetime, 0.0
    tokens = idp.tokens()
    idp.lifetime = lifetime
    return tokens


def told(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["message"])


# -- the address and what comes back


def test_O1_the_address_asks_for_all_that_is_needed(there: Google) -> None:
    begun = strategy(there).begin_login("http://localhost:51121/oauth-callback")
    query = query_of(begun.url)
    assert query == {
        "access_type": "offline",
        "prompt": "consent",
        "response_type": "code",
        "client_id": there.idp.client_id,
        "redirect_uri": "http://localhost:51121/oauth-callback",
        "scope": " ".join(SCOPES),
        "state": begun.state.reveal(),
        "code_challenge": query["code_challenge"],
        "code_challenge_method": "S256",
    }
    assert "redirect_uri=http%3A%2F%2Flocalhost%3A51121%2Foauth-callback" in begun.url
    assert len(SCOPES) == 5
    assert all(scope.startswith("https://www.googleapis.com/auth/") for scope in SCOPES)


async def test_O2_who_does_not_agree_is_told_so_and_no_token_is_asked_for(house: LoginHouse, there: Google) -> None:
    answer = await house.answer(there.idp.refuse_consent((await house.begin())["url"]))
    assert answer.status_code == 400
    assert "access_denied" in told(answer)
    assert there.idp.token_requests == []


async def test_O3_an_answer_is_good_for_a_login_that_was_begun_and_once(house: LoginHouse, there: Google) -> None:
    back = there.idp.consent((await house.begin())["url"])
    assert (await house.answer(back.replace("state=", "state=x"))).status_code == 404
    assert there.idp.token_requests == []
    assert (await house.answer(back)).status_code == 200
    assert (await house.answer(back)).status_code == 404
    assert there.idp.exchanges == 1


@pytest.mark.parametrize(
    ("pasted", "status"),
    [
        pytest.param("http://localhost:51121/oauth-callback?code={code}&state={state}", 200, id="O4 address"),
        pytest.param("{code}", 200, id="O4 code alone"),
        pytest.param("abc", 400, id="O4 too short"),
    ],
)
async def test_what_a_person_pastes_is_understood(pasted: str, status: int, house: LoginHouse, there: Google) -> None:
    begun = await house.begin(redirect_uri="http://localhost:51121/oauth-callback")
    query = query_of(there.idp.consent(begun["url"]))
    text = pasted.format(**query)
    body = {"url": text} if status == 400 or text.startswith("http") else {"code": text, "state": begun["state"]}
    answer = await house.admin.post("/api/v1/oauth/antigravity/complete", json=body)
    assert answer.status_code == status, answer.text
    assert there.idp.exchanges == (1 if status == 200 else 0)


def test_O4_a_bare_code_is_read_as_one_and_a_short_text_is_not() -> None:
    assert Answer.pasted(" 4/abcdefghij\n", "s1") == Answer(state="s1", code="4/abcdefghij")
    address = "http://localhost:51121/oauth-callback?code=4/abc&state=s1"
    assert Answer.pasted(address) == Answer(state="s1", code="4/abc")
    with pytest.raises(InvalidRequestError, match="the whole address"):
        Answer.pasted("abc", "s1")


async def test_O5_another_port_than_the_usual_one_stands_in_both_requests(house: LoginHouse, there: Google) -> None:
    with ExitStack() as busy:
        for port in PORTS[:2]:
            taken = busy.enter_context(socket.socket())
            # As the listener has it: else a connection that has just ended there would keep the port from us alone.
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                taken.bind(("127.0.0.1", port))
                taken.listen()
            except OSError:
                continue  # Somebody else has it: taken as well.
        async with listening(strategy(there).redirect) as loopback:
            address = urlsplit(loopback.redirect_uri)
            assert (address.hostname, address.path) == ("localhost", "/oauth-callback")
            assert address.port is not None
            assert address.port not in PORTS[:2]
            begun = await house.begin(redirect_uri=loopback.redirect_uri)
            assert query_of(begun["url"])["redirect_uri"] == loopback.redirect_uri
            back = there.idp.consent(begun["url"])
            assert back.startswith(f"http://localhost:{address.port}/oauth-callback?")
            assert (await house.answer(back)).status_code == 200
            assert there.idp.token_requests[0]["redirect_uri"] == loopback.redirect_uri


async def test_O6_without_a_refresh_token_nothing_is_stored(house: LoginHouse, there: Google) -> None:
    there.idp.answer(TokenAnswer(body={"access_token": "at-0123456789", "expires_in": 3599}))
    answer = await house.log_in()
    assert answer.status_code == 502
    assert "no refresh token" in told(answer)
    assert await house.accounts() == {}


# -- renewals


@pytest.fixture
async def tokens(there: Google, tmp_path: Path) -> AsyncIterator[TokenHouse]:
    async with TokenHouse(SQLiteFile(tmp_path / "tokens.db"), there.options()) as house:
        yield house


async def stored(house: TokenHouse, auth_data: dict[str, Any]) -> str:
    row = await house.storage.accounts.create(NewAccount(provider_id="acme", auth_data=auth_data), SYSTEM)
    house.know(row)
    return row.id


async def refresh_token_of(house: TokenHouse, account_id: str) -> str:
    return str((await house.storage.accounts.get(account_id)).auth_data["refresh_token"])


@pytest.mark.parametrize("rotates", [pytest.param(False, id="O7 stays"), pytest.param(True, id="O7 replaced")])
async def test_a_refresh_token_stays_unless_another_one_comes(
    rotates: bool, tokens: TokenHouse, idp: FakeIdentityProvider
) -> None:
    idp.rotates = rotates
    before = ended(idp)
    account = await stored(tokens, before)
    assert idp.accepts(await tokens.token(account))
    assert (await refresh_token_of(tokens, account) == before["refresh_token"]) is not rotates


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({"expires_in": 3599, "token_type": "Bearer"}, id="O8 missing"),
        pytest.param({"access_token": "", "expires_in": 3599}, id="O8 empty"),
    ],
)
async def test_a_renewal_without_a_token_is_an_error_and_changes_nothing(
    answer: dict[str, Any], tokens: TokenHouse, idp: FakeIdentityProvider
) -> None:
    before = ended(idp)
    account = await stored(tokens, before)
    idp.answer(TokenAnswer(body=answer))
    with pytest.raises(UpstreamError, match="no access token"):
        await tokens.token(account)
    kept = (await tokens.storage.accounts.get(account)).auth_data
    assert kept["access_token"] == before["access_token"]
    assert kept["refresh_token"] == before["refresh_token"]


async def test_O9_a_token_is_renewed_ahead_of_its_end_while_it_still_serves(
    tokens: TokenHouse, idp: FakeIdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is sent as long as it is good: no request waits for a renewal that could go on beside it."""
    given = idp.tokens()
    account = await stored(tokens, {**given, "expires_at": datetime.now(UTC).timestamp() + 30})
    assert await tokens.token(account) == given["access_token"]
    monotonic = time.monotonic
    monkeypatch.setattr(credentials.time, "monotonic", lambda: monotonic() + 20)
    assert await tokens.token(account) == given["access_token"]
    await tokens.credentials._living[account].settled()
    assert idp.refreshes == 1
    assert await tokens.token(account) != given["access_token"]


async def test_O9_a_token_that_is_good_for_long_is_left_alone(tokens: TokenHouse, idp: FakeIdentityProvider) -> None:
    account = await stored(tokens, {**idp.tokens(), "expires_at": datetime.now(UTC).timestamp() + 7200})
    assert idp.accepts(await tokens.token(account))
    assert idp.refreshes == 0


@pytest.mark.parametrize(
    ("record", "refreshes"),
    [
        pytest.param({"timestamp": -600_000, "expires_in": "3600"}, 0, id="O10 still good"),
        pytest.param({"timestamp": -3_700_000, "expires_in": "3600"}, 1, id="O10 over"),
        pytest.param({}, 1, id="O10 nothing told"),
    ],
)
async def test_a_record_of_another_program_is_read(
    record: dict[str, Any], refreshes: int, tokens: TokenHouse, idp: FakeIdentityProvider
) -> None:
    if "timestamp" in record:
        record["timestamp"] = int(datetime.now(UTC).timestamp() * 1000) + record["timestamp"]
    given = idp.tokens()
    account = await stored(tokens, {**record, **{name: given[name] for name in ("access_token", "refresh_token")}})
    await tokens.token(account)
    assert idp.refreshes == refreshes


@pytest.mark.parametrize(
    ("expires_in", "lives"),
    [
        pytest.param("abc", timedelta(hours=1), id="O11 no number"),
        pytest.param(0, timedelta(0), id="O11 zero"),
        pytest.param(-5, timedelta(0), id="O11 negative"),
    ],
)
async def test_a_lifetime_that_is_odd_is_read_with_care(
    expires_in: Any, lives: timedelta, house: LoginHouse, there: Google
) -> None:
    answer = await login_with_lifetime(house, there, expires_in)
    ends = datetime.fromisoformat(answer.json()["expires_at"])
    assert abs(ends - datetime.now(UTC) - lives) < timedelta(minutes=1)


async def login_with_lifetime(house: LoginHouse, there: Google, expires_in: Any) -> httpx.Response:
    """A login whose first token is told to live so long."""
    given = there.idp.tokens()
    body = {"access_token": given["access_token"], "refresh_token": given["refresh_token"], "expires_in": expires_in}
    there.idp.answer(TokenAnswer(body=body))
    answer = await house.log_in()
    assert answer.status_code == 200, answer.text
    return answer


async def test_O12_twenty_requests_share_one_renewal_and_one_that_leaves_does_not_stop_it(
    tokens: TokenHouse, idp: FakeIdentityProvider
) -> None:
    account = await stored(tokens, ended(idp))
    idp.delay = 0.2
    waiting = [asyncio.create_task(tokens.token(account)) for _ in range(20)]
    await asyncio.sleep(0.05)
    waiting[0].cancel()
    done = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(done[0], asyncio.CancelledError)
    assert len({*done[1:]}) == 1
    assert idp.accepts(str(done[1]))
    assert idp.refreshes == 1


async def test_O13_a_login_that_is_over_is_shown_and_another_account_answers(house: LoginHouse, there: Google) -> None:
    await house.add("good", there.idp.tokens())
    await house.add("over", {**ended(there.idp), "refresh_token": "rt-revoked-0123456789"})
    answers = [await house.ask() for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 6, answers[0].text
    accounts = await house.accounts()
    assert (accounts["good"]["status"], accounts["over"]["status"]) == ("active", "needs_login")
    assert "invalid_grant" in accounts["over"]["status_reason"]
    assert there.idp.refreshes == 1


async def test_O14_a_token_endpoint_that_breaks_off_costs_no_account(
    house: LoginHouse, there: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    respond = there.idp.respond
    broken = True

    def answer(path: str, headers: Any, body: bytes) -> TokenAnswer:
        if path == "/token" and broken:
            raise ConnectionResetError
        return respond(path, headers, body)

    handler = there.idp._listener._server.RequestHandlerClass  # type: ignore[union-attr]
    monkeypatch.setattr(handler, "respond", staticmethod(answer))
    monkeypatch.setattr(there.idp._listener._server, "handle_error", lambda *_: None)  # type: ignore[union-attr]
    await house.add("good", there.idp.tokens())
    await house.add("ended", ended(there.idp))
    assert [(await house.ask()).status_code for _ in range(4)] == [200] * 4
    accounts = await house.accounts()
    assert accounts["ended"]["status"] in ("active", "cooling")
    broken = False
    ended_id = accounts["ended"]["id"]
    assert (await house.admin.post(f"/api/v1/accounts/{ended_id}/refresh")).status_code == 200
    async with asyncio.timeout(20):
        while (await house.accounts())["ended"]["status"] != "active":  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(
            b'{"error":{"code":401,"status":"UNAUTHENTICATED","message":"words of theirs"}}',
            "(unauthenticated)",
            id="O15 object",
        ),
        pytest.param(b"not json", "status 400", id="O15 not json"),
    ],
)
async def test_a_refusal_of_the_token_endpoint_is_read_in_every_shape(
    body: bytes, code: str, tokens: TokenHouse, idp: FakeIdentityProvider
) -> None:
    account = await stored(tokens, ended(idp))
    idp.answer(TokenAnswer(status=400, body=body))
    with pytest.raises(UpstreamError) as raised:
        await tokens.token(account)
    assert not isinstance(raised.value, LoginNeededError)
    assert code in raised.value.message
    assert "words of theirs" not in raised.value.message


async def test_O16_a_401_costs_one_renewal_and_one_more_try(house: LoginHouse, there: Google) -> None:
    given = {**there.idp.tokens(), "expires_at": datetime.now(UTC).timestamp() + 3000}
    await house.add("one", given)
    there.idp.revoke_access()
    answer = await house.ask()
    assert answer.status_code == 200, answer.text
    assert there.idp.refreshes == 1
    assert len(there.questions) == 2
    assert len({question.json["requestId"] for question in there.questions}) == 2


async def test_O16_a_second_401_moves_on_and_ends(house: LoginHouse, there: Google) -> None:
    for label in ("one", "two"):
        await house.add(label, {**there.idp.tokens(), "expires_at": datetime.now(UTC).timestamp() + 3000})
    there.cloud.keys = set()
    answer = await house.ask()
    assert answer.status_code == 502
    assert there.idp.refreshes == 2
    assert len(there.questions) == 4
    there.cloud.violations.clear()


async def test_X31_a_wrong_client_secret_is_the_configurations_fault(
    there: Google, tmp_path: Path, idp: FakeIdentityProvider
) -> None:
    async with login_house(there, tmp_path) as house:
        for label in ("one", "two"):
            await house.add(label, ended(idp))
        idp.client_secret = "another-client-secret"
        answer = await house.ask()
        assert answer.status_code == 502, answer.text
        assert "client id or secret (invalid_client)" in answer.text
        accounts = await house.accounts()
        assert {account["status"] for account in accounts.values()} <= {"active", "cooling"}
        assert all(account["auth_data"]["refresh_token"]["set"] for account in accounts.values())
        assert not any(secret in answer.text for secret in idp.secrets)


async def test_X30_an_account_that_is_removed_or_switched_off_is_asked_no_more(
    house: LoginHouse, there: Google
) -> None:
    ids = [await house.add(label, there.idp.tokens()) for label in ("gone", "off", "stays")]
    assert {(await house.ask()).status_code for _ in range(3)} == {200}
    await house.admin.delete(f"/api/v1/accounts/{ids[0]}")
    await house.admin.put(f"/api/v1/accounts/{ids[1]}", json={"is_active": False})
    used = {account["id"]: account for account in (await house.accounts()).values()}
    assert ids[0] not in used
    seen = len(there.questions)
    staying = (await house.auth_data(ids[2]))["access_token"]
    assert {(await house.ask()).status_code for _ in range(6)} == {200}
    later = there.questions[seen:]
    assert {exchange.headers["authorization"] for exchange in later} == {f"Bearer {staying}"}


# -- what a login makes


async def test_a_login_makes_an_account_with_its_project_and_tier(house: LoginHouse, there: Google) -> None:
    there.has(paid_tier={"id": "g1-pro-tier", "name": "Example Pro"}, as_object=True)
    answer = await house.log_in()
    assert answer.status_code == 200, answer.text
    account = answer.json()
    assert (account["label"], account["status"]) == (EMAIL, "active")
    assert account["metadata"] == {"identity": EMAIL, "project": "proj-1", "tier": "g1-pro-tier"}
    assert (await house.ask()).status_code == 200
    assert not any(secret in answer.text for secret in there.idp.secrets)


async def test_O17_the_same_person_mends_the_account_that_is_there(house: LoginHouse, there: Google) -> None:
    first = (await house.log_in(label="mine")).json()
    async with house.storage() as storage:
        await storage.tokens.need_login(first["id"], 0, "revoked")
    before = await house.auth_data(first["id"])
    assert (await house.accounts())["mine"]["status"] == "needs_login"
    again = (await house.log_in()).json()
    assert (again["id"], again["label"], again["status"]) == (first["id"], "mine", "active")
    assert (await house.auth_data(first["id"]))["refresh_token"] != before["refresh_token"]
    assert (await house.ask()).status_code == 200
    assert len(await house.accounts()) == 1


async def test_another_person_has_another_account(house: LoginHouse, there: Google) -> None:
    there.has("other@example.com", project="proj-2")
    for email in (EMAIL, "other@example.com"):
        await house.log_in(email)
    projects = {label: account["metadata"]["project"] for label, account in (await house.accounts()).items()}
    assert projects == {EMAIL: "proj-1", "other@example.com": "proj-2"}


async def test_a_new_account_is_made_its_project_while_somebody_waits(house: LoginHouse, there: Google) -> None:
    account = there.has(project=None, current_tier=None, allowed_tiers=(FREE_TIER,), polls=2)
    answer = await house.log_in()
    assert answer.json()["metadata"] == {
        "identity": EMAIL,
        "project": "example-proj-granted",
        "tier": "free-tier",
    }
    assert account.boarded_as == ["free-tier"] * 3


async def test_who_is_not_admitted_is_told_why_and_nothing_is_stored(house: LoginHouse, there: Google) -> None:
    tier = {
        "reasonCode": "VALIDATION_REQUIRED",
        "reasonMessage": "Verify your account to continue.",
        "tierId": "free-tier",
        "validationUrl": "https://accounts.example.com/verify?x=1",
    }
    there.has(project=None, current_tier=None, allowed_tiers=(), ineligible_tiers=(tier,))
    answer = await house.log_in()
    assert answer.status_code == 502
    assert "Verify your account to continue. https://accounts.example.com/verify?x=1" in told(answer)
    assert await house.accounts() == {}


async def test_while_google_cannot_answer_the_login_stands_without_a_project(house: LoginHouse, there: Google) -> None:
    there.cloud.script(there.cloud.refuse(503, "try later"), model="loadCodeAssist")
    answer = await house.log_in()
    assert answer.status_code == 200, answer.text
    assert answer.json()["metadata"] == {"identity": EMAIL}


async def test_who_is_shut_out_is_told_so(house: LoginHouse, there: Google) -> None:
    banned = "This service has been disabled in this account for violation of Terms of Service."
    there.cloud.script(there.cloud.refuse(403, banned), model="loadCodeAssist")
    answer = await house.log_in()
    assert answer.status_code == 502
    assert "violation of Terms of Service" in told(answer)
    assert await house.accounts() == {}


async def test_nobody_in_particular_cannot_log_in(house: LoginHouse, there: Google) -> None:
    there.has("")
    answer = await house.log_in("")
    assert answer.status_code == 502
    assert "names no e-mail" in told(answer)


# -- by which way


async def test_a_login_goes_out_by_the_proxy_that_the_account_is_bound_to(there: Google, tmp_path: Path) -> None:
    """Its hosts have names that nobody but the proxy resolves: what arrives there went through it."""
    there.has(project=None, current_tier=None)
    token, cloud = (urlsplit(each.url).port for each in (there.idp, there.cloud))
    options = {
        "token_url": f"http://identity.test:{token}/token",
        "discovery_urls": (f"http://cloud.test:{cloud}",),
    }
    async with HttpProxy() as proxy, login_house(there, tmp_path, **options) as house:
        made = await house.admin.post("/api/v1/proxies", json={"url": proxy.url, "max_accounts": 1})
        assert made.status_code == 201, made.text
        answer = await house.log_in()
        assert answer.status_code == 200, answer.text
        assert answer.json()["proxy_id"] == made.json()["id"]
        seen = [asked for asked in proxy.asked if asked.partition(":")[0] in ("identity.test", "cloud.test")]
        assert seen == [f"identity.test:{token}", *[f"cloud.test:{cloud}"] * 4]
        assert (there.idp.exchanges, len(there.cloud.exchanges)) == (1, 4)
        refreshed = await house.admin.post(f"/api/v1/accounts/{answer.json()['id']}/refresh")
        assert refreshed.status_code == 200, refreshed.text
        assert proxy.asked.count(f"identity.test:{token}") == 2


async def test_the_checks_of_outbound_proxies_ask_for_the_hosts_of_this_provider(
    house: LoginHouse, there: Google
) -> None:
    assert house.house._upkeep()._targets == (f"{there.cloud.url}/",)


async def test_without_a_place_at_a_proxy_no_packet_leaves(there: Google, tmp_path: Path) -> None:
    async with HttpProxy() as proxy, login_house(there, tmp_path) as house:
        await house.admin.post("/api/v1/proxies", json={"url": proxy.url, "max_accounts": 1})
        await house.add("first", there.idp.tokens())
        answer = await house.log_in()
        assert answer.status_code >= 500
        assert "no outbound proxy has room" in told(answer)
        assert there.idp.exchanges == 0
        assert there.cloud.exchanges == []
