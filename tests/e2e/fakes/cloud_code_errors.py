"""How Cloud Code fails, as scripts: each has the body that Google sends with it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping

from e2e.fakes.chat_wire import data
from e2e.fakes.gemini import STATUS
from e2e.fakes.vendor import JsonObject, Problem, Refusal, Script

VALIDATION_URL = "https://accounts.google.com/signin/continue?sarp=1"
_RPC = "type.googleapis.com/google.rpc."
_DOMAIN = "cloudcode-pa.googleapis.com"


def error(
    status: int,
    message: str,
    *,
    reason: str | None = None,
    metadata: Mapping[str, str] | None = None,
    retry: str | None = None,
    name: str | None = None,
) -> JsonObject:
    """An error as it is told: ``reason`` and ``metadata`` are its ErrorInfo, ``retry`` its RetryInfo."""
    details: list[JsonObject] = []
    if reason is not None:
        info = {"reason": reason, "domain": _DOMAIN, "metadata": dict(metadata or {})}
        details.append({"@type": f"{_RPC}ErrorInfo", **info})
    if retry is not None:
        details.append({"@type": f"{_RPC}RetryInfo", "retryDelay": retry})
    named = name or STATUS.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
    about = {"code": status, "message": message, "status": named}
    return {"error": {**about, "details": details} if details else about}


def told(problem: Problem) -> JsonObject:
    """A problem as it is told."""
    if problem.status == 401:
        return unauthenticated()
    return error(problem.status, problem.message, reason=problem.code)


def refused(body: JsonObject | list[JsonObject]) -> Script:
    """Refuse with this body; the status stands in it."""
    first = body[0] if isinstance(body, list) else body
    return Script(refusal=Refusal(status=first["error"]["code"], body=json.dumps(body).encode()))


def quota_error(model: str, seconds: float) -> JsonObject:
    """The quota that this model draws on is used up for so long."""
    reset = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
    delay = _duration(seconds)
    return error(
        429,
        f"Individual quota reached. Resets in {delay}.",
        reason="QUOTA_EXHAUSTED",
        metadata={"model": model, "quotaResetDelay": delay, "quotaResetTimeStamp": reset, "uiMessage": "true"},
        retry=f"{seconds:g}s",
    )


def quota(model: str, seconds: float) -> Script:
    """Refuse because the quota of this model is used up for so long."""
    return refused(quota_error(model, seconds))


def rate_limit(model: str, seconds: float) -> Script:
    """Refuse because there were too many requests in a short time."""
    return refused(
        error(
            429,
            f"You have exhausted your capacity on this model. Your quota will reset after {seconds:g}s.",
            reason="RATE_LIMIT_EXCEEDED",
            metadata={"model": model, "quotaResetDelay": f"{seconds:g}s", "uiMessage": "true"},
            retry=f"{seconds:g}s",
        )
    )


def bare_limit() -> Script:
    """Refuse without telling what is exhausted, nor for how long."""
    return refused(error(429, "Resource has been exhausted (e.g. check quota)."))


def capacity(model: str) -> Script:
    """Refuse because Google has no capacity: it is no fault of the account's."""
    message = f"No capacity available for model {model} on the server"
    return refused(error(503, message, reason="MODEL_CAPACITY_EXHAUSTED", metadata={"model": model}))


def banned() -> Script:
    """Refuse because the account has been shut out for good."""
    message = "This service has been disabled in this account for violation of Terms of Service."
    return refused(error(403, message))


def validation(url: str = VALIDATION_URL) -> Script:
    """Refuse until the account's owner has shown who he is, at this address."""
    message = "Verify your account to continue."
    metadata = {
        "validation_url": url,
        "validation_error_message": message,
        "validation_url_link_text": "Verify",
        "validation_learn_more_url": "https://support.google.com/accounts",
    }
    return refused(error(403, message, reason="VALIDATION_REQUIRED", metadata=metadata))


def unlicensed() -> Script:
    """Refuse because the project has no licence."""
    message = "You are missing a valid license to use Gemini Code Assist (#3501)."
    return refused(error(403, message, reason="SUBSCRIPTION_REQUIRED"))


def ended_token() -> Script:
    """Refuse the token, as before its time."""
    return refused(unauthenticated())


def unauthenticated() -> JsonObject:
    """The token is none, or no longer."""
    message = "Request had invalid authentication credentials. Expected OAuth 2 access token."
    return error(401, message, reason="ACCESS_TOKEN_EXPIRED")


def not_found() -> Script:
    """Refuse a model that this account does not have."""
    return refused(error(404, "Requested entity was not found."))


def elsewhere() -> Script:
    """Refuse because of where the account is."""
    message = "User location is not supported for the API use."
    return refused(error(400, message, name="FAILED_PRECONDITION"))


def too_long() -> Script:
    """Refuse because the prompt is too long, in Anthropic's words."""
    inner = {"type": "invalid_request_error", "message": "prompt is too long: 210000 tokens > 200000 maximum"}
    return refused(error(400, json.dumps({"type": "error", "error": inner, "request_id": "req_vrtx_011"})))


# -- what comes with status 200


def stream(*events: JsonObject) -> Script:
    """Answer with these events, whatever was asked."""
    body = b"".join(data(event) for event in events)
    return Script(refusal=Refusal(status=200, body=body, content_type="text/event-stream"))


def piece(
    *parts: JsonObject, finish: str | None = None, usage: JsonObject | None = None, message: str | None = None
) -> JsonObject:
    """One event of an answer."""
    content: JsonObject = {"role": "model", **({"parts": list(parts)} if parts else {})}
    candidate = {"content": content, "finishReason": finish, "finishMessage": message}
    present = {name: value for name, value in candidate.items() if value is not None}
    usages = {"usageMetadata": usage} if usage is not None else {}
    return {"response": {"candidates": [present], **usages, "responseId": "r1"}, "traceId": "t1"}


_NOTHING_SAID = {"promptTokenCount": 20, "totalTokenCount": 20}


def empty_stop() -> Script:
    """End at once, and say nothing: a good answer."""
    return stream(piece({"text": ""}, finish="STOP", usage=_NOTHING_SAID))


def nothing() -> Script:
    """A stream without a single candidate."""
    return stream({"response": {"usageMetadata": _NOTHING_SAID}, "traceId": "t1"})


def malformed_call() -> Script:
    """Stop because the model could not write its call."""
    broken = piece(finish="MALFORMED_FUNCTION_CALL", usage=_NOTHING_SAID, message="Malformed function call: clock(")
    return stream(broken)


def blocked_prompt() -> Script:
    """Say nothing, because of what was asked."""
    feedback = {"blockReason": "PROHIBITED_CONTENT"}
    return stream({"response": {"promptFeedback": feedback, "usageMetadata": _NOTHING_SAID}, "traceId": "t1"})


def thoughts_without_end() -> Script:
    """Thoughts and their cost, and then the end without a reason for it: proto3 leaves the first of an enum out."""
    usage = {**_NOTHING_SAID, "thoughtsTokenCount": 3, "totalTokenCount": 23}
    return stream(piece({"text": "Let me think", "thought": True}, usage=usage))


def error_within(event: JsonObject | list[JsonObject]) -> Script:
    """Status 200, and the error as the first event."""
    body = b"data: " + json.dumps(event).encode() + b"\n\n"
    return Script(refusal=Refusal(status=200, body=body, content_type="text/event-stream"))


def without_an_end() -> Script:
    """The whole answer but for its last event, which has the reason of its end; the connection ends well."""
    return Script(after=-1)


def _duration(seconds: float) -> str:
    """As Go writes it: ``71h15m27.5s``."""
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    leading = f"{math.floor(hours)}h{math.floor(minutes)}m" if hours else f"{math.floor(minutes)}m" if minutes else ""
    return f"{leading}{left:g}s"
