"""What reads foreign bytes besides the dialects: JSON, token answers, URLs, keys, waits and heads.

Each may refuse with the error that it declares, and with no other; what it says holds none of the secrets it was given.
"""

from __future__ import annotations

import base64
import contextvars
import json
import math
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from core.dialects.broken_requests import FULL
from core.dialects.damage import JSON, damaged, garbled, swollen
from core.fuzz_target import Target
from hypothesis import strategies as st

from aigateway_core.addresses import (
    PUBLIC_ONLY,
    Destinations,
    ProxyAddress,
    password_in,
    proxy_url_problems,
    trouble_with_network,
    trouble_with_redis,
)
from aigateway_core.affinity import conversation
from aigateway_core.builtin.oauth.answers import claims, read_tokens, refusal
from aigateway_core.dialects.waits import duration, retry_after, until, wait_in
from aigateway_core.errors import ConfigurationError, InvalidRequestError, UpstreamError, UpstreamFailure
from aigateway_core.jsontext import dumps, loads_arguments, loads_object, loads_upstream
from aigateway_core.logins import Answer
from aigateway_core.server.inspection import Inspector, Refusal
from aigateway_core.vault import KeyRing, Place, VaultError, key_id

CANARY = "sk-canary-7Q2x"
"""What no error may repeat."""

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def bent(text: str) -> st.SearchStrategy[str]:
    """``text``, and what may become of it on the way."""
    return garbled(text.encode()).map(lambda wire: wire.decode("utf-8", "replace")) | st.just(text)


def one_of(texts: Iterable[str]) -> st.SearchStrategy[str]:
    return st.sampled_from(list(texts)).flatmap(bent) | TEXT


def assert_quiet(error: Exception) -> None:
    """It says something, briefly, and repeats no secret."""
    told = f"{error} {error!r} {getattr(error, 'code', '')}"
    assert 0 < len(str(error)) < 400
    assert CANARY not in told
    assert MASTER[:16] not in told


# -- JSON

BODIES: list[bytes] = [
    *(dumps(body) for body in FULL.values()),
    b'{"a": {"b": [1, 2.5e3, -0.0, true, null, "\\ud83d\\ude00"]}, "c": 123456789012345678901234567890}',
    b'{"a": 1, "a": 2}',
    b'{"a":' * 70 + b"1" + b"}" * 70,
    b'{"a": "\\ud800"}',
    b'{"a": 1e400, "b": NaN}',
    b'\xef\xbb\xbf{"a": 1}',
    b'{"a": "\xc0\xaf"}',
]


def check_json(raw: bytes) -> None:
    """It is an object that is written and read again as the same, for everybody alike; or it is refused, briefly."""
    for loads, declared in (
        (loads_object, InvalidRequestError),
        (loads_arguments, InvalidRequestError),
        (loads_upstream, UpstreamError),
    ):
        try:
            value = loads(raw)
        except declared as error:
            assert_quiet(error)
            continue
        assert type(value) is dict
        again = dumps(value)
        assert loads(again) == value
        assert json.loads(again) == value
        again.decode("utf-8")


# -- what identity providers answer

TOKENS: dict[str, Any] = {
    "access_token": CANARY,
    "refresh_token": CANARY + "-refresh",
    "token_type": "Bearer",
    "expires_in": 3600,
    "id_token": "e30." + base64.urlsafe_b64encode(b'{"sub": "1", "email": "a@b.test"}').decode().rstrip("=") + ".c2ln",
}
REFUSALS: list[Any] = [
    {"error": "invalid_grant", "error_description": f"the token {CANARY} is over"},
    {"error": {"status": "UNAUTHENTICATED", "code": 401, "message": CANARY}},
    {"error": CANARY},
]


def check_tokens(raw: bytes) -> None:
    """They are tokens, or it is the identity provider's mistake; neither is ever shown."""
    try:
        tokens = read_tokens(raw, NOW)
    except UpstreamError as error:
        assert_quiet(error)
        return
    assert CANARY not in repr(tokens)
    assert tokens.expires_at.tzinfo is not None
    assert tokens.access_token.isprintable()
    assert isinstance(claims(tokens.id_token), dict)


def check_token_refusal(given: tuple[int, dict[str, str], bytes]) -> None:
    """It means something, and repeats nothing of what was sent."""
    error = refusal(UpstreamFailure(*given))
    assert isinstance(error, UpstreamError)
    assert_quiet(error)
    assert error.retry_after is None or 0 <= error.retry_after < math.inf


def check_claims(text: str) -> None:
    """An object, whatever it is."""
    assert isinstance(claims(text), dict)


PASTED = [
    "http://localhost:1455/auth/callback?code=abc&state=xyz",
    "http://localhost:1455/auth/callback?error=access_denied&state=xyz",
    "abc#xyz",
    "http://[::1/?code=a&state=b",
]


def check_pasted(text: str) -> None:
    """It is the answer to a login, or is refused."""
    with suppress(InvalidRequestError):
        Answer.pasted(text, "xyz")


# -- addresses

PROXIES = [
    f"http://me:{CANARY}@proxy.test:3128",
    f"socks5h://me:{CANARY}@[2001:db8::1]:1080/",
    "https://10.0.0.1",
    f"http://%0d%0aX:{CANARY}%0d%0a@proxy.test:80",
    "http://[::1",
]


def check_proxy(url: str) -> None:
    """It is a proxy whose credentials stand nowhere else, or is refused without being repeated."""
    problems = [*proxy_url_problems(url, "proxy_url", PUBLIC_ONLY), trouble_with_redis(url) or ""]
    assert not any(CANARY in problem for problem in problems)
    try:
        proxy = ProxyAddress.parse(url)
    except ValueError as error:
        assert_quiet(error)
        assert password_in(url) is None
        return
    assert (proxy.password or "") not in repr(proxy) or len(proxy.password or "") < 8
    assert proxy.username is None or CANARY not in proxy.origin or CANARY in proxy.host
    assert ProxyAddress.parse(proxy.origin).origin == proxy.origin
    assert 0 < proxy.port < 65536
    assert all(value.isascii() and value.isprintable() for value in proxy.headers.values())


PLACES = st.tuples(
    one_of(["api.test", "127.0.0.1", "[::1]"]), st.integers(0, 65535), one_of(["a.test:80", "10.0.0.0/8"])
)


def check_destination(given: tuple[str, int, str]) -> None:
    """What is no public address is let through by no way of writing it."""
    host, port, entry = given
    trouble_with_network(entry)
    Destinations.allowing([entry]).permits_host(host, port)
    for private in ("127.0.0.1", "10.0.0.1", "::1", "::ffff:10.0.0.1", "169.254.169.254", "fe80::1", "64:ff9b::a00:1"):
        assert not PUBLIC_ONLY.permits(host, port, private)


# -- keys

RING = KeyRing([b"1" * 32])
PLACE = Place("accounts", "auth_data", "1")
SEALED = RING.seal(CANARY, PLACE)
HASH = RING.hash_key(f"gwk_0123abcd_{CANARY}")
MASTER = base64.b64encode(b"1" * 32).decode()


def check_key(given: tuple[str, str]) -> None:
    """A key opens its own hash alone; the name in it is short, or there is none."""
    key, stored = given
    assert len(key_id(key)) <= 64
    if RING.verify(key, stored):
        assert stored == RING.hash_key(key)
    assert not RING.verify(key, None)


def check_sealed(text: str) -> None:
    """It opens if it is what was sealed, where it was sealed; and is refused otherwise."""
    for place in (PLACE, Place("accounts", "auth_data", "2")):
        try:
            opened = RING.open(text, place)
        except VaultError as error:
            assert_quiet(error)
        else:
            assert (opened, place) == (CANARY, PLACE)


def check_master_key(text: str) -> None:
    """It is a ring, or is refused without being repeated."""
    try:
        ring = KeyRing.parse(text)
    except ConfigurationError as error:
        assert_quiet(error)
    else:
        assert MASTER[:16] not in repr(ring)


# -- waits, conversations, heads

WAITS = ["3", "Wed, 21 Oct 2026 07:28:00 GMT", "1e9", "-1", "3.5s", "1h2m3s", "2026-01-01T00:00:00Z", "٣", "9" * 400]


def check_wait(text: str) -> None:
    """It is a time that can be waited for, or none."""
    found = [duration(text), until(text), wait_in(f"try again in {text}")]
    found += [retry_after({name: text}) for name in ("retry-after", "retry-after-ms", "x-ratelimit-reset-requests")]
    assert all(seconds is None or 0 <= seconds < math.inf for seconds in found)


def check_conversation(given: tuple[Any, str]) -> None:
    """It has a name, or none, whatever the body holds in the places where names are looked for."""
    body, header = given
    for found in (conversation("caller", lambda _: header, body), conversation("caller", lambda _: None, body)):
        assert found is None or found.key.isprintable()


HEADERS = st.sampled_from(
    [b"host", b"content-length", b"transfer-encoding", b"content-type", b"user-agent", b"x-request-id", b"x-api-key"]
)
_SAID = [b"a.test", b"2", b"chunked", b"application/json", b"aigateway (relayed)", b""]
VALUES = st.sampled_from(_SAID).flatmap(garbled)
HEADS = st.tuples(TEXT, st.binary(max_size=20), st.lists(st.tuples(HEADERS, VALUES), max_size=8))


def check_head(given: tuple[str, bytes, list[tuple[bytes, bytes]]]) -> None:
    """It may go on, or it is refused with a status and a sentence."""
    path, query, headers = given
    scope = {"http_version": "1.1", "path": path, "raw_path": path.encode(), "query_string": query, "headers": headers}
    # What it finds out about the client is told to the rest of the request: here there is none.
    found = contextvars.copy_context().run(Inspector(["a.test"]).inspect, scope)
    if isinstance(found, Refusal):
        assert found.status in {400, 404, 414, 415, 431, 505, 508}
        assert found.message.isprintable()
    else:
        declared, request_id = found
        assert declared is None or declared >= 0
        assert b"\n" not in request_id


def _objects(whole: Any) -> st.SearchStrategy[bytes]:
    return (damaged(whole) | swollen(whole) | JSON).map(dumps).flatmap(garbled) | st.binary(max_size=60)


TARGETS: tuple[Target, ...] = (
    Target("JSON", st.sampled_from(BODIES).flatmap(garbled) | st.binary(max_size=60), check_json),
    Target("token answers", _objects(TOKENS), check_tokens),
    Target(
        "token refusals",
        st.tuples(
            st.integers(200, 599),
            st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms"]), st.sampled_from(WAITS).flatmap(bent)),
            st.sampled_from(REFUSALS).flatmap(_objects),
        ),
        check_token_refusal,
    ),
    Target("id tokens", bent(TOKENS["id_token"]) | TEXT, check_claims),
    Target("answers to logins", one_of(PASTED), check_pasted),
    Target("URLs of proxies", one_of(PROXIES), check_proxy),
    Target("destinations", PLACES, check_destination),
    Target("keys", st.tuples(one_of([f"gwk_0123abcd_{CANARY}"]), bent(HASH) | TEXT), check_key),
    Target("sealed values", bent(SEALED) | TEXT, check_sealed),
    Target("master keys", one_of([MASTER, f"{MASTER},{MASTER}", f"{MASTER}\n{MASTER[:-4]}AAA="]), check_master_key),
    Target("waits", one_of(WAITS), check_wait),
    Target(
        "conversations",
        st.tuples(st.sampled_from(list(FULL.values())).flatmap(damaged).filter(lambda it: isinstance(it, dict)), TEXT),
        check_conversation,
    ),
    Target("heads", HEADS, check_head),
)
