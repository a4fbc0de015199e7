"""Case 167: a vendor that refuses a field it does not have is asked once more, without that field."""

from __future__ import annotations

from contextlib import AsyncExitStack

import httpx
import pytest
from core.gateway_house import ANTHROPIC, ANTHROPIC_WHOLE, MESSAGES, WHOLE, House, anthropic_like, house, reply

from aigateway_core.answers import StreamAnswer
from aigateway_core.plugin import ErrorKind, UpstreamError
from aigateway_core.testing import anthropic_vendor

pytestmark = pytest.mark.anyio

EDITS = {"edits": [{"type": "clear_tool_uses_20250919"}]}
MODERN = {**MESSAGES, "context_management": EDITS, "speed": "fast"}


def complains(message: str, status: int = 400) -> httpx.Response:
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
    return httpx.Response(status, json=error)


def without(*names: str) -> dict[str, object]:
    return {name: value for name, value in MODERN.items() if name not in names}


def asked(home: House) -> list[dict[str, object]]:
    return [body for _, body in home.script.seen]


@pytest.mark.parametrize(
    "words",
    [
        "context_management: Extra inputs are not permitted",
        "Extra inputs are not permitted: context_management",
        "GLM: context_management: Extra inputs are not permitted (code 1210)",
    ],
)
async def test_case_167_a_field_that_is_refused_is_left_out_once(words: str) -> None:
    home = house("ab", anthropic_like(), a=[complains(words), reply(ANTHROPIC_WHOLE)], b=[reply(ANTHROPIC_WHOLE)])
    answer = await home.ask(MODERN, ANTHROPIC)
    assert asked(home) == [MODERN, without("context_management")]
    assert answer.headers["x-aigateway-dropped"] == "context_management"
    record = await home.record()
    assert [(attempt.account_id, attempt.error_kind) for attempt in record.attempts] == [
        ("a", ErrorKind.INVALID_REQUEST),
        ("a", None),
    ]
    assert record.outcome == "ok"


async def test_case_167_before_a_stream_as_before_a_whole_answer() -> None:
    stream = httpx.Response(
        200,
        headers={"content-type": "text/event-stream"},
        stream=httpx.ByteStream(b"".join(anthropic_vendor().text_stream)),
    )
    home = house("a", anthropic_like(), a=[complains("speed: Extra inputs are not permitted"), stream])
    async with AsyncExitStack() as exits:
        answer = await home.ask({**MODERN, "stream": True}, ANTHROPIC, exits)
        assert isinstance(answer, StreamAnswer)
        assert b"message_stop" in b"".join([each async for each in answer])
        assert answer.headers["x-aigateway-dropped"] == "speed"
    assert [("speed" in body, body["stream"]) for body in asked(home)] == [(True, True), (False, True)]


async def test_a_second_refusal_is_the_clients_to_hear() -> None:
    refusals = [complains(f"{name}: Extra inputs are not permitted") for name in ("speed", "context_management")]
    home = house("a", anthropic_like(), a=refusals)
    with pytest.raises(UpstreamError, match="context_management"):
        await home.ask(MODERN, ANTHROPIC)
    assert asked(home) == [MODERN, without("speed")]


async def test_what_was_left_out_stays_out_when_another_account_is_asked() -> None:
    home = house(
        "ab",
        anthropic_like(),
        a=[complains("speed: Extra inputs are not permitted"), httpx.Response(529)],
        b=[reply(ANTHROPIC_WHOLE)],
    )
    await home.ask(MODERN, ANTHROPIC)
    assert asked(home) == [MODERN, without("speed"), without("speed")]
    assert [attempt.account_id for attempt in (await home.record()).attempts] == ["a", "a", "b"]


@pytest.mark.parametrize(
    "words",
    [
        "max_tokens: Extra inputs are not permitted",  # without it, the answer would be another
        "messages.0.speed: Extra inputs are not permitted",
        "tools.0.custom.context_management: Extra inputs are not permitted",
        "tomorrow: Extra inputs are not permitted",  # was not sent
        "speed: Input should be 'fast' or 'standard'",
        "Extra inputs are not permitted",
    ],
)
async def test_any_other_complaint_is_told_as_it_is(words: str) -> None:
    home = house("ab", anthropic_like(), a=[complains(words)], b=[complains(words)])
    with pytest.raises(UpstreamError) as caught:
        await home.ask(MODERN, ANTHROPIC)
    assert words in caught.value.message
    assert asked(home) == [MODERN]


async def test_such_words_with_another_status_are_no_such_complaint() -> None:
    home = house("a", anthropic_like(), a=[complains("speed: Extra inputs are not permitted", 401)])
    with pytest.raises(UpstreamError):
        await home.ask(MODERN, ANTHROPIC)
    assert asked(home) == [MODERN]


async def test_a_translated_request_never_has_such_a_field() -> None:
    home = house("a", a=[complains("speed: Extra inputs are not permitted"), reply(WHOLE)])
    with pytest.raises(UpstreamError):
        await home.ask(MODERN, ANTHROPIC)
    (body,) = asked(home)
    assert not {"speed", "context_management"} & body.keys()
