"""The models, in the three shapes, by the page."""

from __future__ import annotations

import attrs
import httpx
import pytest

from aigateway_core.catalogue import ListedModel
from aigateway_core.model import ModelInfo
from aigateway_core.resources.models import _anthropic, _gemini, _openai
from aigateway_core.secret import Secret
from aigateway_core.settings import ProviderSettings, Settings

pytestmark = pytest.mark.anyio

NAMES = ["a/b", "m-1", "m-2", "m-3", "m-4", "tunedModels/mine"]
ANTHROPIC = {"anthropic-version": "2023-06-01"}
GOOGLE = {"x-goog-api-client": "google-genai-sdk/1"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """One provider with these models, and one without an account."""
    listed = {"base_url": "http://127.0.0.1:9", "models": [*reversed(NAMES), "family-*"]}
    hidden = {"base_url": "http://127.0.0.1:9", "models": ["hidden"]}
    return attrs.evolve(
        settings,
        providers={
            "acme": ProviderSettings(kind="openai-compatible", api_key=Secret("key-0001"), options=listed),
            "poor": ProviderSettings(kind="openai-compatible", options=hidden),
        },
    )


async def test_openais_clients_get_all_at_once(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/v1/models?limit=1")).json()
    assert [model["id"] for model in listed["data"]] == NAMES
    assert listed["data"][0] == {"id": "a/b", "object": "model", "created": 0, "owned_by": "acme"}


def test_limits_are_told_where_they_are_known() -> None:
    listed = ListedModel(ModelInfo(id="m", context_window=200_000, max_output_tokens=64_000), "acme")
    assert _openai(listed) == {
        "id": "m",
        "object": "model",
        "created": 0,
        "owned_by": "acme",
        "context_window": 200_000,
        "max_output_tokens": 64_000,
    }
    assert _anthropic(listed)["max_input_tokens"] == _gemini(listed)["inputTokenLimit"] == 200_000


async def test_anthropics_clients_get_pages_and_the_ids_of_their_ends(client: httpx.AsyncClient) -> None:
    """Case 164."""
    whole = (await client.get("/v1/models", headers=ANTHROPIC)).json()
    assert [model["id"] for model in whole["data"]] == NAMES
    assert (whole["has_more"], whole["first_id"], whole["last_id"]) == (False, NAMES[0], NAMES[-1])
    assert whole["data"][0] == {
        "type": "model",
        "id": "a/b",
        "display_name": "a/b",
        "created_at": "1970-01-01T00:00:00Z",
        "lifecycle": "active",
    }


async def pages(client: httpx.AsyncClient, cursor: str, end: str) -> list[list[str]]:
    """Every page of two, from one end to the other."""
    found: list[list[str]] = []
    query = {"limit": "2"}
    while True:
        page = (await client.get("/v1/models", params=query, headers=ANTHROPIC)).json()
        found.append([model["id"] for model in page["data"]])
        if not page["has_more"]:
            return found
        query[cursor] = page[end]


async def test_the_pages_of_anthropics_clients_hold_every_model_once(client: httpx.AsyncClient) -> None:
    assert await pages(client, "after_id", "last_id") == [NAMES[:2], NAMES[2:4], NAMES[4:]]
    last = {"limit": "2", "before_id": "zzz"}
    page = (await client.get("/v1/models", params=last, headers=ANTHROPIC)).json()
    assert ([model["id"] for model in page["data"]], page["has_more"]) == (NAMES[4:], True)
    first = {"limit": "2", "before_id": NAMES[2]}
    page = (await client.get("/v1/models", params=first, headers=ANTHROPIC)).json()
    assert ([model["id"] for model in page["data"]], page["has_more"]) == (NAMES[:2], False)


async def test_a_cursor_whose_model_is_gone_holds_its_place(client: httpx.AsyncClient) -> None:
    page = (await client.get("/v1/models?after_id=m-2-old", headers=ANTHROPIC)).json()
    assert page["first_id"] == "m-3"
    beyond = (await client.get("/v1/models?after_id=zzz", headers=ANTHROPIC)).json()
    assert beyond == {"data": [], "first_id": None, "last_id": None, "has_more": False}


@pytest.mark.parametrize(("path", "headers"), [("/v1beta/models", {}), ("/v1/models", GOOGLE)])
async def test_googles_clients_get_pages_and_tokens(
    client: httpx.AsyncClient, path: str, headers: dict[str, str]
) -> None:
    whole = (await client.get(path, headers=headers)).json()
    assert whole.keys() == {"models"}
    assert [model["name"] for model in whole["models"]] == [f"models/{name}" for name in NAMES[:-1]] + [NAMES[-1]]
    assert whole["models"][1] == {
        "name": "models/m-1",
        "baseModelId": "m-1",
        "version": "001",
        "displayName": "m-1",
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }
    found: list[str] = []
    query = {"pageSize": "4"}
    while True:
        page = (await client.get(path, params=query, headers=headers)).json()
        found += [model["baseModelId"] for model in page["models"]]
        if "nextPageToken" not in page:
            break
        query["pageToken"] = page["nextPageToken"]
    assert found == NAMES


@pytest.mark.parametrize(
    ("path", "headers", "error"),
    [
        ("/v1beta/models?pageSize=-1", {}, "INVALID_ARGUMENT"),
        ("/v1beta/models?pageSize=many", {}, "INVALID_ARGUMENT"),
        ("/v1beta/models?pageToken=%21%21", {}, "INVALID_ARGUMENT"),
        ("/v1/models?pageToken=_w%3D%3D", GOOGLE, "INVALID_ARGUMENT"),
        ("/v1/models?limit=1.5", ANTHROPIC, "invalid_request_error"),
    ],
)
async def test_a_page_that_cannot_be_is_a_400_in_the_clients_shape(
    client: httpx.AsyncClient, path: str, headers: dict[str, str], error: str
) -> None:
    answer = await client.get(path, headers=headers)
    assert answer.status_code == 400
    told = answer.json()["error"]
    assert error in (told.get("status"), told.get("type"))


@pytest.mark.parametrize("size", ["0", "1001", "999999999"])
async def test_a_size_beyond_reason_is_brought_within_it(client: httpx.AsyncClient, size: str) -> None:
    assert len((await client.get(f"/v1beta/models?pageSize={size}")).json()["models"]) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
async def test_one_model_has_the_shape_that_it_has_in_the_list(client: httpx.AsyncClient, name: str) -> None:
    tuned = name.startswith("tunedModels/")
    gemini = (await client.get(f"/v1beta/{name if tuned else 'models/' + name}")).json()
    assert gemini in (await client.get("/v1beta/models")).json()["models"]
    assert (await client.get(f"/v1/models/{name}", headers=GOOGLE)).json() == gemini
    anthropic = (await client.get(f"/v1/models/{name}", headers=ANTHROPIC)).json()
    assert anthropic in (await client.get("/v1/models", headers=ANTHROPIC)).json()["data"]
    assert (await client.get(f"/v1/models/{name}")).json() in (await client.get("/v1/models")).json()["data"]


@pytest.mark.parametrize(
    ("path", "headers", "error"),
    [
        ("/v1beta/models/nobody", {}, "NOT_FOUND"),
        ("/v1beta/models/hidden", {}, "NOT_FOUND"),
        ("/v1beta/tunedModels/nobody", {}, "NOT_FOUND"),
        ("/v1/tunedModels/nobody", {}, "NOT_FOUND"),
        ("/v1/models/nobody", GOOGLE, "NOT_FOUND"),
        ("/v1/models/nobody", ANTHROPIC, "not_found_error"),
        ("/v1/models/nobody", {}, "model_not_found"),
    ],
)
async def test_a_model_that_nobody_serves_is_a_404_in_the_clients_shape(
    client: httpx.AsyncClient, path: str, headers: dict[str, str], error: str
) -> None:
    answer = await client.get(path, headers=headers)
    assert answer.status_code == 404
    told = answer.json()["error"]
    assert error in (told.get("status"), told.get("type"), told.get("code"))
