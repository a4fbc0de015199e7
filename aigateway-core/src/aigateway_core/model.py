"""The canonical form: what every dialect decodes into and encodes from.

A request, a whole answer and its usage, as frozen values. Stream events live in :mod:`aigateway_core.events`.
Nothing here knows a wire format. The normal form that decoders produce:

* leading system and developer texts are in :attr:`ChatRequest.system`, later ones are ``system`` messages in place;
* tool results stand in a message of role ``tool`` of their own, directly after the calls they answer, and two ``tool``
  messages never follow each other;
* in an answer, neighbouring text parts are one part, and so are neighbouring thinking parts that no signature
separates;
* the arguments of a tool call are the JSON text of an object, exactly as the model wrote it, never parsed and
rewritten.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import attrs

JsonObject: TypeAlias = dict[str, Any]

Role: TypeAlias = Literal["user", "assistant", "tool", "system"]
Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
FinishReason: TypeAlias = Literal[
    "stop", "stop_sequence", "length", "tool_calls", "content_filter", "context_window", "pause"
]
"""Why a model stopped: by itself, at a stop text, at the output limit, to have tools called, by a safety filter or
refusal, because the context is full, or because a long server-side turn is to be continued by sending it again."""


def _frozen_mapping(value: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return {} if value is None else value


@attrs.frozen
class TextPart:
    """Plain text."""

    text: str


@attrs.frozen
class ImagePart:
    """A picture: inline (``data`` in base64 with its ``media_type``), by ``url``, or by the vendor's ``file_id``.

    ``detail`` is OpenAI's hint for the resolution to look at (``auto``, ``low``, ``high``, ``original``).
    """

    media_type: str | None = None
    data: str | None = attrs.field(default=None, repr=False)
    url: str | None = None
    file_id: str | None = None
    detail: str | None = None


@attrs.frozen
class DocumentPart:
    """A document: inline (base64 ``data``), plain ``text``, by ``url`` or by ``file_id``."""

    media_type: str | None = None
    data: str | None = attrs.field(default=None, repr=False)
    text: str | None = attrs.field(default=None, repr=False)
    url: str | None = None
    file_id: str | None = None
    title: str | None = None


@attrs.frozen
class AudioPart:
    """Sound: base64 ``data`` and its ``format`` (``wav``, ``mp3``)."""

    data: str = attrs.field(repr=False)
    format: str


@attrs.frozen
class ThinkingPart:
    """Reasoning that the model showed.

    ``signature`` is the proof that its maker asks for when the part comes back, ``origin`` names that maker
    (:attr:`Dialect.name`, or the name a provider's profile gives); ``redacted`` holds a block that only the maker can
    read.

    A maker may sign more than thinking (Gemini does): the signature of a text stands in an empty part behind the text,
    that of a tool call in a redacted part directly before the call. Whoever passes thinking on keeps it in its place.
    """

    text: str
    signature: str | None = attrs.field(default=None, repr=False)
    origin: str | None = None
    redacted: str | None = attrs.field(default=None, repr=False)


@attrs.frozen
class ToolCallPart:
    """The model asks for a tool: ``arguments`` is the JSON text of an object."""

    id: str
    name: str
    arguments: str


@attrs.frozen
class ToolResultPart:
    """What a tool answered to the call ``call_id``; ``is_error`` when it failed."""

    call_id: str
    content: tuple[TextPart | ImagePart | DocumentPart, ...] = ()
    is_error: bool = False


Part: TypeAlias = TextPart | ImagePart | DocumentPart | AudioPart | ThinkingPart | ToolCallPart | ToolResultPart


@attrs.frozen
class Message:
    """One turn."""

    role: Role
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The text parts, joined without a separator."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))


@attrs.frozen
class Tool:
    """A function that the client can run; ``parameters`` is its JSON Schema."""

    name: str
    description: str | None = None
    parameters: Mapping[str, Any] = attrs.field(factory=dict)
    strict: bool | None = None


@attrs.frozen
class HostedTool:
    """A tool that one vendor runs itself (web search, code execution); no other vendor can be asked for it."""

    type: str
    name: str
    definition: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class ToolChoice:
    """Whether the model may, must or must not call tools; ``names`` narrows ``auto`` and ``required`` to some."""

    mode: Literal["auto", "required", "none"]
    names: tuple[str, ...] = ()


@attrs.frozen
class Reasoning:
    """How much the model shall think: an ``effort`` word or a ``budget`` in tokens; the word wins where both are given.

    ``summary`` is false when the client asked not to be shown the thinking.
    """

    effort: Effort | None = None
    budget: int | None = None
    summary: bool = True


@attrs.frozen
class ResponseFormat:
    """JSON as output: any object, or one that fits ``schema``."""

    kind: Literal["json_object", "json_schema"]
    name: str | None = None
    schema: Mapping[str, Any] | None = None
    strict: bool | None = None
    description: str | None = None


@attrs.frozen(kw_only=True)
class ChatRequest:
    """One request for an answer.

    ``None`` means that the client did not say. ``extra`` holds the top-level fields that the client's dialect does not
    know by meaning, under the names they had on the wire, and one example of each kind of content that it does not
    know, as ``messages.KIND``. ``conversation`` is the gateway's: the same for all turns of a conversation, and
    different for other clients and other conversations as far as these can be told apart; it is never sent.
    """

    model: str
    messages: tuple[Message, ...] = ()
    system: tuple[str, ...] = ()
    tools: tuple[Tool | HostedTool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: Mapping[str, float] | None = None
    reasoning: Reasoning | None = None
    verbosity: str | None = None
    response_format: ResponseFormat | None = None
    audio_output: Mapping[str, Any] | None = None
    user: str | None = None
    metadata: Mapping[str, str] | None = None
    service_tier: str | None = None
    stream: bool = False
    include_usage: bool = False
    extra: Mapping[str, Any] = attrs.field(factory=dict, converter=_frozen_mapping)
    conversation: str | None = None


@attrs.frozen(kw_only=True)
class Usage:
    """Tokens of one call.

    ``input_tokens`` is the whole prompt, with what was read from and written to the vendor's cache;
    ``output_tokens`` is everything produced, thinking included. ``estimated`` when the upstream did not say.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False


@attrs.frozen(kw_only=True)
class ChatResponse:
    """A whole answer. ``model`` is what the upstream called itself."""

    id: str
    model: str
    parts: tuple[Part, ...] = ()
    finish_reason: FinishReason = "stop"
    stop_sequence: str | None = None
    usage: Usage | None = None

    @property
    def text(self) -> str:
        """The text parts, joined without a separator."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))


@attrs.frozen(kw_only=True)
class ModelInfo:
    """What is known of a model: limits in tokens, and capabilities (``tools``, ``images``, ``thinking``, …).

    Models that draw on one quota share a ``quota_group``: a limit met by one of them holds for all.
    """

    id: str
    display_name: str | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    capabilities: frozenset[str] = frozenset()
    quota_group: str | None = None
