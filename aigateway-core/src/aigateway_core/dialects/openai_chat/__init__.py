"""OpenAI's Chat Completions, both directions: :class:`OpenAIChat` and the vendor facts that it takes.

The request is read by ``request_reader`` and ``message_reader`` and written by their ``_writer`` twins; ``response``
has whole answers, ``stream_encoder`` and ``stream_decoder`` streamed ones, ``native`` and ``tap`` the native path,
``errors`` the errors, ``outcome`` finish reasons and usage.
"""

from __future__ import annotations

from aigateway_core.dialects.openai_chat.codec import OpenAIChat
from aigateway_core.dialects.openai_chat.embeddings import OpenAIEmbeddings
from aigateway_core.dialects.openai_chat.profile import Attachment, OpenAIChatProfile, ToolChoiceForm

__all__ = ["Attachment", "OpenAIChat", "OpenAIChatProfile", "OpenAIEmbeddings", "ToolChoiceForm"]
