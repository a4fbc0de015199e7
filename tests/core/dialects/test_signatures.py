"""Thinking of other makers under the gateway's own signature."""

from __future__ import annotations

import time
import zlib
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigateway_core.dialects.signatures import (
    PREFIX,
    Sealed,
    client_redacted,
    client_signature,
    is_sealed,
    mark,
    redacted_from_client,
    seal,
    seal_part,
    thinking_from_client,
    unseal,
    unseal_part,
)
from aigateway_core.model import ThinkingPart

fast = settings(max_examples=60, deadline=None)

ORIGINS = st.none() | st.from_regex(r"[a-z][a-z0-9.-]{0,12}", fullmatch=True)
PARTS = st.builds(ThinkingPart, st.text(min_size=1).filter(str.strip), st.none() | st.text(min_size=1), ORIGINS)


@fast
@given(st.text(), st.none() | st.text(), ORIGINS)
def test_what_is_sealed_can_be_unsealed(text: str, signature: str | None, origin: str | None) -> None:
    sealed = seal(text, signature, origin)
    assert is_sealed(sealed)
    assert sealed.isascii()
    assert unseal(sealed) == Sealed(origin, text, signature)


@fast
@given(PARTS, st.booleans())
def test_thinking_comes_back_as_it_left_even_without_its_text(part: ThinkingPart, omitted: bool) -> None:
    signature = client_signature(part, "anthropic")
    if not is_sealed(signature):
        omitted = False
    assert thinking_from_client("" if omitted else part.text, signature, "anthropic") == part


@fast
@given(PARTS.filter(lambda part: part.signature and part.origin))
def test_a_marked_signature_comes_back_beside_its_text(part: ThinkingPart) -> None:
    marked = mark(part.signature or "", part.origin or "")
    assert is_sealed(marked)
    assert marked.isascii()
    assert thinking_from_client(part.text, marked, "anthropic") == part
    assert unseal_part(marked, part.text) == part


@fast
@given(st.text(min_size=1), ORIGINS)
def test_redacted_thinking_comes_back_as_it_left(data: str, origin: str | None) -> None:
    part = ThinkingPart("", origin=origin, redacted=data)
    assert redacted_from_client(client_redacted(part, "anthropic"), "anthropic") == part


def test_a_makers_own_signature_is_left_alone() -> None:
    part = ThinkingPart("hm", "EqQBCg==", "anthropic")
    assert client_signature(part, "anthropic") == "EqQBCg=="
    assert client_redacted(ThinkingPart("", origin="anthropic", redacted="Eq"), "anthropic") == "Eq"


def test_a_signature_that_looks_like_the_gateways_is_sealed_once_more() -> None:
    # As it is when the upstream is another gateway of the same make.
    part = ThinkingPart("hm", "gw1.glm.xyz", "anthropic")
    assert thinking_from_client("hm", client_signature(part, "anthropic"), "anthropic") == part


def test_a_signature_without_the_prefix_belongs_to_anthropic() -> None:
    assert thinking_from_client("hm", "EqQBCg==", "anthropic") == ThinkingPart("hm", "EqQBCg==", "anthropic")
    # Claude Code asks for thinking with display "omitted": text is empty, and the signature is all that matters.
    assert thinking_from_client("", "EqQBCg==", "anthropic") == ThinkingPart("", "EqQBCg==", "anthropic")


def test_thinking_without_a_signature_names_no_maker() -> None:
    assert thinking_from_client("hm", "", "anthropic") == ThinkingPart("hm")
    assert thinking_from_client(" \n", "", "anthropic") is None


@pytest.mark.parametrize("payload", ["", "!", "AAAA", urlsafe_b64encode(zlib.compress(b'{"a":1}')).decode(), "é"])
def test_a_damaged_payload_leaves_the_text_that_was_shown(payload: str) -> None:
    assert thinking_from_client("hm", f"{PREFIX}glm.{payload}", "anthropic") == ThinkingPart("hm", origin="glm")
    assert thinking_from_client("", f"{PREFIX}glm.{payload}", "anthropic") is None
    assert redacted_from_client(f"{PREFIX}glm.{payload}", "anthropic") is None


def test_a_payload_that_would_fill_the_memory_is_not_unpacked() -> None:
    bomb = urlsafe_b64encode(zlib.compress(b"[" + b" " * (64 << 20) + b"]")).decode()
    began = time.monotonic()
    assert unseal(f"{PREFIX}glm.{bomb}") == Sealed("glm", None)
    assert time.monotonic() - began < 1


def test_monotonous_thinking_is_sealed_all_the_same() -> None:
    text = "so " * 100_000
    assert unseal(seal(text, None, "glm")).text == text


@fast
@given(PARTS | st.builds(ThinkingPart, st.just(""), origin=ORIGINS, redacted=st.text()), st.text(max_size=5))
def test_a_whole_part_can_be_sealed_and_unsealed(part: ThinkingPart, shown: str) -> None:
    assert unseal_part(seal_part(part), shown) == part


def test_a_damaged_seal_leaves_the_text_that_was_shown() -> None:
    assert unseal_part("gw1.glm.!!!", "hm") == ThinkingPart("hm", origin="glm")
    assert unseal_part("gw1.glm.!!!") is None
