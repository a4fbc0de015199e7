"""Everything a plugin needs, and all that it may import from the core.

A plugin is a distribution with an entry point in the group ``aigateway``; the module it names implements any of the
three hooks of :mod:`aigateway_core.plugin.hookspecs`. Start with ``docs/writing-a-provider.md``. The words:

* a **provider** is a vendor behind the gateway; it turns a :class:`ChatRequest` into a :class:`ChatResponse` or a
stream of
  events, calling the vendor through the :class:`Upstream` it is handed;
* a **dialect** is a wire format, read and written in both directions; most vendors speak a known one, and
  :class:`OpenAICompatibleProvider` or :class:`AnthropicCompatibleProvider` is then all it takes;
* an **auth strategy** yields the :class:`httpx.Auth` that signs an account's requests;
* a **stats sink** receives a :class:`CallRecord` for every call;
* an :class:`UpstreamError` says what went wrong (its kind) and what it speaks about (its scope).

This module follows semantic versioning; its names and signatures are pinned by a test.
"""

from __future__ import annotations

from aigateway_core.dialects.anthropic import Anthropic, AnthropicProfile
from aigateway_core.dialects.dialect import Dialect, Loss, Losses, StreamDecoder, StreamEncoder, StreamTap
from aigateway_core.dialects.openai_chat import OpenAIChat, OpenAIChatProfile
from aigateway_core.dialects.openai_responses import OpenAIResponses, OpenAIResponsesProfile
from aigateway_core.dialects.sse import ServerSentEvent
from aigateway_core.errors import (
    ErrorKind,
    InvalidRequestError,
    Scope,
    UnsupportedFeatureError,
    UpstreamError,
    UpstreamFailure,
    retry_after,
)
from aigateway_core.events import (
    RedactedThinking,
    SignatureDelta,
    StreamEvent,
    StreamFinish,
    StreamStart,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageUpdate,
    fold,
    unfold,
)
from aigateway_core.faults import classify_status
from aigateway_core.jsontext import loads_upstream
from aigateway_core.model import (
    AudioPart,
    ChatRequest,
    ChatResponse,
    DocumentPart,
    Effort,
    FinishReason,
    HostedTool,
    ImagePart,
    JsonObject,
    Message,
    ModelInfo,
    Part,
    Reasoning,
    ResponseFormat,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
    Usage,
)
from aigateway_core.plugin.auth import AuthStrategy, AuthStrategySpec
from aigateway_core.plugin.compatible import (
    AnthropicCompatibleConfig,
    AnthropicCompatibleProvider,
    OpenAICompatibleConfig,
    OpenAICompatibleProvider,
    Wire,
)
from aigateway_core.plugin.hookspecs import hookimpl
from aigateway_core.plugin.provider import (
    ClassifiesErrors,
    CountsTokens,
    DeclaresLosses,
    Endpoint,
    Provider,
    ProviderSpec,
    SpeaksNatively,
)
from aigateway_core.plugin.stats import StatsSink, StatsSinkSpec
from aigateway_core.records import Account, Attempt, CallRecord
from aigateway_core.secret import Secret
from aigateway_core.upstream import Upstream, UpstreamStream

__all__ = [
    "Account",
    "Anthropic",
    "AnthropicCompatibleConfig",
    "AnthropicCompatibleProvider",
    "AnthropicProfile",
    "Attempt",
    "AudioPart",
    "AuthStrategy",
    "AuthStrategySpec",
    "CallRecord",
    "ChatRequest",
    "ChatResponse",
    "ClassifiesErrors",
    "CountsTokens",
    "DeclaresLosses",
    "Dialect",
    "DocumentPart",
    "Effort",
    "Endpoint",
    "ErrorKind",
    "FinishReason",
    "HostedTool",
    "ImagePart",
    "InvalidRequestError",
    "JsonObject",
    "Loss",
    "Losses",
    "Message",
    "ModelInfo",
    "OpenAIChat",
    "OpenAIChatProfile",
    "OpenAICompatibleConfig",
    "OpenAICompatibleProvider",
    "OpenAIResponses",
    "OpenAIResponsesProfile",
    "Part",
    "Provider",
    "ProviderSpec",
    "Reasoning",
    "RedactedThinking",
    "ResponseFormat",
    "Scope",
    "Secret",
    "ServerSentEvent",
    "SignatureDelta",
    "SpeaksNatively",
    "StatsSink",
    "StatsSinkSpec",
    "StreamDecoder",
    "StreamEncoder",
    "StreamEvent",
    "StreamFinish",
    "StreamStart",
    "StreamTap",
    "TextDelta",
    "TextPart",
    "ThinkingDelta",
    "ThinkingPart",
    "Tool",
    "ToolCallDelta",
    "ToolCallPart",
    "ToolCallStart",
    "ToolChoice",
    "ToolResultPart",
    "UnsupportedFeatureError",
    "Upstream",
    "UpstreamError",
    "UpstreamFailure",
    "UpstreamStream",
    "Usage",
    "UsageUpdate",
    "Wire",
    "classify_status",
    "fold",
    "hookimpl",
    "loads_upstream",
    "retry_after",
    "unfold",
]
