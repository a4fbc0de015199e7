"""Which network addresses may be connected to on the word of somebody other than the operator; what a proxy's URL says.

A base URL, a token endpoint or an outbound proxy that was written through the API must not lead into the network the
gateway stands in (server-side request forgery). Names are judged by what they resolve to, at the moment of connecting;
:mod:`aigateway_core.engine` asks, and everything that stores such a URL may ask beforehand.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import unquote, urlsplit

import attrs

from aigateway_core.secret import MASK

_GLOBAL_UNICAST_V6 = ip_network("2000::/3")
"""All that is assigned for global use (RFC 4291 §2.4). Every way of writing an IPv4 address as IPv6 lies outside of it
(mapped ``::ffff:0:0/96``, compatible ``::/96``, NAT64 ``64:ff9b::/96``) or is named below."""

_NEVER_PUBLIC = [
    ip_network(network)
    for network in (
        "192.0.0.0/24",  # IETF protocol assignments, RFC 6890
        "192.88.99.0/24",  # 6to4 relay, RFC 7526
        "2001::/23",  # IETF protocol assignments, Teredo among them: RFC 2928, RFC 4380
        "2001:db8::/32",  # documentation, RFC 3849
        "2002::/16",  # 6to4, which embeds any IPv4 address: RFC 3056
        "3fff::/20",  # documentation, RFC 9637
    )
]


def is_public(address: str) -> bool:
    """Whether ``address``, an IP address as text, belongs to the public internet."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv6Address) and (ip.scope_id or ip not in _GLOBAL_UNICAST_V6):
        return False
    if ip.is_multicast or not ip.is_global:
        return False
    return not any(ip.version == network.version and ip in network for network in _NEVER_PUBLIC)


def is_literal(host: str) -> bool:
    """Whether ``host`` is an address, in good form or bad, rather than a name: nothing of this kind is resolved."""
    return ":" in host or host.replace(".", "").isdigit()


@attrs.frozen
class Destinations:
    """What may be connected to: the public internet, and the private places the operator has named."""

    _named: frozenset[tuple[str, int | None]] = frozenset()

    @classmethod
    def allowing(cls, private_hosts: Iterable[str]) -> Destinations:
        """With ``security.allow_private_hosts``: names or addresses, each with or without ``:port``."""
        return cls(frozenset(_host_and_port(entry) for entry in private_hosts))

    def permits(self, host: str, port: int, address: str) -> bool:
        """Whether ``address``, which ``host`` resolved to, may be connected to."""
        return is_public(address) or self._names(host, port) or self._names(address, port)

    def permits_host(self, host: str, port: int) -> bool:
        """Whether ``host`` may be asked for at all. A name always may: it is judged when it has been resolved."""
        return not is_literal(host) or self.permits(host, port, host)

    def _names(self, host: str, port: int) -> bool:
        host = _canonical(host)
        return (host, None) in self._named or (host, port) in self._named


PUBLIC_ONLY = Destinations()
"""Nothing private at all."""

_PROXY_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


@attrs.frozen(kw_only=True)
class ProxyAddress:
    """An outbound proxy's URL, taken apart so that its credentials stand in no URL, and so in no message."""

    scheme: str
    host: str
    port: int
    username: str | None = None
    password: str | None = attrs.field(default=None, repr=False)

    @property
    def is_socks(self) -> bool:
        """Whether it speaks SOCKS5 rather than HTTP."""
        return self.scheme.startswith("socks5")

    @property
    def origin(self) -> str:
        """The URL without its credentials."""
        return f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        """What an HTTP proxy is shown for its credentials (RFC 7617); empty without any, and for SOCKS."""
        if self.username is None or self.is_socks:
            return {}
        return {"Proxy-Authorization": "Basic " + b64encode(f"{self.username}:{self.password}".encode()).decode()}

    @classmethod
    def parse(cls, url: str) -> ProxyAddress:
        """Raises :class:`ValueError`, whose text does not repeat ``url``."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError(_NO_PROXY) from None
        if (
            parts.scheme not in _PROXY_PORTS
            or not parts.hostname
            or parts.path.strip("/")
            or parts.query
            or parts.fragment
        ):
            raise ValueError(_NO_PROXY)
        return cls(
            scheme=parts.scheme,
            host=parts.hostname,
            port=port or _PROXY_PORTS[parts.scheme],
            username=None if parts.username is None else unquote(parts.username),
            password=None if parts.username is None else unquote(parts.password or ""),
        )


def password_in(url: str) -> str | None:
    """The password in an outbound proxy's URL, if it is one and has one."""
    try:
        return ProxyAddress.parse(url).password or None
    except ValueError:
        return None


def proxy_url_problems(url: str | None, path: str, destinations: Destinations) -> list[str]:
    """What is wrong with the URL of an outbound proxy. A name is judged only when it is connected to."""
    if url is None:
        return []
    try:
        proxy = ProxyAddress.parse(url)
    except ValueError as error:
        return [f"{path}: {error}"]
    if proxy.password == MASK:
        return [f"{path}: has {MASK} for a password, which is only shown in its place; leave {path} out to keep it"]
    if not destinations.permits_host(proxy.host, proxy.port):
        return [f"{path}: is not a public address; name it in security.allow_private_hosts to allow it"]
    return []


def trouble_with_redis(url: str) -> str | None:
    """What is wrong with the URL of a Redis, said without repeating it: there may be a password in it."""
    try:
        parts = urlsplit(url)
        if parts.fragment or "@" in parts.path or "@" in parts.query.partition("=")[0]:
            return "a / in its password is written %2F, a ? %3F, and a # %23"
        hosts = parts.netloc.rpartition("@")[2].split(",")
        ports = [int(port) for _, colon, port in (host.rpartition(":") for host in hosts) if colon]
    except ValueError:
        return "is not a URL"
    if parts.scheme not in ("redis", "rediss", "sentinel") or not all(hosts) or not all(0 < p < 65536 for p in ports):
        return "expected redis://host:port/db, rediss://host:port/db or sentinel://host:port,host:port/name/db"
    path = parts.path.removeprefix("/")
    service, _, database = path.partition("/") if parts.scheme == "sentinel" else ("-", "", path)
    if not service:
        return "names no service: sentinel://host:port,host:port/name/db"
    return "the number of the database is none" if database and not database.isdigit() else None


def trouble_with_network(text: str) -> str | None:
    """What is wrong with it, if it is neither an address nor a network."""
    try:
        ip_network(text)
    except ValueError:
        return f"expected an address or a network, like 10.0.0.7 or 10.0.0.0/8, instead of {text!r}"
    return None


_HOST = re.compile(r"(?:[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?", re.IGNORECASE | re.ASCII)


def trouble_with_host(text: str) -> str | None:
    """What is wrong with it, if it is not what a client may say in the header ``Host``."""
    if _HOST.fullmatch(text):
        return None
    any_host = "; to take requests for any, leave the list empty" if text == "*" else ""
    return f"expected a host name, like gateway.example.com, 10.0.0.7:8088 or [::1], instead of {text!r}{any_host}"


_NO_PROXY = "an outbound proxy is written scheme://host:port; the scheme is http, https, socks5 or socks5h"


def _host_and_port(entry: str) -> tuple[str, int | None]:
    host, colon, port = entry.strip().rpartition(":")
    if colon and port.isdigit() and (":" not in host or host.endswith("]")):
        return _canonical(host), int(port)
    return _canonical(entry.strip()), None


def _canonical(host: str) -> str:
    host = host.strip("[]").rstrip(".").lower()
    try:
        ip: IPv4Address | IPv6Address = ip_address(host)
    except ValueError:
        return host
    return str(ip)
