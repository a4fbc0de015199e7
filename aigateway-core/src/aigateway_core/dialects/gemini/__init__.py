"""Google's Gemini API (``generateContent``) as a dialect, in both directions."""

from aigateway_core.dialects.gemini.codec import Gemini, GeminiArray
from aigateway_core.dialects.gemini.counting import GeminiTokenCount
from aigateway_core.dialects.gemini.profile import GeminiProfile, ModelRule, resource_name

__all__ = ["Gemini", "GeminiArray", "GeminiProfile", "GeminiTokenCount", "ModelRule", "resource_name"]
