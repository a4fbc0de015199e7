"""Whatever an upstream answers is an answer that every client can be told, or the upstream's mistake."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from core.dialects.broken_requests import WRONG, places, replaced, without
from core.dialects.fuzz import (
    ANSWERS,
    DIALECTS,
    REFUSALS,
    STREAMS,
    check_answer,
    check_refusal,
    check_stream,
    check_tap,
    wire_of,
)

from aigateway_core.dialects.dialect import Dialect
from aigateway_core.jsontext import dumps

SIZES = [7, 30]

in_each_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)


def broken(whole: Any, *wrong: str) -> Iterator[Any]:
    """``whole`` with each of its values replaced by each of these in turn, and then left out."""
    for place in places(whole):
        for kind in wrong or WRONG:
            yield replaced(whole, place, WRONG[kind])
        yield without(whole, place)


@in_each_dialect
def test_a_wrong_value_anywhere_in_an_answer(dialect: Dialect) -> None:
    for body in broken(ANSWERS[dialect.name]):
        check_answer(dialect, dumps(body))


@in_each_dialect
@pytest.mark.parametrize("check", [check_stream, check_tap])
def test_a_wrong_value_anywhere_in_a_stream(dialect: Dialect, check: Any) -> None:
    for payloads in broken(STREAMS[dialect.name], "null", "a number", "a string", "an object"):
        check(dialect, (wire_of(payloads), SIZES))


@in_each_dialect
@pytest.mark.parametrize("status", [200, 400, 429, 500])
def test_a_wrong_value_anywhere_in_a_refusal(dialect: Dialect, status: int) -> None:
    for refusal in REFUSALS:
        for body in broken(refusal):
            check_refusal(dialect, (status, {}, dumps(body)))
