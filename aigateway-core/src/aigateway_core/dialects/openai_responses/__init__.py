"""OpenAI's Responses, both directions: :class:`OpenAIResponses` and the vendor facts that it takes.

A request is read by ``request_reader``, ``item_reader`` and ``content``, and written by ``request_writer`` and
``item_writer``; ``tools`` has the tools and their forms. An answer to a client is put together by ``assembly`` out of
``items``, an upstream's is read by ``output_reader``; ``response`` has whole answers, ``stream_encoder`` and
``stream_decoder`` streamed ones, ``native`` and ``tap`` the native path, ``errors`` the errors.
"""

from __future__ import annotations

from aigateway_core.dialects.openai_responses.codec import OpenAIResponses
from aigateway_core.dialects.openai_responses.profile import OpenAIResponsesProfile

__all__ = ["OpenAIResponses", "OpenAIResponsesProfile"]
