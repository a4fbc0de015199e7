"""What README.md tells a newcomer to type gives what it promises, with no configuration to speak of."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from e2e.gateway_process import GatewayProcess

README = Path(__file__).resolve().parents[2] / "README.md"
ADDRESS = "localhost:8088"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [code for found, code in BLOCK.findall(README.read_text(encoding="utf-8")) if found == language]


CURLS = [line for block in blocks("") for line in block.splitlines() if line.startswith("curl") and "echo-1" in line]
SNIPPETS = blocks("python")


@pytest.fixture(scope="module")
def newcomers(start_gateway: Callable[..., GatewayProcess]) -> GatewayProcess:
    """A gateway without a configuration, a key or an account."""
    return start_gateway({}, client_key=None)


@pytest.mark.parametrize("line", CURLS, ids=range(len(CURLS)))
def test_a_question_by_curl_is_answered(newcomers: GatewayProcess, line: str) -> None:
    """Sent as curl would: ``-d`` makes it a POST."""
    _, options, address, *flags, body = shlex.split(line)
    assert (flags[0], flags[2]) == ("-H", "-d")
    url = f"http://{address}".replace(f"http://{ADDRESS}", newcomers.url)
    request = urllib.request.Request(url, body.encode(), dict([flags[1].split(": ")]))
    with urllib.request.urlopen(request, timeout=10) as response:
        answer = response.read().decode()
    assert "hello" in answer
    streamed = json.loads(body).get("stream", False)
    assert ("data: " in answer) == streamed
    assert ("N" in options) == streamed, "curl holds a stream back without -N"


@pytest.mark.parametrize("code", SNIPPETS, ids=["openai", "anthropic"])
def test_a_question_through_an_sdk_is_answered(newcomers: GatewayProcess, code: str) -> None:
    printed, names = io.StringIO(), dict[str, Any]()
    with contextlib.redirect_stdout(printed):
        exec(compile(code.replace(f"http://{ADDRESS}", newcomers.url), str(README), "exec"), names)
    names["client"].close()
    assert printed.getvalue() == "hello\n"


def test_both_dialects_are_shown_whole_and_streamed() -> None:
    shown = {(path, '"stream": true' in line) for line in CURLS for path in re.findall(r"/v1/[a-z/]+", line)}
    assert shown == {
        (path, streamed) for path in ("/v1/chat/completions", "/v1/messages") for streamed in (False, True)
    }
