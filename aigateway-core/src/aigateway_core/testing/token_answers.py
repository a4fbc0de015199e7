"""What a fake identity provider answers, and the socket it answers on."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, TypeAlias
from urllib.parse import urlsplit

import attrs
from typing_extensions import override


@attrs.frozen(kw_only=True)
class TokenAnswer:
    """What the token endpoint shall answer in place of what it would: ``body`` as it is, or as JSON.

    ``delay`` in seconds comes before it. ``spends`` lets the request have its effect first, so that the tokens it was
    about are gone although nobody is told of the new ones.
    """

    status: int = 200
    body: bytes | Mapping[str, Any] = b""
    headers: Mapping[str, str] = attrs.field(factory=dict)
    delay: float = 0.0
    spends: bool = False


Respond: TypeAlias = Callable[[str, Mapping[str, str], bytes], TokenAnswer]
"""Path, headers in lower case and body of a request, and the answer to it."""


class Listener:
    """Answers on a free loopback port, in threads of its own, until it is closed."""

    def __init__(self, respond: Respond) -> None:
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"respond": staticmethod(respond)}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    respond: ClassVar[Respond]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # the body is written after the head: it would wait for an acknowledgement, 40 ms

    def do_GET(self) -> None:
        """The one thing that is read: who somebody is."""
        self._reply(b"")

    def do_POST(self) -> None:
        """A token request."""
        self._reply(self.rfile.read(int(self.headers.get("content-length", 0))))

    def _reply(self, body: bytes) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = type(self).respond(urlsplit(self.path).path, headers, body)
        content = answer.body if isinstance(answer.body, bytes) else json.dumps(dict(answer.body)).encode()
        self.send_response(answer.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    @override
    def log_message(self, *_: object) -> None:
        """Says nothing."""
