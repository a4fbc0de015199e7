"""The commands for outbound proxies, as an operator types them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_the_pool_is_shown_filled_planned_and_emptied(command: Command) -> None:
    assert "accounts go out direct" in command("proxies", "list").stdout
    added = command("proxies", "add", "--max-accounts", "2", stdin="http://me:pr0xy-pass@proxy.test:3128\n")
    assert added.stdout == "Added the outbound proxy 1: http://me:***@proxy.test:3128\n"
    command("proxies", "add", "socks5://other.test", "--priority", "3")
    lines = command("proxies", "list").stdout.splitlines()
    assert lines[0].split() == ["NUMBER", "URL", "HEALTH", "ACCOUNTS", "PRIORITY", "LATENCY"]
    assert lines[1].split() == ["1", "http://me:***@proxy.test:3128", "healthy", "0/2", "0", "-"]
    assert lines[2].split() == ["2", "socks5://other.test", "healthy", "0/any", "3", "-"]
    assert command("proxies", "set", "2", "--off", "--max-accounts", "5").returncode == 0
    (_, second) = json.loads(command("proxies", "list", "--json").stdout)
    assert (second["is_active"], second["max_accounts"], second["priority"]) == (False, 5, 3)
    # How many accounts there are depends on which plugins are installed.
    assert " accounts, room for 2, 0 without a place\n" in command("proxies", "plan").stdout
    assert command("proxies", "recalculate").returncode == 0
    assert command("proxies", "remove", "2").stdout == "Removed the outbound proxy 2.\n"
    assert "pr0xy-pass" not in "".join(lines)


def test_what_is_wrong_is_said_in_one_line(command: Command) -> None:
    refused = command("proxies", "add", "gopher://x")
    assert refused.returncode == 1
    assert refused.stderr.startswith("aigateway-core: url: an outbound proxy is written scheme://host:port")
    assert command("proxies", "remove", "7").stderr == "aigateway-core: there is no outbound proxy 7\n"
