"""Refusals as Cloud Code sends them."""

from __future__ import annotations

import json
from typing import Any

from aigateway_antigravity.errors import classify
from aigateway_core.plugin import JsonObject, UpstreamError, UpstreamFailure

TYPES = "type.googleapis.com/google.rpc."


def info(reason: str, **metadata: Any) -> JsonObject:
    return {
        "@type": TYPES + "ErrorInfo",
        "reason": reason,
        "domain": "cloudcode-pa.googleapis.com",
        "metadata": metadata,
    }


def retry(delay: Any) -> JsonObject:
    return {"@type": TYPES + "RetryInfo", "retryDelay": delay}


def refusal(status: int, word: str, message: str = "no", *details: JsonObject, code: Any = None) -> JsonObject:
    error: JsonObject = {"code": status if code is None else code, "message": message, "status": word}
    return {"error": {**error, "details": list(details)} if details else error}


def judged(status: int, body: object, **headers: str) -> UpstreamError:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return classify(
        UpstreamFailure(status, {name.replace("_", "-"): value for name, value in headers.items()}, content)
    )


def exhausted(message: str, *details: JsonObject) -> UpstreamError:
    """What a 429 of this kind means."""
    return judged(429, refusal(429, "RESOURCE_EXHAUSTED", message, *details))


QUOTA = "Individual quota reached. Please upgrade your subscription. Resets in 71h15m27s."
CAPACITY = "No capacity available for model gemini-3.1-pro-low on the server"
TERMS = "This service has been disabled in this account for violation of Terms of Service. Please see the policy."
VALIDATION_URL = "https://accounts.google.com/signin/continue?sarp=1&scc=1&plt=abc"
VALIDATION = refusal(
    403,
    "PERMISSION_DENIED",
    "Verify your account to continue.",
    info(
        "VALIDATION_REQUIRED",
        validation_url=VALIDATION_URL,
        validation_error_message="Verify your account to continue.",
        validation_url_link_text="Verify",
        validation_learn_more_url="https://support.google.com/accounts",
    ),
)
