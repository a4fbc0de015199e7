from __future__ import annotations

from typing import Any

import pytest

from aigateway_core.resources.request import GatewayRequest

pytestmark = pytest.mark.anyio


def request(*headers: tuple[bytes, bytes], first: Any = None, later: Any = ()) -> GatewayRequest:
    messages = iter(later)

    async def receive() -> Any:
        return next(messages)

    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": list(headers)}
    return GatewayRequest(scope, receive, first_event=first)


def test_headers_are_named_in_lower_case_and_those_of_one_name_are_one_list() -> None:
    asked = request(
        (b"x-forwarded-for", b"10.0.0.1"), (b"x-b", "naïve".encode("latin-1")), (b"x-forwarded-for", b"10.0.0.2")
    )
    assert asked.headers == {"x-forwarded-for": "10.0.0.1,10.0.0.2", "x-b": "naïve"}


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
    assert await request(first=begin, later=rest).read() == b"{}"


async def test_a_request_without_a_body_has_an_empty_one() -> None:
    assert await request(first={"type": "http.request"}).read() == b""
