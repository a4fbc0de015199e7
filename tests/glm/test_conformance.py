"""GLM keeps what every provider has to keep."""

from __future__ import annotations

import pytest
from glm.glm_recordings import glm_vendor

from aigateway_core.plugin import Provider
from aigateway_core.testing import FakeVendor, ProviderConformance
from aigateway_glm import GLMConfig, GLMProvider


class TestGLM(ProviderConformance):
    @pytest.fixture
    def provider(self) -> Provider:
        return GLMProvider(GLMConfig())

    @pytest.fixture
    def vendor(self) -> FakeVendor:
        return glm_vendor()


class TestGLMWithItsAnthropicEndpoint(ProviderConformance):
    @pytest.fixture
    def provider(self) -> Provider:
        return GLMProvider(GLMConfig(anthropic_base_url="https://api.z.ai/api/anthropic"))

    @pytest.fixture
    def vendor(self) -> FakeVendor:
        return glm_vendor("glm-5.3")
