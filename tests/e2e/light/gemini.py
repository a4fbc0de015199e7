"""A light client of Gemini's ``generateContent``."""

from __future__ import annotations

import json
from collections.abc import Sequence

from e2e.light.client import SCHEMA, SYSTEM, TOOL, Call, Heard, JsonObject, events, only
from typing_extensions import override

_FINISH = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "filter"}


class GeminiClient:
    """Streams as server-sent events."""

    dialect = "gemini"
    stream_type = "text/event-stream"

    def path(self, model: str, *, stream: bool) -> str:
        return f"/v1beta/models/{model}:{'streamGenerateContent?alt=sse' if stream else 'generateContent'}"

    def user(self, text: str, image: str | None = None) -> Sequence[JsonObject]:
        shown = [] if image is None else [{"inlineData": {"mimeType": "image/png", "data": image}}]
        return [{"role": "user", "parts": [*shown, {"text": text}]}]

    def result(self, call: Call, text: str) -> Sequence[JsonObject]:
        response = {"id": call.id, "name": call.name, "response": {"output": text}}
        return [{"role": "user", "parts": [{"functionResponse": response}]}]

    def body(self, model: str, history: Sequence[JsonObject], *, stream: bool, thinking: bool) -> JsonObject:
        function = {"name": TOOL, "parametersJsonSchema": SCHEMA}
        return {
            "systemInstruction": {"parts": [{"text": SYSTEM}]},
            "contents": list(history),
            "tools": [{"functionDeclarations": [function]}],
            **(
                {"generationConfig": {"thinkingConfig": {"includeThoughts": True, "thinkingLevel": "MEDIUM"}}}
                if thinking
                else {}
            ),
        }

    def whole(self, body: JsonObject) -> Heard:
        return self._heard([body])

    def streamed(self, content: bytes) -> Heard:
        # An error comes twice: as an event, and bare at the very end, by which Google's JavaScript SDK sees that the
        # answer is not whole.
        ended, mark, bare = content.rpartition(b"\n\n")
        found = [data for name, data in events(ended + mark) if name is None]
        broken = [piece["error"] for piece in found if "error" in piece]
        if broken or bare:
            assert found[-1] == json.loads(bare)
            return self._broken(found)
        return self._heard(found)

    def assert_error(self, status: int, body: JsonObject) -> None:
        assert body.keys() == {"error"}
        assert body["error"]["code"] == status
        self.assert_error_within(body["error"])

    def assert_error_within(self, error: JsonObject) -> None:
        assert error.keys() - {"details"} == {"code", "message", "status"}
        assert error["status"].isupper()
        assert error["code"] >= 400
        assert len(error["message"]) >= 10

    def _broken(self, pieces: Sequence[JsonObject]) -> Heard:
        *said, failed = pieces
        candidates = [only(piece["candidates"]) for piece in said]
        assert not any("finishReason" in candidate for candidate in candidates)
        parts = [part for candidate in candidates for part in candidate["content"].get("parts", ())]
        return Heard(text=_spoken(parts), error=failed["error"])

    def _heard(self, pieces: Sequence[JsonObject]) -> Heard:
        candidates = [only(piece["candidates"]) for piece in pieces]
        ends = ["finishReason" in candidate for candidate in candidates]
        assert ends == [False] * (len(ends) - 1) + [True]
        assert len({(piece["responseId"], piece["modelVersion"]) for piece in pieces}) == 1
        parts = [part for candidate in candidates for part in candidate["content"].get("parts", ())]
        called = [part["functionCall"] for part in parts if "functionCall" in part]
        usage = pieces[-1]["usageMetadata"]
        output = usage["candidatesTokenCount"] + usage.get("thoughtsTokenCount", 0)
        assert usage["totalTokenCount"] == usage["promptTokenCount"] + output
        return Heard(
            text=_spoken(parts),
            thinking="".join(part["text"] for part in parts if part.get("thought")),
            calls=tuple(Call(id=call["id"], name=call["name"], arguments=call["args"]) for call in called),
            finish="tools" if called else _FINISH[candidates[-1]["finishReason"]],
            model=pieces[-1]["modelVersion"],
            tokens=(usage["promptTokenCount"], output),
            turn=[{"role": "model", "parts": [part for part in parts if part != {"text": ""}]}],
        )


class GeminiArrayClient(GeminiClient):
    """Streams as one JSON array, whose elements come one by one: what a request without ``alt=sse`` gets."""

    stream_type = "application/json"

    @override
    def path(self, model: str, *, stream: bool) -> str:
        return super().path(model, stream=stream).removesuffix("?alt=sse")

    @override
    def streamed(self, content: bytes) -> Heard:
        first, *found = json.loads(content)
        # One that says who answers may come before there is an answer, lest an error should be the first of all.
        if "candidates" in first:
            found = [first, *found]
        return self._broken(found) if "error" in found[-1] else self._heard(found)


def _spoken(parts: Sequence[JsonObject]) -> str:
    return "".join(part["text"] for part in parts if "text" in part and not part.get("thought"))
