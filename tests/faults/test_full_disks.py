"""Disks that take nothing more: for the log of a gateway."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import httpx
import pytest
from e2e.gateway_process import CLIENT_KEY, COMMAND, GatewayProcess
from scripted_upstream import ScriptedUpstream, whole
from typing_extensions import override

pytestmark = pytest.mark.anyio

ANSWER = b"""{"id": "c", "object": "chat.completion", "created": 1, "model": "m-1", "choices": [{"index": 0,
 "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
 "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}"""


class Unheard(GatewayProcess):
    """What it says goes to a device that is always full."""

    @override
    def start(self) -> None:
        self.folder.mkdir(parents=True)
        (self.folder / "output.txt").symlink_to("/dev/full")
        super().start()

    @property
    @override
    def output(self) -> str:
        """Nothing of it is kept."""
        return ""


async def test_d_18_a_gateway_whose_log_goes_to_a_full_disk_serves_and_ends_well(
    scripted_upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    scripted_upstream.play(whole(ANSWER))
    vendor = {"kind": "openai-compatible", "base_url": f"{scripted_upstream.url}/v1", "models": ["m-1"]}
    config = {
        "providers": {"acme": {**vendor, "api_key": "k" * 20}},
        "log": {"level": "debug"},
        "stats": {"log": {}},
        "plugins": {"allowed": []},
    }
    gateway = Unheard(config, tmp_path / "gateway")
    await asyncio.to_thread(gateway.start)
    headers = {"authorization": f"Bearer {CLIENT_KEY}"}
    question = {"model": "m-1", "messages": [{"role": "user", "content": "hi"}]}
    async with httpx.AsyncClient(base_url=gateway.url, headers=headers, timeout=30) as client:
        for _ in range(20):
            assert (await client.post("/v1/chat/completions", json=question)).status_code == 200
        assert (await client.post("/v1/chat/completions", json={})).status_code == 400
    assert len(scripted_upstream.requests) == 20
    assert await asyncio.to_thread(gateway.stop) == 0


def test_d_18_what_is_wrong_is_told_by_the_exit_code_where_nobody_can_read_it(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("server: {prot: 1}\n")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*COMMAND, "--config", str(config)], stdout=full, stderr=full, check=False, cwd=tmp_path)
    assert done.returncode == 78
