"""Tests for plugins, to inherit: no network, no account.

A provider subclasses :class:`ProviderConformance` and gives two fixtures, ``provider`` and ``vendor``; an auth
strategy subclasses :class:`AuthStrategyConformance`, a stats sink :class:`StatsSinkConformance`. For the tests that are
a plugin's own there are :class:`FakeUpstream`, which plays what a vendor answers and remembers what it was asked, and
the fixture ``fake_upstream``, which makes one and looks after it. For logins there is :class:`FakeIdentityProvider`, on
a real socket, and the fixture ``fake_identity_provider``. ``pip install aigateway-core[testing]`` brings all.

This module follows semantic versioning. A new required test comes with a minor release, never with a patch.
"""

from __future__ import annotations

from aigateway_core.testing.auth import AuthStrategyConformance
from aigateway_core.testing.conformance import ProviderConformance
from aigateway_core.testing.fakes import FakeUpstream, FakeVendor, Reply
from aigateway_core.testing.identity import FakeIdentityProvider
from aigateway_core.testing.stats import StatsSinkConformance
from aigateway_core.testing.token_answers import TokenAnswer
from aigateway_core.testing.vendors import anthropic_vendor, gemini_vendor, openai_chat_vendor, openai_responses_vendor

__all__ = [
    "AuthStrategyConformance",
    "FakeIdentityProvider",
    "FakeUpstream",
    "FakeVendor",
    "ProviderConformance",
    "Reply",
    "StatsSinkConformance",
    "TokenAnswer",
    "anthropic_vendor",
    "gemini_vendor",
    "openai_chat_vendor",
    "openai_responses_vendor",
]
