"""What the list of accounts says below its table."""

from __future__ import annotations

from typing import Any

from aigateway_core.cli.accounts import _notes


def account(**fields: Any) -> dict[str, Any]:
    return {"id": "a1", "status": "active", "status_remedy": None, "resting": [], **fields}


def test_an_account_that_is_well_needs_no_note() -> None:
    assert list(_notes(account())) == []


def test_what_an_account_rests_for_is_told_with_its_end() -> None:
    rest = {"name": "claude", "reason": "quota", "until": "2100-01-01T00:00:00Z"}
    assert list(_notes(account(resting=[rest]))) == ["a1 rests for claude (quota) until 2100-01-01T00:00:00Z."]


def test_what_is_to_be_done_about_an_account_is_told() -> None:
    [note] = _notes(account(status="disabled", status_remedy="https://verify.test/"))
    assert note == "a1 is disabled. What to do about it: https://verify.test/"
