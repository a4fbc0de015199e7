"""A key that opens nothing tells nothing: neither by words, nor by what is done with it, nor by whom it resembles."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from statistics import median

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from security.doors import Door, Keys, cells, filled
from security.test_auth_matrix import OPENS_CLIENT, OPENS_NOTHING, TABLE

from aigateway_core.access import Access, Role
from aigateway_core.errors import UnauthorizedError
from aigateway_core.guesses import Guesses
from aigateway_core.key_limits import KeyLimits, LimitError
from aigateway_core.records import Caller
from aigateway_core.snapshot import CurrentSnapshot, KeyEntry, Snapshot
from aigateway_core.state.memory import MemoryState
from aigateway_core.vault import KeyRing, key_id, new_key

pytestmark = pytest.mark.anyio

RING = KeyRing.parse("q4pSbq7n0cYF2L1g3Wm5u8xJt6dKz9vHhRfEaQwXyTU=")


async def test_s_03_every_refusal_of_a_route_is_the_same_to_the_byte(public: Door) -> None:
    kinds = {**OPENS_NOTHING, **OPENS_CLIENT}
    for path, method in cells(public.routes()):
        if TABLE[path] == "everybody":
            continue
        refusals = set()
        for kind, shown in kinds.items():
            if TABLE[path] == "client" and kind in OPENS_CLIENT:
                continue
            async with public.client(**shown(public.keys)) as client:
                answer = await client.request(method, filled(path))
            refusals.add((answer.status_code, answer.content, tuple(sorted(answer.headers.multi_items()))))
        assert len(refusals) == 1, (method, path, refusals)
        ((status, body, _),) = refusals
        assert status == 401
        assert not [key for key in attrs.astuple(public.keys) if key.encode() in body or key[:15].encode() in body]


ROUNDS = 500
MEASUREMENTS = 5


async def test_s_03_no_key_is_refused_sooner_than_another(public: Door) -> None:
    """Over two thousand tries, in turn; where the machine had other things to do, once more."""
    almost = public.keys.client[:-1] + ("b" if public.keys.client.endswith("a") else "a")
    keys = {
        "none": "",
        "junk": "junk",
        "unknown": new_key("cli").reveal(),
        "almost": almost,
        "revoked": public.keys.revoked_client,
    }
    for _ in range(MEASUREMENTS):
        took = await _medians(public, keys)
        if max(took.values()) <= 1.1 * min(took.values()):
            return
    pytest.fail(f"they differ by more than a tenth: {took}")


async def _medians(door: Door, keys: Mapping[str, str]) -> dict[str, float]:
    took: dict[str, list[float]] = {name: [] for name in keys}
    for _ in range(ROUNDS):
        for name, key in keys.items():
            began = time.perf_counter()
            status, _ = await door.raw("GET", "/v1/models", _shown("x-api-key", key))
            took[name].append(time.perf_counter() - began)
            assert status == 401
    return {name: median(each) for name, each in took.items()}


def test_s_03_a_key_is_hashed_once_whether_anybody_has_it_or_not() -> None:
    """What takes the same work takes the same time."""
    hashed: list[str] = []
    known = {role: new_key("cli" if role == "client" else "adm").reveal() for role in ("client", "admin")}

    def verify(key: str, stored: str | None) -> bool:
        hashed.append(key)
        return RING.verify(key, stored)

    door = _door(known, verify)
    with pytest.raises(UnauthorizedError):
        door.admit("client", [])
    assert hashed == [""]
    for key in ("", "junk", known["admin"], known["client"][:-1], known["client"][:-1] + "?", new_key("cli").reveal()):
        hashed.clear()
        with pytest.raises(UnauthorizedError):
            door.admit("client", [key])
        assert hashed == [key]


def _door(keys: dict[str, str], verify: object = RING.verify) -> Access:
    snapshot = CurrentSnapshot()
    entries = {
        key_id(key): KeyEntry(hash=RING.hash_key(key), caller=Caller(id=key_id(key), role=_role(name)))
        for name, key in keys.items()
    }
    snapshot.value = Snapshot(version=1, keys=entries, client_keys_exist=True)
    return Access(
        snapshot,
        verify=verify,  # type: ignore[arg-type]
        key_id=key_id,
        client_auth="required",
        local=True,
        guesses=Guesses(MemoryState(), {"client": 0, "admin": 0}),
    )


def _role(name: str) -> Role:
    return "admin" if name == "admin" else "client"


ODD = ["' OR 1=1 --", 'a"', "\\", "%", "%00", "\0", "😀", "x" * 65_536, "{}", "${jndi:x}", "../", "\x7f", "é", "\ud800"]
HEADERS = ("authorization", "x-api-key", "x-goog-api-key")


def _shown(name: str, key: str) -> tuple[bytes, bytes]:
    value = f"Bearer {key}" if name == "authorization" else key
    return name.encode(), value.encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("header", HEADERS)
async def test_s_07_whatever_is_shown_for_a_key_is_refused_in_the_same_words(public: Door, header: str) -> None:
    for path in ("/v1/models", "/v1/messages", "/api/v1/accounts"):
        method = "POST" if path == "/v1/messages" else "GET"
        plain = await public.raw(method, path, _shown(header, "junk"))
        assert plain[0] == 401
        for key in ODD:
            assert await public.raw(method, path, _shown(header, key)) == plain, key[:20]


async def test_s_07_a_key_is_looked_up_without_the_database(public: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """No statement is ever made of it: what opens the door is in memory."""
    asked: list[object] = []

    monkeypatch.setattr("aigateway_core.storage.database.Database.read", asked.append)
    monkeypatch.setattr("aigateway_core.storage.database.Database.transaction", asked.append)
    for key in ODD:
        await public.raw("GET", "/v1/models", _shown("x-api-key", key))
    assert asked == []


INJECTED = [
    "' OR '1'='1",
    "1; DROP TABLE accounts",
    "1 UNION SELECT auth_data FROM accounts",
    "%27%20OR%201=1",
    "`",
    '"',
]
LISTS = ["accounts?provider_id=", "proxies?health_status=", "stats/logs?model=", "stats/logs?account_id=", "keys/"]


@pytest.mark.parametrize("where", [*LISTS, "accounts/", "model-mappings/", "providers/", "stats/summary?provider_id="])
async def test_s_07_what_is_asked_for_by_an_admin_is_never_part_of_a_statement(public: Door, where: str) -> None:
    async with public.client(authorization=f"Bearer {public.keys.admin}") as admin:
        accounts = (await admin.get("/api/v1/accounts")).json()["total"]
        for word in INJECTED:
            answer = await admin.get(f"/api/v1/{where}{word}")
            assert answer.status_code in {200, 400, 404}, answer.text
            if answer.status_code == 200:
                assert not answer.json().get("data")
        assert (await admin.get("/api/v1/accounts")).json()["total"] == accounts > 0


def _like(key: str) -> Iterator[str]:
    """Keys that share with this one whatever a careless cache might look at."""
    yield key.swapcase()
    yield key[:64]
    yield key + key[-1]
    yield key + " "
    yield " " + key
    yield key[:32] + key[32:].swapcase()
    yield key[:16] + key[17:] + key[16]
    yield key.replace("_", "-")


async def test_s_10_a_key_that_looks_like_another_is_nobodys(public: Door) -> None:
    for key in (public.keys.client, public.keys.admin):
        for other in _like(key):
            if other.strip() == key:
                continue
            for path in ("/v1/models", "/api/v1/accounts"):
                status, _ = await public.raw("GET", path, _shown("authorization", other))
                assert status == 401, (path, other[:12])


@given(st.text(st.characters(exclude_categories=()), max_size=60), st.integers(0, 58))
def test_s_10_only_the_very_key_opens(word: str, at: int) -> None:
    key = new_key("cli").reveal()
    other = key[:at] + word + key[at + len(word) :]
    door = _door({"client": key})
    if other == key:
        assert door.admit("client", [other]).id == key_id(key)
    else:
        with pytest.raises(UnauthorizedError):
            door.admit("client", [other])


async def test_s_10_keys_with_the_same_public_part_in_other_letters_share_no_limit() -> None:
    limits = KeyLimits(MemoryState())
    one, other = (Caller(id=name, role="client", requests_per_minute=1) for name in ("abcdefgh", "ABCDEFGH"))
    for caller in (one, other):
        await _spend(limits, caller)
        with pytest.raises(LimitError):
            await _spend(limits, caller)


async def _spend(limits: KeyLimits, caller: Caller) -> None:
    async with AsyncExitStack() as exits:
        await limits.enter(caller, exits, lambda _: None)


async def test_s_06_no_client_reads_of_another_by_any_id(public: Door) -> None:
    """A client has no objects here that another could ask for: what there is to read of anybody is an admin's."""
    keys: Keys = public.keys
    async with public.client(authorization=f"Bearer {keys.admin}") as admin:
        ids = [row["id"] for row in (await admin.get("/api/v1/keys?limit=100")).json()["data"]]
        ids += [row["id"] for row in (await admin.get("/api/v1/accounts")).json()["data"]]
    assert len(ids) == 4
    async with public.client(authorization=f"Bearer {keys.client}") as client:
        listed = json.dumps((await client.get("/v1/models")).json())
        assert not [each for each in ids if each in listed]
        for each in ids:
            for path in ("keys", "accounts", "proxies", "stats/logs", "stats/summary"):
                assert (await client.get(f"/api/v1/{path}/{each}")).status_code in {401, 404}
                assert (await client.get(f"/api/v1/{path}?key_id={each}&account_id={each}")).status_code == 401
            for path in ("/v1/responses/", "/v1/files/", "/v1/batches/", "/v1/conversations/", "/v1/messages/batches/"):
                assert (await client.get(path + each)).status_code == 404
            answer = await client.get("/v1/models", headers={"x-aigateway-account": each})
            assert answer.status_code == 403
