"""Everything a plugin needs, and all that it may import from the core.

A plugin is a distribution with an entry point in the group ``aigateway``; the module it names implements any of the
three hooks of :mod:`aigateway_core.plugin.hookspecs`. Start with ``docs/writing-a-provider.md``. The words:

* a **provider** is a vendor behind the gateway; it turns a :class:`ChatRequest` into a :class:`ChatResponse` or events
  of a stream, calling the vendor through the :class:`Upstream` it is handed;
* a **dialect** is a wire format, read and written in both directions; most vendors speak a known one, and
  :class:`OpenAICompatibleProvider`, :class:`AnthropicCompatibleProvider` or :class:`GeminiCompatibleProvider` is then
  all it takes;
* an **auth strategy** yields the :class:`httpx.Auth` that signs an account's requests;
* a **stats sink** receives a :class:`CallRecord` for every call;
* an :class:`UpstreamError` says what went wrong (its kind) and what it speaks about (its scope).

This module follows semantic versioning; its names and signatures are pinned by a test.
"""

from __future__ import annotations

from aigateway_core.dialects.anthropic import Anthropic, AnthropicProfile
from aigateway_core.dialects.anthropic import ModelRule as AnthropicModelRule
from aigateway_core.dialects.dialect import (
    Classify,
    Dialect,
    ErrorReply,
    Loss,
    Losses,
    NativeAnswer,
    Peek,
    StreamDecoder,
    StreamEncoder,
    StreamTap,
)
from aigateway_core.dialects.gemini import Gemini, GeminiProfile
from aigateway_core.dialects.gemini import ModelRule as GeminiModelRule
from aigateway_core.dialects.openai_chat import Attachment, OpenAIChat, OpenAIChatProfile, ToolChoiceForm
from aigateway_core.dialects.openai_responses import OpenAIResponses, OpenAIResponsesProfile
from aigateway_core.dialects.sse import ServerSentEvent, SseParser, format_event
from aigateway_core.dialects.waits import retry_after
from aigateway_core.errors import (
    ErrorKind,
    GatewayError,
    InvalidRequestError,
    LoginNeededError,
    Scope,
    UnsupportedFeatureError,
    UpstreamError,
    UpstreamFailure,
)
from aigateway_core.events import (
    GeneratedImage,
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
from aigateway_core.jsontext import dumps, loads_upstream
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
    Role,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
    Usage,
)
from aigateway_core.plugin.auth import (
    AuthStrategy,
    AuthStrategySpec,
    BegunLogin,
    Grant,
    Login,
    LogsIn,
    Redirect,
    RenewsTokens,
)
from aigateway_core.plugin.compatible import (
    AnthropicCompatibleConfig,
    AnthropicCompatibleProvider,
    GeminiCompatibleConfig,
    GeminiCompatibleProvider,
    OpenAICompatibleConfig,
    OpenAICompatibleProvider,
    Wire,
)
from aigateway_core.plugin.hookspecs import hookimpl
from aigateway_core.plugin.provider import (
    ClassifiesErrors,
    CountsTokens,
    DeclaresLosses,
    DescribesModels,
    Endpoint,
    MendsRequests,
    Provider,
    ProviderSpec,
    QuotaLeft,
    ReportsQuota,
    SpeaksNatively,
)
from aigateway_core.plugin.stats import StatsSink, StatsSinkSpec
from aigateway_core.records import Account, Attempt, CallRecord, Operation, Outcome
from aigateway_core.secret import Secret
from aigateway_core.upstream import Limits, Upstream, UpstreamStream

__all__ = [
    "Account",
    "Anthropic",
    "AnthropicCompatibleConfig",
    "AnthropicCompatibleProvider",
    "AnthropicModelRule",
    "AnthropicProfile",
    "Attachment",
    "Attempt",
    "AudioPart",
    "AuthStrategy",
    "AuthStrategySpec",
    "BegunLogin",
    "CallRecord",
    "ChatRequest",
    "ChatResponse",
    "ClassifiesErrors",
    "Classify",
    "CountsTokens",
    "DeclaresLosses",
    "DescribesModels",
    "Dialect",
    "DocumentPart",
    "Effort",
    "Endpoint",
    "ErrorKind",
    "ErrorReply",
    "FinishReason",
    "GatewayError",
    "Gemini",
    "GeminiCompatibleConfig",
    "GeminiCompatibleProvider",
    "GeminiModelRule",
    "GeminiProfile",
    "GeneratedImage",
    "Grant",
    "HostedTool",
    "ImagePart",
    "InvalidRequestError",
    "JsonObject",
    "Limits",
    "Login",
    "LoginNeededError",
    "LogsIn",
    "Loss",
    "Losses",
    "MendsRequests",
    "Message",
    "ModelInfo",
    "NativeAnswer",
    "OpenAIChat",
    "OpenAIChatProfile",
    "OpenAICompatibleConfig",
    "OpenAICompatibleProvider",
    "OpenAIResponses",
    "OpenAIResponsesProfile",
    "Operation",
    "Outcome",
    "Part",
    "Peek",
    "Provider",
    "ProviderSpec",
    "QuotaLeft",
    "Reasoning",
    "RedactedThinking",
    "Redirect",
    "RenewsTokens",
    "ReportsQuota",
    "ResponseFormat",
    "Role",
    "Scope",
    "Secret",
    "ServerSentEvent",
    "SignatureDelta",
    "SpeaksNatively",
    "SseParser",
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
    "ToolChoiceForm",
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
    "dumps",
    "fold",
    "format_event",
    "hookimpl",
    "loads_upstream",
    "retry_after",
    "unfold",
]
