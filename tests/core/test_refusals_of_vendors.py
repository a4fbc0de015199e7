"""Real refusals of OpenAI, Anthropic and Google: what each means, and what it costs the account that met it.

GLM's are in ``tests/glm``, where that provider is installed.
"""

from __future__ import annotations

from typing import Any

import pytest
from core.refusals_of_vendors import (
    BAD_KEY,
    BANNED,
    BROKEN,
    FILTERED,
    INVALID,
    NO_MODEL,
    NO_MONEY,
    NO_PERMISSION,
    OVERLOADED,
    TOO_LARGE,
    TOO_LONG,
    UNPAID,
    Refusal,
    limited,
    model,
)

from aigateway_core.dialects.anthropic import Anthropic
from aigateway_core.dialects.gemini import Gemini
from aigateway_core.dialects.openai_chat import OpenAIChat
from aigateway_core.dialects.openai_responses import OpenAIResponses
from aigateway_core.errors import ErrorKind as Kind


def openai(message: str, kind: str | None, code: Any = None) -> Any:
    return {"error": {"message": message, "type": kind, "code": code}}


def anthropic(kind: str, message: str, **details: str) -> Any:
    told: dict[str, Any] = {"type": kind, "message": message}
    if details:
        told["details"] = details
    return {"type": "error", "error": told, "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy"}


def google(code: int, status: str, message: str, *details: dict[str, Any]) -> Any:
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


def info(reason: str, **metadata: str) -> dict[str, Any]:
    kind = "type.googleapis.com/google.rpc.ErrorInfo"
    return {"@type": kind, "reason": reason, "domain": "googleapis.com", "metadata": metadata}


def delay(text: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": text}


IN = "invalid_request_error"
OPENAI = [
    Refusal("a wrong value", 400, openai("Unsupported value: 'messages[0].role'", IN, "unsupported_value"), INVALID),
    Refusal(
        "an unsupported field",
        400,
        openai(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'",
            IN,
            "unsupported_parameter",
        ),
        INVALID,
    ),
    Refusal(
        "a full context",
        400,
        openai(
            "This model's maximum context length is 128000 tokens. However, your messages resulted in 140210 tokens.",
            IN,
            "context_length_exceeded",
        ),
        TOO_LONG,
    ),
    Refusal(
        "a full context, said by a copy",
        400,
        openai("This model's maximum context length is 4096 tokens.", "BadRequestError", 400),
        TOO_LONG,
    ),
    Refusal(
        "a filter",
        400,
        openai(
            "The response was filtered due to the prompt triggering content management policy.", None, "content_filter"
        ),
        FILTERED,
    ),
    Refusal(
        "a policy",
        400,
        openai("Your request was rejected as a result of our safety system.", IN, "content_policy_violation"),
        FILTERED,
    ),
    Refusal(
        "a long text",
        400,
        openai("Invalid 'messages[0].content': string too long.", IN, "string_above_max_length"),
        INVALID,
    ),
    Refusal("a wrong key", 401, openai("Incorrect API key provided: sk-ab***cd.", IN, "invalid_api_key"), BAD_KEY),
    Refusal(
        "a deactivated account",
        401,
        openai("The OpenAI account associated with this API key has been deactivated.", IN, "account_deactivated"),
        BANNED,
    ),
    Refusal(
        "a country",
        403,
        openai(
            "Country, region, or territory not supported", "request_forbidden", "unsupported_country_region_territory"
        ),
        NO_PERMISSION,
    ),
    Refusal(
        "an unknown model",
        404,
        openai("The model `gpt-9` does not exist or you do not have access to it.", IN, "model_not_found"),
        NO_MODEL,
    ),
    Refusal("a large body", 413, openai("Request too large", IN), TOO_LARGE),
    Refusal("a validator's words", 422, {"detail": [{"loc": ["body"], "msg": "field required"}]}, INVALID),
    Refusal(
        "requests a minute",
        429,
        openai(
            "Rate limit reached for gpt-4o on requests per min (RPM): Limit 3. Please try again in 20s.",
            "requests",
            "rate_limit_exceeded",
        ),
        limited(20),
    ),
    Refusal(
        "tokens a minute, with a header",
        429,
        openai("Rate limit reached for gpt-4o on tokens per min (TPM).", "tokens", "rate_limit_exceeded"),
        limited(3),
        {"retry-after": "3"},
    ),
    Refusal("a limit without a time", 429, b"", limited(30)),
    Refusal("a traffic ramp", 429, openai("Slow down", "rate_limit_error", "slow_down"), OVERLOADED),
    Refusal(
        "no money",
        429,
        openai(
            "You exceeded your current quota, please check your plan and billing details.",
            "insufficient_quota",
            "insufficient_quota",
        ),
        NO_MONEY,
    ),
    Refusal(
        "no credit",
        429,
        openai("Your credit balance is exhausted.", "insufficient_quota", "credit_balance_exhausted"),
        NO_MONEY,
    ),
    Refusal("a bill, by a copy", 402, openai("Insufficient Balance", "unknown_error", "invalid_request_error"), UNPAID),
    Refusal(
        "a server's error",
        500,
        openai("The server had an error while processing your request.", "server_error"),
        BROKEN,
    ),
    Refusal(
        "an overload",
        503,
        openai(
            "The server is currently overloaded with other requests.",
            "service_unavailable_error",
            "server_is_overloaded",
        ),
        OVERLOADED,
        {"retry-after": "9"},
    ),
    Refusal("a gateway's page", 502, b"<html><head><title>502 Bad Gateway</title></head></html>", BROKEN),
    Refusal(
        "words that talk of a ban in a request",
        400,
        openai("Invalid value: 'my account has been suspended'", IN),
        INVALID,
    ),
]
ANTHROPIC = [
    Refusal("bad input", 400, anthropic(IN, "messages: at least one message is required"), INVALID),
    Refusal("a long prompt", 400, anthropic(IN, "prompt is too long: 208310 tokens > 200000 maximum"), TOO_LONG),
    Refusal(
        "input and output together",
        400,
        anthropic(IN, "input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000"),
        TOO_LONG,
    ),
    Refusal("no credit", 400, anthropic(IN, "Your credit balance is too low to access the Anthropic API."), NO_MONEY),
    Refusal("an organisation that is no more", 400, anthropic(IN, "This organization has been disabled."), BANNED),
    Refusal(
        "words about an organisation in a request",
        400,
        anthropic(IN, "messages.0: 'This organization has been disabled.' is not valid"),
        INVALID,
    ),
    Refusal("a wrong key", 401, anthropic("authentication_error", "invalid x-api-key"), BAD_KEY),
    Refusal("a token that has expired", 401, anthropic("authentication_error", "OAuth token has expired."), BAD_KEY),
    Refusal("a bill", 402, anthropic("billing_error", "Your account has a billing issue."), UNPAID),
    Refusal(
        "a permission",
        403,
        anthropic("permission_error", "Your API key does not have permission to use the specified resource."),
        NO_PERMISSION,
    ),
    Refusal(
        "a ban",
        403,
        anthropic(
            "permission_error", "Your account has been disabled after an automatic review of your recent activities."
        ),
        BANNED,
    ),
    Refusal("an unknown model", 404, anthropic("not_found_error", "model: claude-9"), NO_MODEL),
    Refusal("a large body", 413, anthropic("request_too_large", "Request exceeds the maximum size"), TOO_LARGE),
    Refusal(
        "a limit",
        429,
        anthropic("rate_limit_error", "This request would exceed the rate limit for your organization."),
        limited(17),
        {"retry-after": "17"},
    ),
    Refusal(
        "a limit that somebody has to raise",
        429,
        anthropic("rate_limit_error", "spend limit", error_code="contract_spend_limit_reached"),
        NO_MONEY,
    ),
    Refusal("a server's error", 500, anthropic("api_error", "Internal server error"), BROKEN),
    Refusal("an overload", 529, anthropic("overloaded_error", "Overloaded"), OVERLOADED),
]
GEMINI = [
    Refusal(
        "an unknown field",
        400,
        google(400, "INVALID_ARGUMENT", 'Invalid JSON payload received. Unknown name "$schema"'),
        INVALID,
    ),
    Refusal(
        "a wrong key, as a 400",
        400,
        google(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", info("API_KEY_INVALID")),
        BAD_KEY,
    ),
    Refusal(
        "a place", 400, google(400, "FAILED_PRECONDITION", "User location is not supported for the API use."), INVALID
    ),
    Refusal(
        "a full context",
        400,
        google(
            400,
            "INVALID_ARGUMENT",
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        ),
        TOO_LONG,
    ),
    Refusal(
        "a token that has expired",
        401,
        google(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.", info("ACCESS_TOKEN_EXPIRED")),
        BAD_KEY,
    ),
    Refusal(
        "a permission", 403, google(403, "PERMISSION_DENIED", "The caller does not have permission"), NO_PERMISSION
    ),
    Refusal(
        "an API that is off",
        403,
        google(
            403,
            "PERMISSION_DENIED",
            "Generative Language API has not been used in project 1 before or it is disabled.",
            info("SERVICE_DISABLED"),
        ),
        BAD_KEY,
    ),
    Refusal(
        "a suspended consumer",
        403,
        google(
            403,
            "PERMISSION_DENIED",
            "Permission denied: Consumer 'api_key:x' has been suspended.",
            info("CONSUMER_SUSPENDED"),
        ),
        BANNED,
    ),
    Refusal(
        "a ban",
        403,
        google(
            403,
            "PERMISSION_DENIED",
            "This service has been disabled in this account for violation of Terms of Service.",
        ),
        BANNED,
    ),
    Refusal("an unknown model", 404, google(404, "NOT_FOUND", "Requested entity was not found."), NO_MODEL),
    Refusal(
        "a limit",
        429,
        google(
            429,
            "RESOURCE_EXHAUSTED",
            "You have exhausted your capacity on this model. Your quota will reset after 3s.",
            info("RATE_LIMIT_EXCEEDED", quotaResetDelay="3.2s"),
            delay("3.2s"),
        ),
        limited(3.2),
    ),
    Refusal(
        "a quota of days",
        429,
        google(
            429,
            "RESOURCE_EXHAUSTED",
            "Individual quota reached. Resets in 71h15m27s.",
            info("QUOTA_EXHAUSTED"),
            delay("256527.79s"),
        ),
        (Kind.QUOTA, "model", model(256527.79)),
    ),
    Refusal(
        "a limit without details",
        429,
        google(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
        limited(30),
    ),
    Refusal(
        "no capacity",
        503,
        google(
            503,
            "UNAVAILABLE",
            "No capacity available for model gemini-3.1-pro-low on the server",
            info("MODEL_CAPACITY_EXHAUSTED"),
        ),
        OVERLOADED,
    ),
    Refusal(
        "an overload", 503, google(503, "UNAVAILABLE", "The model is overloaded. Please try again later."), OVERLOADED
    ),
    Refusal("an error of its own", 500, google(500, "INTERNAL", "An internal error has occurred."), BROKEN),
]


@pytest.mark.parametrize("refusal", OPENAI, ids=str)
def test_openais_refusals_cost_what_they_should(refusal: Refusal) -> None:
    refusal.check(OpenAIChat().decode_error)
    refusal.check(OpenAIResponses().decode_error)


@pytest.mark.parametrize("refusal", ANTHROPIC, ids=str)
def test_anthropics_refusals_cost_what_they_should(refusal: Refusal) -> None:
    refusal.check(Anthropic().decode_error)


@pytest.mark.parametrize("refusal", GEMINI, ids=str)
def test_googles_refusals_cost_what_they_should(refusal: Refusal) -> None:
    refusal.check(Gemini().decode_error)
