"""What holds of Chat Completions alone, beside the laws of every dialect (``test_laws.py``)."""

from __future__ import annotations

from core.dialects.openai_chat_values import OPENAI, SUBJECT_WITH_THINKING
from core.dialects.profiles import budget
from core.dialects.strategies import SIZES, pieces_of, streams
from core.dialects.subject import encoded
from hypothesis import given

from aigateway_core.events import StreamEvent, fold
from aigateway_core.model import ChatRequest


@budget(60)
@given(streams(SUBJECT_WITH_THINKING.answers, interleaved_calls=True), SIZES)
def test_a_client_that_did_not_ask_for_the_usage_does_not_see_it(events: list[StreamEvent], sizes: list[int]) -> None:
    whole = fold(events)
    wire = encoded(OPENAI, events, ChatRequest(model="upstream-model", stream=True, include_usage=True))
    for pieces in ([wire], pieces_of(wire, sizes), pieces_of(wire, [1])):
        tap = OPENAI.stream_tap({"model": "mine", "stream": True}, "mine")
        relayed = b"".join([tap.feed(piece) for piece in pieces] + [tap.end()])
        assert (tap.error, tap.finish_reason, tap.usage) == (None, whole.finish_reason, whole.usage)
        # What the client sees is the same answer under its own name, without the chunk that it did not ask for.
        blocks = wire.replace(b'"model":"upstream-model"', b'"model":"mine"').split(b"\n\n")
        assert relayed == b"\n\n".join(block for block in blocks if b'"choices":[]' not in block)
