"""Every route and method, as falcon has them, with every kind of key: who comes in is what the table here says.

The table is written by hand, on purpose: a new route has no row, and fails, until somebody has decided who may use it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import pytest
from core.contract import operations
from security.doors import METHODS, Door, Keys, cells, filled

pytestmark = pytest.mark.anyio

Who: TypeAlias = Literal["everybody", "client", "admin", "reader"]
"""``reader``: an admin, and on loopback everybody."""

TABLE: Mapping[str, Who] = {
    "/": "everybody",
    "/health": "everybody",
    "/ready": "everybody",
    "/api/v1/oauth/callback": "everybody",
    "/metrics": "reader",
    "/docs": "reader",
    "/openapi.json": "reader",
    "/v1/chat/completions": "client",
    "/v1/messages": "client",
    "/v1/messages/count_tokens": "client",
    "/v1/responses": "client",
    "/v1/embeddings": "client",
    "/v1/models": "client",
    "/v1/models/{name:path}": "client",
    "/v1/tunedModels/{name:path}": "client",
    "/v1beta/models": "client",
    "/v1beta/models/{name:path}": "client",
    "/v1beta/tunedModels/{name:path}": "client",
    "/api/v1/accounts": "admin",
    "/api/v1/accounts/{account_id}": "admin",
    "/api/v1/accounts/{account_id}/refresh": "admin",
    "/api/v1/accounts/{account_id}/test": "admin",
    "/api/v1/accounts/{account_id}/quota": "admin",
    "/api/v1/providers": "admin",
    "/api/v1/providers/{provider_id}": "admin",
    "/api/v1/oauth/{provider_id}/start": "admin",
    "/api/v1/oauth/{provider_id}/complete": "admin",
    "/api/v1/keys": "admin",
    "/api/v1/keys/{key_id}": "admin",
    "/api/v1/model-mappings": "admin",
    "/api/v1/model-mappings/{alias:path}": "admin",
    "/api/v1/proxies": "admin",
    "/api/v1/proxies/{proxy_id:int(max=9223372036854775807)}": "admin",
    "/api/v1/proxies/assignments": "admin",
    "/api/v1/proxies/plan": "admin",
    "/api/v1/proxies/recalculate": "admin",
    "/api/v1/stats/logs": "admin",
    "/api/v1/stats/summary": "admin",
    "/api/v1/stats/timeseries": "admin",
    "/api/v1/stats/proxies/{proxy_id:int(max=9223372036854775807)}": "admin",
}

Shown: TypeAlias = Callable[[Keys], Mapping[str, str]]


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def basic(key: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f":{key}".encode()).decode()}


def other_end(key: str) -> str:
    return key[:-1] + ("A" if key[-1] != "A" else "B")


OPENS_NOTHING: Mapping[str, Shown] = {
    "nothing": lambda _: {},
    "an empty header": lambda _: {"authorization": "", "x-api-key": "", "x-goog-api-key": ""},
    "a scheme alone": lambda _: {"authorization": "Bearer "},
    "junk": lambda _: bearer("junk"),
    "another kind of text": lambda _: bearer("null"),
    "admin, scheme Basic": lambda keys: basic(keys.admin),
    "client, scheme Basic": lambda keys: basic(keys.client),
    "admin, scheme Token": lambda keys: {"authorization": f"Token {keys.admin}"},
    "admin, no scheme": lambda keys: {"authorization": keys.admin},
    "client, no scheme": lambda keys: {"authorization": keys.client},
    "admin in a cookie": lambda keys: {"cookie": f"key={keys.admin}; authorization={keys.admin}"},
    "an expired client key": lambda keys: bearer(keys.expired_client),
    "a revoked client key": lambda keys: bearer(keys.revoked_client),
    "an expired admin key": lambda keys: bearer(keys.expired_admin),
    "a revoked admin key": lambda keys: bearer(keys.revoked_admin),
    "admin, last letter changed": lambda keys: bearer(other_end(keys.admin)),
    "admin, cut": lambda keys: bearer(keys.admin[:-1]),
    "admin, in capitals": lambda keys: bearer(keys.admin.upper()),
    "client, made an admin's by name": lambda keys: bearer(keys.client.replace("gwcli_", "gwadm_")),
    "admin's public part": lambda keys: bearer(keys.admin.split("_")[1]),
    "who one says one is": lambda _: {"x-role": "admin", "x-forwarded-user": "admin", "x-original-url": "/health"},
}
OPENS_CLIENT: Mapping[str, Shown] = {
    "client, bearer": lambda keys: bearer(keys.client),
    "client, x-api-key": lambda keys: {"x-api-key": keys.client},
    "client, x-goog-api-key": lambda keys: {"x-goog-api-key": keys.client},
    "client and junk": lambda keys: {**bearer(keys.client), "x-api-key": "junk"},
}
OPENS_ADMIN: Mapping[str, Shown] = {
    "admin, bearer": lambda keys: bearer(keys.admin),
    "admin, small bearer": lambda keys: {"authorization": f"bearer {keys.admin}"},
}


def admitted(kinds: Mapping[str, Shown], role: str) -> list[tuple[str, str]]:
    return [(kind, role) for kind in kinds]


EVERY = {**OPENS_NOTHING, **OPENS_CLIENT, **OPENS_ADMIN}
ROLES = [*admitted(OPENS_NOTHING, "nobody"), *admitted(OPENS_CLIENT, "client"), *admitted(OPENS_ADMIN, "admin")]


async def statuses(door: Door, kind: str) -> dict[tuple[str, str], int]:
    """What each route and method says to whoever shows this."""
    async with door.client(**EVERY[kind](door.keys)) as client:
        return {
            (path, method): (await client.request(method, filled(path))).status_code
            for path, method in cells(door.routes())
        }


def unlike(seen: Mapping[tuple[str, str], int], lets_in: Mapping[Who, bool]) -> list[str]:
    """The cells that are not as the table has them."""
    return [
        f"{method} {path}: {status}"
        for (path, method), status in seen.items()
        if (status not in {401, 403}) != lets_in[TABLE[path]]
    ]


async def test_s_01_the_table_has_a_row_for_every_route_and_no_other(public: Door) -> None:
    assert set(TABLE) == set(public.routes())


@pytest.mark.parametrize(("kind", "role"), ROLES)
async def test_s_01_whoever_other_machines_send_comes_in_where_the_table_says(
    public: Door, kind: str, role: str
) -> None:
    seen = await statuses(public, kind)
    assert len(seen) >= 50
    lets_in: dict[Who, bool] = {
        "everybody": True,
        "client": role == "client",
        "admin": role == "admin",
        "reader": role == "admin",
    }
    assert unlike(seen, lets_in) == []


@pytest.mark.parametrize(("kind", "role"), ROLES)
async def test_s_01_on_this_machine_alone_reading_is_free_and_nothing_else_is(
    local: Door, kind: str, role: str
) -> None:
    lets_in: dict[Who, bool] = {
        "everybody": True,
        "client": role == "client",
        "admin": role == "admin",
        "reader": True,
    }
    assert unlike(await statuses(local, kind), lets_in) == []


async def test_s_01_a_key_in_the_address_opens_nothing(public: Door) -> None:
    async with public.client() as client:
        for path, method in cells(public.routes()):
            for name in ("key", "api_key", "access_token", "token", "x-api-key"):
                query = {name: public.keys.admin if TABLE[path] != "client" else public.keys.client}
                answer = await client.request(method, filled(path), params=query)
                assert (answer.status_code in {401, 403}) == (TABLE[path] != "everybody"), (method, path, name)


async def test_s_01_a_method_that_a_route_has_not_does_nothing_for_anybody(public: Door) -> None:
    """Which methods there are is no secret: the document says it. OPTIONS tells them, and no more."""
    async with public.client(**bearer(public.keys.admin)) as admin, public.client() as nobody:
        for path, methods in public.routes().items():
            for method in set(METHODS) - methods:
                for client in (admin, nobody):
                    answer = await client.request(method, filled(path))
                    assert answer.status_code == (200 if method == "OPTIONS" else 405), (method, path)
                    assert set(answer.headers["allow"].replace(" ", "").split(",")) - {"OPTIONS"} == methods
                    assert not [name for name in answer.headers if name.startswith("access-control")]


def _bare(path: str) -> str:
    """A path without the names of its parameters, and without the method of Gemini's that stands behind a colon."""
    return re.sub(r"(?<=\}):\w+$", "", re.sub(r"\{[^}]*\}", "{}", path))


async def test_s_02_the_document_has_the_same_routes_and_says_of_each_who_may_use_it(public: Door) -> None:
    said: dict[tuple[str, str], set[str]] = {}
    for path, method, operation in operations():
        kinds = {name for each in operation["security"] for name in (each or {"nobody": []})}
        said.setdefault((_bare(path), method.upper()), set()).update(kinds)
    anybody_with = {
        "everybody": ({"nobody"}, set(), {"nobody", "adminKey"}),  # of /ready an admin reads more
        "client": ({"nobody", "clientKey", "clientKeyHeader", "clientKeyGoogle"},),
        "admin": ({"adminKey"},),
        "reader": ({"nobody", "adminKey"},),
    }
    routes = {(_bare(path), method): TABLE[path] for path, method in cells(public.routes())}
    assert set(said) == set(routes)
    assert [cell for cell, who in routes.items() if said[cell] not in anybody_with[who]] == []
