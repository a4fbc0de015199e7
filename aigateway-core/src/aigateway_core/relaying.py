"""How a gateway knows a request that came from a gateway, so that none goes round in a circle.

The first gateway names itself as the user agent of what it sends; one that passes on what a gateway has sent says so.
What has been passed on already is taken by nobody: one gateway may stand behind another, and that is all.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

FIRST: Final = "aigateway"
RELAYED: Final = "aigateway (relayed)"

agent: ContextVar[str] = ContextVar("agent", default=FIRST)
"""The user agent of what is sent to upstreams on behalf of the request that is being served."""
