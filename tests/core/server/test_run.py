"""What the server listens on, and how the settings reach it."""

from __future__ import annotations

import resource
import socket

import pytest

from aigateway_core.errors import ConfigurationError
from aigateway_core.server import listening, run
from aigateway_core.server.guard import Guard
from aigateway_core.settings import ServerSettings


async def nothing(scope: object, receive: object, send: object) -> None:
    """An app."""


def addresses(host: str) -> set[str]:
    listeners = listening.listen(ServerSettings(host=host, port=0))
    found = {listener.getsockname()[0] for listener in listeners}
    for listener in listeners:
        listener.close()
    return found


@pytest.mark.parametrize(("host", "found"), [("127.0.0.1", {"127.0.0.1"}), ("0.0.0.0", {"0.0.0.0"})])
def test_an_address_is_listened_on(host: str, found: set[str]) -> None:
    assert addresses(host) == found


def test_every_address_of_a_name_is_listened_on() -> None:
    assert {"127.0.0.1"} <= addresses("localhost") <= {"127.0.0.1", "::1"}


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_ipv6_address_may_have_brackets(host: str) -> None:
    assert addresses(host) == {"::1"}


def test_an_address_that_is_not_here_is_skipped_when_there_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*args: object, **kwargs: object) -> list[object]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("203.0.113.7", 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
        ]

    monkeypatch.setattr("socket.getaddrinfo", getaddrinfo)
    assert addresses("gateway.test") == {"127.0.0.1"}


@pytest.mark.parametrize("host", ["203.0.113.7", "no-such-host.invalid"])
def test_an_address_that_is_not_here_is_refused(host: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"server\.host, server\.port: cannot listen on {host}:0: .*--host"):
        listening.listen(ServerSettings(host=host, port=0))


@pytest.mark.parametrize("host", ["a" * 300, "a..b"])
def test_what_no_host_can_be_called_is_refused(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"server\.host, server\.port: cannot listen on .*this is no host"):
        listening.listen(ServerSettings(host=host, port=0))


def test_a_port_that_is_taken_on_one_address_is_refused_on_all(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.2", 0))
        taken.listen()
        port = taken.getsockname()[1]

        def getaddrinfo(*args: object, **kwargs: object) -> list[object]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{last}", port)) for last in (1, 2, 3)]

        monkeypatch.setattr("socket.getaddrinfo", getaddrinfo)
        with pytest.raises(ConfigurationError, match="in use"):
            listening.listen(ServerSettings(host="localhost", port=port))


def test_a_port_belongs_to_us_before_anything_is_served() -> None:
    [listener] = listening.listen(ServerSettings(port=0))
    with pytest.raises(ConfigurationError, match="in use"):
        listening.listen(ServerSettings(port=listener.getsockname()[1]))
    listener.close()


@pytest.mark.parametrize(
    ("seconds", "milliseconds"), [(7.5, 7500), (3_000_000, 2**31 - 1), (1e306, 2**31 - 1), (0.0001, 1)]
)
def test_connections_whose_client_takes_nothing_die_by_themselves(seconds: float, milliseconds: int) -> None:
    [listener] = listening.listen(ServerSettings(port=0, send_timeout=seconds))
    assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == milliseconds
    listener.close()


def test_the_settings_reach_the_guard_and_uvicorn() -> None:
    settings = ServerSettings(
        max_body_bytes=1,
        body_timeout=2.0,
        send_timeout=3.0,
        keepalive_interval=4.0,
        max_concurrency=5,
        allowed_hosts=("a",),
        header_timeout=6.0,
        drain_timeout=7.2,
    )
    limits = run._limits(settings)
    assert (limits.max_body_bytes, limits.body_timeout, limits.send_timeout) == (1, 2.0, 3.0)
    assert (limits.keepalive_interval, limits.max_concurrency, limits.allowed_hosts) == (4.0, 5, ("a",))
    config = run._config(Guard(nothing, limits), settings)
    assert config.timeout_graceful_shutdown == 11
    assert (config.access_log, config.server_header, config.proxy_headers, config.ws) == (False, False, False, "none")
    assert getattr(config.http, "header_timeout", None) == 6.0


def test_s_14_a_crash_leaves_no_image_of_the_memory() -> None:
    before = resource.getrlimit(resource.RLIMIT_CORE)
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
        listening.leave_no_core()
        assert resource.getrlimit(resource.RLIMIT_CORE) == (0, before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)


def test_the_limit_on_files_is_raised_as_far_as_it_may_be() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = 256
    resource.setrlimit(resource.RLIMIT_NOFILE, (low, hard))
    try:
        listening.raise_file_limit()
        raised = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        assert raised == (65_536 if hard == resource.RLIM_INFINITY else min(65_536, hard))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
