"""What becomes of a request whose values or whose model this API does not take as they are."""

from __future__ import annotations

from aigateway_core.dialects.dialect import SHORTENED, Change

CHANGES = (
    Change(
        "max_tokens",
        "converted",
        "the client gave none: the default of the profile is sent",
        "required: platform.claude.com, API reference, create a message (case 126)",
    ),
    Change("temperature", "converted", "above 1: 1 is sent", "0 to 1: platform.claude.com, API reference"),
    Change(
        "temperature",
        "dropped",
        "the model refuses it, or is to think",
        "platform.claude.com, extended thinking; migration guide to Claude Opus 4.7",
    ),
    Change(
        "top_p",
        "dropped",
        "the model refuses it, it stands beside temperature, or it is below 0.95 while thinking",
        "platform.claude.com, extended thinking; migration guide to Claude Opus 4.1",
    ),
    Change(
        "top_k",
        "dropped",
        "the model refuses it, or is to think",
        "platform.claude.com, extended thinking; migration guide to Claude Opus 4.7",
    ),
    Change(
        "stop",
        "dropped",
        "a stop text without a visible character",
        "400: platform.claude.com, API reference, stop_sequences",
    ),
    Change(
        "reasoning",
        "converted",
        "an effort word becomes a budget or the other way round, and the nearest word that the model knows is sent",
        "platform.claude.com, adaptive thinking, effort (case 38; translation table, 1.4)",
    ),
    Change(
        "reasoning",
        "dropped",
        "the model cannot think, or a forced tool or the turn that is to go on forbids it",
        "platform.claude.com, extended thinking",
    ),
    Change(
        "response_format",
        "converted",
        "the schema is sent, its objects closed, and limits that the API does not know (minimum, pattern, …) told in "
        "its descriptions; its name, description and strictness are not",
        "platform.claude.com, structured outputs",
    ),
    Change(
        "response_format",
        "dropped",
        "no schema, one of objects with any keys or within itself, or a model without structured output: an "
        "instruction in the system text stands for it",
        "platform.claude.com, structured outputs (case 132)",
    ),
    Change("service_tier", "converted", "default is called standard_only here", "platform.claude.com, service tiers"),
    Change("service_tier", "dropped", "another vendor's word", "platform.claude.com, service tiers"),
    Change(
        "user",
        "converted",
        "longer than 256 characters: a hash of it is sent",
        "platform.claude.com, API reference, metadata.user_id",
    ),
    Change(
        "tool_choice",
        "converted",
        "a choice among some of the tools: the others are not sent",
        "one tool or any: platform.claude.com, tool use (translation table, 1.3)",
    ),
    Change("tool_choice", "dropped", "none of the tools that were chosen is sent", "case 28"),
    Change(
        "tools",
        "converted",
        "a choice among some of them: the others are not sent",
        "one tool or any: platform.claude.com, tool use (translation table, 1.3)",
    ),
    Change("tools.*", "dropped", "another vendor runs it", "case 28"),
    Change(
        "tools.strict",
        "dropped",
        "the model, or the schema, has no structured output, or twenty tools are strict already",
        "platform.claude.com, structured outputs, limitations",
    ),
    Change(
        "tools.parameters",
        "converted",
        "no schema: that of an empty object; alternatives at the root: one object with the properties of all, "
        "each of which may be what any of them says of it",
        "translation table, 1.5 (case 27)",
    ),
    Change(
        "messages.image",
        "dropped",
        "in an earlier answer; a note remains",
        "platform.claude.com, API reference, content blocks of an assistant turn",
    ),
    *SHORTENED,
    Change(
        "messages.tool_call.arguments",
        "converted",
        "no JSON, or nested too deep: an object whose `INVALID_JSON` is the text as it was",
        "platform.claude.com, fine-grained tool streaming",
    ),
    Change(
        "messages.system",
        "converted",
        "the model takes none between the turns, or not there: user text in `<system-reminder>` tags",
        "platform.claude.com, mid-conversation system messages (translation table, 1.1)",
    ),
    Change("messages.thinking", "dropped", "another made it, or it is not signed", "cases 34 and 166"),
    Change(
        "messages.prefill",
        "dropped",
        "the conversation ends with words of the model, which models since Claude 4.6 refuse",
        "platform.claude.com, what is new in Claude 4.6 (case 47)",
    ),
    Change("messages.audio", "dropped", "always; a note remains", "translation table, 1.2"),
    Change(
        "messages.document",
        "dropped",
        "inline and neither a PDF nor text; a note remains",
        "platform.claude.com, PDF support",
    ),
    Change(
        "messages.document.as_text",
        "converted",
        "inline text is sent as text, not as base64",
        "platform.claude.com, API reference, plain text source",
    ),
    Change("messages.image.detail", "dropped", "always", "OpenAI's own hint: translation table, 1.2"),
)
"""Read by people, in the generated tables of ``docs/dialects.md``; tests hold it against what the writers do."""
