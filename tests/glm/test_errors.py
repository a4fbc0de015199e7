"""GLM's error codes: what each means for the request, the account and the time to wait."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from glm.glm_recordings import error, glm_vendor

from aigateway_core.plugin import ChatRequest, ErrorKind, Message, TextPart, UpstreamError, UpstreamFailure
from aigateway_core.testing import FakeUpstream, Reply
from aigateway_glm import GLMConfig, GLMProvider
from aigateway_glm.errors import VERDICTS, classify

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
HELLO = ChatRequest(model="glm-4.6", messages=(Message("user", (TextPart("Hi"),)),))


def judged(code: str, message: str = "no", *, status: int = 429) -> UpstreamError:
    verdict = classify(UpstreamFailure(status, {}, error(code, message)), now=NOW)
    assert verdict is not None
    return verdict


RETRY = {"500", "1100", "1120", "1200", "1230", "1234", "1302", "1303", "1305", "1312"}
SWITCH = {"1000", "1001", "1002", "1003", "1004", "1110", "1111", "1112", "1113", "1120", "1121", "1220"} | {
    *("1302", "1303", "1304", "1308", "1309", "1310", "1311", "1313")
}
NEVER = {"1210", "1211", "1212", "1213", "1214", "1215", "1221", "1222", "1261", "1300", "1301"}


@pytest.mark.parametrize("code", sorted(VERDICTS))
def test_a_code_is_tried_again_where_that_can_help(code: str) -> None:
    assert judged(code).retryable == (code in RETRY | SWITCH)


@pytest.mark.parametrize("code", sorted(NEVER))
def test_the_callers_own_mistakes_are_held_against_nobody(code: str) -> None:
    assert (judged(code).scope, judged(code).retry_after) == ("request", None)


@pytest.mark.parametrize("code", sorted(SWITCH))
def test_what_belongs_to_an_account_is_no_wider_than_it(code: str) -> None:
    assert judged(code).scope in ("account", "model")


@pytest.mark.parametrize(
    ("code", "kind", "scope"),
    [
        ("1000", ErrorKind.CREDENTIAL, "account"),
        ("1113", ErrorKind.QUOTA, "account"),
        ("1211", ErrorKind.MODEL_NOT_FOUND, "request"),
        ("1261", ErrorKind.CONTEXT_LENGTH, "request"),
        ("1301", ErrorKind.CONTENT_FILTER, "request"),
        ("1302", ErrorKind.RATE_LIMIT, "model"),
        ("1305", ErrorKind.OVERLOADED, "request"),
        ("1311", ErrorKind.QUOTA, "model"),
    ],
)
def test_codes_that_share_a_status_are_told_apart(code: str, kind: ErrorKind, scope: str) -> None:
    assert (judged(code).kind, judged(code).scope, judged(code).code) == (kind, scope, code)


def test_a_cap_holds_until_the_time_that_its_message_names() -> None:
    text = "Usage limit reached for 5 hour. Your limit will reset at 2026-11-22 20:30:00"
    assert judged("1308", text).retry_after == 2.5 * 3600  # 20:30 in China is 12:30 UTC
    assert judged("1310", text.replace("22 20", "29 20")).retry_after == (7 * 24 + 2.5) * 3600


def test_a_time_that_has_passed_or_makes_no_sense_is_no_long_wait() -> None:
    assert judged("1308", "reset at 2020-01-01 00:00:00").retry_after == 1
    assert judged("1308", "reset at 9999-01-01 00:00:00").retry_after == 30 * 24 * 3600
    assert judged("1308", "reset at 2026-13-45 00:00:00").retry_after == 3600
    assert judged("1308", "no time here").retry_after == 3600


def test_a_daily_limit_holds_until_midnight_in_china() -> None:
    assert judged("1304").retry_after == 6 * 3600


def test_a_time_to_wait_in_the_headers_wins() -> None:
    verdict = classify(UpstreamFailure(429, {"retry-after": "9"}, error("1302")))
    assert verdict is not None
    assert verdict.retry_after == 9


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": 1302, "message": "busy"}},
        {"error": {"code": "1302", "message": "busy"}, "request_id": "2026"},
        {"code": "1302", "message": "busy"},
        {"success": False, "code": 1302, "msg": "busy"},
    ],
)
def test_a_code_is_found_in_every_shape_that_was_seen(body: object) -> None:
    verdict = classify(UpstreamFailure(429, {}, json.dumps(body).encode()))
    assert verdict is not None
    assert (verdict.code, verdict.kind) == ("1302", ErrorKind.RATE_LIMIT)
    assert verdict.message == "GLM: busy (code 1302)"


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'"1302"', b'{"error":"1302"}', b'{"error":{"code":true}}', b"\xff"]
)
def test_without_a_code_it_is_not_for_this_table(body: bytes) -> None:
    assert classify(UpstreamFailure(429, {}, body)) is None
    assert GLMProvider(GLMConfig()).classify_error(UpstreamFailure(429, {}, body)).kind is ErrorKind.RATE_LIMIT


def test_a_message_is_not_passed_on_without_end() -> None:
    assert len(judged("1210", "x" * 10_000).message) < 600


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_an_error_that_comes_with_200_is_one(fake_upstream: Callable[..., FakeUpstream], streamed: bool) -> None:
    provider = GLMProvider(GLMConfig())
    body = b"data: " + error("1302") + b"\n\n" if streamed else error("1302")
    upstream = fake_upstream(Reply(body), provider=provider)
    with pytest.raises(UpstreamError) as caught:
        await (anext(aiter(provider.stream(HELLO, upstream))) if streamed else provider.complete(HELLO, upstream))
    assert (caught.value.kind, caught.value.scope) == (ErrorKind.RATE_LIMIT, "model")


@pytest.mark.anyio
async def test_a_failed_inference_is_not_dressed_up_as_an_end(fake_upstream: Callable[..., FakeUpstream]) -> None:
    provider = GLMProvider(GLMConfig())
    broken = [
        chunk.replace(b'"finish_reason": "stop"', b'"finish_reason": "network_error"')
        for chunk in glm_vendor().text_stream
    ]
    upstream = fake_upstream(Reply(broken), provider=provider)
    with pytest.raises(UpstreamError) as caught:
        assert [event async for event in provider.stream(HELLO, upstream)]
    assert caught.value.retryable
