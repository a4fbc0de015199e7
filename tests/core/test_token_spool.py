"""The folder in which renewed tokens wait: what is in it, for whose eyes, and what a kill or another key does to it."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigateway_core.token_spool import RenewedTokens, TokenSpool
from aigateway_core.vault import KeyRing

RING = KeyRing([bytes(range(32))])
OTHER = KeyRing([bytes(range(1, 33))])
TOKENS = RenewedTokens(
    account_id="a-1",
    spent=3,
    auth_data={"access_token": "canary-at", "refresh_token": "canary-rt"},
    expires_at=datetime(2026, 5, 4, 12, tzinfo=UTC),
)


@pytest.fixture
def spool(tmp_path: Path) -> TokenSpool:
    return TokenSpool(tmp_path / "tokens", RING)


def test_what_waits_is_found_by_account_and_generation_until_it_is_removed(spool: TokenSpool) -> None:
    assert (spool.of("a-1", 3), list(spool.all())) == (None, [])
    spool.put(TOKENS)
    assert spool.of("a-1", 3) == TOKENS
    assert spool.of("a-1", 4) is None
    assert spool.of("a-2", 3) is None
    assert list(spool.all()) == [TOKENS]
    spool.remove(TOKENS)
    spool.remove(TOKENS)
    assert (spool.of("a-1", 3), list(spool.all())) == (None, [])


def test_the_last_answer_takes_the_place_of_the_one_before(spool: TokenSpool) -> None:
    later = RenewedTokens(account_id="a-1", spent=3, auth_data={"access_token": "later"})
    spool.put(TOKENS)
    spool.put(later)
    assert list(spool.all()) == [later]


def test_only_the_owner_can_read_it_and_nothing_of_it_is_in_clear(spool: TokenSpool) -> None:
    spool.put(TOKENS)
    (file,) = spool.folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(spool.folder.stat().st_mode) == 0o700
    shown = file.name + file.read_text() + repr(TOKENS)
    assert not any(word in shown for word in ("canary", "access_token", "a-1-"))


@pytest.mark.parametrize(
    "content", [b"", b"v1:00000000:AAAA", b"\xff\xfe", None], ids=["empty", "odd", "bytes", "swap"]
)
def test_what_does_not_open_is_told_and_left_where_it_is(
    spool: TokenSpool, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    spool.put(TOKENS)
    (file,) = spool.folder.iterdir()
    if content is None:
        other = RenewedTokens(account_id="a-2", spent=3, auth_data={})
        spool.put(other)
        (swapped,) = set(spool.folder.iterdir()) - {file}
        content = swapped.read_bytes()
        spool.remove(other)
    file.write_bytes(content)
    assert spool.of("a-1", 3) is None
    assert list(spool.all()) == []
    assert file.exists()
    assert "cannot be read" in caplog.text


def test_another_master_key_opens_nothing_and_destroys_nothing(spool: TokenSpool) -> None:
    spool.put(TOKENS)
    assert TokenSpool(spool.folder, OTHER).of("a-1", 3) is None
    assert spool.of("a-1", 3) == TOKENS


def test_a_draft_that_a_kill_has_left_is_no_token(spool: TokenSpool) -> None:
    spool.put(TOKENS)
    (spool.folder / ".0123456789abcdef").write_bytes(b"half")
    assert list(spool.all()) == [TOKENS]


@given(
    account=st.text(min_size=1, max_size=80),
    spent=st.integers(0, 2**40),
    auth_data=st.dictionaries(st.text(max_size=8), st.text() | st.integers() | st.none(), max_size=4),
    ends=st.none() | st.datetimes(timezones=st.just(UTC)),
)
def test_anything_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory,
    account: str,
    spent: int,
    auth_data: dict[str, object],
    ends: datetime | None,
) -> None:
    spool = TokenSpool(tmp_path_factory.mktemp("spool"), RING)
    tokens = RenewedTokens(account_id=account, spent=spent, auth_data=auth_data, expires_at=ends)
    spool.put(tokens)
    assert spool.of(account, spent) == tokens
