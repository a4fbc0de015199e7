"""Which addresses are public, which destinations are permitted, and what a proxy's URL says."""

from __future__ import annotations

import pytest

from aigateway_core.addresses import Destinations, ProxyAddress, is_literal, is_public

PRIVATE = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:7f00:1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "2606:4700::1%eth0",
    "fec0::1",
    "ff02::1",
]

PUBLIC = ["1.1.1.1", "8.8.8.8", "100.63.255.255", "172.32.0.1", "192.0.1.1", "2606:4700::1111", "2a00:1450:4001::200e"]


@pytest.mark.parametrize("address", PRIVATE)
def test_it_is_not_public(address: str) -> None:
    assert not is_public(address)
    assert not Destinations().permits("vendor.test", 443, address)


@pytest.mark.parametrize("address", PUBLIC)
def test_it_is_public(address: str) -> None:
    assert is_public(address)
    assert Destinations().permits("vendor.test", 443, address)


@pytest.mark.parametrize(
    "text", ["", "localhost", "127.1", "2130706433", "0x7f000001", "017700000001", "1.1.1.1.", "１.1.1.1", "1.1.1.256"]
)
def test_what_is_no_address_is_not_public(text: str) -> None:
    assert not is_public(text)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "127.1", "0", "127.0.0.1.", "::1", "fe80::1%25eth0", "０.０.０.０"]
)
def test_an_address_is_a_literal_however_odd(host: str) -> None:
    assert is_literal(host)
    assert not Destinations().permits_host(host, 80)


@pytest.mark.parametrize("host", ["vendor.test", "localhost", "0x7f000001", "1e100.net", "a1"])
def test_a_name_is_no_literal_and_is_judged_later(host: str) -> None:
    assert not is_literal(host)
    assert Destinations().permits_host(host, 80)


@pytest.mark.parametrize(
    ("entry", "host", "port", "permitted"),
    [
        ("llm.lan", "llm.lan", 11434, True),
        ("llm.lan", "LLM.lan.", 443, True),
        ("llm.lan", "other.lan", 11434, False),
        ("llm.lan", "evil.llm.lan", 11434, False),
        ("llm.lan:11434", "llm.lan", 11434, True),
        ("llm.lan:11434", "llm.lan", 22, False),
        ("192.168.1.5", "llm.lan", 80, True),
        ("192.168.1.5", "192.168.1.5", 80, True),
        ("192.168.1.5:80", "192.168.1.5", 81, False),
        ("192.168.1.6", "192.168.1.5", 80, False),
    ],
)
def test_private_places_are_permitted_by_name_or_address(entry: str, host: str, port: int, permitted: bool) -> None:
    assert Destinations.allowing([entry]).permits(host, port, "192.168.1.5") is permitted


@pytest.mark.parametrize("entry", ["::1", "[::1]", "[::1]:8080", "0:0:0:0:0:0:0:1"])
def test_an_ipv6_address_may_be_written_with_or_without_brackets(entry: str) -> None:
    assert Destinations.allowing([entry]).permits_host("::1", 8080)
    assert not Destinations.allowing([entry]).permits_host("::2", 8080)


def test_a_proxy_url_is_taken_apart() -> None:
    assert ProxyAddress.parse("socks5://us%40er:p%3Ass@proxy.test:9050") == ProxyAddress(
        scheme="socks5", host="proxy.test", port=9050, username="us@er", password="p:ss"
    )
    assert ProxyAddress.parse("http://[::1]").port == 80
    assert ProxyAddress.parse("https://proxy.test/").port == 443
    assert ProxyAddress.parse("socks5h://token@proxy.test") == ProxyAddress(
        scheme="socks5h", host="proxy.test", port=1080, username="token", password=""
    )


def test_a_proxy_shows_no_password() -> None:
    assert "hunter22" not in repr(ProxyAddress.parse("http://me:hunter22@proxy.test:1"))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "proxy.test:80",
        "foo://hunter22@proxy.test",
        "socks4://proxy.test:1",
        "http://",
        "http://a:hunter22@proxy.test:port",
        "http://[::1",
        "http://a:hunter22@proxy.test/x",
        "http://proxy.test?x=hunter22",
    ],
)
def test_what_is_no_proxy_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="scheme://host:port") as caught:
        ProxyAddress.parse(url)
    assert "hunter22" not in str(caught.value)
    assert caught.value.__cause__ is None
