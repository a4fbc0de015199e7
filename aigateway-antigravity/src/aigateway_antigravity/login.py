"""Logging in with Google: what the core's ``oauth`` strategy needs to know, and what is found out besides."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import attrs

from aigateway_antigravity.config import AntigravityConfig
from aigateway_antigravity.envelope import with_another_id
from aigateway_antigravity.project import Projects
from aigateway_core.plugin import ErrorKind, Login, Upstream, UpstreamError

log = logging.getLogger(__name__)

RISK = (
    "Antigravity is an internal API of Google's. Its terms of service do not allow other software to use it, and "
    "Google has disabled accounts for doing so, with everything that hangs on them. Use no account that you cannot "
    "afford to lose."
)

SCOPES = tuple(
    f"https://www.googleapis.com/auth/{name}"
    for name in ("cloud-platform", "userinfo.email", "userinfo.profile", "cclog", "experimentsandconfigs")
)

PORTS = tuple(range(51121, 51127))
"""The first is the usual one; Windows keeps some for itself."""

_PASSING = frozenset(
    {ErrorKind.UNAVAILABLE, ErrorKind.TIMEOUT, ErrorKind.OVERLOADED, ErrorKind.SERVER, ErrorKind.RATE_LIMIT}
)


def options(config: AntigravityConfig, projects: Projects | None = None) -> Mapping[str, Any]:
    """The options for ``oauth``; ``projects`` finds out what belongs to an account."""
    return {
        "authorize_url": config.authorize_url,
        "token_url": config.token_url,
        "userinfo_url": config.userinfo_url,
        "client_id": config.oauth_client_id,
        "client_secret": config.oauth_client_secret,
        "scopes": SCOPES,
        # Without these two, Google gives no refresh token, or gives it at the first consent only.
        "authorize_parameters": {"access_type": "offline", "prompt": "consent"},
        "redirect_host": "localhost",
        "redirect_path": "/oauth-callback",
        "redirect_ports": PORTS,
        "after_login": AfterLogin(projects or Projects(config)),
        "sends_again": with_another_id,
    }


class AfterLogin:
    """Finds out the account's project and tier, while somebody is there to read what is wrong with it."""

    def __init__(self, projects: Projects) -> None:
        self._projects = projects

    async def __call__(self, login: Login, upstream: Upstream) -> Login:
        """The login with what is stored of the account.

        Raises :class:`UpstreamError` when Google names nobody, or does not admit the account. While Google cannot be
        asked the login stands, and its first request looks for the project.
        """
        if not login.identity:
            raise UpstreamError(ErrorKind.PROTOCOL, "Google does not say whose account this is: it names no e-mail")
        try:
            found = await self._projects.discover(upstream)
        except UpstreamError as error:
            if error.kind in _PASSING and error.remedy is None:
                log.warning("the account has no project yet, its first request looks for it again: %s", error.message)
                return login
            raise _with_remedy(error) from None
        return attrs.evolve(login, metadata={**login.metadata, **found.metadata})


def _with_remedy(error: UpstreamError) -> UpstreamError:
    """The error for who logs in, who can mend what is wrong."""
    if error.remedy is None:
        return error
    message = f"{error.message}: {error.remedy}"
    return UpstreamError(error.kind, message, scope=error.scope, status=error.status, code=error.code)
