"""What Cloud Code's refusals mean for the request, the account and its owner."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from cloud_code_refusals import (
    CAPACITY,
    QUOTA,
    TERMS,
    VALIDATION,
    VALIDATION_URL,
    exhausted,
    info,
    judged,
    refusal,
    retry,
)
from hypothesis import given
from hypothesis import strategies as st

from aigateway_antigravity.errors import is_about_thinking, may_pass, without_project
from aigateway_core.plugin import Anthropic, ErrorKind, JsonObject, UpstreamError

PROJECT = "rising-fact-p41fc"


def meaning(error: UpstreamError) -> tuple[ErrorKind, str]:
    return error.kind, error.scope


# -- limits


def test_X6_an_empty_quota_is_that_of_the_group_of_models() -> None:
    error = exhausted(QUOTA, info("QUOTA_EXHAUSTED", quotaResetDelay="71h15m27.79s"), retry("256527.79s"))
    assert meaning(error) == (ErrorKind.QUOTA, "quota_group")
    assert error.retry_after == pytest.approx(256527.79)


@pytest.mark.parametrize("message", [QUOTA, "Quota exhausted.", "You have exhausted your daily quota on this model."])
def test_X6_an_empty_quota_is_known_by_its_words_too(message: str) -> None:
    assert meaning(exhausted(message)) == (ErrorKind.QUOTA, "quota_group")


@pytest.mark.parametrize(("delay", "seconds"), [("1s", 2.0), ("40s", 40.0)])
def test_X7_a_rate_limit_is_that_of_the_account_with_this_model(delay: str, seconds: float) -> None:
    error = exhausted("no", info("RATE_LIMIT_EXCEEDED"), retry(delay))
    assert (*meaning(error), error.retry_after) == (ErrorKind.RATE_LIMIT, "model", seconds)
    assert error.retryable


@pytest.mark.parametrize("details", [[], [{"@type": "type.googleapis.com/google.rpc.Help"}], ["junk"]])
def test_X8_what_is_exhausted_without_details_is_no_quota(details: list[Any]) -> None:
    error = judged(
        429,
        refusal(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota).", *details),
    )
    assert (*meaning(error), error.retry_after) == (ErrorKind.RATE_LIMIT, "model", None)
    assert error.retryable


@pytest.mark.parametrize("status", [503, 429, 529])
def test_X10_want_of_capacity_is_no_fault_of_the_account(status: int) -> None:
    bodies = [
        refusal(status, "UNAVAILABLE", CAPACITY, info("MODEL_CAPACITY_EXHAUSTED", model="gemini-3.1-pro-low")),
        refusal(status, "RESOURCE_EXHAUSTED" if status == 429 else "UNAVAILABLE", CAPACITY),
    ]
    for body in bodies:
        error = judged(status, body)
        assert meaning(error) == (ErrorKind.OVERLOADED, "request")
        assert error.is_the_hosts


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_X11_what_is_googles_own_is_held_against_nobody(status: int) -> None:
    error = judged(status, refusal(status, {503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED"}.get(status, "INTERNAL")))
    assert (error.scope, error.retryable) == ("request", True)


@pytest.mark.parametrize(
    "message",
    [
        "Resource has been exhausted: requests per minute",
        "Quota exceeded for quota metric 'Requests' and limit 'Requests per minute'",
        "Too many requests per minute, resource exhausted",
    ],
)
def test_X12_a_limit_of_the_minute_is_no_quota(message: str) -> None:
    assert meaning(exhausted(message)) == (ErrorKind.RATE_LIMIT, "model")


def test_X13_a_quota_without_a_time_leaves_the_time_to_the_gateway() -> None:
    error = exhausted("no", info("QUOTA_EXHAUSTED"))
    assert (*meaning(error), error.retry_after) == (ErrorKind.QUOTA, "quota_group", None)


@pytest.mark.parametrize("message", ["Quota exceeded, limit: 0, model: x", "... limit: 0"])
def test_a_quota_of_nothing_says_that_the_account_may_not_use_the_model(message: str) -> None:
    error = exhausted(message, retry("20s"))
    assert meaning(error) == (ErrorKind.QUOTA, "model")
    assert error.retry_after == exhausted(message).retry_after == 12 * 3600.0
    assert meaning(exhausted("Quota exceeded, limit: 0.5 a second")) == (ErrorKind.RATE_LIMIT, "model")


def test_a_bill_that_was_not_paid_is_the_accounts() -> None:
    error = judged(402, refusal(402, "FAILED_PRECONDITION", code=402))
    assert error.status == 402
    assert meaning(judged(402, b"{}")) == (ErrorKind.QUOTA, "account")


# -- accounts


def test_X18_an_account_to_be_verified_says_where() -> None:
    error = judged(403, VALIDATION)
    assert (*meaning(error), error.remedy) == (ErrorKind.CREDENTIAL, "account", VALIDATION_URL)
    assert error.retryable
    assert VALIDATION_URL not in error.message


@pytest.mark.parametrize("url", [None, "javascript:alert(1)", "https://x y", "https://" + "x" * 3000, 7])
def test_X18_an_address_that_is_none_is_not_told(url: object) -> None:
    metadata = {} if url is None else {"validation_url": url}
    error = judged(403, refusal(403, "PERMISSION_DENIED", "Verify.", info("VALIDATION_REQUIRED", **metadata)))
    assert (error.kind, error.scope) == (ErrorKind.CREDENTIAL, "account")
    assert error.remedy is not None
    assert "browser" in error.remedy


@pytest.mark.parametrize("details", [[], [info("SERVICE_DISABLED")], [info("IAM_PERMISSION_DENIED")]])
def test_X19_a_violation_of_the_terms_is_a_ban(details: list[JsonObject]) -> None:
    assert meaning(judged(403, refusal(403, "PERMISSION_DENIED", TERMS, *details))) == (ErrorKind.BANNED, "account")


def test_an_account_without_a_licence_is_its_owners_to_mend() -> None:
    said = "Your account does not have a valid Gemini Code Assist license. (#3501)"
    for details in ([], [info("SUBSCRIPTION_REQUIRED")]):
        error = judged(403, refusal(403, "PERMISSION_DENIED", said, *details))
        assert meaning(error) == (ErrorKind.CREDENTIAL, "account")
        assert error.remedy is not None
        assert "licence" in error.remedy


@pytest.mark.parametrize(
    ("status", "body", "scope"),
    [
        (403, refusal(403, "PERMISSION_DENIED", "not used in project 1", info("SERVICE_DISABLED")), "account"),
        (403, refusal(403, "PERMISSION_DENIED", "The caller does not have permission"), "model"),
        (400, refusal(400, "INVALID_ARGUMENT", "Invalid project resource name projects/"), "account"),
        (401, refusal(401, "UNAUTHENTICATED", "Invalid bearer token", info("ACCESS_TOKEN_EXPIRED")), "account"),
    ],
)  # fmt: skip
def test_what_may_be_mended_by_itself_needs_no_owner(status: int, body: JsonObject, scope: str) -> None:
    error = judged(status, body)
    assert (*meaning(error), error.remedy) == (ErrorKind.CREDENTIAL, scope, None)
    assert error.retryable


# -- requests


def test_X20_a_model_that_is_not_there_may_be_on_another_account() -> None:
    error = judged(404, refusal(404, "NOT_FOUND", "Requested entity was not found."))
    assert (*meaning(error), error.retryable) == (ErrorKind.MODEL_NOT_FOUND, "model", True)
    assert error.is_the_hosts
    assert error.retry_after == 3600.0
    assert "providers.antigravity.user_agent" in error.message


def test_X21_a_schema_that_is_refused_is_told_once() -> None:
    said = 'Invalid JSON payload received. Unknown name "const" at request.tools[0]'
    error = judged(400, refusal(400, "INVALID_ARGUMENT", said))
    assert (*meaning(error), error.retryable) == (ErrorKind.INVALID_REQUEST, "request", False)
    assert error.message == said
    assert not is_about_thinking(error)


@pytest.mark.parametrize(
    "said",
    [
        "prompt is too long: 210000 tokens > 200000 maximum",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9"}}),
    ],
)
def test_X22_a_prompt_that_is_too_long_is_the_clients_to_shorten(said: str) -> None:
    error = judged(400, refusal(400, "INVALID_ARGUMENT", said))
    assert (*meaning(error), error.retryable) == (ErrorKind.CONTEXT_LENGTH, "request", False)


def test_a_place_where_gemini_is_not_offered_is_told() -> None:
    error = judged(400, refusal(400, "FAILED_PRECONDITION", "User location is not supported for the API use."))
    assert (*meaning(error), error.retryable) == (ErrorKind.INVALID_REQUEST, "request", False)


@pytest.mark.parametrize("code", [429, "429"])
@pytest.mark.parametrize("array", [False, True])
def test_R27_an_array_around_a_refusal_changes_nothing(code: object, array: bool) -> None:
    alone = refusal(429, "RESOURCE_EXHAUSTED", "no", info("QUOTA_EXHAUSTED"), retry("9s"), code=code)
    for status in (429, 200):
        error = judged(status, [alone] if array else alone)
        assert (*meaning(error), error.retry_after) == (ErrorKind.QUOTA, "quota_group", 9.0)
        assert error.status == 429


def test_R27_an_array_around_a_validation_changes_nothing() -> None:
    assert judged(403, [VALIDATION]).remedy == VALIDATION_URL


# -- Claude's own words


def of_claude(kind: str, message: str) -> JsonObject:
    inner = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_vrtx_011"}
    return refusal(400, "INVALID_ARGUMENT", json.dumps(inner))


def test_R32_claudes_own_refusal_is_told_in_its_words() -> None:
    said = "messages.1: `tool_use` ids were found without `tool_result` blocks"
    error = judged(400, of_claude("invalid_request_error", said))
    assert (*meaning(error), error.message) == (ErrorKind.INVALID_REQUEST, "request", said)
    reply = Anthropic().encode_error(error, "req-1")
    assert (reply.status, reply.body["error"]) == (400, {"type": "invalid_request_error", "message": said})


@pytest.mark.parametrize(
    ("kind", "meant"),
    [
        ("overloaded_error", ErrorKind.OVERLOADED),
        ("rate_limit_error", ErrorKind.OVERLOADED),
        ("api_error", ErrorKind.SERVER),
        ("authentication_error", ErrorKind.SERVER),
        ("permission_error", ErrorKind.SERVER),
        ("billing_error", ErrorKind.SERVER),
        ("request_too_large", ErrorKind.TOO_LARGE),
    ],
)
def test_R32_what_is_between_google_and_anthropic_is_held_against_no_account(kind: str, meant: ErrorKind) -> None:
    error = judged(400, of_claude(kind, "no"))
    assert meaning(error) == (meant, "request")
    assert error.remedy is None


def test_R32_a_message_that_only_begins_like_json_is_a_message() -> None:
    assert judged(400, refusal(400, "INVALID_ARGUMENT", "{oh no")).message == "{oh no"
    assert judged(400, refusal(400, "INVALID_ARGUMENT", '{"a": 1}')).message == '{"a": 1}'


@pytest.mark.parametrize(
    "said",
    [
        "messages.3.content.0: Invalid `signature` in `thinking` block",
        "Thought signature is not valid",
        "Corrupted thought signature.",
        "Function call is missing a thought_signature in functionCall parts.",
        "messages.5.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`.",
    ],
)
def test_a_refusal_of_thinking_is_known_whoever_says_it(said: str) -> None:
    assert is_about_thinking(judged(400, refusal(400, "INVALID_ARGUMENT", said)))
    assert is_about_thinking(judged(400, of_claude("invalid_request_error", said)))
    assert not is_about_thinking(judged(500, refusal(500, "INTERNAL", said)))


def test_R19_only_the_models_own_failures_may_pass() -> None:
    assert may_pass(UpstreamError(ErrorKind.SERVER, "no", code="MALFORMED_FUNCTION_CALL"))
    assert may_pass(UpstreamError(ErrorKind.SERVER, "no", code="EMPTY_ANSWER"))
    assert not may_pass(judged(500, refusal(500, "INTERNAL")))


# -- what nobody is to see


SENTENCES = [
    "API has not been used in project {} before or it is disabled.",
    "Enable it by visiting https://console.developers.google.com/apis/overview?project={} then retry.",
    "Permission denied on resource project {}.",
    "Permission 'x.use' denied on resource '//cloudaicompanion.googleapis.com/projects/{}/locations/global'",
    "Project '{}' not found or deleted.",
    "Consumer 'projects/{}' was refused",
    "Invalid project resource name projects/{}",
    "the caller has no access to project: {}",
    "project_id={}&x=1",
    "Project ID {} is wrong",
]


@given(st.from_regex(r"[a-z][a-z0-9-]{4,20}-[a-z0-9]{2,6}", fullmatch=True), st.sampled_from(SENTENCES))
def test_X33_no_project_stands_in_a_message(project: str, sentence: str) -> None:
    error = judged(403, refusal(403, "PERMISSION_DENIED", sentence.format(project)))
    assert project not in error.message
    assert sentence.split("{")[0][:10] in error.message


@given(st.integers(10**6, 10**13), st.sampled_from(SENTENCES))
def test_X33_no_number_of_a_project_stands_in_a_message(number: int, sentence: str) -> None:
    assert str(number) not in judged(403, refusal(403, "PERMISSION_DENIED", sentence.format(number))).message


def test_X33_no_token_stands_in_a_message() -> None:
    token = "ya29." + "a0AfB_by" * 8
    error = judged(401, refusal(401, "UNAUTHENTICATED", f"Request had invalid credentials: Bearer {token}"))
    assert token not in f"{error.message} {error.code} {error!r}"


@pytest.mark.parametrize("message", ["a project that is gone", "your project is fine", "projects", "Project. 5 files"])
def test_X33_other_words_stay_as_they_are(message: str) -> None:
    assert without_project(message) == message


@given(st.binary() | st.text().map(str.encode) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(
        ["error", "details", "message", "code", "status", "metadata", "@type", "reason", "validation_url"]), inner),
).map(lambda value: json.dumps(value).encode()), st.sampled_from([200, 400, 401, 403, 404, 429, 500, 503]))  # fmt: skip
def test_whatever_comes_is_some_error(body: bytes, status: int) -> None:
    assert judged(status, body).message


def test_R33_bytes_are_never_a_message() -> None:
    packed = gzip.compress(json.dumps(VALIDATION).encode())
    assert judged(403, packed).message == "the upstream answered with status 403"
