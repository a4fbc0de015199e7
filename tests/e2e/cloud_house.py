"""Antigravity behind the gateway in these tests: the section that leads to the fakes, and people who log in."""

from __future__ import annotations

from typing import Any

from e2e.fakes.cloud_code import USER_AGENT, FakeCloudCode
from e2e.fakes.cloud_code_accounts import CloudAccount
from e2e.gateway_process import GatewayProcess

from aigateway_core.testing import FakeIdentityProvider


def section(cloud: FakeCloudCode, idp: FakeIdentityProvider, **more: Any) -> dict[str, Any]:
    """The section ``providers.antigravity``."""
    return {
        "oauth_client_id": idp.client_id,
        "oauth_client_secret": idp.client_secret,
        "user_agent": USER_AGENT,
        "base_urls": [cloud.url],
        "discovery_urls": [cloud.url],
        "authorize_url": f"{idp.url}/authorize",
        "token_url": f"{idp.url}/token",
        "userinfo_url": f"{idp.url}/userinfo",
        **more,
    }


def log_in(gateway: GatewayProcess, cloud: FakeCloudCode, idp: FakeIdentityProvider, email: str) -> str:
    """Somebody agrees to the risk and logs in, with a project of his own; the account's id."""
    if email not in cloud.accounts.by_email:
        cloud.add(CloudAccount(email=email, project=f"project-of-{email.partition('@')[0]}"))
    idp.identity = email
    begun = gateway.admin("POST", "/oauth/antigravity/start", {"accept_risk": True})
    answer = {"url": idp.consent(begun["url"])}
    account = gateway.admin("POST", "/oauth/antigravity/complete", answer)
    assert account["label"] == email
    return str(account["id"])
