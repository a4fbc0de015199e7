"""The vendor's own SDK takes what the encoder writes: its stream helper and its whole answers, over a socket."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from openai import BadRequestError, OpenAI
from typing_extensions import override

from aigateway_core.dialects.openai_responses import OpenAIResponses
from aigateway_core.errors import ErrorKind, InvalidRequestError, UpstreamError
from aigateway_core.events import (
    StreamEvent,
    StreamFinish,
    StreamStart,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageUpdate,
    fold,
)
from aigateway_core.jsontext import dumps, loads_object
from aigateway_core.model import Usage

DIALECT = OpenAIResponses()
TOOLS: Any = [
    {"type": "function", "name": "clock", "parameters": {"type": "object", "properties": {}}, "strict": False},
    {"type": "custom", "name": "patch"},
]
ANSWER: list[StreamEvent] = [
    StreamStart("msg_1", "up"),
    ThinkingDelta("h", "glm"),
    ThinkingDelta("m", "glm"),
    TextDelta("Bon"),
    TextDelta("jour, 世界"),
    ToolCallStart(0, "call_a", "clock"),
    ToolCallStart(1, "call_b", "patch"),
    ToolCallDelta(0, '{"tz":'),
    ToolCallDelta(1, '{"input":"*** Begin"}'),
    ToolCallDelta(0, '"UTC"}'),
    StreamFinish("tool_calls"),
    UsageUpdate(Usage(input_tokens=3, output_tokens=2, reasoning_tokens=1)),
]


class _Endpoint(BaseHTTPRequestHandler):
    """Answers every request with :data:`ANSWER`; the model ``broken`` fails in the midst of it."""

    def do_POST(self) -> None:
        body = loads_object(self.rfile.read(int(self.headers["content-length"])))
        try:
            request = DIALECT.decode_request(body)
        except InvalidRequestError as error:
            reply = DIALECT.encode_error(error, "req_1")
            self._send(reply.status, "application/json", dumps(reply.body))
            return
        if not request.stream:
            self._send(200, "application/json", dumps(DIALECT.encode_response(fold(ANSWER), request)))
            return
        encoder = DIALECT.stream_encoder(request)
        if request.model == "broken":
            begun = b"".join(map(encoder.encode, ANSWER[:4]))
            wire = begun + (encoder.fail(UpstreamError(ErrorKind.SERVER, "broken"), "req_1") or b"")
        else:
            wire = b"".join(map(encoder.encode, ANSWER)) + encoder.end()
        self._send(200, "text/event-stream", wire)

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a test's output is its own."""


@contextmanager
def _served() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Endpoint) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def client() -> Iterator[OpenAI]:
    with _served() as address, OpenAI(api_key="none", base_url=address, max_retries=0) as client:
        yield client


def test_the_stream_helper_puts_the_answer_together(client: OpenAI) -> None:
    with client.responses.stream(model="mine", input="hi", tools=TOOLS) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    assert final.output_text == "Bonjour, 世界"
    assert [item.type for item in final.output] == ["reasoning", "message", "function_call", "custom_tool_call"]
    assert final.usage is not None
    assert final.usage.total_tokens == 5


def test_a_whole_answer_is_the_same(client: OpenAI) -> None:
    with client.responses.stream(model="mine", input="hi", tools=TOOLS) as stream:
        streamed = stream.get_final_response().to_dict()
    whole = client.responses.create(model="mine", input="hi", tools=TOOLS).to_dict()
    # The helper adds what it parsed, and the two were made at different times.
    assert json.dumps(whole["output"], sort_keys=True) == json.dumps(_unparsed(streamed["output"]), sort_keys=True)
    assert (whole["id"], whole["model"], whole["usage"]) == ("resp_msg_1", "mine", streamed["usage"])


def _unparsed(value: Any) -> Any:
    if isinstance(value, list):
        return [_unparsed(item) for item in value]
    if isinstance(value, dict):
        return {name: _unparsed(item) for name, item in value.items() if not name.startswith("parsed")}
    return value


def test_its_output_can_be_sent_back_as_input(client: OpenAI) -> None:
    first = client.responses.create(model="mine", input="hi", tools=TOOLS)
    history: Any = [{"role": "user", "content": "hi"}, *first.output]
    results: Any = [
        {"type": "function_call_output", "call_id": "call_a", "output": "12"},
        {"type": "custom_tool_call_output", "call_id": "call_b", "output": "ok"},
    ]
    second = client.responses.create(model="mine", input=history + results, tools=TOOLS)
    assert second.output_text == "Bonjour, 世界"


def test_a_failure_within_ends_the_helpers_stream_with_its_event(client: OpenAI) -> None:
    with client.responses.stream(model="broken", input="hi") as stream:
        last = list(stream)[-1]
        assert last.type == "response.failed"
        assert last.response.error is not None
        assert last.response.error.message == "broken"
        with pytest.raises(RuntimeError, match="completed"):
            stream.get_final_response()


def test_a_refusal_is_an_error_with_its_code(client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as caught:
        client.responses.create(model="mine", input="hi", previous_response_id="resp_1")
    assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")
