"""What becomes of a request whose values or whose model this API does not take as they are."""

from __future__ import annotations

from aigateway_core.dialects.dialect import SHORTENED, Change

CHANGES = (
    Change("stop", "dropped", "beyond the fifth", "ai.google.dev, GenerationConfig.stopSequences"),
    Change(
        "reasoning",
        "converted",
        "an effort word becomes a level or a budget, the nearest that the model knows",
        "ai.google.dev, thinking (translation table, 1.4)",
    ),
    Change("reasoning", "dropped", "the model cannot think", "ai.google.dev, thinking"),
    Change(
        "response_format",
        "converted",
        "the schema is sent; its name, description and strictness are not",
        "ai.google.dev, structured output",
    ),
    Change(
        "response_format", "refused", "beside functions, to a model before Gemini 3", "ai.google.dev, structured output"
    ),
    Change("tool_choice", "converted", "tools that are not sent are left out of it", "case 139"),
    Change("tool_choice", "dropped", "none of the chosen tools is sent, or none is a function", "case 28"),
    Change("tools.*", "dropped", "another vendor runs it", "case 28"),
    Change("tools.strict", "dropped", "true", "no such field: ai.google.dev, FunctionDeclaration"),
    Change(
        "tools.parameters",
        "converted",
        "no schema: that of an empty object; where the vendor takes classic schemas alone, the nearest of them",
        "case 27; translation table, 1.5",
    ),
    *SHORTENED,
    Change(
        "messages.tool_call.arguments",
        "converted",
        "no JSON, or nested too deep: an object whose `INVALID_JSON` is the text as it was",
        "an object: ai.google.dev, API reference, FunctionCall.args",
    ),
    Change(
        "messages.system",
        "converted",
        "user text in `<system-reminder>` tags, or one more part of systemInstruction",
        "translation table, 1.1",
    ),
    Change("messages.prefill", "dropped", "the conversation ends with words of the model", "case 47"),
    Change(
        "messages.thinking",
        "dropped",
        "another made it, it is not signed, or it signs a call that does not follow",
        "cases 137 and 142",
    ),
    Change(
        "messages.image",
        "dropped",
        "inline and neither PNG, JPEG, WebP, HEIC nor HEIF; a note remains",
        "ai.google.dev, image understanding",
    ),
    Change("seed", "converted", "more than 32 bits: the lower ones are sent", "int32: ai.google.dev, GenerationConfig"),
    Change("messages.image.detail", "dropped", "always", "OpenAI's own hint: translation table, 1.2"),
    Change(
        "messages.document.as_text", "converted", "a document of text: text that holds it", "translation table, 1.2"
    ),
    Change(
        "messages.document.title",
        "converted",
        "a text before the document, or the beginning of one that is text",
        "displayName is Vertex AI's alone: ai.google.dev, Blob and FileData",
    ),
    Change(
        "messages.document.title",
        "dropped",
        "in the result of a tool, but for a document of text",
        "ai.google.dev, Blob and FileData",
    ),
    Change(
        "messages.tool_result.content",
        "converted",
        "a model before Gemini 3: pictures and documents follow in a turn of the user",
        "ai.google.dev, function calling, multimodal function responses",
    ),
)
"""Read by people, in the generated tables of ``docs/dialects.md``; tests hold it against what the writers do."""
