"""The commands for client keys, mappings and providers, as an operator types them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_a_key_is_made_listed_changed_and_revoked(command: Command) -> None:
    assert "There are no client keys" in command("keys", "list").stdout
    made = command("keys", "create", "laptop", "--model", "gpt-*", "--requests-per-minute", "9", "--expires", "30d")
    key = made.stdout.strip()
    assert key.startswith("gwcli_")
    assert "it is shown this once" in made.stderr
    (listed,) = json.loads(command("keys", "list", "--json").stdout)
    assert (listed["models"], listed["requests_per_minute"], listed["status"]) == (["gpt-*"], 9, "active")
    table = command("keys", "list").stdout
    assert "models: gpt-*" in table
    assert "9/min" in table
    assert key not in table
    assert command("keys", "set", listed["id"], "--name", "desk", "--concurrency", "2").returncode == 0
    assert "9/min, 2 at a time" in command("keys", "list").stdout
    assert command("keys", "revoke", listed["id"]).stdout == f"Revoked the key {listed['id']}.\n"
    assert "revoked" in command("keys", "list").stdout


def test_a_limit_is_taken_away_again(command: Command) -> None:
    made = json.loads(
        command(
            *("keys", "create", "--json", "--requests-per-minute", "9", "--concurrency", "2"),
            *("--model", "m", "--expires", "30d"),
        ).stdout
    )
    gone = ("--without", "requests-per-minute", "--without", "model", "--without", "expires")
    assert command("keys", "set", made["id"], *gone).returncode == 0
    (key,) = json.loads(command("keys", "list", "--json").stdout)
    assert (key["requests_per_minute"], key["models"], key["expires_at"]) == (None, None, None)
    assert key["concurrency"] == 2
    both = command("keys", "set", made["id"], "--concurrency", "3", "--without", "concurrency")
    assert both.stderr == "aigateway-core: concurrency: is given and taken away at once\n"
    assert command("keys", "set", made["id"], "--without", "name").returncode == 2


def test_the_json_of_a_new_key_has_the_key(command: Command) -> None:
    made = json.loads(command("keys", "create", "--json").stdout)
    assert made["key"].startswith(made["prefix"])


def test_what_is_wrong_with_a_key_is_said_in_one_line(command: Command) -> None:
    refused = command("keys", "create", "--provider", "nobody")
    assert refused.returncode == 1
    assert refused.stderr.startswith("aigateway-core: providers[0]: there is no provider 'nobody'")
    assert "expires_at: expected a date and time" in command("keys", "create", "--expires", "soon").stderr
    assert command("keys", "revoke", "nothing1").stderr == "aigateway-core: there is no key 'nothing1'\n"


def test_a_mapping_is_added_listed_and_removed(command: Command, home: Path) -> None:
    (home / "config.yaml").write_text(
        "providers: {mine: {kind: openai-compatible, base_url: 'http://127.0.0.1:9', models: [a/b]}}"
    )
    assert "There are no mappings" in command("mappings", "list").stdout
    added = command("mappings", "add", "team/fast", "mine/a/b", "mine/c", "--description", "for us")
    assert added.stdout.startswith("Added the mapping team/fast.")
    lines = command("mappings", "list").stdout.splitlines()
    assert lines[0].split() == ["ALIAS", "TARGETS", "STATUS", "DESCRIPTION"]
    assert lines[1].split() == ["team/fast", "mine/a/b,", "mine/c", "on", "for", "us"]
    assert "cannot be asked by this name any more" in command("mappings", "add", "a/b", "mine/c").stderr
    assert command("mappings", "add", "x", "nothing").stderr.startswith(
        "aigateway-core: TARGETS: expected PROVIDER/MODEL"
    )
    changed = command("mappings", "set", "team/fast", "mine/d", "--off")
    assert changed.stdout == "Changed the mapping team/fast.\n"
    assert command("mappings", "list").stdout.splitlines()[2].split() == ["team/fast", "mine/d", "off", "for", "us"]
    assert command("mappings", "set", "team/fast", "--on", "--description", "").returncode == 0
    assert command("mappings", "list").stdout.splitlines()[2].split() == ["team/fast", "mine/d", "on"]
    assert command("mappings", "set", "nothing", "--on").stderr.startswith("aigateway-core: there is no")
    assert command("mappings", "remove", "team/fast").stdout == "Removed the mapping team/fast.\n"


def test_providers_are_listed(command: Command, home: Path) -> None:
    (home / "config.yaml").write_text(
        "providers: {mine: {kind: openai-compatible, base_url: 'http://127.0.0.1:9', models: [a]}}"
    )
    lines = [line.split() for line in command("providers", "list").stdout.splitlines()]
    assert lines[0] == ["ID", "NAME", "STATUS", "AUTH", "MODELS"]
    assert any(line[0] == "mine" and "on" in line for line in lines[1:])
    assert command("providers", "set", "mine", "--off").stdout == "Switched the provider mine off.\n"
    (listed,) = [each for each in json.loads(command("providers", "list", "--json").stdout) if each["id"] == "mine"]
    assert listed["is_active"] is False
    assert command("providers", "set", "other", "--on").stderr == "aigateway-core: there is no provider 'other'\n"
