"""The command line: what it prints where, and its exit codes."""

from __future__ import annotations

import json
import os
import pty
import select
import sqlite3
import sys
import termios
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from subprocess import CompletedProcess, Popen
from typing import Any

import pytest

from aigateway_core import __version__

Command = Callable[..., CompletedProcess[str]]

VENDOR = """
providers:
  vendor:
    kind: openai-compatible
    base_url: http://vendor.test/v1
    models: [m-1]
plugins: {allowed: []}
"""
KEY = "sk-abcdefghijklmnopqrstuvwxyz123456"


@pytest.fixture
def vendor(home: Path) -> Path:
    """A configuration with one provider and no plugin but the core's own."""
    path = home / "config.yaml"
    path.write_text(VENDOR, "utf-8")
    return path


def refused(result: CompletedProcess[str], code: int = 1) -> list[str]:
    """The lines on standard error of a command that failed as it should: no traceback, nothing on standard output."""
    assert (result.returncode, result.stdout) == (code, ""), result.stderr
    assert "Traceback" not in result.stderr
    lines = result.stderr.splitlines()
    assert all(line.startswith("aigateway-core: ") for line in lines)
    return [line.removeprefix("aigateway-core: ") for line in lines]


def listed(command: Command) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(command("accounts", "list", "--json").stdout)
    return found


def test_the_version_is_one_line(process: Command) -> None:
    assert process("--version").stdout == f"aigateway-core {__version__}\n"


def test_help_lists_every_command(command: Command) -> None:
    output = command("--help").stdout
    for name in ("server", "plugins", "config", "accounts", "admin-key"):
        assert name in output


def test_a_wrong_command_line_ends_with_two(command: Command) -> None:
    assert command("nonsense").returncode == 2
    assert command("server", "--port", "0").returncode == 2


def test_plugins_are_listed_with_what_they_offer(command: Command, vendor: Path) -> None:
    lines = command("plugins").stdout.splitlines()
    assert lines[0].split() == ["PLUGIN", "DISTRIBUTION", "VERSION", "OFFERS"]
    assert lines[2].split(maxsplit=3) == [
        "builtin-providers",
        "aigateway-core",
        __version__,
        "provider openai-compatible, provider anthropic-compatible, provider gemini-compatible",
    ]
    found = json.loads(command("plugins", "--json").stdout)
    assert [plugin["name"] for plugin in found["plugins"]] == [
        "builtin-auth",
        "builtin-providers",
        "builtin-stats",
        "builtin-database",
    ]
    assert found["waiting"] == {}


def test_a_plugin_that_cannot_be_imported_is_one_line_and_78(process: Command, home: Path) -> None:
    (home / "broken_plugin.py").write_text("import no_such_module")
    metadata = home / "broken-1.5.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: aigateway-broken\nVersion: 1.5\n")
    (metadata / "entry_points.txt").write_text("[aigateway]\nbroken = broken_plugin\n")
    allowed = {"AIGATEWAY__PLUGINS__ALLOWED": "broken"}
    line = (
        "plugin 'broken' (aigateway-broken 1.5) cannot be imported: ModuleNotFoundError: "
        "No module named 'no_such_module'; mend or uninstall it, or list it under plugins.disabled"
    )
    assert refused(process("plugins", **allowed), 78) == [line]
    assert refused(process("server", **allowed), 78) == [line]
    assert process("plugins", **allowed, AIGATEWAY__PLUGINS__DISABLED="broken").returncode == 0


def test_config_check_says_that_all_is_well(command: Command, vendor: Path) -> None:
    assert command("config", "check").stdout == "config.yaml: no problems\n"
    assert json.loads(command("config", "check", "--json").stdout) == {"problems": []}
    vendor.unlink()
    alone = {"AIGATEWAY__PLUGINS__ALLOWED": "[]"}
    assert command("config", "check", **alone).stdout == "no configuration file: the defaults count: no problems\n"


@pytest.mark.parametrize("arguments", [("config", "check"), ("server",), ("plugins",), ("accounts", "list")])
def test_every_problem_of_the_configuration_is_a_line_and_the_end_is_78(
    process: Command, vendor: Path, arguments: tuple[str, ...]
) -> None:
    vendor.write_text("server: {prot: 1, port: x}\nlog: {level: loud}")
    assert refused(process(*arguments), 78) == [
        "config.yaml: server.port: expected an integer, got 'x'",
        "config.yaml: server.prot: unknown key; did you mean 'port'?",
        "config.yaml: log.level: expected one of debug, info, warning, error, got 'loud'",
    ]


def test_config_check_looks_into_the_sections_of_plugins(command: Command, vendor: Path) -> None:
    vendor.write_text(VENDOR.replace("models: [m-1]", "modles: [m-1]"))
    problem = "config.yaml: providers.vendor.modles: unknown key; did you mean 'models'?"
    assert refused(command("config", "check"), 78) == [problem]
    result = command("config", "check", "--json")
    assert (result.returncode, json.loads(result.stdout)) == (78, {"problems": [problem]})


def test_config_show_masks_secrets(command: Command, vendor: Path) -> None:
    vendor.write_text(VENDOR.replace("base_url:", f"api_key: {KEY}\n    base_url:"))
    for output in (command("config", "show").stdout, command("config", "show", "--json").stdout):
        assert "vendor.test" in output
        assert KEY not in output
    assert json.loads(command("config", "show", "--json").stdout)["server"]["port"] == 8088


def test_an_account_is_added_listed_and_removed(process: Command, vendor: Path) -> None:
    added = process("accounts", "add", "vendor", "--label", "mine", "--api-key", "-", stdin=KEY + "\n")
    assert added.returncode == 0
    assert added.stderr == ""
    (account,) = listed(process)
    assert account["id"] in added.stdout
    assert (account["provider_id"], account["label"], account["status"]) == ("vendor", "mine", "active")
    assert account["auth_data"] == {"api_key": {"set": True, "last4": "3456"}}
    header, row = process("accounts", "list").stdout.splitlines()
    assert header.split() == ["ID", "PROVIDER", "LABEL", "STATUS", "TOKEN", "ENDS", "SECRETS"]
    assert row.split() == [account["id"], "vendor", "mine", "active", "-", "api_key", "…3456"]
    removed = process("accounts", "remove", account["id"])
    assert removed.stdout == f"Removed the account {account['id']}.\n"
    assert listed(process) == []
    assert process("accounts", "list").stdout.startswith("There are no accounts. To add one: ")


def test_an_account_that_was_shut_out_says_what_to_do_and_is_enabled_again(
    command: Command, vendor: Path, home: Path
) -> None:
    command("accounts", "add", "vendor", "--api-key", "-", stdin=KEY)
    (account,) = listed(command)
    (path,) = home.rglob("aigateway.db")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "UPDATE accounts SET status = 'disabled', status_reason = 'credential', status_remedy = 'https://verify.test/'"
        )
    shown = command("accounts", "list").stdout
    assert "disabled (credential)" in shown
    assert f"{account['id']} is disabled. What to do about it: https://verify.test/" in shown
    assert command("accounts", "enable", account["id"]).returncode == 0
    (mended,) = listed(command)
    assert (mended["status"], mended["status_reason"], mended["status_remedy"]) == ("active", None, None)
    assert command("accounts", "disable", account["id"]).stdout == f"Disabled the account {account['id']}.\n"
    assert listed(command)[0]["status"] == "disabled"
    assert command("accounts", "enable", "nobody").returncode == 1


def test_no_secret_is_ever_printed_or_stored_in_the_clear(command: Command, vendor: Path, home: Path) -> None:
    for result in (
        command("accounts", "add", "vendor", "--api-key", KEY),
        command("accounts", "add", "vendor", "--auth-data", "-", stdin=json.dumps({"api_key": KEY})),
        command("accounts", "add", "vendor", "--api-key", KEY + " with spaces"),
        command("accounts", "add", "vendor", "--auth-data", "-", stdin=json.dumps({"api_key": [KEY]})),
        command("accounts", "list"),
        command("accounts", "list", "--json"),
    ):
        assert KEY not in result.stdout + result.stderr
    files = [path for path in home.rglob("*") if path.is_file()]
    assert any(path.name == "aigateway.db" for path in files)
    assert all(KEY.encode() not in path.read_bytes() for path in files)


def test_a_secret_on_the_command_line_works_and_is_advised_against(command: Command, vendor: Path) -> None:
    result = command("accounts", "add", "vendor", "--api-key", KEY)
    assert result.returncode == 0
    assert result.stderr.startswith("Note: other users of this machine may see a secret on the command line")


def test_api_key_and_token_both_mean_the_one_secret_that_the_strategy_asks_for(command: Command, vendor: Path) -> None:
    vendor.write_text(VENDOR.replace("base_url:", "auth_strategy: bearer\n    base_url:"))
    assert command("accounts", "add", "vendor", "--api-key", "-", stdin=KEY).returncode == 0
    assert command("accounts", "add", "vendor", "--token", "-", stdin=KEY).returncode == 0
    assert [account["auth_data"] for account in listed(command)] == [{"token": {"set": True, "last4": "3456"}}] * 2


@pytest.mark.parametrize(
    ("arguments", "stdin", "line"),
    [
        (("nowhere",), "", "there is no provider 'nowhere'; there are: vendor"),
        (("vendro",), "", "there is no provider 'vendro'; did you mean 'vendor'?"),
        (("vendor",), "", "no secret was given, and there is no terminal to ask at: use --auth-data -"),
        (("vendor", "--auth-data", "-"), "{", "--auth-data: is not JSON: "),
        (("vendor", "--auth-data", "-"), "[]", "auth_data: expected an object"),
        (("vendor", "--auth-data", "-"), "{}", "auth_data.api_key: is missing"),
        (
            ("vendor", "--auth-data", "-"),
            '{"api_key": "k", "apikey": "k"}',
            "auth_data.apikey: unknown key; did you mean 'api_key'?",
        ),
        (("vendor", "--api-key", "-"), "", "auth_data.api_key: is empty, longer than 8192, or has spaces or"),
        (
            ("vendor", "--api-key", "-", "--token", "-"),
            "",
            "--api-key and --token say the same thing: give one of them",
        ),
    ],
)
def test_what_cannot_be_added_is_one_line(
    command: Command, vendor: Path, arguments: tuple[str, ...], stdin: str, line: str
) -> None:
    (told,) = refused(command("accounts", "add", *arguments, stdin=stdin))
    assert told.startswith(line)
    assert listed(command) == []


def test_an_account_that_does_not_exist_cannot_be_removed(command: Command, vendor: Path) -> None:
    (told,) = refused(command("accounts", "remove", "no-such-id"))
    assert "no-such-id" in told


def test_the_account_of_the_configuration_is_listed_and_cannot_be_removed(command: Command, vendor: Path) -> None:
    vendor.write_text(VENDOR.replace("base_url:", "api_key: {env: VENDOR_KEY}\n    base_url:"))
    result = command("accounts", "list", "--json", VENDOR_KEY=KEY)
    (account,) = json.loads(result.stdout)
    assert (account["id"], account["source"]) == ("config:vendor", "configuration")
    (told,) = refused(command("accounts", "remove", "config:vendor", VENDOR_KEY=KEY))
    assert "providers.vendor" in told


def test_the_admin_key_is_printed_alone_on_standard_output(command: Command, vendor: Path) -> None:
    first, second = command("admin-key", "reset"), command("admin-key", "reset")
    assert first.stdout.startswith("gwadm_")
    assert len(first.stdout.splitlines()) == 1
    assert first.stdout != second.stdout
    assert "shown this once" in first.stderr


def test_an_admin_key_of_the_environment_is_changed_there(command: Command, vendor: Path) -> None:
    given = "Jm3xQ0v9_tTzKp2LwB7RaYc5NdGhUeSiFoVq81WnXrM"
    (told,) = refused(command("admin-key", "reset", AIGATEWAY_ADMIN_KEY=given))
    assert told == "AIGATEWAY_ADMIN_KEY is set, and then it is the only admin key: change it there"


def test_a_database_that_cannot_be_opened_is_one_line(command: Command, vendor: Path, home: Path) -> None:
    (home / "file").write_text("")
    result = command("accounts", "list", AIGATEWAY__DATABASE__PATH=str(home / "file" / "aigateway.db"))
    assert result.returncode in (1, 78)
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_traceback_is_there_for_who_asks(process: Command, vendor: Path) -> None:
    result = process("--traceback", "accounts", "remove", "no-such-id")
    assert result.returncode == 1
    assert "Traceback" in result.stderr


def test_a_secret_is_asked_for_at_a_terminal_and_not_shown(vendor: Path, command: Command) -> None:
    terminal, theirs = pty.openpty()
    with Popen(
        [sys.executable, "-c", "from aigateway_core.cli import main; main()", "accounts", "add", "vendor"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env=os.environ | {"TERM": "dumb"},
    ) as process:
        seen = read_until(terminal, "api key")
        # What is typed before the echo is off would be thrown away: the prompt comes first.
        wait_until(lambda: not termios.tcgetattr(theirs)[3] & termios.ECHO)
        os.write(terminal, f"{KEY}\n".encode())
        seen += read_until(terminal, "Added the account")
        assert process.wait(30) == 0
    os.close(theirs)
    os.close(terminal)
    assert KEY not in seen
    (account,) = listed(command)
    assert account["auth_data"] == {"api_key": {"set": True, "last4": "3456"}}


def read_until(terminal: int, words: str) -> str:
    """What the terminal shows, up to and with ``words``."""
    seen: list[str] = []

    def found() -> bool:
        if select.select([terminal], [], [], 0.1)[0]:
            seen.append(os.read(terminal, 4096).decode("utf-8", "replace"))
        return words in "".join(seen)

    wait_until(found)
    return "".join(seen)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
