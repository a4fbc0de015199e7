"""What becomes of a request whose values or whose model this API does not take as they are."""

from __future__ import annotations

from aigateway_core.dialects.dialect import SHORTENED, Change
from aigateway_core.dialects.openai_facts import STRICT_CHANGE

CHANGES = (
    Change("max_tokens", "converted", "below 16: 16 is sent", "OpenAI API reference, max_output_tokens"),
    Change(
        "reasoning",
        "converted",
        "a budget becomes an effort word; a summary is asked for or not",
        "case 38; translation table, 1.4",
    ),
    Change(
        "reasoning",
        "dropped",
        "the model refuses it, or the vendor has no word for it",
        "OpenAI API reference, reasoning models",
    ),
    Change(
        "response_format",
        "converted",
        "a schema without a name, or with one that is not taken, is given one; no schema is an empty one",
        "OpenAI API reference, text.format (case 42)",
    ),
    Change("service_tier", "dropped", "another vendor's word", "OpenAI API reference, service_tier"),
    Change("user", "converted", "more than 64 characters: a hash of it is sent", "OpenAI API reference, user"),
    Change("tool_choice", "converted", "tools that are not sent are left out of it", "case 30"),
    Change("tool_choice", "dropped", "none of the chosen tools is sent", "case 28"),
    Change("tools.*", "dropped", "another vendor runs it", "case 28; translation table, 1.5"),
    Change(
        "tools.parameters",
        "converted",
        "no schema: that of an empty object; objects without properties are given none",
        "case 27",
    ),
    Change(
        "messages.image",
        "dropped",
        "in an earlier answer; a note remains",
        "OpenAI API reference, create a model response, input items",
    ),
    STRICT_CHANGE,
    *SHORTENED,
    Change("messages.thinking", "dropped", "another made it, or it is not signed", "translation table, 3.7 (case 166)"),
    Change("messages.document.as_text", "converted", "a document of text: text that holds it", "case 33"),
    Change(
        "messages.tool_result.is_error",
        "converted",
        "the text of a failure begins with the word Error",
        "no such field: OpenAI API reference, function call output",
    ),
)
"""Read by people, in the generated tables of ``docs/dialects.md``; tests hold it against what the writers do."""
