"""Words that must not show: how they are looked for, and a vendor that repeats what it was shown."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, quote_plus

from typing_extensions import override


def spellings(canary: str) -> Iterator[bytes]:
    """The word in clear, as addresses spell it, in hexadecimal, backwards, and the part of its base64 that is the same
    wherever in a text it stands."""
    raw = canary.encode()
    yield raw
    yield raw[::-1]
    yield from (quote(canary, safe="").encode(), quote(canary).encode(), quote_plus(canary).encode())
    yield from (raw.hex().encode(), raw.hex().upper().encode(), raw[::-1].hex().encode())
    yield json.dumps(canary)[1:-1].replace("/", "\\/").encode()
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw).rstrip(b"=")
        # What shares a group of four letters with its neighbours depends on them.
        inner = encoded[(0, 2, 3)[before] : -1]
        yield inner
        yield inner.replace(b"+", b"-").replace(b"/", b"_")


def found_in(content: bytes, canaries: Iterable[str]) -> list[str]:
    """Which of the words this content holds, however spelled."""
    return [canary for canary in canaries if any(spelling in content for spelling in spellings(canary))]


def leaks(seen: Mapping[str, bytes], canaries: Mapping[str, str]) -> list[str]:
    """``PLACE: NAME`` for each word of ``canaries`` (by name) that shows at a place."""
    names = {canary: name for name, canary in canaries.items()}
    return [f"{place}: {names[canary]}" for place, content in seen.items() for canary in found_in(content, names)]


class EchoingVendor:
    """Speaks Chat Completions. The model says what it does: ``says``, or ``refuses-STATUS``, repeating each header."""

    def __init__(self, answer: str) -> None:
        self.shown: list[str] = []
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            @override
            def log_message(self, *_: object) -> None:
                """Nothing."""

            def do_GET(self) -> None:
                self._refuse(404)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                vendor.shown.append(self.headers["authorization"] or "")
                verb, _, status = str(body["model"]).partition("-")
                if verb == "refuses":
                    self._refuse(int(status))
                elif body.get("stream"):
                    self._answer(200, "text/event-stream", _stream(answer))
                else:
                    self._answer(200, "application/json", json.dumps(_whole(answer)).encode())

            def _refuse(self, status: int) -> None:
                message = f"refused, with {dict(self.headers)}"
                error = {"error": {"message": message, "type": "x", "code": self.headers["authorization"]}}
                self._answer(status, "application/json", json.dumps(error).encode())

            def _answer(self, status: int, kind: str, content: bytes) -> None:
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(content)))
                self.send_header("x-echo", self.headers["authorization"] or "-")
                self.end_headers()
                self.wfile.write(content)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> EchoingVendor:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


def _whole(answer: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return {
        "id": "c-1",
        "object": "chat.completion",
        "created": 1,
        "model": "says",
        "choices": [choice],
        "usage": usage,
    }


def _stream(answer: str) -> bytes:
    chunk = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "says"}
    choices = [
        {"index": 0, "delta": {"role": "assistant", "content": answer}, "finish_reason": None},
        {"index": 0, "delta": {}, "finish_reason": "stop"},
    ]
    events = [json.dumps({**chunk, "choices": [choice]}) for choice in choices]
    return "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"]).encode()
