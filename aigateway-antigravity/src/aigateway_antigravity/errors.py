"""What Cloud Code's refusals mean: their kind, how far they reach, how long to wait, and what the owner has to do.

Google says why in ``details`` of ``google.rpc`` types, in any order, or not at all; what the core's Gemini dialect
reads of them holds here too. What differs is the reach: most limits are those of an account and a group of models, and
some refusals are for the owner of the account to mend.
"""

from __future__ import annotations

import json
import re
from typing import Any

import attrs

from aigateway_core.plugin import (
    Anthropic,
    ErrorKind,
    Gemini,
    JsonObject,
    Scope,
    UpstreamError,
    UpstreamFailure,
)

EMPTY_ANSWER = "EMPTY_ANSWER"
"""The code of the error that an answer without anything is."""

LEAST_REST = 2.0
"""Seconds. A shorter rest that Google names is over before it can be obeyed."""

FULL_HOUSE = 5.0
"""Seconds after which to ask again where Google has no room for a model; it names no time itself."""

_A_WHILE = 1800.0
_NO_SUCH_MODEL = 3600.0
_NO_SUCH_MODEL_HINT = (
    " (a model that exists may not be offered to this account, or not to the client version that "
    "providers.antigravity.user_agent names)"
)

_GOOGLE = Gemini()
_ANTHROPIC = Anthropic()


@attrs.frozen
class _Meaning:
    """What a refusal means; ``wait`` is in seconds, where Google names no time, or whatever it names (``firm``)."""

    kind: ErrorKind
    scope: Scope = "request"
    wait: float | None = None
    remedy: str | None = None
    firm: bool = False


_GROUP_IS_EMPTY = _Meaning(ErrorKind.QUOTA, "quota_group")
_NOT_FOR_THIS_TIER = _Meaning(ErrorKind.QUOTA, "model", 12 * 3600.0, firm=True)
_NO_ROOM = _Meaning(ErrorKind.OVERLOADED, "request", FULL_HOUSE)
_WRONG_PROJECT = _Meaning(ErrorKind.CREDENTIAL, "account", _A_WHILE)
_NO_LICENCE = _Meaning(
    ErrorKind.CREDENTIAL,
    "account",
    remedy="this account has no licence for Gemini Code Assist in its project: get one, or log in again with another",
)
_VERIFY = "Google wants this account to be verified: sign in to it in a browser, and follow what is asked there"

_BY_REASON: dict[str, _Meaning] = {
    "QUOTA_EXHAUSTED": _GROUP_IS_EMPTY,
    "INSUFFICIENT_G1_CREDITS_BALANCE": _GROUP_IS_EMPTY,
    "RATE_LIMIT_EXCEEDED": _Meaning(ErrorKind.RATE_LIMIT, "model"),
    "MODEL_CAPACITY_EXHAUSTED": _NO_ROOM,
    "SERVICE_DISABLED": _WRONG_PROJECT,
    "SUBSCRIPTION_REQUIRED": _NO_LICENCE,
}

_LICENCE = re.compile(r"code assist license|\(#3501\)", re.IGNORECASE)
_PROJECT = re.compile(r"invalid project resource name", re.IGNORECASE)
_VALIDATION = re.compile(r"\bverify your account\b", re.IGNORECASE)
_QUOTA = re.compile(r"quota (?:is )?(?:exhausted|reached)|exhausted your (?:\w+ )?quota", re.IGNORECASE)
_NONE_AT_ALL = re.compile(r"\blimit: 0\b(?!\.\d)")
_FULL = re.compile(r"no capacity (?:is )?available", re.IGNORECASE)

_SIGNATURE = re.compile(
    r"invalid `?signature`? in `?thinking`? block|thought[ _]?signature is not valid|corrupted thought signature"
    r"|missing a `?thought_?signature|expected `?thinking`? or `?redacted_thinking`?",
    re.IGNORECASE,
)


def classify(failure: UpstreamFailure) -> UpstreamError:
    """Kind, scope, wait and remedy of a refusal, be it an HTTP answer or an event within one.

    Nothing of the account's project stands in its message.
    """
    error = _error_in(failure.body)
    told = _GOOGLE.decode_error(failure)
    if told.code not in _BY_REASON and (inner := _claudes(error.get("message"))) is not None:
        return _of_claude(failure, inner)
    meaning = _meaning(told, _metadata(error))
    wait = meaning.wait if meaning.firm or told.retry_after is None else told.retry_after
    if wait is not None and meaning.scope != "request":
        wait = max(wait, LEAST_REST)
    return UpstreamError(
        meaning.kind,
        without_project(told.message) + (_NO_SUCH_MODEL_HINT if meaning.kind is ErrorKind.MODEL_NOT_FOUND else ""),
        scope=meaning.scope,
        retry_after=wait,
        status=told.status,
        code=told.code,
        param=told.param,
        remedy=meaning.remedy,
    )


def is_about_thinking(error: UpstreamError) -> bool:
    """Whether Google refused the thinking in a conversation, which can go on without."""
    return error.kind is ErrorKind.INVALID_REQUEST and _SIGNATURE.search(error.message) is not None


def may_pass(error: UpstreamError) -> bool:
    """Whether the model failed in its answer, and might not if it were asked the same once more."""
    return error.code in (EMPTY_ANSWER, "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL")


def _meaning(told: UpstreamError, metadata: JsonObject) -> _Meaning:
    if told.kind is ErrorKind.BANNED:
        return _Meaning(told.kind, told.scope)
    if told.code == "VALIDATION_REQUIRED" or (told.status == 403 and _VALIDATION.search(told.message)):
        return _Meaning(ErrorKind.CREDENTIAL, "account", remedy=_address(metadata) or _VERIFY)
    if told.kind in (ErrorKind.RATE_LIMIT, ErrorKind.QUOTA) and _NONE_AT_ALL.search(told.message):
        return _NOT_FOR_THIS_TIER
    return _BY_REASON.get(told.code or "") or _by_words(told) or _by_kind(told)


def _by_words(told: UpstreamError) -> _Meaning | None:
    if told.status == 403 and _LICENCE.search(told.message):
        return _NO_LICENCE
    if told.kind is ErrorKind.INVALID_REQUEST and _PROJECT.search(told.message):
        return _WRONG_PROJECT
    if told.kind is ErrorKind.RATE_LIMIT and _FULL.search(told.message):
        return _NO_ROOM
    return _GROUP_IS_EMPTY if told.kind is ErrorKind.RATE_LIMIT and _QUOTA.search(told.message) else None


def _by_kind(told: UpstreamError) -> _Meaning:
    """What the core makes of it, with the reach that it has here."""
    if told.kind is ErrorKind.MODEL_NOT_FOUND:
        return _Meaning(told.kind, "model", _NO_SUCH_MODEL)
    if told.kind is ErrorKind.OVERLOADED:
        return _NO_ROOM
    if told.kind is ErrorKind.CREDENTIAL and told.scope == "request":
        # Not the account's credential as a whole: others of its models may well be allowed.
        return _Meaning(told.kind, "model", _A_WHILE)
    return _Meaning(told.kind, told.scope)


# -- Claude's own refusals, which come as a text within Google's

_CLAUDES_WORD = frozenset(
    {
        *(ErrorKind.INVALID_REQUEST, ErrorKind.UNSUPPORTED, ErrorKind.CONTEXT_LENGTH, ErrorKind.CONTENT_FILTER),
        *(ErrorKind.TOO_LARGE, ErrorKind.OVERLOADED, ErrorKind.RATE_LIMIT, ErrorKind.TIMEOUT),
    }
)
"""What speaks of the request, or of the moment. The rest is between Google and Anthropic: no account here did it."""


def _claudes(message: Any) -> bytes | None:
    """The refusal that Anthropic's API gave to Google, if there is one inside of Google's own."""
    if not isinstance(message, str) or not message.lstrip().startswith("{"):
        return None
    inner = _loaded(message)
    return (
        message.encode("utf-8", "replace") if isinstance(inner, dict) and isinstance(inner.get("error"), dict) else None
    )


def _of_claude(failure: UpstreamFailure, inner: bytes) -> UpstreamError:
    # The status is Google's, which makes a 400 of everything: what Anthropic's API said tells more.
    told = _ANTHROPIC.decode_error(UpstreamFailure(200, failure.headers, inner))
    kind = told.kind if told.kind in _CLAUDES_WORD else ErrorKind.SERVER
    full = kind in (ErrorKind.OVERLOADED, ErrorKind.RATE_LIMIT)
    return UpstreamError(
        ErrorKind.OVERLOADED if full else kind,
        without_project(told.message),
        retry_after=(told.retry_after or FULL_HOUSE) if full else None,
        status=failure.status,
        code=told.code,
        param=told.param,
    )


# -- what a refusal holds


def _error_in(body: bytes) -> JsonObject:
    """Google's error object, by itself or in an array; empty where the body holds none."""
    value = _loaded(body)
    if isinstance(value, list) and value:
        value = value[0]
    error = value.get("error") if isinstance(value, dict) else None
    return error if isinstance(error, dict) else {}


def _metadata(error: JsonObject) -> JsonObject:
    """All that the reasons tell besides."""
    details = error.get("details")
    listed = [one.get("metadata") for one in details if isinstance(one, dict)] if isinstance(details, list) else []
    return {name: value for metadata in listed if isinstance(metadata, dict) for name, value in metadata.items()}


def _address(metadata: JsonObject) -> str | None:
    """Where the owner has to go."""
    url = metadata.get("validation_url")
    return url if isinstance(url, str) and re.fullmatch(r"https://[!-~]{1,2000}", url) else None


def _loaded(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


_PROJECT_NAMED = re.compile(
    r"""(?ix)
    ( \b projects (?: / | %2F ) (?! \*\*\* )
    | \b project (?: [ _-]? (?: id | number | name ))? (?: \s* (?: [=:] | %3A | %3D ) \s* ["'`]? | \s+ ["'`] )
    | \b project (?: [ ] (?: id | number | name ))? \s+ (?= [\w.:-]* [\d-] )
    )
    (?: [\w.:-]* \w )
    """
)


def without_project(message: str) -> str:
    """``message`` without the project of the account, which is nobody's business but its owner's."""
    return _PROJECT_NAMED.sub(r"\1***", message)
