"""What a fake Anthropic has beside its messages: the counter of their tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from anthropic.types import message_count_tokens_params
from e2e.fakes import anthropic_turns
from e2e.fakes.anthropic import AnthropicWire
from e2e.fakes.mind import Answer, Prompt
from e2e.fakes.sdk_types import RequestType
from e2e.fakes.vendor import Exchange, JsonObject, Problem

_BODY = RequestType(message_count_tokens_params.MessageCountTokensParams)
# These two are arguments of the SDK that travel as headers.
_FIELDS = frozenset(message_count_tokens_params.MessageCountTokensParams.__annotations__) - {
    "user_profile_id",
    "workspace_id",
}


class AnthropicCountWire(AnthropicWire):
    """Counts for the conversations of ``wire``, whose signatures it knows; a limit or a stream flag is a 400."""

    path = "/v1/messages/count_tokens"

    def __init__(self, wire: AnthropicWire) -> None:
        super().__init__()
        self._issued = wire.issued

    def understand(self, body: JsonObject) -> Prompt:
        return super().understand({**body, "max_tokens": 1})

    def whole(self, body: JsonObject, answer: Answer) -> JsonObject:
        return {"input_tokens": answer.input_tokens}

    def body_problems(self, exchange: Exchange) -> Iterator[Problem]:
        """What is wrong with a body that is JSON."""
        return _problems(exchange.json, self._issued)


def _problems(body: JsonObject, issued: Mapping[str, str]) -> Iterator[Problem]:
    for name in body.keys() - _FIELDS:
        yield Problem(f"{name}: Extra inputs are not permitted", where=name)
    typed = list(_BODY.problems({name: value for name, value in body.items() if name in _FIELDS}))
    yield from typed
    if not typed:
        yield from anthropic_turns.problems(body, issued)
