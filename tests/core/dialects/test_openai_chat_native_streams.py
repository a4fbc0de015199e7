from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from aigateway_core.dialects.dialect import StreamTap
from aigateway_core.dialects.openai_chat import OpenAIChat, OpenAIChatProfile
from aigateway_core.errors import ErrorKind, UpstreamError, UpstreamFailure
from aigateway_core.jsontext import dumps
from aigateway_core.model import JsonObject, Usage

DIALECT = OpenAIChat()
DONE = b"data: [DONE]\n\n"


def tap(*, asked: bool = False, dialect: OpenAIChat = DIALECT, model: str = "mine") -> StreamTap:
    options = {"stream_options": {"include_usage": asked}} if asked else {}
    return dialect.stream_tap({"model": model, "stream": True, **options}, model)


def chunk(finish: Any = None, *, model: Any = "up", **delta: Any) -> JsonObject:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "model": model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        "usage": None,
    }


def data(value: Any) -> bytes:
    return b"data: " + (value if isinstance(value, bytes) else dumps(value)) + b"\n\n"


USAGE = {"id": "chatcmpl-1", "model": "up", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}
COUNTED = Usage(input_tokens=5, output_tokens=2)


def test_a_stream_is_relayed_as_it_is_under_the_client_s_name() -> None:
    watching = tap(asked=True)
    wire = (
        data(chunk(role="assistant", content=""))
        + data(chunk(content="hi", odd=[1]))
        + data(chunk("stop"))
        + data(USAGE)
    )
    relayed = watching.feed(wire + DONE) + watching.end()
    assert relayed == (wire + DONE).replace(b'"model":"up"', b'"model":"mine"')
    assert (watching.error, watching.finish_reason, watching.usage) == (None, "stop", COUNTED)


def test_the_usage_chunk_is_hidden_from_a_client_that_did_not_ask() -> None:
    watching = tap()
    relayed = b"".join(watching.feed(data(item)) for item in (chunk(content="hi"), chunk("stop"), USAGE))
    relayed += watching.feed(DONE) + watching.end()
    assert b'"choices":[]' not in relayed
    assert relayed.endswith(DONE)
    assert watching.usage == COUNTED


def test_usage_on_the_finish_chunk_is_read_and_left_in_place() -> None:
    watching = tap()
    watching.feed(data(chunk(content="hi")))
    last = chunk("stop", content="") | {"usage": USAGE["usage"]}
    assert b'"usage":{' in watching.feed(data(last))
    assert (watching.usage, watching.finish_reason) == (COUNTED, "stop")


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "x"},
        {"refusal": "x"},
        {"reasoning_content": "x"},
        {"reasoning": "x"},
        {"tool_calls": [{"index": 0}]},
        {"function_call": {"name": "f"}},
        {"audio": {"id": "a"}},
    ],
)
def test_the_first_thing_that_a_client_would_show_is_the_commit_point(delta: JsonObject) -> None:
    watching = tap()
    watching.feed(b": keep-alive\n\n" + data(chunk(role="assistant", content="", refusal=None)) + data({"choices": []}))
    assert not watching.committed
    watching.feed(data(chunk(**delta)))
    assert watching.committed


def test_a_finish_commits_as_well() -> None:
    watching = tap()
    watching.feed(data(chunk("content_filter")))
    assert (watching.committed, watching.finish_reason) == (True, "content_filter")


@pytest.mark.parametrize("before", [b"", data(chunk(role="assistant", content=""))])
def test_an_error_before_any_content_leaves_nothing_committed(before: bytes) -> None:
    watching = tap()
    watching.feed(before)
    assert watching.feed(data({"error": {"message": "slow", "code": 429}}) + data(chunk(content="late"))) == b""
    assert not watching.committed
    assert watching.error is not None
    assert (watching.error.kind, watching.error.message) == (ErrorKind.RATE_LIMIT, "slow")


def test_an_error_after_content_is_not_relayed_and_nothing_follows_it() -> None:
    watching = tap()
    first = watching.feed(data(chunk(content="hi")))
    error = data({"error": {"message": "boom"}})
    assert watching.feed(data(chunk(content="!")) + error + data(chunk("stop")) + DONE) == data(
        chunk(content="!", model="mine")
    )
    assert first
    assert watching.error is not None
    assert (watching.feed(DONE), watching.end()) == (b"", b"")
    assert watching.error.message == "boom"


def test_an_event_named_error_is_an_error() -> None:
    watching = tap()
    watching.feed(data(chunk(content="hi")))
    assert watching.feed(b"event: error\ndata: out of luck\n\n") == b""
    assert watching.error is not None
    assert watching.error.message == "out of luck"


def test_a_provider_judges_errors_itself() -> None:
    def judge(failure: UpstreamFailure) -> UpstreamError:
        return UpstreamError(ErrorKind.QUOTA, "judged", scope="account")

    watching = DIALECT.stream_tap({"model": "mine"}, "mine", judge)
    watching.feed(data({"error": {"code": "1113"}}))
    assert watching.error is not None
    assert watching.error.kind is ErrorKind.QUOTA


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(data(chunk(content="hel")), id="text"),
        pytest.param(data(chunk(content="hel")) + data(chunk(content="lo"))[:30], id="in_the_middle_of_an_event"),
        pytest.param(DONE, id="only_done"),
        pytest.param(data(chunk(role="assistant", content="")) + DONE, id="done_after_nothing"),
        pytest.param(b"data: <html>\n\n", id="html"),
    ],
)
def test_a_cut_stream_is_an_error(wire: bytes) -> None:
    watching = tap()
    relayed = watching.feed(wire) + watching.end()
    assert watching.error is not None
    assert watching.error.kind is ErrorKind.PROTOCOL
    assert DONE not in relayed
    assert relayed.count(b"data:") <= 1


def test_a_finish_without_done_and_done_without_a_finish_are_ends() -> None:
    for last in (data(chunk("stop")), DONE):
        watching = tap()
        watching.feed(data(chunk(content="hi")) + last)
        watching.end()
        assert watching.error is None


def test_the_last_event_may_lack_its_blank_line() -> None:
    watching = tap()
    watching.feed(data(chunk(content="hi")) + data(chunk("stop")) + b"data: [DONE]")
    assert watching.end() == DONE
    assert watching.error is None


def test_nothing_follows_done() -> None:
    watching = tap()
    watching.feed(data(chunk(content="hi")) + data(chunk("stop")))
    assert watching.feed(DONE + data(chunk(content="late"))) == DONE
    assert watching.feed(data(chunk(content="later"))) + watching.end() == b""
    assert watching.error is None


def test_a_text_that_looks_like_a_field_is_left_alone() -> None:
    tricky = '"model":"up" "usage":{ "finish_reason":"stop" "error" [DONE]'
    watching = tap()
    watching.feed(data(chunk(content="hi")))
    assert watching.feed(data(chunk(content=tricky))) == data(chunk(content=tricky, model="mine"))
    assert (watching.error, watching.finish_reason, watching.usage) == (None, None, None)


def test_servers_that_put_spaces_into_their_json_are_understood() -> None:
    def spaced(value: JsonObject) -> bytes:
        return data(orjson.dumps(value).replace(b'":', b'": ').replace(b',"', b', "'))

    watching = tap()
    relayed = watching.feed(spaced(chunk(content="hi"))) + watching.feed(spaced(chunk(content="!")))
    relayed += watching.feed(spaced(chunk("length"))) + watching.feed(spaced(USAGE)) + watching.feed(DONE)
    assert b'"up"' not in relayed
    assert relayed.count(b'"model":"mine"') == 3
    assert (watching.finish_reason, watching.usage) == ("length", COUNTED)


def test_a_name_that_changes_in_the_middle_is_still_replaced() -> None:
    watching = tap()
    wire = [
        chunk(role="assistant", content="", model=""),
        chunk(content="a"),
        chunk(content="b", model="up-2"),
        chunk("stop"),
    ]
    relayed = b"".join(watching.feed(data(item)) for item in wire)
    assert relayed.count(b'"model":"mine"') == 4


def test_a_name_in_another_spelling_is_replaced_as_well() -> None:
    escaped = data(dumps(chunk(content="a", model="org/up")).replace(b"org/up", b"org\\/up"))
    watching = tap()
    relayed = watching.feed(escaped) + watching.feed(escaped)
    assert relayed == data(chunk(content="a", model="mine")) * 2


def test_the_same_name_on_both_sides_changes_nothing() -> None:
    watching = tap(model="up")
    wire = data(chunk(content="a")) + data(chunk(content="b"))
    assert watching.feed(wire[:50]) + watching.feed(wire[50:]) == wire


def test_the_same_name_in_json_with_spaces_is_learnt_as_well() -> None:
    watching = tap(model="up")
    spaced = data(dumps(chunk(content="a")).replace(b'"model":"up"', b'"model": "up"'))
    assert watching.feed(spaced) + watching.feed(spaced) == data(chunk(content="a")) * 2


def test_a_chunk_without_a_model_is_relayed_as_it_is() -> None:
    watching = tap()
    bare = data({"choices": [{"delta": {"content": "x"}}]})
    assert watching.feed(bare) + watching.feed(bare) == bare * 2


def test_a_vendor_s_word_for_failure_is_an_error() -> None:
    watching = tap(dialect=OpenAIChat(OpenAIChatProfile(finish_reasons={"network_error": "error"})))
    watching.feed(data(chunk(content="hi")))
    assert watching.feed(data(chunk("network_error"))) == b""
    assert watching.error is not None
    assert watching.error.kind is ErrorKind.SERVER


def test_an_event_without_an_end_is_an_error() -> None:
    watching = tap()
    assert watching.feed(b"data: " + b"x" * (17 << 20)) == b""
    assert watching.error is not None
    assert watching.error.kind is ErrorKind.PROTOCOL


# -- a vendor with habits of its own

HABITUAL = OpenAIChat(
    OpenAIChatProfile(
        repeats_role=True,
        finish_reasons={"sensitive": "content_filter", "too_long": "context_window", "broke": "error"},
    )
)


def told(watching: StreamTap, wire: bytes, size: int) -> list[Any]:
    """The chunks that a client gets when the bytes come in pieces of this size; ``[DONE]`` stands last."""
    relayed = b"".join(watching.feed(wire[start : start + size]) for start in range(0, len(wire), size))
    lines = (relayed + watching.end()).decode().split("\n\n")
    return [orjson.loads(line[6:]) for line in lines if line.startswith("data: {")]


@pytest.mark.parametrize("size", [1, 7, 60, 10_000])
@pytest.mark.parametrize("spaces", [True, False])
def test_a_role_that_every_chunk_repeats_is_told_once(size: int, spaces: bool) -> None:
    def spelled(**delta: Any) -> bytes:
        return data(json.dumps(chunk(**delta), separators=(", ", ": ") if spaces else (",", ":")).encode())

    quoting = 'say "role":"assistant", and "role": "user"'
    first = spelled(reasoning_content="hm", role="assistant")
    wire = first + spelled(role="assistant", content=quoting) + spelled(content="b", role="assistant", x=1)
    wire += spelled(role="assistant") + data(chunk("stop", role="assistant", content="")) + DONE
    deltas = [each["choices"][0]["delta"] for each in told(tap(dialect=HABITUAL), wire, size)]
    assert deltas == [
        {"reasoning_content": "hm", "role": "assistant"},
        {"content": quoting},
        {"content": "b", "x": 1},
        {},
        {"content": ""},
    ]


def test_other_vendors_roles_pass_as_they_come() -> None:
    wire = data(chunk(role="assistant", content="a")) + data(chunk(role="assistant", content="b"))
    assert tap(model="up").feed(wire) == wire


@pytest.mark.parametrize(("word", "plain"), [("sensitive", "content_filter"), ("too_long", "length"), ("odd", "odd")])
@pytest.mark.parametrize("size", [1, 10_000])
def test_a_vendors_own_word_for_the_end_is_told_in_openais(word: str, plain: str, size: int) -> None:
    said = f'"finish_reason":"{word}"'
    wire = data(chunk(content=said)) + data(chunk(word, content="")) + DONE
    watching = tap(dialect=HABITUAL)
    chunks = told(watching, wire, size)
    assert chunks[0]["choices"][0]["delta"]["content"] == said
    assert chunks[1]["choices"][0]["finish_reason"] == plain
    assert watching.finish_reason == HABITUAL.profile.finish_reasons.get(word, "stop")


def test_a_whole_answer_is_told_in_openais_words_too() -> None:
    body = {**chunk("sensitive"), "choices": [{"message": {"content": "a"}, "finish_reason": "sensitive"}]}
    assert orjson.loads(HABITUAL.native_response(dumps(body), "mine").body)["choices"][0]["finish_reason"] == (
        "content_filter"
    )
    unended = {**body, "choices": [{"message": {"content": "a"}}]}
    assert "finish_reason" not in orjson.loads(HABITUAL.native_response(dumps(unended), "mine").body)["choices"][0]


def test_a_vendors_word_for_a_failure_is_one() -> None:
    watching = tap(dialect=HABITUAL)
    relayed = watching.feed(data(chunk(content="a")) + data(chunk("broke")) + DONE)
    assert (watching.error and watching.error.kind, b"broke" in relayed) == (ErrorKind.SERVER, False)


@pytest.mark.timeout(20)
def test_an_upstream_that_names_another_model_in_each_event_makes_none_of_them_dearer() -> None:
    watching = tap()
    watching.feed(data(chunk(content="hi")))
    for number in range(20_000):
        relayed = watching.feed(data(chunk(content="on", model=f"up-{number}")))
        assert relayed == data(chunk(content="on", model="mine"))
