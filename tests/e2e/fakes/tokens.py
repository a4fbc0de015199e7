"""Access tokens as the keys of a fake vendor."""

from __future__ import annotations

from typing_extensions import override

from aigateway_core.testing import FakeIdentityProvider


class Accepted(set[str]):
    """The keys that a vendor knows: the tokens that are good at the identity provider now."""

    def __init__(self, idp: FakeIdentityProvider) -> None:
        super().__init__()
        self._idp = idp

    @override
    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._idp.accepts(key)
