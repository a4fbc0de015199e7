"""Acme, as its author tests it: the suite over a vendor in bytes, and one call over a real socket."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from aigateway_acme import AcmeConfig, AcmeProvider
from aigateway_core.plugin import ChatRequest, ImagePart, Message, Provider, TextPart, Tool, Upstream
from aigateway_core.testing import FakeVendor, ProviderConformance

ANSWER = [b'{"piece": "Hello"}\n', b'{"piece": " there"}\n', b'{"done": "end", "tokens": {"in": 9, "out": 4}}\n']


class TestAcme(ProviderConformance):
    without = {"tool_calls": "Acme has no tools"}

    @pytest.fixture
    def provider(self) -> Provider:
        return AcmeProvider(AcmeConfig())

    @pytest.fixture
    def vendor(self) -> FakeVendor:
        # Acme always streams, so that a whole answer is the same bytes.
        return FakeVendor(text=b"".join(ANSWER), text_stream=ANSWER)


class _Acme(BaseHTTPRequestHandler):
    """The vendor, as small as it can be."""

    heard: list[object]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.heard.append((self.path, self.headers["authorization"], body))
        self.send_response(200)
        self.end_headers()
        for line in ANSWER:
            self.wfile.write(line)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def acme() -> Iterator[tuple[str, list[object]]]:
    """Address of a running Acme, and what it has heard."""
    heard: list[object] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Acme", (_Acme,), {"heard": heard}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", heard
    server.shutdown()
    thread.join()
    server.server_close()


class _Bearer(httpx.Auth):
    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:
        request.headers["authorization"] = "Bearer acme-key"
        yield request


@pytest.mark.anyio
async def test_it_talks_to_a_real_server(acme: tuple[str, list[object]]) -> None:
    address, heard = acme
    request = ChatRequest(model="acme-large", system=("Be brief.",), messages=(Message("user", (TextPart("Hi"),)),))
    async with httpx.AsyncHTTPTransport() as transport:
        response = await AcmeProvider(AcmeConfig(base_url=address)).complete(request, Upstream(transport, _Bearer()))
    assert response.text == "Hello there"
    turns = [{"who": "guide", "says": "Be brief."}, {"who": "user", "says": "Hi"}]
    assert heard == [("/generate", "Bearer acme-key", {"engine": "acme-large", "turns": turns, "limit": 1024})]


def test_what_acme_cannot_read_is_refused() -> None:
    provider = AcmeProvider(AcmeConfig())
    plain = Message("user", (TextPart("Hi"),))
    picture = Message("user", (ImagePart(url="https://example.com/a.png"),))
    assert provider.losses(ChatRequest(model="acme-large", messages=(plain,))).refused == ()
    assert provider.losses(ChatRequest(model="acme-large", messages=(plain, picture))).refused == ("messages",)
    assert provider.losses(ChatRequest(model="acme-large", messages=(plain,), tools=(Tool("t"),))).refused == ("tools",)
