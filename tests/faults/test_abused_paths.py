"""Paths, methods, heads and noise that should not be, against a real gateway over sockets."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from core.contract import document
from e2e.gateway_process import ADMIN_KEY, CLIENT_KEY, GatewayProcess

pytestmark = pytest.mark.anyio

HEADER_TIMEOUT = 1.0


@pytest.fixture(scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GatewayProcess]:
    """A gateway with an account to hide, which writes everything down as JSON."""
    section = {"kind": "openai-compatible", "base_url": "http://127.0.0.1:9/v1", "models": ["m-*"]}
    config = {
        "plugins": {"allowed": []},
        "providers": {"acme": section},
        "server": {"header_timeout": HEADER_TIMEOUT},
        "security": {"wrong_client_keys_per_minute": 0, "wrong_admin_keys_per_minute": 0},
        "log": {"level": "debug", "format": "json"},
    }
    process = GatewayProcess(config, tmp_path_factory.mktemp("paths"))
    await asyncio.to_thread(process.start)
    await asyncio.to_thread(process.add_account, "acme", "sk-abused-paths", "the-hidden-account")
    yield process
    assert await asyncio.to_thread(process.stop) == 0
    assert "Traceback" not in process.output
    assert "sk-abused-paths" not in process.output


async def say(gateway: GatewayProcess, *pieces: bytes, within: float = 10.0) -> bytes:
    """Send this on a connection of its own; what comes back until the gateway closes it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    said = b""
    try:
        async with asyncio.timeout(within):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            while data := await reader.read(65536):
                said += data
    except ConnectionError:
        pass
    finally:
        writer.close()
    return said


def request(method: str, target: str, *headers: str) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode()


def status_of(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1.1 "), answer[:80]
    return int(answer[9:12])


def logged(gateway: GatewayProcess) -> list[dict[str, Any]]:
    """Each line of the log: a JSON object, or this fails."""
    return [json.loads(line) for line in gateway.output.splitlines() if line.startswith("{")]


AROUND_THE_KEY = [
    "//api/v1/accounts",
    "/api/v1//accounts",
    "/%61pi/v1/accounts",
    "/api/v1/accounts/",
    "/API/v1/accounts",
    "/api/v1/accounts;x",
    "/..;/api/v1/accounts",
    "/%2e%2e/api/v1/accounts",
    "/v1/../api/v1/accounts",
    "/health/..%2fapi/v1/accounts",
    "\\api\\v1\\accounts",
    "/api/v1/accounts%00",
    "/api/v1/accounts?x=/health",
    "http://127.0.0.1/api/v1/accounts",
    "http://127.0.0.1/health/../api/v1/accounts",
]


@pytest.mark.parametrize("target", AROUND_THE_KEY)
@pytest.mark.parametrize("key", ["", CLIENT_KEY], ids=["no key", "a client's key"])
async def test_i_24_no_odd_path_leads_around_the_admin_key(target: str, key: str, gateway: GatewayProcess) -> None:
    tricks = ["X-Original-URL: /health", "X-Rewrite-URL: /health", "X-HTTP-Method-Override: OPTIONS"]
    answer = await say(gateway, request("GET", target, *tricks, *[f"Authorization: Bearer {key}"] * bool(key)))
    assert status_of(answer) in {400, 401, 403, 404}
    assert b"the-hidden-account" not in answer


async def test_i_24_the_account_would_be_seen_with_the_right_key(gateway: GatewayProcess) -> None:
    answer = await say(gateway, request("GET", "/api/v1/accounts", f"Authorization: Bearer {ADMIN_KEY}"))
    assert b"the-hidden-account" in answer


PATHS = [re.sub(r"{\w+}", "1", path) for path in document()["paths"]]


@pytest.mark.parametrize("method", ["TRACE", "FOO", "get", "PROPFIND", "CONNECT"])
async def test_i_25_a_method_that_is_none_opens_nothing(method: str, gateway: GatewayProcess) -> None:
    keyed = [f"Authorization: Bearer {ADMIN_KEY}", "Content-Length: 0"]
    for path in PATHS:
        answer = await say(gateway, request(method, path, *keyed))
        assert status_of(answer) in {400, 404, 405}, (path, answer[:200])
        assert b"the-hidden-account" not in answer


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
async def test_i_25_head_and_options_tell_no_more_than_is_allowed(method: str, gateway: GatewayProcess) -> None:
    for path in PATHS:
        answer = await say(gateway, request(method, path))
        head, _, body = answer.partition(b"\r\n\r\n")
        assert status_of(answer) in {200, 204, 400, 401, 403, 404, 405}, (path, head)
        assert b"access-control-" not in head.lower()
        assert b"the-hidden-account" not in answer
        if method == "HEAD":
            assert body == b"", path
        if status_of(answer) == 405:
            assert b"\r\nallow: " in head.lower()


HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x55" * 500
NOISE = {"a TLS hello": HELLO, "noise": os.urandom(256), "a megabyte of zeros": bytes(1 << 20)}


@pytest.mark.parametrize("name", NOISE)
async def test_i_27_noise_ends_the_connection_and_fills_no_log(name: str, gateway: GatewayProcess) -> None:
    before = len(gateway.output.splitlines())
    said = await say(gateway, NOISE[name] + b"\r\n\r\n")
    assert said == b"" or status_of(said) in {400, 431}
    await asyncio.sleep(0.1)
    assert len(gateway.output.splitlines()) - before <= 1
    assert status_of(await say(gateway, request("GET", "/health"))) == 200


ODD_WORDS = ["\x1b[31mred", '{"level":"error"}', "%0a{%22level%22:%22error%22}", "a\u2028b\x85", "%s %d {0}", "‮evil"]


@pytest.mark.parametrize("words", ODD_WORDS, ids=ascii)
async def test_i_30_what_a_client_says_never_breaks_or_colours_a_line_of_the_log(
    words: str, gateway: GatewayProcess
) -> None:
    body = json.dumps({"model": f"m-{words}\n{words}", "messages": [{"role": "user", "content": words}]}).encode()
    headers = [f"Authorization: Bearer {CLIENT_KEY}", f"User-Agent: {words}", f"X-Request-Id: {words}"]
    headers += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    target = "/" + "".join(
        letter if letter.isascii() and letter.isprintable() and letter != " " else "%0a" for letter in words
    )
    for asked in (request("POST", "/v1/chat/completions", *headers) + body, request("GET", target, *headers[:3])):
        assert 400 <= status_of(await say(gateway, asked)) < 500
    await asyncio.sleep(0.1)
    lines = gateway.output.encode().split(b"\n")
    assert not [line for line in lines if b"\x1b" in line or b"\xc2\x85" in line]
    assert logged(gateway)
    assert all(isinstance(line["level"], str) and line["message"] for line in logged(gateway))
    assert not [line for line in lines if line.startswith(b'{"level":"error"}')]


async def test_i_33_three_hundred_heads_that_trickle_end_in_time_and_hold_up_nobody(gateway: GatewayProcess) -> None:
    async def trickle() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        try:
            for byte in b"GET /health HTTP/1.1\r\nHost: a\r\n" + b"X" * 1000:
                writer.write(bytes([byte]))
                await writer.drain()
                if reader.at_eof():
                    break
                await asyncio.sleep(0.3)
        except ConnectionError:
            return b""
        finally:
            writer.close()
        return await reader.read()

    slow = [asyncio.create_task(trickle()) for _ in range(300)]
    await asyncio.sleep(0.3)
    answers = [status_of(await say(gateway, request("GET", "/health"))) for _ in range(10)]
    assert answers == [200] * 10
    async with asyncio.timeout(HEADER_TIMEOUT + 15):
        told = await asyncio.gather(*slow)
    assert all(answer == b"" or status_of(answer) in {400, 408} for answer in told)
