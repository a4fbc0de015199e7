"""``aigateway-core login antigravity`` as somebody types it, the browser played by the test."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from e2e.fakes.cloud_code import FakeCloudCode
from login_house import EMAIL, Google, query_of

from aigateway_antigravity.config import AntigravityConfig, advice
from aigateway_antigravity.login import RISK
from aigateway_core.structuring import structure
from aigateway_core.testing import FakeIdentityProvider

AIGATEWAY = (sys.executable, "-c", "from aigateway_core.cli import main; main()")
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture
def there(fake_identity_provider: FakeIdentityProvider) -> Iterator[Google]:
    there = Google(fake_identity_provider, FakeCloudCode(fake_identity_provider))
    there.has()
    there.cloud.start()
    yield there
    there.cloud.stop()
    assert there.cloud.violations == []


class Shell:
    """A home of its own, with a configuration that leads to the fakes."""

    def __init__(self, folder: Path, there: Google, **more: object) -> None:
        self._folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AIGATEWAY")}
        folders = {"XDG_CONFIG_HOME": str(folder / "config"), "XDG_DATA_HOME": str(folder / "data")}
        self._environment = {**kept, **folders, "NO_COLOR": "1", "SECRET": there.idp.client_secret}
        section = {**there.section(**more), "oauth_client_secret": {"env": "SECRET"}}
        config = {
            "providers": {"antigravity": section},
            "plugins": {"allowed": ["antigravity"]},
            "security": {"allow_private_hosts": ["127.0.0.1"]},
        }
        (folder / "config.yaml").write_text(yaml.safe_dump(config), "utf-8")

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*AIGATEWAY, *arguments],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        process = self.begin(*arguments)
        out, err = process.communicate(stdin, timeout=60)
        return process.returncode, out, err

    def log_in(self, there: Google, *arguments: str) -> tuple[int, str, str]:
        """A login that waits for the browser, which agrees."""
        process, url, said = self.asked_to_open("--no-browser", *arguments)
        back = there.idp.consent(url)
        assert (urlsplit(back).hostname, urlsplit(back).path) == ("localhost", "/oauth-callback")
        with DIRECT.open(back, timeout=10) as page:
            assert page.status == 200
        out, err = process.communicate(timeout=60)
        return process.returncode, out, said + err

    def asked_to_open(self, *arguments: str) -> tuple[subprocess.Popen[str], str, str]:
        """A login, the address that it shows, and what it said up to there."""
        process = self.begin("login", "antigravity", "--yes", *arguments)
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if re.match(r"https?://", line):
                return process, line.strip(), said
        raise AssertionError(f"no address was shown: {said}")


@pytest.fixture
def shell(tmp_path: Path, there: Google) -> Shell:
    return Shell(tmp_path, there)


def test_a_login_shows_the_risk_and_goes_no_further_where_nobody_can_agree(shell: Shell, there: Google) -> None:
    code, out, err = shell.run("login", "antigravity", "--no-browser")
    assert (code, out) == (1, "")
    assert RISK in err
    assert "add --yes" in err
    assert there.idp.url not in err
    assert there.idp.token_requests == []


def test_a_login_comes_back_at_localhost_and_keeps_the_account_by_its_address(shell: Shell, there: Google) -> None:
    there.has(paid_tier={"id": "g1-pro-tier"})
    code, out, err = shell.log_in(there, "--json")
    assert code == 0, err
    account = json.loads(out)
    assert account["metadata"] == {"identity": EMAIL, "project": "proj-1", "tier": "g1-pro-tier"}
    asked = there.idp.token_requests[0]
    assert asked["redirect_uri"].startswith("http://localhost:")
    code, out, err = shell.log_in(there, "--json")
    assert (code, json.loads(out)["id"]) == (0, account["id"]), err
    code, out, _ = shell.run("accounts", "list", "--json")
    assert [each["label"] for each in json.loads(out)] == [EMAIL]
    assert not any(secret in f"{out}{err}" for secret in there.idp.secrets)


@pytest.mark.parametrize("whole", [True, False])
def test_what_the_browser_ended_at_may_be_pasted(whole: bool, shell: Shell, there: Google) -> None:
    process, url, _ = shell.asked_to_open("--paste")
    assert query_of(url)["redirect_uri"] == "http://localhost:51121/oauth-callback"
    back = there.idp.consent(url)
    out, err = process.communicate((back if whole else query_of(back)["code"]) + "\n", timeout=60)
    assert process.returncode == 0, err
    assert f"Logged in: the account {EMAIL}" in out


def test_who_is_not_admitted_reads_why_and_where_to_go(shell: Shell, there: Google) -> None:
    tier = {"reasonMessage": "Verify your account.", "validationUrl": "https://accounts.example.com/verify"}
    there.has(project=None, current_tier=None, allowed_tiers=(), ineligible_tiers=(tier,))
    code, out, err = shell.log_in(there)
    assert (code, out) == (1, "")
    assert "Verify your account. https://accounts.example.com/verify" in err
    assert "Traceback" not in err
    assert json.loads(shell.run("accounts", "list", "--json")[1]) == []


def test_a_start_says_once_that_google_does_not_know_the_client(there: Google, tmp_path: Path) -> None:
    named, unnamed = (structure(there.section(user_agent=name), AntigravityConfig) for name in ("mine/1", None))
    assert advice(named) is None
    assert "user_agent is not set" in str(advice(unnamed))
    code, out, err = Shell(tmp_path, there, user_agent=None).run("accounts", "list")
    assert (code, err) == (0, "")
    assert "There are no accounts" in out


def test_an_account_is_tested_and_tells_what_it_has_left(shell: Shell, there: Google) -> None:
    there.has().exhaust("claude", 3600)
    account = json.loads(shell.log_in(there, "--json")[1])["id"]
    code, out, err = shell.run("accounts", "quota", account)
    assert code == 0, err
    rows = {line.split()[0]: line.split()[1:3] for line in out.splitlines()}
    assert rows["claude-sonnet-4-6"] == ["claude", "0%"]
    assert rows["gemini-3-flash"] == ["gemini-flash", "100%"]
    code, out, err = shell.run("accounts", "test", account)
    assert (code, out.split()[0]) == (0, "gemini-3-flash"), err
