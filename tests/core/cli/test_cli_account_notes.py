"""What the list of accounts says of one: in its row, and below the table."""

from __future__ import annotations

from typing import Any

import pytest

from aigateway_core.cli.accounts import _notes, _status

END = "2100-01-01T00:00:00.123456Z"
CLAUDE = {"name": "claude", "reason": "quota", "until": END}
GEMINI = {"name": "gemini", "reason": "rate_limit", "until": "2100-01-02T00:00:00Z"}


def account(status: str = "active", **fields: Any) -> dict[str, Any]:
    known = {"id": "a1", "provider_id": "acme", "status": status, "resting": []}
    return {**known, "status_reason": None, "status_until": None, "status_remedy": None, **fields}


def test_an_account_that_is_well_needs_no_note() -> None:
    assert (_status(account()), list(_notes(account()))) == ("active", [])


def test_one_that_an_operator_switched_off_needs_no_note() -> None:
    assert (_status(account("disabled")), list(_notes(account("disabled")))) == ("disabled", [])


def test_what_passes_is_told_with_its_end() -> None:
    resting = account("cooling", status_reason="quota", status_until=END)
    assert (_status(resting), list(_notes(resting))) == ("cooling (quota) until 2100-01-01T00:00:00Z", [])


def test_what_an_account_rests_for_is_told_with_its_end_once() -> None:
    resting = account(resting=[CLAUDE])
    assert _status(resting) == "resting for claude (quota) until 2100-01-01T00:00:00Z"
    assert list(_notes(resting)) == []


def test_what_does_not_fit_into_a_row_stands_below() -> None:
    resting = account(resting=[CLAUDE, GEMINI])
    assert _status(resting) == "resting for 2 models, see below"
    assert list(_notes(resting)) == [
        "a1 is resting for claude (quota) until 2100-01-01T00:00:00Z.",
        "a1 is resting for gemini (rate_limit) until 2100-01-02T00:00:00Z.",
    ]
    [note] = _notes(account("cooling", status_reason="quota", status_until=END, resting=[CLAUDE]))
    assert note.startswith("a1 is resting for claude")


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        (
            {"status": "disabled", "status_reason": "credential", "status_remedy": "https://verify.test/"},
            "https://verify.test/; then: aigateway-core accounts enable a1",
        ),
        (
            {"status": "disabled", "status_reason": "quota"},
            "pay, or whatever else the vendor asks for; then: aigateway-core accounts enable a1",
        ),
        (
            {"status": "banned", "status_reason": "banned"},
            "settle it with the vendor; then: aigateway-core accounts enable a1",
        ),
        ({"status": "needs_login", "status_reason": "revoked"}, "aigateway-core login acme"),
    ],
)
def test_what_is_to_be_done_about_an_account_is_told(fields: dict[str, Any], what: str) -> None:
    assert list(_notes(account(**fields))) == [f"a1 is {fields['status']}. What to do about it: {what}"]
