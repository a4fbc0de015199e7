"""Where Redis is: read of the settings by a gateway that has none, too, and so without its library."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import attrs

from aigateway_core.secret import Secret


@attrs.frozen(kw_only=True)
class RedisAddress:
    """Where Redis is: at ``url``, if there is one, else where the rest says.

    A ``url`` is ``redis://``, ``rediss://``, or ``sentinel://host:port,host:port/name/db``.
    """

    host: str = "localhost"
    port: int = 6380
    db: int = 0
    password: Secret | None = None
    url: Secret | None = None

    @property
    def password_in_url(self) -> Secret | None:
        """The password that the URL holds, if it holds one."""
        login = urlsplit(self.url.reveal()).netloc.rpartition("@")[0] if self.url else ""
        password = unquote(login.partition(":")[2])
        return Secret(password) if password else None

    @property
    def shown(self) -> str:
        """The address as it may be told to anybody."""
        if self.url is None:
            return f"{self.host}:{self.port}"
        return urlsplit(self.url.reveal()).netloc.rpartition("@")[2]
