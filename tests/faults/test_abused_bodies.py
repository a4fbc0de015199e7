"""Bodies that should not be, against a real gateway over sockets: what is refused, and what reaches the vendor."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from core.contract import document, operations
from core.gateway_house import ANTHROPIC_WHOLE, WHOLE
from e2e.gateway_process import ADMIN_KEY
from faults.watched_gateway import WatchedGateway
from scripted_upstream import ScriptedUpstream, whole

pytestmark = pytest.mark.anyio

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
CONTENT = "/v1beta/models/{model}:generateContent"
KEY = "sk-abused-bodies"
ANSWERS: dict[str, dict[str, Any]] = {
    "chat": WHOLE,
    "messages": ANTHROPIC_WHOLE,
    "gem": {
        "candidates": [
            {"content": {"role": "model", "parts": [{"text": "hello"}]}, "finishReason": "STOP", "index": 0}
        ],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
        "modelVersion": "m",
    },
}


@pytest.fixture(scope="module")
async def gateway(
    upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[WatchedGateway]:
    """A gateway before three vendors that are the same server."""
    key = {"api_key": KEY}
    providers = {
        "chat": {"kind": "openai-compatible", "base_url": f"{upstream.url}/v1", "models": ["chat-*"], **key},
        "messages": {"kind": "anthropic-compatible", "base_url": upstream.url, "models": ["messages-*"], **key},
        "gem": {"kind": "gemini-compatible", "base_url": upstream.url, "models": ["gem-*", ".*", "x*"], **key},
    }
    folder = tmp_path_factory.mktemp("bodies")
    async with WatchedGateway(upstream, {"providers": providers}, folder, secrets=(KEY,)) as made:
        yield made


@pytest.fixture
async def client(gateway: WatchedGateway, upstream: ScriptedUpstream) -> AsyncIterator[httpx.AsyncClient]:
    upstream.requests.clear()
    async with gateway.client() as made:
        made.headers["content-type"] = "application/json"
        yield made


def question(path: str, model: str, text: str = "hi", **more: Any) -> tuple[str, dict[str, Any]]:
    if path == CONTENT:
        return path.format(model=model), {"contents": [{"role": "user", "parts": [{"text": text}]}], **more}
    if path == RESPONSES:
        return path, {"model": model, "input": text, **more}
    return path, {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": text}], **more}


WITH_BODIES = [each for each in operations() if each[2].get("requestBody", {}).get("required")]


@pytest.mark.parametrize(("path", "method"), [each[:2] for each in WITH_BODIES], ids=lambda value: str(value))
async def test_i_01_an_empty_body_is_refused_at_each_route_in_its_own_shape(
    method: str, path: str, client: httpx.AsyncClient
) -> None:
    admin = {"authorization": f"Bearer {ADMIN_KEY}"} if path.startswith("/api/") else {}
    url = path.replace("{model}", "gem-1").replace("{provider_id}", "chat").replace("{alias}", "a")
    answer = await client.request(method, url, headers=admin)
    assert 400 <= answer.status_code < 500
    assert answer.status_code != 401
    error = answer.json()["error"]
    assert error["message"]
    assert ("request_id" in error) == path.startswith("/api/")
    if path.startswith(MESSAGES):
        assert answer.json()["type"] == "error"


NOT_EVEN_NUMBERS = ["1e400", "NaN", "Infinity", "-Infinity", "01", "+1", "0x5"]
NO_LIMITS = ["-1", "0", "1.5", '"5"', "true", "1" + "0" * 4299, "1" + "0" * 4301]
FIELDS = {CHAT: "max_tokens", MESSAGES: "max_tokens", RESPONSES: "max_output_tokens"}


@pytest.mark.parametrize("path", FIELDS)
@pytest.mark.parametrize("value", [*NOT_EVEN_NUMBERS, *NO_LIMITS], ids=lambda value: str(value)[:12])
async def test_i_14_an_odd_limit_is_refused_unsent(
    path: str, value: str, client: httpx.AsyncClient, upstream: ScriptedUpstream
) -> None:
    # To a vendor of another dialect, so that nothing is passed on unread; what is no number never is.
    _, body = question(path, "messages-x" if path != MESSAGES else "chat-x", **{FIELDS[path]: 4711})
    raw = json.dumps(body).replace("4711", value)
    answer = await client.post(path, content=raw)
    assert answer.status_code == 400, answer.text
    if value in NOT_EVEN_NUMBERS:
        same = raw.replace("messages-x", "chat-x") if path != MESSAGES else raw.replace("chat-x", "messages-x")
        assert (await client.post(path, content=same)).status_code == 400
    assert upstream.requests == []


ALL_OF_UNICODE = [
    "\U0001f600 \U0010fffd \ud7ff\ue000",
    "\u202e\u05d0\u05d1 \u0627\u0644",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "e\u0301 \u00e9 \ufb01 \u212b",
    '\u2028\u2029\u0085\ufeff\u00a0 \x7f\t\r\n\\"/\x01',
]


@pytest.mark.parametrize("path", [CHAT, MESSAGES, CONTENT])
@pytest.mark.parametrize("vendor", ANSWERS)
@pytest.mark.parametrize("text", ALL_OF_UNICODE, ids=ascii)
async def test_i_17_text_reaches_the_vendor_and_comes_back_as_it_is(
    path: str, vendor: str, text: str, client: httpx.AsyncClient, upstream: ScriptedUpstream
) -> None:
    said = json.dumps(ANSWERS[vendor]).replace('"hello"', json.dumps(text))
    upstream.play(whole(said.encode()))
    url, body = question(path, f"{vendor}-1", text)
    answer = await client.post(url, content=json.dumps(body))
    assert answer.status_code == 200, answer.text
    assert text in _texts(json.loads(upstream.requests[0].body))
    assert text in _texts(answer.json())


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _texts(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in _texts(inner)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize("vendor", ["chat", "messages"])
async def test_i_19_no_field_of_a_body_leads_a_request_elsewhere(
    path: str, vendor: str, client: httpx.AsyncClient, upstream: ScriptedUpstream
) -> None:
    upstream.play(whole(json.dumps(ANSWERS[vendor]).encode()))
    headers = {"authorization": "Bearer mine", "x-evil": "1"}
    elsewhere = {"api_base": "http://127.0.0.1:1/", "base_url": "http://127.0.0.1:1/", "api_key": "mine"}
    url, body = question(path, f"{vendor}-1", **elsewhere, headers=headers, extra_headers=headers)
    body |= {"__proto__": {"base_url": "http://127.0.0.1:1/"}, "provider": "gem", "account": "other", "proxy": "x"}
    answer = await client.post(url, json=body)
    assert answer.status_code == 200, answer.text
    [seen] = upstream.requests
    assert seen.target == ("/v1/chat/completions" if vendor == "chat" else "/v1/messages")
    assert "x-evil" not in seen.headers
    assert KEY in seen.headers.get("authorization", "") + seen.headers.get("x-api-key", "")
    passed_on = elsewhere.keys() & json.loads(seen.body).keys()
    assert bool(passed_on) == (path.endswith("messages") == (vendor == "messages")), (
        "as data, where nothing is translated"
    )


ODD_MODELS = [
    "../../admin",
    "x?key=1#",
    "x%2f..%2f..",
    ".%2e/",
    "x" * 10_000,
    "",
    "x\r\nHost: evil",
    "x\x00",
    "x\x1b[31m",
]


@pytest.mark.parametrize("model", ODD_MODELS, ids=lambda value: ascii(value)[:16])
async def test_i_29_the_name_of_a_model_alters_no_path_of_a_vendor(
    model: str, client: httpx.AsyncClient, upstream: ScriptedUpstream
) -> None:
    upstream.play(whole(json.dumps(ANSWERS["gem"]).encode()))
    answer = await client.post(CHAT, json=question(CHAT, model)[1])
    if upstream.requests:
        [seen] = upstream.requests
        name, _, rest = seen.target.removeprefix("/v1beta/models/").partition(":")
        assert seen.target.startswith("/v1beta/models/")
        assert rest.split("?")[0] == "generateContent"
        assert not set(name) & set("/?#\\ \r\n\0")
    else:
        assert answer.status_code in {400, 404}
        assert "Traceback" not in answer.text
    if not model.isprintable() or len(model) > 255 or not model:
        assert upstream.requests == []


ODD_KEYS = ["a\r\nX: y", "a\0", "ключ", "k" * 100_000, "sk-0123456789 ", " sk-0123456789", "", "\x7f"]


@pytest.mark.parametrize("key", ODD_KEYS, ids=lambda value: ascii(value)[:16])
@pytest.mark.parametrize("provider", ["chat", "messages", "gem"])
async def test_i_28_a_key_that_no_header_can_carry_is_refused_when_it_is_stored(
    key: str, provider: str, client: httpx.AsyncClient
) -> None:
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    body = {"provider_id": provider, "auth_data": {"api_key": key}}
    answer = await client.post("/api/v1/accounts", json=body, headers=headers)
    assert answer.status_code == 422
    assert not key.strip() or len(key) < 3 or key not in answer.text


@pytest.mark.parametrize(
    "query",
    [
        *(
            f"{name}={value}"
            for name in ("limit", "offset")
            for value in ("-1", "1e9", str(2**63), "5 ", "٥", "0x1", "")
        ),
        *(f"{name}={'%25' * 200}" for name in ("q", "provider_id", "model", "account_id")),
        *(
            f"{name}={value}"
            for name in ("model", "client_key_id")
            for value in ("%27", "%22", "%5C", "_", "%00", "x" * 8000)
        ),
        "sort=password;drop%20table%20accounts",
        "model=a&model=b",
        "since=yesterday",
        "%FF=%FF",
    ],
    ids=lambda value: value[:20],
)
@pytest.mark.parametrize("path", ["/accounts", "/stats/logs", "/keys"])
async def test_i_31_an_odd_query_is_refused_or_finds_nothing(path: str, query: str, client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/api/v1{path}?{query}", headers={"authorization": f"Bearer {ADMIN_KEY}"})
    assert answer.status_code in {200, 400, 422}, answer.text
    if answer.status_code == 200:
        assert set(answer.json()) >= {"data", "limit"}
        assert answer.json()["limit"] <= 1000
    else:
        assert answer.json()["error"]["message"]


def test_each_route_with_a_body_is_tried() -> None:
    assert {path for path, _, _ in WITH_BODIES} >= {CHAT, MESSAGES, RESPONSES, "/api/v1/accounts"}
    assert document()["openapi"].startswith("3.1")
