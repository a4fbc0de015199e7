"""A conversation through the Responses API of the official ``openai`` SDK, which keeps nothing at the vendor's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import openai
from e2e.talkers import Mode, Reply, ToolCall, ToolSpec, arguments
from openai.types.responses import Response

_FINISH = {None: "stop", "max_output_tokens": "length", "content_filter": "filter"}


class ResponsesTalker:
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
        self._items: list[Any] = []
        self._options: dict[str, Any] = {"model": model, "store": False, **options}
        if system:
            self._options["instructions"] = system
        if tools:
            self._options["tools"] = [
                {"type": "function", "name": tool.name, "parameters": tool.schema, "strict": False} for tool in tools
            ]

    def say(self, text: str, *, images: Sequence[str] = ()) -> Reply:
        shown = [
            {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{image}"} for image in images
        ]
        self._items.append({"role": "user", "content": [{"type": "input_text", "text": text}, *shown]})
        return self._ask()

    def answer(self, results: Mapping[str, str]) -> Reply:
        for call_id, text in results.items():
            self._items.append({"type": "function_call_output", "call_id": call_id, "output": text})
        return self._ask()

    def _ask(self) -> Reply:
        match self._mode:
            case "whole":
                return self._heard(self._client.responses.create(input=self._items, **self._options))
            case "stream":
                return self._heard(self._read())
            case "helper":
                with self._client.responses.stream(input=self._items, **self._options) as stream:
                    for _ in stream:
                        pass
                    return self._heard(stream.get_final_response())

    def _read(self) -> Response:
        events = list(self._client.responses.create(input=self._items, stream=True, **self._options))
        assert [event.sequence_number for event in events] == list(range(len(events)))
        last = events[-1]
        assert last.type in ("response.completed", "response.incomplete")
        told = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        assert told == last.response.output_text
        return last.response

    def _heard(self, response: Response) -> Reply:
        self._items += [
            item.model_dump(exclude_none=True, exclude={"parsed", "parsed_arguments"}) for item in response.output
        ]
        usage = response.usage
        assert usage is not None
        calls = tuple(
            ToolCall(id=item.call_id, name=item.name, arguments=arguments(item.arguments))
            for item in response.output
            if item.type == "function_call"
        )
        reason = response.incomplete_details.reason if response.incomplete_details else None
        return Reply(
            text=response.output_text,
            thinking="".join(
                part.text for item in response.output if item.type == "reasoning" for part in item.summary
            ),
            calls=calls,
            model=response.model,
            finish="tools" if calls else _FINISH[reason],
            input_tokens=usage.input_tokens,
            cached_tokens=usage.input_tokens_details.cached_tokens,
            output_tokens=usage.output_tokens,
        )
