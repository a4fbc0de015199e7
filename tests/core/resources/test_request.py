from __future__ import annotations

from typing import Any

import falcon
import pytest

from aigateway_core.resources.request import GatewayRequest

pytestmark = pytest.mark.anyio


def request(*headers: tuple[bytes, bytes], first: Any = None, later: Any = ()) -> GatewayRequest:
    messages = iter(later)

    async def receive() -> Any:
        return next(messages)

    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": list(headers)}
    return GatewayRequest(scope, receive, first_event=first)


def test_a_header_is_found_whatever_its_case_and_a_missing_one_is_none() -> None:
    asked = request((b"x-a", b"one"), (b"x-b", "naïve".encode("latin-1")))
    assert (asked.get_header("X-A"), asked.get_header("x-b")) == ("one", "naïve")
    assert asked.get_header("x-c") is None
    assert asked.get_header("x-c", default="two") == "two"


def test_headers_of_one_name_are_one_list() -> None:
    asked = request((b"x-forwarded-for", b"10.0.0.1"), (b"x-forwarded-for", b"10.0.0.2"))
    assert asked.get_header("x-forwarded-for") == "10.0.0.1,10.0.0.2"


def test_a_header_that_is_required_is_missed_as_falcon_misses_it() -> None:
    assert request((b"x-a", b"one")).get_header("x-a", required=True) == "one"
    with pytest.raises(falcon.HTTPMissingHeader):
        request().get_header("x-a", required=True)


@pytest.mark.parametrize(
    ("first", "later"),
    [
        (b"{}", []),
        (b"", [b"{}"]),
        (b"{", [b"", b"}"]),
        (b"", [b"{", b"}", b""]),
    ],
)
async def test_a_body_is_read_whatever_its_pieces(first: bytes, later: list[bytes]) -> None:
    rest = [{"type": "http.request", "body": part, "more_body": True} for part in later]
    if rest:
        del rest[-1]["more_body"]
    begin = {"type": "http.request", "body": first, "more_body": bool(rest)}
    assert await request(first=begin, later=rest).stream.read() == b"{}"


async def test_a_request_without_a_body_has_an_empty_one() -> None:
    assert await request(first={"type": "http.request"}).stream.read() == b""
