"""OAuth 2.0: the login in a browser (authorization code with PKCE, RFC 6749 §4.1, RFC 7636), and renewal (§6).

A plugin configures it with addresses and scopes (:class:`OAuthOptions`) and may add a step after the login. It keeps
nothing: when to renew, under which lock, and where tokens are stored is the gateway's business.
"""

from __future__ import annotations

from aigateway_core.builtin.oauth.credential import OAuthCredential
from aigateway_core.builtin.oauth.options import OAuthOptions
from aigateway_core.builtin.oauth.strategy import OAuthStrategy

__all__ = ["OAuthCredential", "OAuthOptions", "OAuthStrategy"]
