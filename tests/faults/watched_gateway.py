"""A gateway that is looked over after every test: whatever was done to it, it has to be as it was before.

::

    @pytest.fixture(scope="module")
    async def gateway(upstream, tmp_path_factory):
        async with WatchedGateway(upstream, {"providers": ...}, tmp_path_factory.mktemp("faults")) as made:
            yield made

    async def test_...(gateway):
        async with gateway.client() as client:          # notes what was asked and what came of it
            await client.post("/v1/chat/completions", json=...)

The fixture ``invariants`` of ``faults/conftest.py`` does the rest, by itself for every test in ``tests/faults`` that
has such a ``gateway``; elsewhere a test calls :meth:`WatchedGateway.begin` and :meth:`WatchedGateway.check`. What is
asked past :meth:`WatchedGateway.client` is to be added to ``asked``.
"""

from __future__ import annotations

import asyncio
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Self

import attrs
import httpx
from e2e.gateway_process import ADMIN_KEY, CLIENT_KEY, GatewayProcess
from scripted_upstream import ScriptedUpstream, Wire, cut, whole

CHAT = "/v1/chat/completions"
_PLAIN = "plain"
_PLAIN_KEY = "sk-watched-plain-account-1"
_PLAIN_ANSWER = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"plain","choices":[{"index":0,"finish_reason":"stop",'
    b'"message":{"role":"assistant","content":"plain"}}],'
    b'"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}'
)
_OUTCOMES = {"ok", "truncated", "client_gone", "invalid_request", "upstream_error", "gateway_error"}
_NOT_TAKEN = frozenset({401, 408, 411, 413, 414, 415, 431})
"""A request that is refused with one of these has not come as far as to be a call."""
_PATIENCE = 10.0
_MORE_TASKS = 2
_MORE_FILES = 5


async def _plain_answer(wire: Wire) -> None:
    """No connection is left over: what a test plays next, it plays on a new one."""
    await whole(_PLAIN_ANSWER, connection="close")(wire)
    await cut(wire)


def _is_a_call(request: httpx.Request) -> bool:
    return request.method == "POST" and request.url.path.startswith(("/v1/", "/v1beta/"))


@attrs.frozen
class _Standing:
    """What may not grow: tasks of the event loop, and open files that are no connections to the upstream."""

    tasks: int
    files: int


class WatchedGateway(GatewayProcess):
    """A gateway before ``upstream``, with a provider more than ``config`` has: its model ``plain`` always answers.

    Its key may have ``at_once`` requests under way: one that was not counted out would turn away the next. ``secrets``
    are those of the test, that may not show anywhere.
    """

    def __init__(
        self,
        upstream: ScriptedUpstream,
        config: Mapping[str, Any],
        folder: Path,
        *,
        at_once: int = 1,
        secrets: tuple[str, ...] = (),
    ) -> None:
        plain = {
            "kind": "openai-compatible",
            "base_url": f"{upstream.url}/v1",
            "models": [_PLAIN],
            "api_key": _PLAIN_KEY,
        }
        providers = {**config.get("providers", {}), _PLAIN: plain}
        super().__init__({"plugins": {"allowed": []}, **config, "providers": providers}, folder)
        self.upstream = upstream
        self.asked = 0
        self.answers: list[tuple[str, int]] = []
        self._at_once = at_once
        self._secrets = (*secrets, _PLAIN_KEY, ADMIN_KEY, CLIENT_KEY)
        self._key = self._key_path = ""
        self._mark = 0
        self._before: _Standing | None = None

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        try:
            made = await asyncio.to_thread(
                self.admin, "POST", "/keys", {"name": "watched", "concurrency": self._at_once}
            )
        except BaseException:
            self.kill()
            raise
        self._key_path, self._key = f"/keys/{made['id']}", made["key"]
        self._secrets = (*self._secrets, self._key)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        code = await asyncio.to_thread(self.stop)
        if kind is None:
            assert code == 0, self.output
            self.assert_said_nothing()

    def client(self, **more: Any) -> httpx.AsyncClient:
        """A client with the gateway's key, whose requests and answers are noted."""
        return httpx.AsyncClient(
            **{
                "base_url": self.url,
                "headers": {"authorization": f"Bearer {self._key}"},
                "trust_env": False,
                "timeout": 60,
                "event_hooks": {"request": [self._note_request], "response": [self._note_answer]},
                **more,
            }
        )

    @property
    def key(self) -> str:
        """What clients show."""
        return self._key

    async def _note_request(self, request: httpx.Request) -> None:
        self.asked += _is_a_call(request)

    async def _note_answer(self, response: httpx.Response) -> None:
        number = response.headers.get("x-request-id")
        assert number, f"an answer without an x-request-id: {response!r}"
        if not _is_a_call(response.request):
            return
        if response.status_code in _NOT_TAKEN:
            self.asked -= 1
        else:
            self.answers.append((number, response.status_code))

    # -- before and after a test

    async def begin(self) -> None:
        """A test begins: what is asked from now on is this test's own."""
        if self._before is None:
            await self._ask_plainly()
            self._before = await self._standing()
        self.asked = 0
        self.answers.clear()
        await self._soon(self._is_at_rest, "calls are under way from before")
        self._mark = await asyncio.to_thread(self.newest)

    async def check(self) -> None:
        """All that has to hold after a test, whatever it did (V1 to V10)."""
        assert self.is_running, f"V1: the gateway has ended\n{self.output}"
        await self._soon(self._is_at_rest, "V3: calls are still under way")
        await self.upstream.until(lambda: self.upstream.busy == 0, _PATIENCE)  # V4
        await self._check_rows()
        await self._ask_plainly()
        await self._soon(self._is_as_before, f"V5: more than before, which was {self._before}")
        self.assert_said_nothing()

    async def settled(self) -> list[dict[str, Any]]:
        """The rows of all that was asked since the test began, once nothing is under way any more."""
        await self._soon(self._is_at_rest, "calls are still under way")
        return await asyncio.to_thread(self.rows_so_far, self._mark)

    def gauges(self, *names: str) -> list[float]:
        """What the gateway tells of itself."""
        request = urllib.request.Request(f"{self.url}/metrics", headers={"authorization": f"Bearer {ADMIN_KEY}"})
        with urllib.request.urlopen(request, timeout=10) as page:
            lines = page.read().decode().splitlines()
        told = dict(line.rsplit(" ", 1) for line in lines)
        return [float(told[f"aigateway_{name}"]) for name in names]

    async def _is_at_rest(self) -> bool:
        """No call is under way, and the rows of all of them are written."""
        return await asyncio.to_thread(self.gauges, "requests_in_flight", "queue_length") == [0, 0]

    async def _check_rows(self) -> None:
        """V7 and V8: one row for each request that was taken, with how it ended, under the id that its answer had."""
        rows = await asyncio.to_thread(self.rows_so_far, self._mark)
        assert len(rows) == self.asked, f"V7: {len(rows)} rows for {self.asked} requests: {rows}"
        assert {row["outcome"] for row in rows} <= _OUTCOMES, f"V7: {rows}"
        told = {row["request_id"]: row["status_code"] for row in rows}
        assert len(told) == len(rows), f"V7: a request has several rows: {Counter(row['request_id'] for row in rows)}"
        assert {number: told.get(number) for number, _ in self.answers} == dict(self.answers), "V8"

    async def _ask_plainly(self) -> None:
        """V9 and V10: whoever asks next is served, also when nobody else of the same key may be: no place is taken."""
        self.upstream.play(_plain_answer)
        body = {"model": _PLAIN, "messages": [{"role": "user", "content": "hi"}]}
        await self._allow(1)
        async with self.client(event_hooks={}) as client:
            answer = await client.post(CHAT, json=body)
        assert answer.status_code == 200, f"V9, V10: the next request was refused: {answer.text}"
        await self._allow(self._at_once)

    async def _allow(self, at_once: int) -> None:
        if self._at_once != 1:
            await asyncio.to_thread(self.admin, "PUT", self._key_path, {"concurrency": at_once})

    def assert_said_nothing(self) -> None:
        """V2 and V6: no traceback, and no secret in the log, the command line, or the database."""
        said = self.output
        assert "Traceback" not in said, f"V2:\n{said}"
        places = {"the log": said.encode()}
        for path in self.folder.glob("*.db*"):
            places[path.name] = path.read_bytes()
        if self.is_running:
            places["the command line"] = Path(f"/proc/{self.pid}/cmdline").read_bytes()
        shown = {place for place, content in places.items() for secret in self._secrets if secret.encode() in content}
        assert not shown, f"V6: a secret stands in {shown}"

    async def _standing(self) -> _Standing:
        tasks = await asyncio.to_thread(self.gauges, "tasks")
        return _Standing(int(tasks[0]), self.open_files() - self.upstream.open)

    async def _is_as_before(self) -> bool:
        assert self._before is not None
        now = await self._standing()
        return now.tasks <= self._before.tasks + _MORE_TASKS and now.files <= self._before.files + _MORE_FILES

    async def _soon(self, what: Callable[[], Awaitable[bool]], otherwise: str) -> None:
        deadline = asyncio.get_running_loop().time() + _PATIENCE
        while not await what():
            assert asyncio.get_running_loop().time() < deadline, f"{otherwise}; now {await self._standing()}"
            await asyncio.sleep(0.05)
