"""Settings: where they are found, how the environment lies over the file, and what is refused."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from aigateway_core.errors import ConfigurationError, SettingsError
from aigateway_core.secret import Secret
from aigateway_core.settings import ProviderSettings, ServerSettings, Settings, SinkSettings, describe, load

DOCUMENT = Path(__file__).parents[2] / "aigateway-core" / "docs" / "configuration.md"
LONG_KEY = "Jm3xQ0v9_tTzKp2LwB7RaYc5NdGhUeSiFoVq81WnXrM"


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory and a home with no configuration in them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home-config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home-data"))
    return tmp_path


def written(text: str, name: str = "config.yaml") -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def problems(text: str = "", **environ: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(written(text), environ)
    return caught.value.problems


def test_nothing_configured_gives_the_defaults(empty_folder: Path) -> None:
    settings = load(environ={})
    assert settings == Settings()
    assert settings.source is None
    assert settings.server == ServerSettings(
        host="127.0.0.1",
        port=8088,
        workers=1,
        client_auth="auto",
        max_body_bytes=20971520,
        body_timeout=30,
        send_timeout=60,
        header_timeout=10,
        keepalive_interval=15,
        drain_timeout=10,
        max_concurrency=0,
        allowed_hosts=(),
    )
    assert settings.database.engine == "sqlite"
    assert settings.database.path == empty_folder / "home-data" / "aigateway" / "aigateway.db"
    assert settings.upstream.max_response_bytes == 64 * 1024 * 1024


def test_every_section_of_a_file_arrives() -> None:
    settings = load(
        written("""
server: {host: 0.0.0.0, port: 80, client_auth: required, allowed_hosts: [example.org]}
database: {engine: mysql, host: db, port: 3307, user: gw, password: pw, database: gateway}
upstream: {connect_timeout: 2, max_attempts: 5}
plugins: {disabled: [a], allowed: [b, c]}
providers:
  openai: {priority: 3, base_url: https://x/v1}
  acme: {kind: openai-compatible, enabled: false, auth_strategy: bearer, api_key: k, headers: {x-a: b}}
  bare:
security: {allow_private_hosts: [10.0.0.1]}
recording: {queue_size: 5, flush_interval: 1, batch_size: 2}
stats:
  log: {enabled: true}
  other: {url: http://x}
log: {level: debug, format: json}
"""),
        {},
    )
    assert settings.server.host == "0.0.0.0"
    assert settings.server.allowed_hosts == ("example.org",)
    assert settings.database.password == Secret("pw")
    assert settings.upstream.connect_timeout == 2.0
    assert settings.plugins.allowed == frozenset({"b", "c"})
    assert settings.providers == {
        "openai": ProviderSettings(priority=3, options={"base_url": "https://x/v1"}),
        "acme": ProviderSettings(
            kind="openai-compatible",
            enabled=False,
            auth_strategy="bearer",
            api_key=Secret("k"),
            options={"headers": {"x-a": "b"}},
        ),
        "bare": ProviderSettings(),
    }
    assert settings.security.allow_private_hosts == {"10.0.0.1"}
    assert settings.recording.queue_size == 5
    assert settings.stats == {"log": SinkSettings(enabled=True), "other": SinkSettings(options={"url": "http://x"})}
    assert settings.log.level == "debug"
    assert settings.source == Path("config.yaml")


def test_the_file_is_looked_for_in_this_order(empty_folder: Path) -> None:
    places = ["named.yaml", "variable.yaml", "config.yaml", "config/config.yaml", "home-config/aigateway/config.yaml"]
    for port, place in enumerate(places, start=1):
        written(f"server: {{port: {port}}}", place)
    assert load(Path("named.yaml"), {"AIGATEWAY_CONFIG": "variable.yaml"}).server.port == 1
    assert load(environ={"AIGATEWAY_CONFIG": "variable.yaml"}).server.port == 2
    for port, place in enumerate(places[2:], start=3):
        assert load(environ={}).server.port == port
        Path(place).unlink()
    assert load(environ={}).server.port == 8088


def test_a_named_file_that_is_not_there_is_an_error() -> None:
    with pytest.raises(SettingsError, match=r"^no\.yaml: cannot be read: No such file or directory$"):
        load(Path("no.yaml"), {})
    with pytest.raises(SettingsError, match=r"^other\.yaml: cannot be read"):
        load(environ={"AIGATEWAY_CONFIG": "other.yaml"})


def test_an_empty_file_and_empty_sections_are_fine() -> None:
    assert load(written(""), {}).server == ServerSettings()
    assert load(written("server:\nproviders:\nstats:\n  log:\n"), {}).stats == {"log": SinkSettings()}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- a", "config.yaml: expected a mapping of sections (server, database, …)"),
        ("server: {port: 1", "config.yaml: line 1, column 17: expected ',' or '}', but got '<stream end>'"),
        ("server:\n  port: 1\n  port: 2", "config.yaml: line 3, column 3: the key 'port' is written twice"),
        ("a: &x {b: 1}\nc: {<<: *x}", "config.yaml: a: unknown key"),
        ("server: !!python/object:os.system {}", None),
        ("a: \x01", None),
    ],
)
def test_a_file_that_is_not_the_yaml_we_want_is_one_clear_problem(text: str, problem: str | None) -> None:
    found = problems(text)
    assert found[0].startswith("config.yaml: ")
    assert "\n" not in found[0]
    assert problem is None or found[0] == problem


def test_a_file_in_another_encoding_is_refused() -> None:
    Path("config.yaml").write_bytes(b"server: {host: \xff}")
    with pytest.raises(SettingsError, match=r"^config\.yaml: is not UTF-8 text \(byte 15\)$"):
        load(environ={})


def test_the_environment_lies_over_the_file() -> None:
    file = written("server: {port: 1, host: localhost}\nproviders: {my-vendor: {base_url: x}}")
    settings = load(
        file,
        {
            "AIGATEWAY__SERVER__PORT": "8090",
            "AIGATEWAY__DATABASE__PASSWORD": "12345",
            "AIGATEWAY__PLUGINS__DISABLED": "a,b",
            "AIGATEWAY__UPSTREAM__IDLE_TIMEOUT": "0.5",
            "AIGATEWAY__STATS__LOG__ENABLED": "true",
            "AIGATEWAY__LOG__LEVEL": "debug",
            "AIGATEWAY__PROVIDERS__MY_VENDOR__BASE_URL": "y",
            "AIGATEWAY__PROVIDERS__OPENAI__API_KEY": "k",
            "AIGATEWAY__PROVIDERS__OPENAI__PRIORITY": "2",
            "UNRELATED__SERVER__PORT": "1",
        },
    )
    assert (settings.server.port, settings.server.host) == (8090, "localhost")
    assert settings.database.password == Secret("12345")
    assert settings.plugins.disabled == {"a", "b"}
    assert settings.upstream.idle_timeout == 0.5
    assert settings.stats["log"].enabled is True
    assert settings.log.level == "debug"
    assert settings.providers["my-vendor"].options == {"base_url": "y"}
    assert settings.providers["openai"] == ProviderSettings(api_key=Secret("k"), priority=2)


def test_variables_that_a_cluster_sets_by_itself_are_ignored() -> None:
    environ = {"AIGATEWAY_SERVICE_HOST": "10.0.0.1", "AIGATEWAY_PORT": "tcp://10.0.0.1:8088"}
    assert load(environ=environ) == Settings()


def test_a_variable_that_names_no_key_is_refused_by_its_own_name() -> None:
    assert problems(AIGATEWAY__SERVER__PROT="1", AIGATEWAY__NOWHERE="1") == [
        "AIGATEWAY__SERVER__PROT: server.prot: unknown key; did you mean 'port'?",
        "AIGATEWAY__NOWHERE: nowhere: unknown key",
    ]


def test_a_variable_inside_something_that_is_no_section_is_refused() -> None:
    assert problems("log: {level: debug}", AIGATEWAY__LOG__LEVEL__DEEP="1") == [
        "AIGATEWAY__LOG__LEVEL__DEEP: level is not a section"
    ]
    assert problems(AIGATEWAY__LOG="debug", AIGATEWAY__LOG__LEVEL="debug") == [
        "AIGATEWAY__LOG: log: expected a mapping, got 'debug'",
        "AIGATEWAY__LOG__LEVEL: log is not a section",
    ]


def test_secrets_come_by_reference() -> None:
    Path("secret").write_text("from-a-file\n")
    settings = load(
        written(
            "database: {password: {file: secret}, user: {env: DB_USER}}\nproviders: {openai: {api_key: {env: KEY}}}"
        ),
        {"KEY": "from-the-environment", "DB_USER": "gw"},
    )
    assert settings.database.password == Secret("from-a-file")
    assert settings.database.user == "gw"
    assert settings.providers["openai"].api_key == Secret("from-the-environment")


def test_a_reference_to_nothing_says_so() -> None:
    Path("empty").write_text("\n")
    assert problems(
        "database: {password: {file: empty}, user: {file: gone}}\nproviders: {openai: {api_key: {env: KEY}}}"
    ) == [
        "config.yaml: database.user: the file gone cannot be read: No such file or directory",
        "config.yaml: database.password: the file empty is empty",
        "config.yaml: providers.openai.api_key: the environment variable KEY is not set",
    ]


def test_what_is_no_path_is_no_reason_to_fail_without_a_word() -> None:
    said = 'database: {path: "a\\0b", user: {file: "\\0"}, password: {file: "~nobody-of-this-name/key"}}'
    assert problems(said) == [
        "config.yaml: database.path: expected a path, got 'a\\x00b'",
        "config.yaml: database.user: the file cannot be read: expected a path, got '\\x00'",
        "config.yaml: database.password: the file cannot be read: nobody has the home of '~nobody-of-this-name/key'",
    ]
    assert problems("database: {path: ~nobody-of-this-name/a.db}") == [
        "config.yaml: database.path: nobody has the home of '~nobody-of-this-name/a.db'"
    ]
    with pytest.raises(SettingsError, match="AIGATEWAY_CONFIG: nobody has the home of"):
        load(environ={"AIGATEWAY_CONFIG": "~nobody-of-this-name/a.yaml"})


def test_p_13_all_problems_are_told_at_once() -> None:
    found = problems(
        """
server: {port: 99999, prot: 1}
sever: {}
database: []
redis: {enabled: true, prot: 1}
keys: {admin: x}
source: here
providers: {acme: {api_key: 5, priority: high}, Bad Name: x}
log: {level: loud}
""",
        AIGATEWAY__UPSTREAM__MAX_ATTEMPTS="none",
        AIGATEWAY_ADMIN_KEY="changeme",
    )
    secret = "expected a string: a secret is written in quotes, or as {env: NAME} or {file: PATH}"
    assert found == [
        "config.yaml: server.port: must be at most 65535, got 99999",
        "config.yaml: server.prot: unknown key; did you mean 'port'?",
        "config.yaml: database: expected a mapping, got a list",
        "config.yaml: redis.prot: unknown key; did you mean 'port'?",
        "AIGATEWAY__UPSTREAM__MAX_ATTEMPTS: upstream.max_attempts: expected an integer, got 'none'",
        "config.yaml: providers.acme.api_key: " + secret,
        "config.yaml: providers.acme.priority: expected an integer, got 'high'",
        "config.yaml: providers.Bad Name: expected a mapping, got 'x'",
        "config.yaml: log.level: expected one of debug, info, warning, error, got 'loud'",
        "config.yaml: sever: unknown key; did you mean 'server'?",
        "config.yaml: keys: unknown key",
        "config.yaml: source: unknown key",
        found[-1],
    ]
    assert found[-1].startswith("AIGATEWAY_ADMIN_KEY: is a placeholder; make one with: python3 -c ")


def test_more_than_one_worker_is_refused_without_redis() -> None:
    (problem,) = problems("server: {workers: 2}")
    reason = "more than one worker needs Redis, through which they share their state: set redis.enabled, or workers: 1"
    assert problem == f"config.yaml: server.workers: {reason}"


def test_several_workers_are_taken_with_redis() -> None:
    assert load(written("server: {workers: 3}\nredis: {enabled: true}"), {}).server.workers == 3


def test_a_provider_needs_a_name_that_fits_into_a_model_name() -> None:
    (problem,) = problems("providers: {a/b: {}}")
    assert problem.startswith("config.yaml: providers.a/b: a provider's name ")


def test_p_13_a_setting_error_ends_the_process_with_78() -> None:
    assert issubclass(SettingsError, ConfigurationError)
    assert SettingsError.exit_code == 78


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("changeme", "is a placeholder"),
        ("sk-1234", "is a placeholder"),
        ("sk-1234-but-long-enough-to-pass-32-characters", "is a placeholder"),
        ("CHANGE_ME_CHANGE_ME_CHANGE_ME_CHANGE_ME", "is a placeholder"),
        ("your-api-key-1", "is a placeholder"),
        ("x" * 64, "is a placeholder"),
        ("admin", "is too short"),
        (LONG_KEY[:31], "is too short"),
        (LONG_KEY + "\n", "has characters that no HTTP header can carry"),
        (LONG_KEY + " " + LONG_KEY, "has characters that no HTTP header can carry"),
        (LONG_KEY + "é", "has characters that no HTTP header can carry"),
    ],
)
@pytest.mark.parametrize("variable", ["AIGATEWAY_ADMIN_KEY", "AIGATEWAY_CLIENT_KEY"])
def test_s_13_a_weak_key_is_refused_and_not_quoted(variable: str, key: str, reason: str) -> None:
    (problem,) = problems(**{variable: key})
    assert problem.startswith(f"{variable}: {reason}")
    assert key.strip() not in problem


def test_strong_keys_are_taken_from_the_environment() -> None:
    environ = {"AIGATEWAY_ADMIN_KEY": LONG_KEY, "AIGATEWAY_CLIENT_KEY": LONG_KEY[::-1], "AIGATEWAY_MASTER_KEY": "m"}
    keys = load(environ=environ).keys
    assert keys.admin == Secret(LONG_KEY)
    assert keys.client == Secret(LONG_KEY[::-1])
    assert keys.master == Secret("m")
    assert load(environ={"AIGATEWAY_ADMIN_KEY": ""}).keys.admin is None


def test_one_key_cannot_be_admin_and_client() -> None:
    assert problems(AIGATEWAY_ADMIN_KEY=LONG_KEY, AIGATEWAY_CLIENT_KEY=LONG_KEY) == [
        "AIGATEWAY_CLIENT_KEY: is the admin key; the two must differ"
    ]


@pytest.mark.parametrize(
    "host",
    [
        "",
        "*",
        "*.gateway.test",
        "https://gateway.test",
        "gateway.test/v1",
        "gateway.test:",
        "gateway.test:https",
        "café.test",
        "a b",
        "gateway.test:8088:1",
        "::1",
        "[::1",
        "[gateway.test]",
        "me@gateway.test",
        "x" * 254,
    ],
)
def test_a_host_by_which_nobody_could_ask_is_refused(host: str) -> None:
    (problem,) = problems(f"server: {{allowed_hosts: [gateway.test, {host!r}]}}")
    assert problem.startswith("config.yaml: server.allowed_hosts[1]: expected a host name")
    assert "[::1]" in problem
    assert ("leave the list empty" in problem) == (host == "*")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "[::1]", "localhost"])
def test_loopback_is_known_by_address(host: str) -> None:
    assert ServerSettings(host=host).is_loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "localhost.example.org", ""])
def test_everything_else_counts_as_reachable(host: str) -> None:
    assert not ServerSettings(host=host).is_loopback


def test_behind_a_proxy_it_is_not_there_for_this_machine_alone() -> None:
    assert ServerSettings().is_local
    assert not ServerSettings(host="0.0.0.0").is_local
    assert not ServerSettings(trusted_proxies=("127.0.0.1",)).is_local


def test_a_description_shows_the_shape_of_the_file_and_no_secret() -> None:
    settings = load(
        written("""
database: {password: hunter2-hunter2}
providers:
  acme:
    api_key: hunter2-hunter2
    base_url: https://user:hunter2@host/v1
    oauth_client_secret: hunter2-hunter2
    other: {env: HUNTER}
    headers: {Authorization: hunter2-hunter2, x-api-key: hunter2-hunter2, x-plain: plain}
    list: [sk-hunter2hunter2]
"""),
        {
            "HUNTER": "hunter2-hunter2",
            "AIGATEWAY_ADMIN_KEY": LONG_KEY,
            "AIGATEWAY__PROVIDERS__ACME__EXTRA": "hunter2-hunter2",
        },
    )
    described = describe(settings)
    assert described["providers"]["acme"] == {
        "enabled": True,
        "kind": None,
        "auth_strategy": None,
        "api_key": "***",
        "priority": 0,
        "egress": "pool",
        "auth_options": {},
        "base_url": "https://***@host/v1",
        "oauth_client_secret": "***",
        "other": {"env": "HUNTER"},
        "headers": {"Authorization": "***", "x-api-key": "***", "x-plain": "plain"},
        "list": ["***"],
        "extra": "(from AIGATEWAY__PROVIDERS__ACME__EXTRA)",
    }
    assert described["database"]["password"] == "***"
    assert described["keys"] == {"admin": "set", "client": None, "master": None}
    assert described["source"] == "config.yaml"
    for text in (str(described), repr(settings)):
        assert "hunter2" not in text
        assert LONG_KEY not in text


def keys_of(kind: type, path: str = "") -> list[str]:
    """The path of every key in the tree, with NAME for the names that users choose."""
    named = {"providers": ProviderSettings, "stats": SinkSettings}
    found: list[str] = []
    for field in attrs.fields(attrs.resolve_types(kind)):
        if kind is Settings and field.name in ("keys", "source"):
            continue
        if kind is Settings and field.name in named:
            found += [f"{field.name}.NAME.{key}" for key in keys_of(named[field.name]) if key != "options"]
        elif attrs.has(field.type):
            found += keys_of(field.type, f"{path}{field.name}.")
        else:
            found.append(path + field.name)
    return found


def test_every_key_has_its_heading_in_the_document_and_every_heading_its_key() -> None:
    headings = [
        line.removeprefix("### ") for line in DOCUMENT.read_text("utf-8").splitlines() if line.startswith("### ")
    ]
    assert headings[:3] == ["AIGATEWAY_ADMIN_KEY", "AIGATEWAY_CLIENT_KEY", "AIGATEWAY_MASTER_KEY"]
    assert headings[3:] == keys_of(Settings)


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://:hunter@localhost:6380/3",
        "rediss://user:hunter@redis.example:6380/0",
        "sentinel://one:26379,two:26379/gateway",
        "sentinel://:hunter@one,two:26380/gateway/2?sentinel_password=other",
        "sentinel://one/gateway?sentinel_password=hunter@home",
    ],
)
def test_redis_is_found_by_its_url(url: str) -> None:
    settings = load(None, {"AIGATEWAY__REDIS__URL": url, "AIGATEWAY__REDIS__ENABLED": "true"})
    assert settings.redis.url is not None
    assert settings.redis.url.reveal() == url
    assert "hunter" not in str(describe(settings)["redis"])


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost",
        "localhost:6380",
        "redis://",
        "redis://:hunter@localhost:port/0",
        "redis://localhost:99999",
        "redis://localhost/first",
        "sentinel://one,two",
        "sentinel://one,,two/gateway",
        "rediss://:12345#hunter@localhost",
        "redis://:12345/hunter@localhost",
        "redis://user:12345?hunter@localhost/0",
    ],
)
def test_what_is_no_address_of_redis_is_refused_and_not_repeated(url: str) -> None:
    found = problems("", AIGATEWAY__REDIS__URL=url)
    assert len(found) == 1
    assert "redis.url" in found[0]
    assert "hunter" not in found[0]
    assert "12345" not in found[0]
