"""``aigateway-core accounts quota``: what an account has left."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from aigateway_core.builtin.providers import _OpenAICompatible
from aigateway_core.plugin import QuotaLeft, Upstream

Command = Callable[..., CompletedProcess[str]]
LEFT = [
    QuotaLeft(model="m-1", quota_group="m", fraction=0.625, resets_at=datetime(2026, 11, 23, 12, tzinfo=UTC)),
    QuotaLeft(model="m-2", fraction=0.0),
    QuotaLeft(quota_group="all"),
]


@pytest.fixture
def account(home: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> str:
    async def quota(_: object, upstream: Upstream) -> Sequence[QuotaLeft]:
        return LEFT if upstream.account_id == "config:vendor" else ()

    monkeypatch.setattr(_OpenAICompatible, "quota", quota, raising=False)
    vendor = "{kind: openai-compatible, base_url: http://vendor.test/v1, api_key: sk-of-the-vendor-0001}"
    other = "{kind: anthropic-compatible, base_url: http://vendor.test, api_key: sk-of-the-other-0001}"
    text = f"providers:\n  vendor: {vendor}\n  quiet: {vendor}\n  other: {other}\nplugins: {{allowed: []}}\n"
    (home / "config.yaml").write_text(text, "utf-8")
    return "config:vendor"


def test_what_is_left_is_shown_as_a_table(account: str, command: Command) -> None:
    shown = command("accounts", "quota", account)
    assert shown.returncode == 0, shown.stderr
    assert [line.split() for line in shown.stdout.splitlines()] == [
        ["MODEL", "GROUP", "LEFT", "RESETS", "AT"],
        ["m-1", "m", "62%", "2026-11-23T12:00:00+00:00"],
        ["m-2", "0%"],
        ["*", "all", "?"],
    ]


def test_the_same_for_programs(account: str, command: Command) -> None:
    told = json.loads(command("accounts", "quota", account, "--json").stdout)
    assert [each["fraction_left"] for each in told] == [0.625, 0.0, None]


@pytest.mark.usefixtures("account")
def test_nothing_told_and_nobody_to_ask_are_told_apart(command: Command) -> None:
    assert "tells nothing" in command("accounts", "quota", "config:quiet").stdout
    refused = command("accounts", "quota", "config:other")
    assert refused.returncode == 1
    assert "does not tell what an account has left" in refused.stderr
