"""Who stands behind the gateway in these tests, and under which name."""

from __future__ import annotations

from typing import Any

import attrs
from e2e.fakes.server import FakeVendor

KEYS = {
    "openai": "sk-openai-e2e-key-1",
    "glm": "glm-e2e-id.glm-e2e-secret",
    "acme": "sk-acme-e2e-key-1",
    "beta": "sk-beta-e2e-key-1",
    "gamma": "AIza-gamma-e2e-key-1",
}
"""The key that each vendor knows from the beginning."""


@attrs.frozen(eq=False)
class Vendors:
    """The fakes. ``acme`` is compatible with Anthropic, ``beta`` with OpenAI, ``gamma`` with Gemini, all three by
    configuration alone."""

    openai: FakeVendor
    glm: FakeVendor
    acme: FakeVendor
    beta: FakeVendor
    gamma: FakeVendor

    @property
    def all(self) -> tuple[FakeVendor, ...]:
        """Every one of them."""
        return (self.openai, self.glm, self.acme, self.beta, self.gamma)

    def named(self, provider: str) -> FakeVendor:
        """The fake behind a provider."""
        vendor: FakeVendor = getattr(self, provider)
        return vendor

    def providers(self, *, keys: bool = True) -> dict[str, Any]:
        """The section of the configuration that leads to them; with ``keys``, each has an account from there."""
        sections: dict[str, dict[str, Any]] = {
            "openai": {"base_url": f"{self.openai.url}/v1"},
            "glm": {"base_url": f"{self.glm.url}/api/paas/v4"},
            "acme": {"kind": "anthropic-compatible", "base_url": self.acme.url, "models": ["claude-*"]},
            "beta": {"kind": "openai-compatible", "base_url": f"{self.beta.url}/v1", "models": ["beta-*"]},
            "gamma": {"kind": "gemini-compatible", "base_url": self.gamma.url, "models": ["gemini-*"]},
        }
        if not keys:
            return sections
        return {name: {**section, "api_key": KEYS[name]} for name, section in sections.items()}


@attrs.frozen(kw_only=True)
class Target:
    """A provider to talk to, and a model of it; ``dialect`` is the client dialect that it needs no translation for."""

    provider: str
    model: str
    dialect: str


CLOUD_TARGETS = (
    Target(provider="antigravity", model="claude-opus-4-6-thinking", dialect="gemini"),
    Target(provider="antigravity", model="gemini-3-flash", dialect="gemini"),
)
"""Behind a gateway of their own: its models have the names of other vendors' models."""

TARGETS = (
    Target(provider="openai", model="gpt-4o", dialect="openai-chat"),
    Target(provider="glm", model="glm-4.6", dialect="openai-chat"),
    Target(provider="acme", model="claude-sonnet-5", dialect="anthropic"),
    Target(provider="beta", model="beta-large", dialect="openai-chat"),
    Target(provider="gamma", model="gemini-3-flash", dialect="gemini"),
)
