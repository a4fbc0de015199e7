"""A conversation through the official ``google-genai`` SDK."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from e2e.talkers import Mode, Reply, ToolCall, ToolSpec
from google import genai
from google.genai import types

_FINISH = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "filter"}


class GeminiTalker:
    """``options`` go into the configuration of every request. The SDK has no stream helper: its mode is a stream."""

    def __init__(
        self,
        client: genai.Client,
        model: str,
        mode: Mode,
        *,
        system: str = "",
        tools: Sequence[ToolSpec] = (),
        **options: Any,
    ) -> None:
        self._client = client
        self._model = model
        self._mode = mode
        self._contents: list[Any] = []
        declared = [types.FunctionDeclaration(name=tool.name, parameters_json_schema=tool.schema) for tool in tools]
        self._config = types.GenerateContentConfig(
            system_instruction=system or None,
            tools=[types.Tool(function_declarations=declared)] if declared else None,
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
            **options,
        )

    def say(self, text: str, *, images: Sequence[str] = ()) -> Reply:
        parts = [types.Part.model_validate({"inlineData": {"mimeType": "image/png", "data": one}}) for one in images]
        self._contents.append(types.Content(role="user", parts=[*parts, types.Part(text=text)]))
        return self._ask()

    def answer(self, results: Mapping[str, str]) -> Reply:
        named = {
            part.function_call.id: part.function_call.name for part in self._contents[-1].parts if part.function_call
        }
        parts = [
            types.Part(
                function_response=types.FunctionResponse(
                    id=call_id or None, name=named[call_id or None], response={"output": text}
                )
            )
            for call_id, text in results.items()
        ]
        self._contents.append(types.Content(role="user", parts=parts))
        return self._ask()

    def _ask(self) -> Reply:
        request: dict[str, Any] = {"model": self._model, "contents": self._contents, "config": self._config}
        if self._mode == "whole":
            return self._heard([self._client.models.generate_content(**request)])
        return self._heard(list(self._client.models.generate_content_stream(**request)))

    def _heard(self, pieces: Sequence[types.GenerateContentResponse]) -> Reply:
        candidates = [candidate for piece in pieces for candidate in piece.candidates or ()]
        parts = [part for one in candidates if one.content for part in one.content.parts or ()]
        ends = [candidate.finish_reason for candidate in candidates if candidate.finish_reason]
        usage = pieces[-1].usage_metadata
        assert len(ends) == 1
        assert usage is not None
        # The empty text at a stream's end is not for a request, unless it bears a signature.
        kept = [part for part in parts if part.text != "" or part.thought_signature]
        self._contents.append(types.Content(role="model", parts=kept))
        calls = tuple(
            ToolCall(
                id=part.function_call.id or "",
                name=part.function_call.name or "",
                arguments=part.function_call.args or {},
            )
            for part in parts
            if part.function_call
        )
        return Reply(
            text="".join(part.text for part in parts if part.text and not part.thought),
            thinking="".join(part.text for part in parts if part.text and part.thought),
            calls=calls,
            model=pieces[-1].model_version or "",
            finish="tools" if calls else _FINISH[ends[0].value],
            input_tokens=usage.prompt_token_count,
            cached_tokens=usage.cached_content_token_count,
            output_tokens=(usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0),
        )
