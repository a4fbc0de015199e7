"""A proxy that leads nowhere: what is sent to it was meant for the network, and is written down."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import attrs


@attrs.frozen
class Tripwire:
    """``url`` is for HTTP_PROXY and its kind; ``asked`` has the first line of each request that arrived."""

    url: str
    asked: list[str]


@contextmanager
def stretched() -> Iterator[Tripwire]:
    """A tripwire on loopback."""
    asked: list[str] = []

    class Refusal(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked.append(self.rfile.readline(1000).decode("latin-1").strip())
            self.wfile.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refusal) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Tripwire(f"http://127.0.0.1:{server.server_address[1]}", asked)
        server.shutdown()
