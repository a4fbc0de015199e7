"""The pytest plugin that comes with the core: two fixtures, nothing by itself.

It stands outside :mod:`aigateway_core.testing` so that pytest can load it without loading the gateway: everything is
imported when the fixture is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from aigateway_core.plugin import Provider
    from aigateway_core.testing import FakeIdentityProvider, FakeUpstream, Reply

# The suite's assertions shall explain themselves in the tests of strangers too.
pytest.register_assert_rewrite("aigateway_core.testing")


@pytest.fixture
def fake_upstream() -> Iterator[Callable[..., FakeUpstream]]:
    """Makes a :class:`aigateway_core.testing.FakeUpstream`; fails the test when an answer of one is left open."""
    from aigateway_core.testing import FakeUpstream

    made: list[FakeUpstream] = []

    def make(*replies: Reply | Exception, provider: Provider | None = None) -> FakeUpstream:
        made.append(FakeUpstream(*replies, provider=provider))
        return made[-1]

    yield make
    assert not any(upstream.open_answers for upstream in made), "an answer of the upstream was left open"


@pytest.fixture
def fake_identity_provider() -> Iterator[FakeIdentityProvider]:
    """A running :class:`aigateway_core.testing.FakeIdentityProvider`.

    Fails the test when it was asked for what no client may ask for, or was shown a spent refresh token.
    """
    from aigateway_core.testing import FakeIdentityProvider

    with FakeIdentityProvider() as identity_provider:
        yield identity_provider
    assert not identity_provider.violations
    assert not identity_provider.reuses, "a refresh token was used again after it had been spent"
