"""The section ``providers.antigravity`` of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from aigateway_core.plugin import Secret

DAILY = "https://daily-cloudcode-pa.googleapis.com"
PRODUCTION = "https://cloudcode-pa.googleapis.com"


def _a_project(_: Any, attribute: attrs.Attribute[str | None], value: str | None) -> None:
    if value is not None and (not value.strip() or value.isdigit()):
        message = "expected the id of a project: its number is refused by Google"
        raise ValueError(message, attribute)


@attrs.frozen(kw_only=True)
class AntigravityConfig:
    """``oauth_client_id`` and ``oauth_client_secret`` are those of the operator's own OAuth client: none is shipped.

    ``user_agent`` decides which models Google offers (it is a version gate there); without it, what the gateway sends
    elsewhere too. ``base_urls`` are asked in this order, the next only when one cannot be reached or has no capacity;
    ``discovery_urls`` likewise, for what is asked about accounts. ``models`` are served besides those that are known,
    by the name they have there; ``aliases`` lead from a client's name, which may be a pattern with ``*``, to one of
    these. ``web_search_model`` answers requests that ask for nothing but a search of the web. ``project`` is the id of
    a Google Cloud project of the operator's own, for accounts whose tier asks for one.
    """

    oauth_client_id: str
    oauth_client_secret: Secret
    user_agent: str | None = None
    base_urls: tuple[str, ...] = attrs.field(default=(DAILY, PRODUCTION), validator=attrs.validators.min_len(1))
    discovery_urls: tuple[str, ...] = attrs.field(default=(PRODUCTION, DAILY), validator=attrs.validators.min_len(1))
    authorize_url: str = "https://accounts.google.com/o/oauth2/v2/auth"
    token_url: str = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
    userinfo_url: str = "https://www.googleapis.com/oauth2/v2/userinfo?alt=json"
    models: tuple[str, ...] = ()
    aliases: Mapping[str, str] = attrs.field(factory=dict)
    web_search_model: str = "gemini-3.1-flash-lite"
    project: str | None = attrs.field(default=None, validator=_a_project)

    @property
    def headers(self) -> dict[str, str]:
        """What every request to Google carries besides its credential."""
        return {} if self.user_agent is None else {"user-agent": self.user_agent}


def advice(config: AntigravityConfig) -> str | None:
    """What an operator should know of this configuration."""
    if config.user_agent is not None:
        return None
    return "user_agent is not set: Google may serve fewer models to a client that it does not know, or none"


def address(base_url: str, method: str) -> str:
    """Where a method of the API is."""
    return f"{base_url.rstrip('/')}/v1internal:{method}"
