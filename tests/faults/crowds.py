"""Many clients of one gateway at once, and an upstream for them that answers each with its own word.

``AIGATEWAY_TEST_CROWD`` says how many there are: a hundred by default, 1,000 and more in ``tox -e faults``.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
from faults.watched_gateway import CHAT, WatchedGateway
from scripted_upstream import Script, Wire, chunk_of, head_of, stall

CROWD = int(os.environ.get("AIGATEWAY_TEST_CROWD", "100"))
_DONE = b"data: [DONE]\n\n"


def question(nonce: str, *, model: str = "crowd", stream: bool = True) -> bytes:
    """The body of a request whose answer is to hold this nonce."""
    return json.dumps({"model": model, "stream": stream, "messages": [{"role": "user", "content": nonce}]}).encode()


def request(gateway: WatchedGateway, body: bytes) -> bytes:
    """A whole request, as it goes over the wire."""
    head = (
        f"POST {CHAT} HTTP/1.1\r\nhost: 127.0.0.1:{gateway.port}\r\nauthorization: Bearer {gateway.key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def nonce_of(wire: Wire) -> str:
    """The nonce that the upstream was asked for."""
    return str(json.loads(wire.request.body)["messages"][0]["content"])


def told(nonce: str, number: int) -> bytes:
    """One event of a stream: its nonce, its number, and when it was said."""
    said = json.dumps([nonce, number, time.monotonic()])
    choice = {"index": 0, "delta": {"content": said}, "finish_reason": None}
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "crowd", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def _finish() -> bytes:
    choice = {"index": 0, "delta": {}, "finish_reason": "stop"}
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "crowd", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n" + _DONE


def each_his_own(events: int, every: float, then: Script | None = None) -> Script:
    """Answers each request with so many events of its nonce; ``then`` takes the place of the end."""

    async def script(wire: Wire) -> None:
        nonce = nonce_of(wire)
        await wire.send(head_of(content_type="text/event-stream", transfer_encoding="chunked"))
        for number in range(events):
            await wire.chunk(told(nonce, number))
            await asyncio.sleep(every)
        await (then or end_well)(wire)

    return script


async def end_well(wire: Wire) -> None:
    """The last words of a stream."""
    await wire.send(chunk_of(_finish()) + chunk_of(b""))


endless = each_his_own(3, 0.0, then=stall)


@attrs.define
class Listener:
    """A client of a stream: what it heard, how long each event took to arrive, and how the stream ended."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    nonce: str
    status: int = 0
    heard: list[int] = attrs.field(factory=list)
    delays: list[float] = attrs.field(factory=list)
    last: bytes = b""

    @classmethod
    async def ask(cls, gateway: WatchedGateway, nonce: str) -> Listener:
        """Ask for a stream with this nonce."""
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(request(gateway, question(nonce)))
        gateway.asked += 1
        return cls(reader, writer, nonce)

    async def begun(self) -> None:
        """Wait for the head of the answer."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        self.status = int(head.split()[1])

    async def listen(self, most: float = math.inf) -> None:
        """Hear all of it, or so many events; every one has to be this client's own."""
        while len(self.heard) < most and (line := await self.reader.readline()):
            if line.startswith(b"data: "):
                self.last = line
            if line == b"0\r\n":
                await self.reader.readline()
                return
            if line.startswith(b"data: {") and (said := _content(line)):
                nonce, number, at = json.loads(said)
                assert nonce == self.nonce, f"{self.nonce} was told what was said to {nonce}"
                self.heard.append(number)
                self.delays.append(time.monotonic() - at)

    async def whole(self) -> Listener:
        """The stream from its head to its end."""
        try:
            await self.begun()
            if self.status == 200:
                await self.listen()
        finally:
            self.writer.close()
        return self

    @property
    def ended_well(self) -> bool:
        """Whether the last word was heard."""
        return self.last == b"data: [DONE]\n"


def _content(line: bytes) -> str:
    choices = json.loads(line[6:]).get("choices")
    return str(choices[0]["delta"].get("content") or "") if choices else ""


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of them stays within."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def memory(pid: int) -> int:
    """KiB of memory that a process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1])


async def until(reached: Callable[[], bool], within: float = 60.0) -> None:
    """Wait until ``reached()`` is true."""
    async with asyncio.timeout(within):
        while not reached():  # noqa: ASYNC110 - others make it true
            await asyncio.sleep(0.02)
