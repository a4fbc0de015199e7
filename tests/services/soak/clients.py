"""The clients of a soak: many at a time, each as patient as its question's fate has it."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress

import aiohttp
from services.soak.questions import CLIENTS, Fate, Question
from services.soak.vendor import SoakVendor

_PATIENCE = 60.0

EXPECTED: Mapping[Fate, str] = {
    "good": "answered",
    "flaky": "answered",
    "refused": "refused",
    "broken": "failed",
    "cut": "failed",
    "reset": "failed",
    "leaves_waiting": "left",
    "leaves_midway": "left",
    "leaves_at_once": "left",
}
"""How each fate looks to the client: an error rate that is the injected one, to the request."""


class Clients:
    """``size`` of them ask one question after the other. ``asked`` counts questions, ``surprises`` what was not meant
    to be, and ``took`` has of each good question that was asked by the clock how many seconds its answer took."""

    def __init__(self, url: str, key: str, vendor: SoakVendor, size: int = 24) -> None:
        self.asked = 0
        self.ends: Counter[tuple[Fate, str]] = Counter()
        self.surprises: list[str] = []
        self.took: list[float] = []
        self._url = url
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        self._vendor = vendor
        self._size = size
        self._left: Iterator[int] = itertools.count()

    async def ask(self, count: int) -> None:
        """Ask so many more questions, and wait for the last answer."""
        mine = itertools.islice(self._left, count)
        await asyncio.gather(*(self._client(mine) for _ in range(self._size)))

    async def capacity(self, seconds: float) -> float:
        """How many questions a second are answered when all of them ask as fast as they can."""
        clock = asyncio.get_running_loop().time
        began, before = clock(), self.asked
        while clock() - began < seconds:
            await self.ask(10 * self._size)
        return (self.asked - before) / (clock() - began)

    async def keep_pace(self, rate: float, seconds: float) -> None:
        """Ask ``rate`` questions a second, whether the ones before have their answers or not.

        What it takes is reckoned from the moment at which a question was due: one that had to wait for its turn to be
        asked has waited.
        """
        clock = asyncio.get_running_loop().time
        began = clock()
        async with self._session(limit=0) as session, asyncio.TaskGroup() as asking:
            for place in range(round(rate * seconds)):
                due = began + place / rate
                await asyncio.sleep(max(0.0, due - clock()))
                asking.create_task(self._by_the_clock(session, next(self._left), due))

    async def _by_the_clock(self, session: aiohttp.ClientSession, number: int, due: float) -> None:
        if await self._note(session, number) == "good":
            self.took.append(asyncio.get_running_loop().time() - due)

    def _session(self, limit: int) -> aiohttp.ClientSession:
        patience = aiohttp.ClientTimeout(total=_PATIENCE)
        connector = aiohttp.TCPConnector(limit=limit)
        return aiohttp.ClientSession(timeout=patience, headers=self._headers, connector=connector)

    async def _client(self, numbers: Iterator[int]) -> None:
        async with self._session(limit=1) as session:
            for number in numbers:
                await self._note(session, number)

    async def _note(self, session: aiohttp.ClientSession, number: int) -> Fate:
        """Ask the question with this number, and note what came of it; its fate."""
        question = Question.of(number)
        try:
            end = await self._ask(session, question)
        except (aiohttp.ClientError, TimeoutError) as error:
            end = f"{type(error).__name__}: {error}"
        self.asked += 1
        self.ends[question.fate, end] += 1
        if end != EXPECTED[question.fate]:
            self.surprises.append(f"{question}: {end}")
        return question.fate

    async def _ask(self, session: aiohttp.ClientSession, question: Question) -> str:
        match question.fate:
            case "leaves_at_once":
                return await self._leave(session, question, None)
            case "leaves_waiting":
                try:
                    return await self._leave(session, question, self._vendor.arrived(question.number))
                finally:
                    self._vendor.forget(question.number)
            case fate:
                async with self._post(session, question) as answer:
                    if fate == "leaves_midway":
                        return await _leave_midway(answer)
                    return _judged(question, answer.status, await _all(answer))

    def _post(self, session: aiohttp.ClientSession, question: Question) -> aiohttp.client._RequestContextManager:
        return session.post(f"{self._url}{question.path}", data=question.body, headers=question.headers)

    async def _leave(self, session: aiohttp.ClientSession, question: Question, when: asyncio.Event | None) -> str:
        async def wait() -> str:
            async with self._post(session, question) as answer:
                return f"was answered: {answer.status} {(await answer.read())[:200]!r}"

        asking = asyncio.create_task(wait())
        if when is None:
            await asyncio.sleep(0.003)
        else:
            arriving = asyncio.create_task(when.wait())
            await asyncio.wait({asking, arriving}, return_when=asyncio.FIRST_COMPLETED, timeout=_PATIENCE)
            arriving.cancel()
        if when is not None and asking.done():
            return asking.result()
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        return "left"


async def _leave_midway(answer: aiohttp.ClientResponse) -> str:
    async for _ in answer.content.iter_any():
        answer.close()
        return "left"
    return f"ended: {answer.status}"


async def _all(answer: aiohttp.ClientResponse) -> bytes:
    """The body as far as it came: one that is broken off is told by what is missing."""
    body = b""
    with suppress(aiohttp.ClientPayloadError):
        async for piece in answer.content.iter_any():
            body += piece
    return body


def _judged(question: Question, status: int, body: bytes) -> str:
    whole = CLIENTS[question.dialect].end in body if question.streamed else True
    if status == 200 and whole and b"and more" not in body and question.streamed:
        return f"lacks words: {body!r}"
    if status == 200 and whole:
        return "answered" if question.answer.encode() in body else f"another one's answer: {body!r}"
    if status == 200 and b'"error"' in body:
        return "failed"
    if status >= 500:
        return "failed"
    return "refused" if status == 400 else f"{status}: {body[:300]!r}"
