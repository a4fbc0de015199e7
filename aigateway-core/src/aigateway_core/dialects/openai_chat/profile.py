"""What vendors with a Chat Completions endpoint spell differently, as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import attrs

from aigateway_core.dialects.dialect import Loss
from aigateway_core.dialects.openai_facts import are_fields
from aigateway_core.errors import ErrorKind, Scope
from aigateway_core.model import Effort, FinishReason

ToolChoiceForm: TypeAlias = Literal["auto", "none", "required", "named", "allowed_tools"]
Attachment: TypeAlias = Literal["image", "document", "audio"]

EVERY_TOOL_CHOICE: frozenset[ToolChoiceForm] = frozenset({"auto", "none", "required", "named", "allowed_tools"})
EVERY_ATTACHMENT: frozenset[Attachment] = frozenset({"image", "document", "audio"})


@attrs.frozen(kw_only=True)
class OpenAIChatProfile:
    """The facts of one vendor; the defaults are OpenAI's own (the type definitions of its SDK).

    A vendor of the same wire with habits of its own is a handful of these.
    """

    origin: str = "openai-chat"
    """The maker's name on the thinking that comes from here (:attr:`ThinkingPart.origin`)."""

    system_role: Literal["system", "developer"] = "system"
    """The role of system texts. OpenAI takes either for the other; most other servers know only ``system``."""

    late_system: Literal["in_place", "reminder"] = "in_place"
    """A system text in mid-conversation: a message of its own, or user text in ``<system-reminder>`` tags."""

    max_tokens_field: str = "max_completion_tokens"
    """OpenAI's reasoning models refuse the older ``max_tokens``; many other servers know nothing else."""

    user_field: str = "user"
    user_length: tuple[int, int] = (1, 64)
    """Fewest and most characters of the user's id; another length is replaced by a hash."""

    max_stop: int = 4
    """How many stop texts are taken; the rest is left out."""

    tool_choices: frozenset[ToolChoiceForm] = EVERY_TOOL_CHOICE
    """The forms of ``tool_choice``. For another one the nearest is sent, with the tools alone that it allowed."""

    efforts: Mapping[Effort, str | None] = attrs.field(factory=dict)
    """Effort words that are sent as another one, or (None) not at all; words that are not here stay as they are."""

    reasoning_field: str | None = None
    """Where assistant turns carry their thinking (``reasoning_content``). None: it is not sent; OpenAI knows none."""

    refuses_thinking: bool = False
    """True: an assistant turn that holds ``reasoning_content`` is a 400, so on the native path too it is left out of a
    conversation that another vendor began. Others want it back (DeepSeek, GLM) or do not mind."""

    empty_content: Literal[""] | None = None
    """What ``content`` is in an assistant turn of tool calls alone."""

    attachments: frozenset[Attachment] = EVERY_ATTACHMENT
    """Parts that user messages may hold besides text; of the others a note remains (``[image omitted]``)."""

    image_details: frozenset[str] = frozenset({"auto", "low", "high", "original"})
    """The hints for the resolution of a picture that are known; for another one ``high`` is sent (case 107)."""

    images_in_tool_results: bool = False
    """False: a tool result is text, and its pictures follow in a user message, as OpenAI's types ask for."""

    json_schema: bool = True
    """False: ``response_format`` knows only ``json_object``, and the schema is put into the system text."""

    needs_user_message: bool = False
    """True: a request without any user message is refused, so one is added."""

    finish_reasons: Mapping[str, FinishReason | Literal["error"]] = attrs.field(factory=dict)
    """Words of the vendor's own for why a model stopped; ``error`` for one that says that it failed.

    Clients are told OpenAI's words, on the native path too.
    """

    repeats_role: bool = False
    """True: every chunk of a stream repeats the role; on the native path only the first one is passed on."""

    error_codes: Mapping[str, tuple[ErrorKind, Scope]] = attrs.field(factory=dict)
    """Codes (and types) of the vendor's own for what went wrong; they win over OpenAI's."""

    cannot_express: Mapping[str, Loss] = attrs.field(factory=dict, validator=are_fields)
    """Fields of :class:`ChatRequest` that this vendor has no place for, besides the ones that OpenAI has none for."""
