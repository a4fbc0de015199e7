"""Everything that goes wrong is told in the dialect of the endpoint, leaves one log row, and no traceback."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import attrs
import httpx
import openai
import pytest
from e2e.fakes.vendor import Refusal, Script
from e2e.gateway_process import ADMIN_KEY, CLIENT_KEY, GatewayProcess
from e2e.house import Vendors

PATHS = {"openai-chat": "/v1/chat/completions", "anthropic": "/v1/messages"}
OPENAI_TYPES = {
    "invalid_request_error",
    "server_error",
    "rate_limit_error",
    "insufficient_quota",
    "service_unavailable_error",
}

in_each_dialect = pytest.mark.parametrize("dialect", list(PATHS))
on_either_path = pytest.mark.parametrize("model", ["gpt-{}", "claude-{}"], ids=["openai", "acme"])
Trouble = Callable[[str], str]


@attrs.frozen(eq=False)
class Answer:
    """An error as the SDK raised it."""

    raised: Exception
    status: int
    body: Any
    text: str


@pytest.fixture(scope="module")
def gateway(start_gateway: Callable[..., GatewayProcess], vendors: Vendors) -> GatewayProcess:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{probe.getsockname()[1]}"
    dead = {
        "deadly": {"kind": "openai-compatible", "base_url": f"{closed}/v1", "models": ["dead-*"], "api_key": "sk-x"},
        "departed": {"kind": "anthropic-compatible", "base_url": closed, "models": ["late-*"], "api_key": "sk-x"},
        "empty": {"kind": "openai-compatible", "base_url": f"{closed}/v1", "models": ["empty-*"]},
    }
    limits = {"first_byte_timeout": 1.5, "idle_timeout": 1.5, "max_response_bytes": 1 << 20}
    return start_gateway({"providers": {**vendors.providers(), **dead}, "upstream": limits})


@pytest.fixture
def web(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    """Raw requests with a valid key."""
    headers = {"authorization": f"Bearer {CLIENT_KEY}", "content-type": "application/json"}
    with httpx.Client(base_url=gateway.url, headers=headers, trust_env=False, timeout=30) as client:
        yield client


def body(model: str = "gpt-4o", **change: Any) -> dict[str, Any]:
    return {"model": model, "max_tokens": 5000, "messages": [{"role": "user", "content": "one two three"}], **change}


def assert_shaped(dialect: str, status: int, told: Any) -> None:
    """``told`` is an error as the vendor of this dialect writes it."""
    if dialect == "anthropic":
        assert told["type"] == "error"
        assert told["error"].keys() >= {"type", "message"}
        assert told["error"]["type"].endswith("_error") or told["error"]["type"] == "request_too_large"
    else:
        assert told["error"].keys() == {"message", "type", "param", "code"}
        assert told["error"]["type"] in OPENAI_TYPES, told
    assert len(told["error"]["message"]) > 10, told
    assert status >= 400


def ask(gateway: GatewayProcess, dialect: str, model: str, *, stream: bool, key: str = CLIENT_KEY) -> Answer:
    """Ask through the SDK of this dialect for something that fails, and hand over how it failed."""
    text = ""
    try:
        if stream:
            for piece in pieces(gateway, dialect, model, key):
                text += piece
        elif dialect == "anthropic":
            with anthropic.Anthropic(api_key=key, base_url=gateway.url, max_retries=0, timeout=30) as one:
                one.messages.create(**body(model))
        else:
            with openai.OpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0, timeout=30) as two:
                two.chat.completions.create(**body(model))
    except (openai.APIError, anthropic.APIError) as error:
        status = getattr(error, "status_code", 200)
        return Answer(error, status, error.body, text)
    raise AssertionError(f"no error was raised; the text was {text!r}")


def pieces(gateway: GatewayProcess, dialect: str, model: str, key: str = CLIENT_KEY) -> Iterator[str]:
    """The text of a streamed answer as the SDK of this dialect hands it out."""
    if dialect == "anthropic":
        with anthropic.Anthropic(api_key=key, base_url=gateway.url, max_retries=0, timeout=30) as one:
            for event in one.messages.create(**body(model), stream=True):
                yield getattr(getattr(event, "delta", None), "text", None) or ""
    else:
        with openai.OpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0, timeout=30) as two:
            for chunk in two.chat.completions.create(**body(model), stream=True):
                yield chunk.choices[0].delta.content or "" if chunk.choices else ""


# -- the caller's mistakes

MALFORMED = {
    "nothing": b"",
    "half an object": b'{"model": "gpt-4o", "messages": [',
    "an array": b"[]",
    "a bare word": b"hello",
    "not a number": b'{"model": "gpt-4o", "temperature": NaN, "messages": []}',
    "bytes that are no text": b'{"model": "\xff\xfe"}',
    "a hundred levels": b'{"model":' + b"[" * 100 + b"]" * 100 + b"}",
}


@in_each_dialect
@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_body_that_is_no_json_object(dialect: str, sent: bytes, web: httpx.Client, gateway: GatewayProcess) -> None:
    mark = gateway.mark()
    response = web.post(PATHS[dialect], content=sent)
    assert response.status_code == 400
    assert_shaped(dialect, 400, response.json())
    [row] = gateway.rows(mark, 1)
    assert (row["outcome"], row["status_code"], row["dialect"], row["attempts"]) == (
        "invalid_request",
        400,
        dialect,
        [],
    )


WRONG_TYPES: dict[str, dict[str, Any]] = {
    "model": {"model": 5},
    "no model": {"model": None},
    "stream": {"stream": "yes"},
    "messages": {"messages": "hello"},
    "message": {"messages": ["hello"]},
    "role": {"messages": [{"role": "narrator", "content": "x"}]},
    "content": {"messages": [{"role": "user", "content": 7}]},
    "part": {"messages": [{"role": "user", "content": [{"type": "text", "text": 7}]}]},
    "max_tokens": {"max_tokens": "many"},
    "temperature": {"temperature": "hot"},
    "tools": {"tools": {"name": "x"}},
}


@in_each_dialect
@pytest.mark.parametrize("change", WRONG_TYPES.values(), ids=WRONG_TYPES.keys())
@pytest.mark.parametrize("provider", ["openai", "acme"])
def test_a_value_of_the_wrong_type(
    dialect: str, change: dict[str, Any], provider: str, web: httpx.Client, gateway: GatewayProcess, vendors: Vendors
) -> None:
    mark = gateway.mark()
    model = {"openai": "gpt-4o", "acme": "claude-sonnet-5"}[provider]
    headers = {"anthropic-version": "2023-06-01"} if dialect == "anthropic" else {}
    response = web.post(PATHS[dialect], json={**body(model), **change}, headers=headers)
    assert response.status_code == 400, response.text
    assert_shaped(dialect, 400, response.json())
    [row] = gateway.rows(mark, 1)
    assert row["status_code"] == 400
    assert row["outcome"] in {"invalid_request", "upstream_error"}
    # On the native path it is the vendor who judges the body.
    if row["native"]:
        vendors.named(provider).violations.clear()
    else:
        assert next(iter(change)) in response.json()["error"]["message"]


@in_each_dialect
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_model_that_nobody_has(dialect: str, stream: bool, gateway: GatewayProcess) -> None:
    mark = gateway.mark()
    answer = ask(gateway, dialect, "llama-0815", stream=stream)
    assert isinstance(answer.raised, openai.NotFoundError | anthropic.NotFoundError)
    assert "llama-0815" in str(answer.raised)
    if isinstance(answer.raised, openai.NotFoundError):
        assert answer.raised.code == "model_not_found"
    [row] = gateway.rows(mark, 1)
    assert (row["outcome"], row["status_code"], row["model"]) == ("invalid_request", 404, "llama-0815")


@in_each_dialect
@pytest.mark.parametrize("declared", [True, False], ids=["length", "chunked"])
def test_a_body_of_30_megabytes(dialect: str, declared: bool, web: httpx.Client, gateway: GatewayProcess) -> None:
    mark = gateway.mark()
    sent = json.dumps(body(messages=[{"role": "user", "content": "x" * (30 << 20)}])).encode()
    pieces = (sent[start : start + (1 << 20)] for start in range(0, len(sent), 1 << 20))
    response = web.post(PATHS[dialect], content=sent if declared else pieces)
    assert response.status_code == 413
    assert_shaped(dialect, 413, response.json())
    [row] = gateway.rows(mark, 1)
    assert (row["outcome"], row["status_code"]) == ("invalid_request", 413)


@in_each_dialect
@pytest.mark.parametrize("key", ["no-such-key-0123456789abcdefghijkl", ADMIN_KEY], ids=["unknown", "admin"])
def test_a_key_that_is_no_client_key(dialect: str, key: str, gateway: GatewayProcess) -> None:
    mark = gateway.mark()
    answer = ask(gateway, dialect, "gpt-4o", stream=False, key=key)
    assert isinstance(answer.raised, openai.AuthenticationError | anthropic.AuthenticationError)
    # Without this header some clients repeat a 401 for minutes.
    assert answer.raised.response.headers["x-should-retry"] == "false"
    assert key not in str(answer.raised)
    gateway.rows(mark, 0)


@in_each_dialect
def test_no_key_at_all(dialect: str, gateway: GatewayProcess) -> None:
    mark = gateway.mark()
    response = httpx.post(gateway.url + PATHS[dialect], json=body(), trust_env=False)
    assert response.status_code == 401
    assert_shaped(dialect, 401, response.json())
    gateway.rows(mark, 0)


@in_each_dialect
def test_a_method_and_a_path_that_do_not_exist(dialect: str, web: httpx.Client) -> None:
    headers = {"anthropic-version": "2023-06-01"} if dialect == "anthropic" else {}
    for response, status in (
        (web.get(PATHS[dialect], headers=headers), 405),
        (web.post("/v1/nothing", headers=headers), 404),
    ):
        assert response.status_code == status
        assert_shaped(dialect, status, response.json())


# -- the vendor's


@in_each_dialect
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("model", ["dead-1", "late-1"])
def test_a_vendor_that_is_not_there(dialect: str, stream: bool, model: str, gateway: GatewayProcess) -> None:
    mark = gateway.mark()
    answer = ask(gateway, dialect, model, stream=stream)
    assert answer.status >= 500
    assert_shaped(dialect, answer.status, _enveloped(dialect, answer.body))
    [row] = gateway.rows(mark, 1)
    assert (row["outcome"], row["status_code"], row["streamed"]) == ("upstream_error", answer.status, stream)
    assert [one["dispatched"] for one in row["attempts"]] == [False]


@in_each_dialect
def test_a_provider_without_an_account(dialect: str, gateway: GatewayProcess) -> None:
    mark = gateway.mark()
    answer = ask(gateway, dialect, "empty-1", stream=False)
    assert answer.status >= 500
    assert "account" in str(answer.raised)
    [row] = gateway.rows(mark, 1)
    assert (row["outcome"], row["attempts"]) == ("gateway_error", [])


def _answers(status: int, content: bytes = b"", kind: str = "application/json", **headers: str) -> Script:
    return Script(refusal=Refusal(status=status, body=content, content_type=kind, headers=headers))


BROKEN = {
    "a page of HTML": _answers(502, b"<html><h1>Bad gateway 4711</h1></html>", "text/html"),
    "an empty answer": _answers(200),
    "an answer that is no JSON": _answers(200, b"<html>welcome 4711</html>", "text/html"),
    "a redirect": _answers(307, location="http://127.0.0.1:1/"),
    "an encoding that nobody asked for": _answers(200, b"x", **{"content-encoding": "br"}),
    "silence": Script(mute=True),
    "a cut at once": Script(after=0, end="cut"),
}


@in_each_dialect
@on_either_path
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("trouble", BROKEN)
def test_a_vendor_that_answers_nonsense_or_nothing(
    dialect: str, model: str, stream: bool, trouble: str, gateway: GatewayProcess, vendors: Vendors
) -> None:
    name = model.format(f"broken-{trouble.replace(' ', '-')}")
    for vendor in (vendors.openai, vendors.acme):
        vendor.script(BROKEN[trouble], model=name)
    mark = gateway.mark()
    answer = ask(gateway, dialect, name, stream=stream)
    assert answer.status >= 500
    assert_shaped(dialect, answer.status, _enveloped(dialect, answer.body))
    assert "4711" not in str(answer.raised)
    [row] = gateway.rows(mark, 1)
    assert (row["outcome"], row["status_code"], row["streamed"]) == ("upstream_error", answer.status, stream)
    assert len(row["attempts"]) == 1


@in_each_dialect
@on_either_path
@pytest.mark.parametrize("end", ["cut", "error", "silence"])
def test_a_stream_that_breaks_off_is_not_dressed_up_as_an_end(
    dialect: str, model: str, end: Any, gateway: GatewayProcess, vendors: Vendors
) -> None:
    name = model.format(f"breaks-{end}")
    for vendor in (vendors.openai, vendors.acme):
        vendor.script(Script(after=5, end=end, pause=0.05), model=name)
    mark = gateway.mark()
    answer = ask(gateway, dialect, name, stream=True)
    assert answer.text.startswith("echo:")
    assert not isinstance(answer.raised, openai.APIConnectionError | anthropic.APIConnectionError), (
        "no error was sent in-band"
    )
    [row] = gateway.rows(mark, 1)
    assert (row["outcome"], row["status_code"]) == ("truncated", 200)
    assert row["error_kind"]
    assert row["error"]


@in_each_dialect
@on_either_path
def test_a_whole_answer_that_breaks_off(dialect: str, model: str, gateway: GatewayProcess, vendors: Vendors) -> None:
    name = model.format("half")
    for vendor in (vendors.openai, vendors.acme):
        vendor.script(Script(end="cut"), model=name)
    mark = gateway.mark()
    answer = ask(gateway, dialect, name, stream=False)
    assert answer.status >= 500
    [row] = gateway.rows(mark, 1)
    assert row["outcome"] == "upstream_error"


@in_each_dialect
@on_either_path
def test_an_answer_without_end_is_bounded_and_a_long_stream_is_not(
    dialect: str, model: str, gateway: GatewayProcess, vendors: Vendors
) -> None:
    name = model.format("huge")
    text = ("x" * 1000 + " ") * 1500
    for vendor in (vendors.openai, vendors.acme):
        vendor.script(Script(text=text), model=name)
    assert ask(gateway, dialect, name, stream=False).status >= 500
    assert "".join(pieces(gateway, dialect, name)).strip() == text.strip()


REFUSALS = [
    ("openai", 400, {"code": "context_length_exceeded"}, {"openai-chat": 400, "anthropic": 400}),
    ("openai", 404, {"code": "model_not_found"}, {"openai-chat": 404, "anthropic": 404}),
    ("openai", 429, {"code": "rate_limit_exceeded", "retry_after": "7"}, {"openai-chat": 429, "anthropic": 429}),
    ("openai", 429, {"code": "insufficient_quota"}, {"openai-chat": 429, "anthropic": 402}),
    ("openai", 500, {}, {"openai-chat": 500, "anthropic": 500}),
    ("openai", 503, {"code": "server_is_overloaded"}, {"openai-chat": 503, "anthropic": 529}),
    ("acme", 400, {}, {"openai-chat": 400, "anthropic": 400}),
    ("acme", 413, {}, {"openai-chat": 413, "anthropic": 413}),
    ("acme", 429, {"retry_after": "7"}, {"openai-chat": 429, "anthropic": 429}),
    ("acme", 529, {}, {"openai-chat": 503, "anthropic": 529}),
]


@in_each_dialect
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("provider", "status", "options", "expected"), REFUSALS)
def test_a_refusal_is_put_into_the_words_of_the_client(
    dialect: str,
    stream: bool,
    provider: str,
    status: int,
    options: dict[str, str],
    expected: dict[str, int],
    start_gateway: Callable[..., GatewayProcess],
    vendors: Vendors,
    own_gateway: GatewayProcess,
) -> None:
    vendor = vendors.named(provider)
    key = f"sk-refused-{provider}-{status}-{options.get('code', '')}-{dialect}-{stream}"
    model = {"openai": "gpt-{}", "acme": "claude-{}"}[provider].format(key[3:])
    vendor.keys.add(key)
    vendor.script(vendor.refuse(status, f"No, because of {status} reasons. Key {key}", **options), key=key)
    account = own_gateway.add_account(provider, key)
    mark = own_gateway.mark()
    answer = ask(own_gateway, dialect, model, stream=stream)
    own_gateway.admin("DELETE", f"/accounts/{account}")
    assert answer.status == expected[dialect]
    assert_shaped(dialect, answer.status, _enveloped(dialect, answer.body))
    assert key not in str(answer.raised)
    if "retry_after" in options:
        assert 1 <= int(answer.raised.response.headers["retry-after"]) <= 7  # type: ignore[attr-defined]
    [row] = own_gateway.rows(mark, 1)
    assert (row["outcome"], row["status_code"], row["attempts"][0]["status_code"]) == (
        "upstream_error",
        answer.status,
        status,
    )
    assert key not in str(row)


@pytest.fixture(scope="module")
def own_gateway(start_gateway: Callable[..., GatewayProcess], vendors: Vendors) -> GatewayProcess:
    """A gateway whose accounts come and go with the tests."""
    return start_gateway({"providers": vendors.providers(keys=False)})


def _enveloped(dialect: str, told: Any) -> Any:
    """The body as it was on the wire: the OpenAI SDK unwraps its ``error``."""
    return told if dialect == "anthropic" else {"error": told}
