"""Rests of accounts that pass by themselves, as they are stored."""

from __future__ import annotations

from datetime import datetime

import attrs


@attrs.frozen(kw_only=True)
class AccountRest:
    """An account is not asked before ``until``, for one model, one quota group, or every model (``*``): its ``reach``.

    It holds as long as the account is what it was when it met its limit: last changed at ``revision`` (None: the
    configuration brings it, which has no such time), and bound to the outbound proxy ``proxy_id``.
    """

    account_id: str
    reach: str
    reason: str
    until: datetime
    revision: datetime | None
    proxy_id: int | None = None
