"""What a browser can be made to send on behalf of a page that somebody has open, and what paths may not mean."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest
from core.server.conftest import Answer, Serve, Served
from security.doors import Door, Keys, cells, filled, made_keys, settings_in
from security.test_auth_matrix import TABLE

from aigateway_core.bootstrap import House, assemble, first_look

pytestmark = pytest.mark.anyio

EVIL = b"Origin: http://evil.example\r\n"
CHAT = b'{"model": "m-1", "messages": [{"role": "user", "content": "hi"}]}'


@attrs.frozen
class Site:
    """A gateway behind its guard, as a browser on the same machine reaches it."""

    served: Served
    keys: Keys

    async def ask(self, method: str, target: str, *headers: bytes, body: bytes = b"", host: bytes = b"") -> Answer:
        lines = [b"%b %b HTTP/1.1\r\n" % (method.encode(), target.encode()), host or self.served.host, *headers]
        if body or method in {"POST", "PUT"}:
            lines.append(b"Content-Length: %d\r\n" % len(body))
        return await self.served.ask(b"".join(lines) + b"\r\n" + body)


@pytest.fixture
async def site(serving: Serve, tmp_path: Path) -> Site:
    settings = settings_in(tmp_path, host="127.0.0.1")
    keys = await made_keys(settings)
    assembly = assemble(settings)
    await first_look(assembly)
    return Site(await serving(House(assembly).app), keys)


def _cors(headers: Mapping[str, str]) -> list[str]:
    return [name for name in headers if name.startswith("access-control-") or name == "set-cookie"]


async def test_s_20_no_page_is_told_that_it_may(site: Site, public: Door) -> None:
    wants = b"Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n"
    wants += b"Access-Control-Request-Private-Network: true\r\n"
    for path in public.routes():
        for method, more in (("OPTIONS", wants), ("GET", b"")):
            answer = await site.ask(method, filled(path), EVIL, more)
            assert _cors(answer.headers) == [], (method, path)


@pytest.mark.parametrize(
    "kind",
    [
        b"text/plain",
        b"application/x-www-form-urlencoded",
        b"multipart/form-data; boundary=x",
        b"text/plain;application/json",
    ],
)
async def test_s_20_what_a_form_can_send_is_no_request(site: Site, kind: bytes) -> None:
    admin = b"Authorization: Bearer %b\r\n" % site.keys.admin.encode()
    for path in ("/v1/chat/completions", "/v1/messages", "/api/v1/keys", "/api/v1/accounts"):
        for key in (b"", admin):
            answer = await site.ask("POST", path, EVIL, key, b"Content-Type: %b\r\n" % kind, body=CHAT)
            assert answer.status == 415, path
            assert _cors(answer.headers) == []


async def test_s_20_a_name_that_was_bent_to_this_machine_opens_nothing(site: Site, public: Door) -> None:
    for path, method in cells(public.routes()):
        if TABLE[path] != "everybody":
            kind = b"Content-Type: application/json\r\n"
            answer = await site.ask(method, filled(path), kind, body=b"", host=b"Host: evil.example:8088\r\n")
            assert answer.status in {401, 403}, (method, path)


async def test_s_20_a_browser_keeps_nothing_of_an_admins_and_runs_nothing(site: Site) -> None:
    admin = b"Authorization: Bearer %b\r\n" % site.keys.admin.encode()
    for path in ("/api/v1/accounts", "/api/v1/keys", "/api/v1/providers", "/api/v1/stats/summary"):
        answer = await site.ask("GET", path, admin)
        assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
        assert answer.headers["x-content-type-options"] == "nosniff"
    for path in ("/docs", "/api/v1/oauth/callback?code=<script>&state=<b>"):
        answer = await site.ask("GET", path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert b"<script" not in answer.body.lower()


def _variants(path: str) -> list[str]:
    """Other ways to write a path that something on the way might take for the same."""
    first, rest = path[1:].split("/", 1)
    return [
        f"/{path}",
        f"//{path}",
        f"{path}/",
        f"/{first}//{rest}",
        f"/{first}/./{rest}",
        f"/{first}/x/../{rest}",
        f"/health/..{path}",
        f"/health/%2e%2e{path}",
        f"/v1/models/../..{path}",
        f"/%2f{path[1:]}",
        f"/{first}%2f{rest}",
        f"/{first}%252f{rest}",
        f"/{first}\\{rest}",
        f"/{first}%5c{rest}",
        f"/{first};x=/health/{rest}",
        f"{path};/health",
        f"{path}%00",
        f"{path}%20",
        f"{path}%0a",
        f"{path}?/health",
        f"{path}.json",
        path.upper(),
        f"/%61{path[2:]}",
        f"http://localhost{path}",
        f"http://localhost/health?{path}",
    ]


async def test_s_02_no_way_of_writing_an_admins_path_opens_it(site: Site, public: Door) -> None:
    """Whoever shows no key, or a client's, and whatever a front server may have made of the path before."""
    client = b"Authorization: Bearer %b\r\n" % site.keys.client.encode()
    claims = b"X-Original-URL: /health\r\nX-Rewrite-URL: /health\r\nX-Forwarded-Prefix: /health\r\n"
    opened = []
    for route in (route for route, who in TABLE.items() if who == "admin"):
        path = filled(route)
        for target in _variants(path):
            for shown in (claims, client):
                answer = await site.ask("GET", target, shown)
                if answer.status < 400 and not target.startswith("http://localhost/health"):
                    opened.append((target, answer.status))
                assert b'"data"' not in answer.body
                assert b"auth_data" not in answer.body
    assert opened == []
