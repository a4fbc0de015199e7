"""Every dialect before the laws."""

from __future__ import annotations

import pytest
from core.dialects import anthropic_values, gemini_values, openai_chat_values, openai_responses_values
from core.dialects.subject import Subject

EVERY: tuple[Subject, ...] = (
    anthropic_values.SUBJECT,
    openai_chat_values.SUBJECT,
    openai_chat_values.SUBJECT_WITH_THINKING,
    openai_responses_values.SUBJECT,
    gemini_values.SUBJECT,
)
SUBJECTS = pytest.mark.parametrize("subject", EVERY, ids=lambda subject: subject.name)
