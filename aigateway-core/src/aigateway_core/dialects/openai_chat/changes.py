"""What becomes of a request whose values or whose model this API does not take as they are."""

from __future__ import annotations

from aigateway_core.dialects.dialect import SHORTENED, Change
from aigateway_core.dialects.openai_facts import STRICT_CHANGE

CHANGES = (
    Change(
        "stop",
        "dropped",
        "beyond the number that the vendor takes (OpenAI: 4)",
        "OpenAI API reference, create chat completion (case 40)",
    ),
    Change(
        "reasoning",
        "converted",
        "a budget becomes an effort word that the vendor knows; whether thinking is shown cannot be said",
        "case 38; translation table, 1.4",
    ),
    Change("reasoning", "dropped", "the vendor's profile has no word for it", "OpenAIChatProfile.efforts"),
    Change(
        "response_format",
        "converted",
        "a schema is given a name where it has none that is legal; or it goes into the system text, by the profile",
        "case 42",
    ),
    Change("service_tier", "dropped", "another vendor's word", "OpenAI API reference, service_tier"),
    Change(
        "user",
        "converted",
        "more or fewer characters than the vendor takes (OpenAI: 64): a hash of it is sent",
        "OpenAI API reference, user (case 43)",
    ),
    Change("tool_choice", "converted", "tools that are not sent are left out of it", "case 30"),
    Change(
        "tool_choice",
        "dropped",
        "none of the chosen tools is sent, or the vendor knows no such choice: the nearest one is sent",
        "case 28; translation table, 1.3",
    ),
    Change(
        "tools",
        "converted",
        "a vendor that cannot be told the choice is sent the tools alone that it leaves",
        "translation table, 1.3",
    ),
    Change("tools.*", "dropped", "a vendor runs it", "case 28; translation table, 1.5"),
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
        "OpenAI API reference, create chat completion, assistant message",
    ),
    STRICT_CHANGE,
    *SHORTENED,
    Change(
        "messages.system",
        "converted",
        "a vendor that takes none between the turns: user text in `<system-reminder>` tags",
        "translation table, 1.1",
    ),
    Change("messages.thinking", "dropped", "the vendor has no field for it (OpenAI has none)", "cases 34 to 37"),
    Change(
        "messages.thinking",
        "converted",
        "a vendor with a field for it is sent the text, without signature and maker",
        "case 34",
    ),
    Change(
        "messages.image",
        "dropped",
        "only a file id is known, or the vendor takes no pictures; a note remains",
        "translation table, 1.2",
    ),
    Change("messages.image.detail", "converted", "a vendor that does not know the word: high", "case 107"),
    Change("messages.document", "dropped", "the vendor takes no documents; a note remains", "case 32"),
    Change(
        "messages.document.as_text",
        "converted",
        "a document of text, or behind an address: text that holds it",
        "case 33; translation table, 1.2",
    ),
    Change("messages.audio", "dropped", "the vendor takes no sound; a note remains", "OpenAIChatProfile.attachments"),
    Change(
        "messages.tool_result.is_error",
        "converted",
        "the text of a failure begins with the word Error",
        "no such field: OpenAI API reference, tool message",
    ),
    Change(
        "messages.tool_result.content", "converted", "pictures and documents follow in a message of the user", "case 20"
    ),
)
"""Read by people, in the generated tables of ``docs/dialects.md``; tests hold it against what the writers do."""
