"""Records once what the clients send: ``tox exec -e clients -- python -m e2e.clients.record``.

Every SDK in every mode, and every agent, does its job through a gateway whose only upstream shows its thinking. What
arrived at the gateway goes into ``tests/e2e/recorded``, cut by :mod:`e2e.clients.cut`. Look at the difference before
you commit it.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from e2e.clients.agents import AGENTS
from e2e.clients.cut import KEY, Cutter, as_json
from e2e.clients.errand import DEPTH, errand
from e2e.clients.jobs import ANSWER, SDK, Job
from e2e.clients.node_sdks import NODE_SDKS, copy_scripts
from e2e.clients.python_sdks import PYTHON_SDKS
from e2e.clients.recorder import Request, recording
from e2e.clients.tripwire import stretched
from e2e.fakes.mind import Answer
from e2e.fakes.openai import OpenAIWire
from e2e.fakes.server import FakeVendor
from e2e.gateway_process import CLIENT_KEY, GatewayProcess
from e2e.npm_packages import installed

HERE = Path(__file__).parent
RECORDED = HERE.parent / "recorded"
MODELS = {"messages": "claude-sonnet-5", "gemini": "gemini-3.1-pro-preview", "chat": "gpt-5.5", "responses": "gpt-5.5"}
AGENT_APIS = {"Claude Code": "messages", "Codex CLI": "responses", "gemini-cli": "gemini"}


class Studio:
    """A gateway with one upstream, and ``folder`` for whatever the clients leave behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.npm = installed(HERE)
        copy_scripts(self.npm)
        self._vendor = FakeVendor(OpenAIWire(reasoning_content=True), ["sk-recording"])

    @contextmanager
    def open(self) -> Iterator[None]:
        self._vendor.start()
        section = {"kind": "openai-compatible", "base_url": f"{self._vendor.url}/v1", "api_key": "sk-recording"}
        models = sorted(set(MODELS.values()))
        self._gateway = GatewayProcess({"providers": {"beta": {**section, "models": models}}}, self.folder / "gateway")
        self._gateway.start()
        yield
        self._gateway.stop()
        self._vendor.stop()

    def conversation(self, hold: Callable[[str], object]) -> list[dict[str, Any]]:
        """What a client that was pointed at a URL sent there."""
        before = len(self._vendor.exchanges)
        with recording(self._gateway.url) as recorder:
            hold(recorder.url)
        answers = iter(self._vendor.exchanges[before:])
        facts = {str(self.folder): "/home/user", recorder.url: "http://gateway", CLIENT_KEY: KEY}
        cutter = Cutter(facts, (DEPTH, ANSWER))
        return [
            _kept(cutter, request, next(answers).answer if request.status == 200 else None)
            for request in recorder.requests
        ]


def sdk_file(studio: Studio, sdk: SDK, api: str) -> dict[str, Any]:
    """Every mode of an SDK; what is streamed has thinking too."""

    def hold(url: str, mode: Any) -> None:
        job = Job(url=url, key=CLIENT_KEY, model=MODELS[api], mode=mode, npm=studio.npm, thinking=mode == "stream")
        sdk.run(job)

    said = {mode: studio.conversation(lambda url, mode=mode: hold(url, mode)) for mode in sdk.modes}
    return {"client": sdk.name, "conversations": said}


def agent_file(studio: Studio, agent: Any) -> dict[str, Any]:
    """An agent's first request and its last, which has the whole conversation in it."""

    def hold(url: str) -> None:
        model = MODELS[AGENT_APIS[agent.title]]
        with stretched() as tripwire:
            errand(agent, url=url, model=model, npm=studio.npm, place=studio.folder / agent.title, proxy=tripwire.url)

    said = studio.conversation(hold)
    return {"client": agent.name, "conversations": {"stream": [said[0], said[-1]]}}


def _kept(cutter: Cutter, request: Request, answer: Answer | None) -> dict[str, Any]:
    kept = {
        "method": request.method,
        "path": request.path,
        "headers": cutter.headers(request.headers),
        "body": cutter.value(request.body),
        "status": request.status,
    }
    if answer is None:
        return kept
    calls = [{"name": call.name, "arguments": cutter.plain(call.arguments)} for call in answer.calls]
    return {**kept, "answer": {"text": cutter.plain(answer.text), "calls": calls}}


def main() -> None:
    RECORDED.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        studio = Studio(Path(folder))
        with studio.open():
            files = {sdk.name: sdk_file(studio, sdk, sdk.api) for sdk in (*PYTHON_SDKS, *NODE_SDKS)}
            files |= {agent.name: agent_file(studio, agent) for agent in AGENTS}
    for name, content in files.items():
        slug = re.sub(r"[^a-z]+", "-", re.sub(r"\s[\d.]+", "", name).lower()).strip("-")
        (RECORDED / f"{slug}.json").write_text(as_json(content), encoding="utf-8")
        print(os.path.relpath(RECORDED / f"{slug}.json"))  # noqa: T201


if __name__ == "__main__":
    main()
