"""Every client dialect over every vendor's wire, whole and streamed: what the client gets, and what is written down."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias

import attrs
import httpx
import pytest
from e2e.fakes.server import FakeVendor
from e2e.fakes.vendor import Script
from e2e.gateway_process import CLIENT_KEY, GatewayProcess
from e2e.house import Vendors
from e2e.light.client import Heard, LightClient
from e2e.light.four import CLIENTS
from e2e.light.gemini import GeminiArrayClient
from e2e.talkers import PIXEL

Break: TypeAlias = Literal["error", "cut"]


@attrs.frozen(kw_only=True)
class Wire:
    """A vendor's wire: who speaks it, its models, and after how many frames of a stream something has been said."""

    dialect: str
    provider: str
    model: str
    said_after: int


WIRES = (
    Wire(dialect="openai-chat", provider="beta", model="beta-{}", said_after=5),
    Wire(dialect="anthropic", provider="acme", model="claude-sonnet-5-{}", said_after=6),
    Wire(dialect="openai-responses", provider="openai", model="gpt-5-{}", said_after=9),
    Wire(dialect="gemini", provider="gamma", model="gemini-3-flash-{}", said_after=4),
)
ASKING: dict[str, tuple[LightClient, bool]] = {
    **{f"{client.dialect}-whole": (client, False) for client in CLIENTS},
    **{f"{client.dialect}-streamed": (client, True) for client in CLIENTS},
    "gemini-streamed-as-an-array": (GeminiArrayClient(), True),
}
QUESTION = "hello, wörld 日本 🎉 of many words"
ASK = 'use the tool clock with {"tz": "Europe/Zürich \\"CH\\""}'

_numbers = itertools.count(1)


@attrs.frozen(kw_only=True)
class Asked:
    """A request that was answered: the status, the headers, and the answer before and after it was read."""

    id: str
    response: httpx.Response
    heard: Heard


@attrs.frozen(kw_only=True)
class Cell:
    """One client in front of one vendor; its model is nobody else's."""

    client: LightClient
    wire: Wire
    stream: bool
    model: str
    web: httpx.Client
    gateway: GatewayProcess
    vendor: FakeVendor

    def ask(self, history: Any, *, thinking: bool = False) -> Asked:
        """Ask, and read the answer when it is one."""
        number = f"matrix-{next(_numbers)}"
        body = self.client.body(self.model, history, stream=self.stream, thinking=thinking)
        path = self.client.path(self.model, stream=self.stream)
        response = self.web.post(path, json=body, headers={"x-request-id": number})
        assert response.headers["x-request-id"] == number
        if response.status_code != 200:
            return Asked(id=number, response=response, heard=Heard())
        kind = self.client.stream_type if self.stream else "application/json"
        assert response.headers["content-type"].startswith(kind)
        heard = self.client.streamed(response.content) if self.stream else self.client.whole(response.json())
        return Asked(id=number, response=response, heard=heard)

    def assert_recorded(self, asked: Asked, outcome: str, **fields: Any) -> None:
        """There is one row of this request, and it says this."""
        row = self.gateway.row(asked.id)
        expected = {
            "outcome": outcome,
            "status_code": asked.response.status_code,
            "dialect": self.client.dialect,
            "provider_id": self.wire.provider,
            "model": self.model,
            "streamed": self.stream,
            "native": self.client.dialect == self.wire.dialect,
            **fields,
        }
        assert {name: row[name] for name in expected} == expected
        assert len(row["attempts"]) == 1

    def assert_answered(self, asked: Asked) -> None:
        """A good answer, by the name that was asked for, counted as the vendor counted, and written down as such."""
        answer = self.vendor.exchanges[-1].answer
        assert answer is not None
        assert asked.response.status_code == 200, asked.response.text
        assert asked.heard.model == self.model
        assert asked.heard.tokens == (answer.input_tokens, answer.output_tokens)
        self.assert_recorded(
            asked,
            "ok",
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
            reasoning_tokens=answer.reasoning_tokens,
            usage_source="upstream",
            error_kind=None,
        )


@pytest.fixture(scope="module")
def gateway(start_gateway: Callable[..., GatewayProcess], vendors: Vendors) -> GatewayProcess:
    providers = vendors.providers()
    # Whichever client asks: this vendor's other wire is another vendor's part in this play.
    return start_gateway({"providers": {**providers, "openai": {**providers["openai"], "wires": ["responses"]}}})


@pytest.fixture(scope="module")
def web(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {CLIENT_KEY}"}
    with httpx.Client(base_url=gateway.url, headers=headers, trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture(params=WIRES, ids=lambda wire: f"over-{wire.dialect}")
def wire(request: pytest.FixtureRequest) -> Wire:
    found: Wire = request.param
    return found


@pytest.fixture(params=ASKING.values(), ids=ASKING.keys())
def cell(
    request: pytest.FixtureRequest,
    wire: Wire,
    web: httpx.Client,
    gateway: GatewayProcess,
    vendors: Vendors,
) -> Cell:
    name = wire.model.format(f"m{next(_numbers)}")
    client, stream = request.param
    vendor = vendors.named(wire.provider)
    return Cell(client=client, wire=wire, stream=stream, model=name, web=web, gateway=gateway, vendor=vendor)


def test_text(cell: Cell) -> None:
    asked = cell.ask(cell.client.user(QUESTION))
    assert (asked.heard.text, asked.heard.finish) == (f"echo: {QUESTION} [system: Be kind] [turn 1]", "stop")
    assert (asked.heard.thinking, asked.heard.calls) == ("", ())
    cell.assert_answered(asked)


def test_tools(cell: Cell) -> None:
    _converse(cell, thinking=False)


def test_thinking(cell: Cell) -> None:
    first, second = _converse(cell, thinking=True)
    assert first.thinking == f"Thinking about: {ASK}"
    assert second.thinking == "Thinking about: noon"


def _converse(cell: Cell, *, thinking: bool) -> tuple[Heard, Heard]:
    """A call and its result: the second request gives back all that the first answer held."""
    history = [*cell.client.user(ASK)]
    first = cell.ask(history, thinking=thinking)
    cell.assert_answered(first)
    assert (first.heard.text, first.heard.finish) == ("Calling clock.", "tools")
    [call] = first.heard.calls
    assert (call.name, call.arguments) == ("clock", {"tz": 'Europe/Zürich "CH"'})
    history += [*first.heard.turn, *cell.client.result(call, "noon")]
    second = cell.ask(history, thinking=thinking)
    cell.assert_answered(second)
    assert (second.heard.text, second.heard.finish) == ("The tool answered: noon", "stop")
    return first.heard, second.heard


def test_image(cell: Cell) -> None:
    asked = cell.ask(cell.client.user("look", PIXEL))
    assert asked.heard.text == "echo: look [system: Be kind] [images: 1] [turn 1]"
    assert PIXEL.encode() in cell.vendor.exchanges[-1].body
    cell.assert_answered(asked)


def test_an_error_before_the_answer(cell: Cell) -> None:
    cell.vendor.script(cell.vendor.refuse(429, "Slow down, please, for a while.", retry_after="7"), model=cell.model)
    asked = cell.ask(cell.client.user(QUESTION))
    assert asked.response.status_code == 429
    cell.client.assert_error(429, asked.response.json())
    assert "Slow down" in asked.response.text
    assert 1 <= int(asked.response.headers["retry-after"]) <= 7
    cell.assert_recorded(asked, "upstream_error", error_kind="rate_limit", finish_reason=None)


@pytest.mark.parametrize("end", ["error", "cut"])
def test_an_answer_that_breaks_off(cell: Cell, end: Break) -> None:
    cell.vendor.script(Script(after=cell.wire.said_after, end=end), model=cell.model)
    asked = cell.ask(cell.client.user(QUESTION))
    if not cell.stream:
        assert asked.response.status_code in (500, 502)
        cell.client.assert_error(asked.response.status_code, asked.response.json())
        cell.assert_recorded(asked, "upstream_error", finish_reason=None)
        return
    assert asked.response.status_code == 200
    assert asked.heard.error is not None, "a broken stream was dressed up as a whole one"
    cell.client.assert_error_within(asked.heard.error)
    assert asked.heard.text.startswith("echo:")
    cell.assert_recorded(asked, "truncated", finish_reason=None)


def test_there_is_one_row_of_each_request_and_no_other(gateway: GatewayProcess) -> None:
    rows = [row["request_id"] for row in gateway.rows_so_far(0)]
    assert len(rows) == len(set(rows))
    assert all(row.startswith("matrix-") for row in rows)
