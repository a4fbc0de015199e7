"""Anthropic's Messages API as a dialect, in both directions."""

from aigateway_core.dialects.anthropic.codec import Anthropic
from aigateway_core.dialects.anthropic.counting import AnthropicTokenCount
from aigateway_core.dialects.anthropic.profile import AnthropicProfile, ModelRule

__all__ = ["Anthropic", "AnthropicProfile", "AnthropicTokenCount", "ModelRule"]
