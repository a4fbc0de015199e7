"""What is wrong with a request before anybody looks at what it asks for: its framing, its headers, its path.

httptools refuses most malformed requests by itself; what it lets through is refused here (two ``Host`` headers, an
unbounded header, a path that two readers would read differently).
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import chain, count
from typing import Any, TypeAlias

import attrs

from aigateway_core.relaying import FIRST, RELAYED, agent

_HOST = re.compile(rb"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")
_ONCE = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"content-type", b"content-encoding", b"authorization"}
    | {b"x-api-key", b"x-goog-api-key"}
)
"""Headers of which two mean that somebody on the way may have read the other one."""
_ODD_PATH = re.compile(r"//|\\|\x00|/\.\.?(?:/|$)")

_JSON = re.compile(rb"application/json\s*(?:;\s*charset=\"?utf-?8\"?\s*)?;?\s*", re.IGNORECASE)
_NOT_JSON = (
    "the body must be JSON, and say so: send the header content-type: application/json "
    "(with curl: -H 'content-type: application/json')"
)
"""What a web page may send to any server unasked is of another type, or of none (Fetch, "CORS-safelisted
request-header"): a gateway that asks for no key on this machine would answer every page that is open here."""

_FIRST, _RELAYED = FIRST.encode(), RELAYED.encode()
_GOES_ROUND = (
    "this request has passed through two gateways already, and seems to go round in a circle: "
    "look where the base_url of its provider leads"
)

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")

MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 << 10
MAX_TARGET_BYTES = 8 << 10


@attrs.frozen
class Refusal:
    """An answer instead of the app's: status, and a sentence for people."""

    status: int
    message: str


Inspected: TypeAlias = tuple[int | None, bytes]
"""A request that may go on: the length of its body in bytes, None when only its end will tell; and its id."""


class Inspector:
    """Looks at every request; ``allowed_hosts`` are the names it may be addressed by, none for any.

    For the paths ``always_admitted`` it may be any name: probes ask by address, and learn nothing else there.
    """

    def __init__(self, allowed_hosts: Iterable[str] = (), always_admitted: Set[str] = frozenset()) -> None:
        self._always_admitted = always_admitted
        self._hosts = frozenset(host.lower().encode() for host in allowed_hosts)
        self._good_path: str | None = None
        self._good_host: bytes | None = None
        """What the last request was addressed to: mostly the next one as well."""

    def inspect(self, scope: Mapping[str, Any]) -> Inspected | Refusal:
        """Whether the request may go on."""
        if scope["http_version"] not in {"1.0", "1.1"}:
            return Refusal(505, "this server speaks HTTP/1.1")
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_TARGET_BYTES:
            return Refusal(414, "the address is too long")
        headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
        if len(headers) > MAX_HEADERS or sum(map(len, chain.from_iterable(headers))) > MAX_HEADER_BYTES:
            return Refusal(431, "the headers are too large")
        found = dict(headers)
        if len(found) < len(headers) and (name := _twice(headers)) is not None:
            return Refusal(400, f"the header {name.decode()} may be given only once")
        if (path := scope["path"]) != self._good_path:
            if _ODD_PATH.search(path):
                return Refusal(404, "there is nothing at this address")
            self._good_path = path
        if (sent_by := found.get(b"user-agent", b"")).startswith(_FIRST):
            if sent_by == _RELAYED:
                return Refusal(508, _GOES_ROUND)
            agent.set(RELAYED)
        host = found.get(b"host", b"")
        if host != self._good_host and (refusal := self._misnamed(host, path)) is not None:
            return refusal
        return _framed(found, scope["http_version"])

    def _misnamed(self, host: bytes, path: str) -> Refusal | None:
        if not _HOST.fullmatch(host):
            return Refusal(400, "the header host is missing or malformed")
        if self._hosts and host.lower() not in self._hosts and host.lower().rpartition(b":")[0] not in self._hosts:
            if path in self._always_admitted:
                return None
            return Refusal(400, "this server does not go by that name (server.allowed_hosts)")
        self._good_host = host
        return None


def _framed(found: dict[bytes, bytes], version: str) -> Inspected | Refusal:
    length, coding = found.get(b"content-length"), found.get(b"transfer-encoding")
    if coding is not None and (length is not None or coding.strip().lower() != b"chunked" or version == "1.0"):
        return Refusal(400, "the length of the body is given in two ways, or in an unknown one")
    if length is not None and not length.isdigit():
        return Refusal(400, "the header content-length is no length")
    if b"content-encoding" in found and found[b"content-encoding"].strip().lower() != b"identity":
        return Refusal(415, "the body must come as it is, without content-encoding")
    has_body = coding is not None or (length is not None and length.strip(b"0"))
    if has_body and (kind := found.get(b"content-type", b"")) != b"application/json" and not _JSON.fullmatch(kind):
        return Refusal(415, _NOT_JSON)
    return None if coding is not None else int(length or 0), fitting_id(found.get(b"x-request-id"))


def _twice(headers: Sequence[tuple[bytes, bytes]]) -> bytes | None:
    """A header that is there more often than once and must not be."""
    names = Counter(name for name, _ in headers)
    return next((name for name, times in names.items() if times > 1 and name in _ONCE), None)


_MARK = os.urandom(8).hex().encode()
_numbers = count()


def fitting_id(given: bytes | None) -> bytes:
    """The client's own id for its request when that is a fitting one, else one that no other request has."""
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given
    # Nobody has to be kept from guessing it, so that it is random in each process and counted within.
    return b"req_%b%08x" % (_MARK, next(_numbers) & 0xFFFFFFFF)
