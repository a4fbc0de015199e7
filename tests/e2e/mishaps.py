"""Asking through the official SDKs for something that fails, and judging how it is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import attrs
import openai
from e2e.gateway_process import CLIENT_KEY, GatewayProcess

PATHS = {"openai-chat": "/v1/chat/completions", "anthropic": "/v1/messages"}

_OPENAI_TYPES = {
    "invalid_request_error",
    "server_error",
    "rate_limit_error",
    "insufficient_quota",
    "service_unavailable_error",
}


@attrs.frozen(eq=False)
class Mishap:
    """An error as the SDK raised it: its status (200 for one inside a stream), its body, and the text before it."""

    raised: openai.APIError | anthropic.APIError
    status: int
    body: Any
    text: str


def question(model: str = "gpt-4o", **change: Any) -> dict[str, Any]:
    return {"model": model, "max_tokens": 5000, "messages": [{"role": "user", "content": "one two three"}], **change}


def assert_shaped(dialect: str, status: int, told: Any) -> None:
    """``told`` is an error as the vendor of this dialect writes it."""
    if dialect == "anthropic":
        assert told["type"] == "error"
        assert told["error"].keys() >= {"type", "message"}
        assert told["error"]["type"].endswith("_error") or told["error"]["type"] == "request_too_large"
    else:
        assert told["error"].keys() == {"message", "type", "param", "code"}
        assert told["error"]["type"] in _OPENAI_TYPES, told
    assert len(told["error"]["message"]) > 10, told
    assert status >= 400


def ask(gateway: GatewayProcess, dialect: str, model: str, *, stream: bool, key: str = CLIENT_KEY) -> Mishap:
    """Ask through the SDK of this dialect for something that fails, and hand over how it failed."""
    text = ""
    try:
        if stream:
            for piece in pieces(gateway, dialect, model, key):
                text += piece
        elif dialect == "anthropic":
            with anthropic.Anthropic(api_key=key, base_url=gateway.url, max_retries=0, timeout=30) as one:
                one.messages.create(**question(model))
        else:
            with openai.OpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0, timeout=30) as two:
                two.chat.completions.create(**question(model))
    except (openai.APIError, anthropic.APIError) as error:
        # The OpenAI SDK takes an error out of its envelope.
        told = {"error": error.body} if isinstance(error, openai.APIError) else error.body
        return Mishap(error, getattr(error, "status_code", 200), told, text)
    raise AssertionError(f"no error was raised; the text was {text!r}")


def pieces(gateway: GatewayProcess, dialect: str, model: str, key: str = CLIENT_KEY) -> Iterator[str]:
    """The text of a streamed answer as the SDK of this dialect hands it out."""
    if dialect == "anthropic":
        with anthropic.Anthropic(api_key=key, base_url=gateway.url, max_retries=0, timeout=30) as one:
            for event in one.messages.create(**question(model), stream=True):
                yield getattr(getattr(event, "delta", None), "text", None) or ""
    else:
        with openai.OpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0, timeout=30) as two:
            for chunk in two.chat.completions.create(**question(model), stream=True):
                yield chunk.choices[0].delta.content or "" if chunk.choices else ""
