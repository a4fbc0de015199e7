"""The four light clients side by side."""

from __future__ import annotations

from e2e.light.anthropic import AnthropicClient
from e2e.light.chat import ChatClient
from e2e.light.client import LightClient
from e2e.light.gemini import GeminiClient
from e2e.light.responses import ResponsesClient

CLIENTS: tuple[LightClient, ...] = (ChatClient(), AnthropicClient(), ResponsesClient(), GeminiClient())
