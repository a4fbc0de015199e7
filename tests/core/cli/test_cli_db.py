"""``aigateway-core db`` and ``aigateway-core secrets``: what they do, what they say, and with what exit code."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from services.private_servers import MariaDB

Command = Callable[..., CompletedProcess[str]]

VENDOR = """
providers:
  vendor: {kind: openai-compatible, base_url: "http://vendor.test/v1", models: [m-1]}
plugins: {allowed: []}
"""
OLD = base64.b64encode(bytes(range(32))).decode()
NEW = base64.b64encode(bytes(range(32, 64))).decode()


@pytest.fixture
def vendor(home: Path) -> Path:
    (home / "config.yaml").write_text(VENDOR, "utf-8")
    return home


def test_a_database_is_made_looked_at_and_left_alone(vendor: Path, command: Command) -> None:
    before = command("db", "status")
    assert before.returncode == 1
    assert "master key  not" in before.stdout
    assert not (vendor / "home-data").exists()
    done = command("db", "init", "--json")
    made = json.loads(done.stdout)
    assert (done.returncode, made["providers"], made["created"]) == (0, ["vendor"], False)
    assert made["migrations"][0] == "0001_first_light"
    again = command("db", "init").stdout
    assert "is up to date" in again
    assert "no provider is new" in again
    assert json.loads(command("db", "migrate", "--json").stdout)["migrations"] == []
    after = command("db", "status", "--json")
    assert after.returncode == 0
    found = json.loads(after.stdout)
    assert (found["is_good"], found["pending"], found["master_key"], found["engine"]) == (True, [], "fits", "sqlite")


def test_another_master_key_is_told_by_status(vendor: Path, command: Command) -> None:
    command("db", "init", AIGATEWAY_MASTER_KEY=OLD)
    result = command("db", "status", AIGATEWAY_MASTER_KEY=NEW)
    assert result.returncode == 1
    assert "master key  does not fit" in result.stdout


def test_a_master_key_is_rotated(vendor: Path, command: Command) -> None:
    command("accounts", "add", "vendor", "--api-key", "sk-abcdefghijklmnopqrstuvwxyz", AIGATEWAY_MASTER_KEY=OLD)
    result = command("secrets", "rotate", AIGATEWAY_MASTER_KEY=f"{NEW},{OLD}")
    assert result.returncode == 0
    assert "1 of accounts" in result.stdout
    listed = command("accounts", "list", AIGATEWAY_MASTER_KEY=NEW)
    assert listed.returncode == 0
    assert "vendor" in listed.stdout
    assert command("accounts", "list", AIGATEWAY_MASTER_KEY=OLD).returncode == 78
    again = command("secrets", "rotate", "--json", AIGATEWAY_MASTER_KEY=NEW)
    assert json.loads(again.stdout)["rows"] == {"accounts": 0, "proxy_pool": 0, "oauth_logins": 0}


@pytest.fixture
def server(home: Path, mariadb: MariaDB) -> Iterator[dict[str, str]]:
    """The environment that leads to a MariaDB server where the database is still to be made."""
    with mariadb.database() as name:
        mariadb.execute(f"DROP DATABASE {name}")
        said = {
            "ENGINE": "mysql",
            "HOST": mariadb.host,
            "PORT": str(mariadb.port),
            "USER": mariadb.user,
            "PASSWORD": mariadb.password,
            "DATABASE": name,
        }
        yield {f"AIGATEWAY__DATABASE__{key}": value for key, value in said.items()}


@pytest.mark.services
def test_a_mysql_database_is_made_where_the_user_may(vendor: Path, command: Command, server: dict[str, str]) -> None:
    missing = command("db", "init", **server)
    assert missing.returncode == 78
    assert "AIGATEWAY_MASTER_KEY is not set" in missing.stderr
    server["AIGATEWAY_MASTER_KEY"] = OLD
    assert "there is no such database" in command("db", "status", **server).stdout
    made = command("db", "init", **server)
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith(f"made the database {server['AIGATEWAY__DATABASE__DATABASE']} on ")
    assert command("db", "status", **server).returncode == 0
    server["AIGATEWAY__DATABASE__DATABASE"] = "forbidden"
    refused = command("db", "init", **server)
    assert refused.returncode == 78
    assert "may not use it" in refused.stderr
    assert server["AIGATEWAY__DATABASE__PASSWORD"] not in refused.stderr + made.stdout
