from __future__ import annotations

from typing import ClassVar

import attrs
import httpx
import pytest
from core.resources.conftest import Guarded

from aigateway_core.bootstrap import House, assemble
from aigateway_core.resources.resource import Policy, Resource
from aigateway_core.secret import Secret
from aigateway_core.settings import Settings

pytestmark = pytest.mark.anyio
CHAT = {"model": "m-2", "messages": [{"role": "user", "content": "hi"}]}


async def test_health_is_open_and_tells_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "service": "aigateway"})
    for path in ("/", "/health"):
        head = await client.head(path)
        assert (head.status_code, head.content) == (200, b"")


async def test_case_164_models_come_in_the_shape_of_the_client_that_asks(client: httpx.AsyncClient) -> None:
    openai = (await client.get("/v1/models")).json()
    assert openai == {
        "object": "list",
        "data": [{"id": "m-2", "object": "model", "created": 0, "owned_by": "config-only"}],
    }
    anthropic = (await client.get("/v1/models", headers={"anthropic-version": "2023-06-01"})).json()
    assert anthropic["has_more"] is False
    assert anthropic["first_id"] == anthropic["last_id"] == "m-2"
    assert anthropic["data"][0]["type"] == "model"


async def test_one_model_is_found_by_its_id(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/models/m-2")).json()["id"] == "m-2"
    assert (await client.get("/v1/models/vendor/nobody")).status_code == 404


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v1beta/models/nobody", "nobody"),
        ("/v1beta/models/models/nobody", "nobody"),
        ("/v1beta/models/family/nobody:8b", "family/nobody:8b"),
        ("/v1beta/models/family%2Fnobody", "family/nobody"),
        ("/v1beta/tunedModels/nobody", "tunedModels/nobody"),
        ("/v1/models/family/nobody", "family/nobody"),
        ("/v1/tunedModels/nobody", "tunedModels/nobody"),
    ],
)
@pytest.mark.parametrize("method", ["generateContent", "streamGenerateContent"])
async def test_a_gemini_model_may_have_slashes_a_prefix_and_a_colon(
    client: httpx.AsyncClient, path: str, model: str, method: str
) -> None:
    answer = await client.post(f"{path}:{method}", json={"contents": [{"parts": [{"text": "hi"}]}]})
    assert (answer.status_code, answer.json()["error"]["status"]) == (404, "NOT_FOUND")
    assert f"the model {model!r}" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/v1beta/models/m-2:dream", "/v1beta/models/m-2", "/v1beta/tunedModels/m-2:dream"])
async def test_a_gemini_method_that_nobody_knows_is_a_404_in_its_shape(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, json={})
    assert (answer.status_code, answer.json()["error"]["status"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/messages/count_tokens?beta=true", {**CHAT, "model": "m-2", "tools": []}, "input_tokens"),
        ("/v1beta/models/m-2:countTokens", {"contents": [{"parts": [{"text": "hi"}]}]}, "totalTokens"),
        ("/v1/models/m-2:countTokens", {"generateContentRequest": {"contents": {"parts": []}}}, "totalTokens"),
    ],
)
async def test_case_165_tokens_are_counted_though_the_vendor_is_away(
    client: httpx.AsyncClient, path: str, body: dict[str, object], field: str
) -> None:
    answer = await client.post(path, json=body)
    assert answer.status_code == 200
    assert answer.headers["x-aigateway-estimate"] == "true"
    assert set(answer.json()) == {field}
    assert answer.json()[field] > 0


async def test_a_count_of_nothing_is_a_400_in_the_clients_dialect(client: httpx.AsyncClient) -> None:
    anthropic = await client.post("/v1/messages/count_tokens", json={"model": "m-2"})
    assert (anthropic.status_code, anthropic.json()["error"]["type"]) == (400, "invalid_request_error")
    gemini = await client.post("/v1beta/models/m-2:countTokens", json={})
    assert (gemini.status_code, gemini.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


async def test_a_provider_without_embeddings_is_a_400_in_openais_shape(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/embeddings", json={"model": "m-2", "input": "hi"})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "model"
    assert "'config-only' offers no embeddings" in answer.json()["error"]["message"]


async def test_an_unknown_model_is_a_404_in_the_clients_dialect_with_the_installed_providers(
    client: httpx.AsyncClient,
) -> None:
    body = {**CHAT, "model": "gpt-unheard-of", "max_tokens": 5}
    openai = await client.post("/v1/chat/completions", json=body)
    assert (openai.status_code, openai.json()["error"]["code"]) == (404, "model_not_found")
    anthropic = await client.post("/v1/messages", json=body)
    assert (anthropic.status_code, anthropic.json()["error"]["type"]) == (404, "not_found_error")
    for answer in (openai, anthropic):
        assert "acme, config-only" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/embeddings"])
async def test_an_error_has_the_shape_of_its_endpoint_whatever_header_a_middleman_adds(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.post(path, json={}, headers={"anthropic-version": "2023-06-01"})
    assert answer.status_code == 400
    assert answer.json()["error"].keys() == {"message", "type", "param", "code"}


async def test_errors_carry_the_request_id(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/messages", json={**CHAT, "model": "nobody", "max_tokens": 5})
    assert answer.json()["request_id"] == "req-test"


async def test_an_unreachable_vendor_is_an_error_in_the_clients_dialect(client: httpx.AsyncClient) -> None:
    openai = await client.post("/v1/chat/completions", json=CHAT)
    anthropic = await client.post("/v1/messages", json={**CHAT, "max_tokens": 5})
    assert openai.status_code >= 500
    assert set(openai.json()["error"]) == {"message", "type", "param", "code"}
    assert anthropic.status_code >= 500
    assert anthropic.json()["type"] == "error"


@pytest.mark.parametrize("path", ["/nothing", "/v1/nothing", "/v1/messages/nothing"])
async def test_an_unknown_path_is_a_404_in_a_shape_that_clients_know(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 404
    assert "message" in answer.json()["error"]


async def test_a_wrong_method_says_which_are_right(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/chat/completions")
    assert answer.status_code == 405
    assert "POST" in answer.headers["allow"]
    assert "message" in answer.json()["error"]


@pytest.mark.parametrize("headers", [{"origin": "https://evil.example"}, {"host": "evil.example:8088"}])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_s_20_where_no_key_is_asked_for_a_web_page_is_kept_out(
    client: httpx.AsyncClient, path: str, headers: dict[str, str]
) -> None:
    answer = await client.post(path, json={**CHAT, "max_tokens": 5}, headers=headers)
    assert answer.status_code == 403
    assert "AIGATEWAY_CLIENT_KEY" in answer.json()["error"]["message"]


@pytest.mark.parametrize("method", ["PURGE", "MERGE", "M-SEARCH", "BIND", "SUBSCRIBE", "MKACTIVITY"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/health", "/api/v1/accounts"])
async def test_a_method_that_nobody_knows_is_no_failure_of_the_gateway(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == 405
    assert "is not possible" in answer.json()["error"]["message"]


async def test_an_admin_404_is_in_the_admin_shape(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/v1/nothing")).json()["error"]["code"] == "not_found"


def test_a_resource_without_a_policy_cannot_be_defined() -> None:
    with pytest.raises(TypeError, match="declares no policy"):

        class Forgotten(Resource):
            async def on_get(self) -> None: ...

    class Remembered(Resource):
        policy: ClassVar[Policy] = "open"


async def test_only_an_admin_may_name_an_account(client: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    named = {"x-aigateway-account": "config:config-only"}
    for path, body in (("/v1/chat/completions", CHAT), ("/v1/messages", {**CHAT, "max_tokens": 5})):
        refused = await client.post(path, json=body, headers=named)
        assert refused.status_code == 403
        assert "x-aigateway-account asks for an admin key" in refused.json()["error"]["message"]
        # The vendor is nowhere: what matters is that the account was asked.
        asked = await admin.post(path, json=body, headers=named)
        assert asked.status_code >= 500
        missing = await admin.post(path, json=body, headers={"x-aigateway-account": "nobody"})
        assert missing.status_code == 404
        assert "nobody" in missing.json()["error"]["message"]


async def test_who_has_no_key_at_all_is_not_told_about_accounts(
    settings: Settings, house: House, client: httpx.AsyncClient
) -> None:
    locked = House(assemble(attrs.evolve(settings, keys=attrs.evolve(settings.keys, client=Secret("c" * 40)))))
    await locked.start()
    transport = httpx.ASGITransport(Guarded(locked.app))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as stranger:
        answer = await stranger.post("/v1/chat/completions", json=CHAT, headers={"x-aigateway-account": "a"})
    await locked.stop()
    assert answer.status_code == 401
