"""What an auth strategy is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import attrs
import httpx

from aigateway_core.records import Account

ConfigT = TypeVar("ConfigT")


class AuthStrategy(Protocol):
    """A way to authenticate at an upstream.

    ``credential`` is the attrs class that an account's ``auth_data`` is structured into; its secret fields are of type
    :class:`~aigateway_core.secret.Secret`.
    """

    @property
    def credential(self) -> type[Any]:
        """The attrs class of a credential."""

    def auth(self, account: Account) -> httpx.Auth:
        """The auth flow for requests of this account: built once, and used by many requests at a time."""


@attrs.frozen(kw_only=True)
class AuthStrategySpec(Generic[ConfigT]):
    """An auth strategy as a plugin offers it; ``config`` is structured from the provider's ``auth_options``."""

    name: str
    config: type[ConfigT]
    build: Callable[[ConfigT], AuthStrategy]
