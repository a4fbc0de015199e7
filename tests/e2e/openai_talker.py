"""A conversation through the official ``openai`` SDK."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import openai
from e2e.talkers import Mode, Reply, ToolCall, ToolSpec, arguments
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessage

_FINISH = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tools",
    "content_filter": "filter",
}


class OpenAITalker:
    """``options`` go into every request."""

    def __init__(
        self,
        client: openai.OpenAI,
        model: str,
        mode: Mode,
        *,
        system: str = "",
        tools: Sequence[ToolSpec] = (),
        **options: Any,
    ) -> None:
        self._client = client
        self._mode = mode
        self._messages: list[Any] = [{"role": "system", "content": system}] if system else []
        self._options: dict[str, Any] = {"model": model, **options}
        if tools:
            self._options["tools"] = [
                {"type": "function", "function": {"name": tool.name, "parameters": tool.schema}} for tool in tools
            ]

    def say(self, text: str, *, images: Sequence[str] = ()) -> Reply:
        parts = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}} for image in images]
        content = [{"type": "text", "text": text}, *parts] if parts else text
        self._messages.append({"role": "user", "content": content})
        return self._ask()

    def answer(self, results: Mapping[str, str]) -> Reply:
        for call_id, text in results.items():
            self._messages.append({"role": "tool", "tool_call_id": call_id, "content": text})
        return self._ask()

    def _ask(self) -> Reply:
        match self._mode:
            case "whole":
                completion = self._client.chat.completions.create(messages=self._messages, **self._options)
                choice = completion.choices[0]
                return self._heard(choice.message, choice.finish_reason, completion.model, completion.usage)
            case "stream":
                return self._read()
            case "helper":
                return self._helped()

    def _read(self) -> Reply:
        stream = self._client.chat.completions.create(
            messages=self._messages, stream=True, stream_options={"include_usage": True}, **self._options
        )
        with stream:
            chunks = list(stream)
        assert len({(chunk.id, chunk.model, chunk.created) for chunk in chunks}) == 1, "chunks of different answers"
        assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
        deltas = [chunk.choices[0] for chunk in chunks if chunk.choices]
        assert {delta.delta.role for delta in deltas} - {None} == {"assistant"}
        assert [delta.finish_reason is not None for delta in deltas] == [False] * (len(deltas) - 1) + [True]
        message = ChatCompletionMessage.model_validate(_joined(chunks))
        return self._heard(message, deltas[-1].finish_reason, chunks[0].model, chunks[-1].usage)

    def _helped(self) -> Reply:
        options = {"stream_options": {"include_usage": True}, **self._options}
        with self._client.chat.completions.stream(messages=self._messages, **options) as stream:
            for _ in stream:
                pass
            completion = stream.get_final_completion()
        choice = completion.choices[0]
        assert choice.message.role == "assistant"
        # The helper's message has fields of the SDK's own (parsed, parsed_arguments, index) that are not for the wire.
        plain = choice.message.model_dump(
            include={"content": True, "tool_calls": {"__all__": {"id", "type", "function"}}}
        )
        for call in plain["tool_calls"] or []:
            del call["function"]["parsed_arguments"]
        message = ChatCompletionMessage.model_validate(
            {"role": "assistant", **plain, **(choice.message.model_extra or {})}
        )
        return self._heard(message, choice.finish_reason, completion.model, completion.usage)

    def _heard(
        self, message: ChatCompletionMessage, finish: str | None, model: str, usage: CompletionUsage | None
    ) -> Reply:
        self._messages.append(message)
        assert finish is not None
        assert usage is not None
        details = usage.prompt_tokens_details
        return Reply(
            text=message.content or "",
            thinking=str((message.model_extra or {}).get("reasoning_content") or ""),
            calls=tuple(_calls(message)),
            model=model,
            finish=_FINISH[finish],
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            cached_tokens=details.cached_tokens if details else None,
        )


def _calls(message: ChatCompletionMessage) -> Iterator[ToolCall]:
    for call in message.tool_calls or []:
        assert call.type == "function"
        yield ToolCall(id=call.id, name=call.function.name, arguments=arguments(call.function.arguments))


def _joined(chunks: Sequence[ChatCompletionChunk]) -> dict[str, Any]:
    """The message that a stream spells, put together the way the documentation shows."""
    message: dict[str, Any] = {"role": "assistant", "content": None}
    calls: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for choice in chunk.choices:
            for key, piece in (("content", choice.delta.content), *_extra(choice.delta.model_extra)):
                if piece:
                    message[key] = (message.get(key) or "") + piece
            for fragment in choice.delta.tool_calls or []:
                call = calls.setdefault(
                    fragment.index, {"id": fragment.id, "type": "function", "function": {"name": None, "arguments": ""}}
                )
                assert fragment.function is not None
                call["function"]["name"] = call["function"]["name"] or fragment.function.name
                call["function"]["arguments"] += fragment.function.arguments or ""
    assert list(calls) == list(range(len(calls))), "calls are numbered from 0"
    return {**message, "tool_calls": list(calls.values())} if calls else message


def _extra(extra: Mapping[str, Any] | None) -> list[tuple[str, str | None]]:
    return [("reasoning_content", (extra or {}).get("reasoning_content"))]
