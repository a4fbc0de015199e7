"""``/openapi.json`` and ``/docs``, on loopback."""

from __future__ import annotations

import httpx
import pytest
from core.contract import document

from aigateway_core.openapi.page import page

pytestmark = pytest.mark.anyio


async def test_the_document_is_served_in_one_piece(client: httpx.AsyncClient) -> None:
    answer = await client.get("/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == document()


async def test_the_page_comes_with_the_policy_that_it_needs(client: httpx.AsyncClient) -> None:
    answer = await client.get("/docs")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == page().policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.content == page().html


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
@pytest.mark.parametrize("headers", [{"origin": "https://elsewhere.example"}, {"host": "rebound.example"}])
async def test_a_web_page_does_not_get_it(client: httpx.AsyncClient, path: str, headers: dict[str, str]) -> None:
    assert (await client.get(path, headers=headers)).status_code == 401
