"""With nginx in front, both read the same requests: nothing runs here that nginx has not seen and written down."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
import falcon.asgi
import pytest
from core.server.test_guard_framing import BROKEN_CHUNKS, REFUSED, SMUGGLED, Canary, Echo

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(NGINX is None, reason="nginx is not installed")]

Serving = Callable[..., Awaitable[Any]]

CONFIGURATION = """
daemon off; worker_processes 1; pid {folder}/pid; error_log stderr crit;
events {{}}
http {{
    log_format asked '$request';
    access_log {folder}/access.log asked;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    upstream gateway {{ server 127.0.0.1:{port}; keepalive 4; }}
    server {{
        listen unix:{folder}/door;
        location / {{
            proxy_pass http://gateway; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_set_header Host $host; proxy_request_buffering off;
        }}
    }}
}}
"""


@attrs.frozen
class Front:
    """nginx, listening at a socket in its folder."""

    folder: Path

    async def say(self, what: bytes) -> bytes:
        """Send this on a connection of its own; what comes back before half a second of silence."""
        reader, writer = await asyncio.open_unix_connection(str(self.folder / "door"))
        said = b""
        with contextlib.suppress(ConnectionError, TimeoutError):
            writer.write(what)
            await writer.drain()
            while data := await asyncio.wait_for(reader.read(65536), 0.5):
                said += data
        writer.close()
        return said

    def asked(self, path: str) -> int:
        """How many requests for this path it has written down."""
        lines = (self.folder / "access.log").read_text(errors="replace").splitlines()
        return sum(f" {path}" in line for line in lines)


@contextlib.asynccontextmanager
async def nginx(folder: Path, port: int) -> AsyncIterator[Front]:
    configuration = folder / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, port=port))
    process = await asyncio.create_subprocess_exec(str(NGINX), "-c", str(configuration), "-p", str(folder))
    try:
        async with asyncio.timeout(10):
            while not (folder / "door").exists():  # noqa: ASYNC110 - nginx tells nobody
                await asyncio.sleep(0.02)
        yield Front(folder)
    finally:
        process.terminate()
        await process.wait()


async def test_i_22_nothing_runs_behind_nginx_that_it_has_not_seen(serving: Serving, tmp_path: Path) -> None:
    canary, app = Canary(), falcon.asgi.App()
    app.add_route("/", Echo())
    app.add_route("/smuggled", canary)
    served = await serving(app, body_timeout=1.0)
    chunked = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    abuses = [case.replace(b"HOST", b"Host: a") for case, _ in REFUSED.values()]
    abuses += [chunked + case for case in BROKEN_CHUNKS.values()]
    assert len(abuses) >= 55
    async with nginx(tmp_path, served.port) as front:
        well = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\nok"
        said = await front.say(well + SMUGGLED)
        assert said.count(b"HTTP/1.1 200 OK") == 2, "they understand each other"
        assert (canary.sung, front.asked("/smuggled")) == (1, 1)
        for start in range(0, len(abuses), 10):
            await asyncio.gather(*(front.say(abuse + SMUGGLED) for abuse in abuses[start : start + 10]))
        await front.say(SMUGGLED)
    assert canary.sung > 1
    assert canary.sung <= front.asked("/smuggled")
    assert b"tweet" in said
