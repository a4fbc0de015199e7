"""GLM's other doors: its copy of Anthropic's API, and keys that only sign."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Set
from typing import Any

from e2e.fakes.anthropic import AnthropicWire
from e2e.fakes.glm import GLMWire
from e2e.fakes.vendor import Exchange, JsonObject, Problem


class GLMMessagesWire(AnthropicWire):
    """Signs thinking that Anthropic does not accept, and complains in GLM's shape."""

    path = "/api/anthropic/v1/messages"

    def authenticate(self, exchange: Exchange, keys: Set[str]) -> Problem | None:
        if exchange.headers.get("authorization", "").removeprefix("Bearer ") in keys:
            return None
        return Problem("Authorization Token is invalid, please check it.", code="1002", status=401)

    def error(self, problem: Problem) -> JsonObject:
        return {"error": {"code": problem.code or "1210", "message": problem.message}, "request_id": "2026082105"}


class GLMPlanWire(GLMWire):
    """The endpoint for the keys of a Coding Plan, which the general endpoint does not take."""

    path = "/api/coding/paas/v4/chat/completions"


class SignedGLMWire(GLMWire):
    """Wants a token that a key has signed, in the minutes after, and never the key."""

    def authenticate(self, exchange: Exchange, keys: Set[str]) -> Problem | None:
        header, payload, signature = (*exchange.key.split("."), "", "")[:3]
        try:
            told, claims = _opened(header), _opened(payload)
        except ValueError:
            return Problem("Authorization Token is invalid, please check it.", code="1002", status=401)
        known = dict(key.split(".") for key in keys)
        secret = known.get(claims.get("api_key"), "")
        made = hmac.new(secret.encode(), f"{header}.{payload}".encode(), hashlib.sha256).digest()
        if told != {"alg": "HS256", "sign_type": "SIGN"} or not secret or signature != _base64(made):
            return Problem("Authentication Token verification failed.", code="1004", status=401)
        now = time.time() * 1000
        if not claims["timestamp"] - 5000 <= now < claims["exp"] <= claims["timestamp"] + 24 * 3_600_000:
            return Problem("Authentication Token expired.", code="1003", status=401)
        return None


def _opened(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
