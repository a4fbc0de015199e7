from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigateway_core.dialects.identifiers import (
    digest,
    legal_tool_id,
    legal_tool_name,
    restoring_names,
    synthetic_tool_id,
)
from aigateway_core.model import HostedTool, Tool

LEGAL = re.compile(r"[A-Za-z0-9_-]+")


@pytest.mark.parametrize("call_id", ["call_1", "toolu_01AbC-9", "a", "x" * 40])
def test_a_legal_id_stays_as_it_is(call_id: str) -> None:
    assert legal_tool_id(call_id) == call_id


@given(st.text(max_size=120))
def test_every_id_becomes_legal_and_stays_so(call_id: str) -> None:
    legal = legal_tool_id(call_id)
    assert LEGAL.fullmatch(legal)
    assert len(legal) <= 40
    assert legal_tool_id(legal) == legal


@given(st.text(max_size=120))
def test_every_name_becomes_legal_and_stays_so(name: str) -> None:
    legal = legal_tool_name(name)
    assert LEGAL.fullmatch(legal)
    assert len(legal) <= 64
    assert legal_tool_name(legal) == legal


def test_long_ids_that_differ_at_the_end_stay_different() -> None:
    ids = {legal_tool_id("x" * 60 + end) for end in "abc"}
    assert len(ids) == 3
    assert all(call_id.startswith("x" * 31 + "_") for call_id in ids)


def test_the_same_id_is_shortened_the_same_way_in_every_process() -> None:
    assert legal_tool_id("call.with space:1") == "call_with_space_1_294d0b18"


def test_a_line_end_does_not_slip_through() -> None:
    assert legal_tool_id("call_1\n") != "call_1\n"


def test_an_id_may_be_longer_where_the_limit_is() -> None:
    assert legal_tool_id("x" * 60, limit=64) == "x" * 60


def test_only_changed_names_are_in_the_restoring_map() -> None:
    long = "mcp__" + "server" * 12 + "__get"
    names = restoring_names([Tool("clock"), Tool(long), HostedTool("web_search_20250305", "web search")])
    assert names == {legal_tool_name(long): long, legal_tool_name("web search"): "web search"}


def test_synthetic_ids_depend_on_the_answer_and_the_position() -> None:
    ids = [synthetic_tool_id("resp-1", 0), synthetic_tool_id("resp-1", 1), synthetic_tool_id("resp-2", 0)]
    assert len(set(ids)) == 3
    assert ids[0] == synthetic_tool_id("resp-1", 0)
    assert synthetic_tool_id("resp-1", 0, "toolu_").startswith("toolu_")


def test_a_digest_tells_its_parts_apart() -> None:
    assert digest("ab", "c") != digest("a", "bc")
