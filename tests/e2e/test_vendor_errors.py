"""A vendor's failures are told in the dialect of the endpoint, and each leaves one log row."""

from __future__ import annotations

from collections.abc import Callable

import anthropic
import openai
import pytest
from e2e.fakes.vendor import Refusal, Script
from e2e.gateway_process import GatewayProcess
from e2e.house import Vendors
from e2e.mishaps import PATHS, ask, assert_shaped, pieces
from ports import free_port

in_each_dialect = pytest.mark.parametrize("dialect", list(PATHS))
on_either_path = pytest.mark.parametrize("model", ["gpt-{}", "claude-{}"], ids=["openai", "acme"])
whole_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture(scope="module")
def gateway(start_gateway: Callable[..., GatewayProcess], vendors: Vendors) -> GatewayProcess:
    closed = f"http://127.0.0.1:{free_port()}"
    dead = {
        "deadly": {"kind": "openai-compatible", "base_url": f"{closed}/v1", "models": ["dead-*"], "api_key": "sk-x"},
        "departed": {"kind": "anthropic-compatible", "base_url": closed, "models": ["late-*"], "api_key": "sk-x"},
        "empty": {"kind": "openai-compatible", "base_url": f"{closed}/v1", "models": ["empty-*"]},
    }
    limits = {"first_byte_timeout": 1.5, "idle_timeout": 1.5, "max_response_bytes": 1 << 20}
    return start_gateway({"providers": {**vendors.providers(), **dead}, "upstream": limits})


@pytest.fixture(scope="module")
def own_gateway(start_gateway: Callable[..., GatewayProcess], vendors: Vendors) -> GatewayProcess:
    """A gateway whose accounts come and go with the tests."""
    return start_gateway({"providers": vendors.providers(keys=False)})


@in_each_dialect
@whole_and_streamed
@pytest.mark.parametrize("model", ["dead-1", "late-1"])
def test_a_vendor_that_is_not_there(dialect: str, stream: bool, model: str, gateway: GatewayProcess) -> None:
    mark = gateway.mark()
    answer = ask(gateway, dialect, model, stream=stream)
    assert answer.status >= 500
    assert_shaped(dialect, answer.status, answer.body)
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
@whole_and_streamed
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
    assert_shaped(dialect, answer.status, answer.body)
    assert "4711" not in str(answer.raised)
    [row] = gateway.rows(mark, 1)
    assert (row["outcome"], row["status_code"], row["streamed"]) == ("upstream_error", answer.status, stream)
    assert len(row["attempts"]) == 1


@in_each_dialect
@on_either_path
def test_a_stream_that_falls_silent_is_not_dressed_up_as_an_end(
    dialect: str, model: str, gateway: GatewayProcess, vendors: Vendors
) -> None:
    name = model.format("falls-silent")
    for vendor in (vendors.openai, vendors.acme):
        vendor.script(Script(after=5, end="silence", pause=0.05), model=name)
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
@whole_and_streamed
@pytest.mark.parametrize(("provider", "status", "options", "expected"), REFUSALS)
def test_a_refusal_is_put_into_the_words_of_the_client(
    dialect: str,
    stream: bool,
    provider: str,
    status: int,
    options: dict[str, str],
    expected: dict[str, int],
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
    assert_shaped(dialect, answer.status, answer.body)
    assert key not in str(answer.raised)
    if "retry_after" in options:
        assert isinstance(answer.raised, openai.RateLimitError | anthropic.RateLimitError)
        assert 1 <= int(answer.raised.response.headers["retry-after"]) <= 7
    [row] = own_gateway.rows(mark, 1)
    assert (row["outcome"], row["status_code"], row["attempts"][0]["status_code"]) == (
        "upstream_error",
        answer.status,
        status,
    )
    assert key not in str(row)
