"""A fake Gemini: ``generateContent``, whole and streamed, and ``countTokens``."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Set

from e2e.fakes import gemini_rules
from e2e.fakes.chat_wire import data, header_problems
from e2e.fakes.gemini_turns import Signatures, merged
from e2e.fakes.mind import CACHED, Answer, Prompt, Result, Turn, words
from e2e.fakes.vendor import Exchange, JsonObject, Problem

RETRY_DELAY = "7s"
"""What every 429 tells in its details; this vendor has no ``Retry-After``."""

STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""The name that Google has for a status."""
FINISH = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "filter": "SAFETY",
}
"""Why an answer ends, in Gemini's words."""
_RPC = "type.googleapis.com/google.rpc."


class GeminiWire:
    """Model and verb stand in the path; it signs what its newer models say, and knows its signatures again."""

    path = "/v1beta/models/{model:[^:]+}:{verb}"

    def __init__(self, signatures: Signatures | None = None) -> None:
        self._ids = itertools.count(1)
        self._signatures = Signatures() if signatures is None else signatures

    def authenticate(self, exchange: Exchange, keys: Set[str]) -> Problem | None:
        if exchange.headers.get("x-goog-api-key") in keys:
            return None
        if not exchange.headers.get("x-goog-api-key"):
            return Problem("Method doesn't allow unregistered callers.", status=403)
        return Problem("API key not valid. Please pass a valid API key.", code="API_KEY_INVALID")

    def check(self, exchange: Exchange, scripted: Set[str]) -> Iterator[Problem]:
        foreign = ("authorization", "x-api-key", "anthropic-version", "anthropic-beta")
        yield from header_problems(exchange.headers, foreign)
        verb = exchange.said_by_path["verb"]
        if verb not in ("generateContent", "streamGenerateContent", "countTokens"):
            yield Problem(f"{verb} is not a method", status=404)
        elif exchange.path.partition("?")[2] != ("alt=sse" if verb == "streamGenerateContent" else ""):
            yield Problem("Only a stream is asked for as alt=sse, and always", where="alt")
        if not exchange.json:
            yield Problem("Invalid JSON payload received.")
        elif verb == "countTokens":
            yield from gemini_rules.count_problems(gemini_rules.plain(exchange.json), exchange.model, self._signatures)
        else:
            yield from gemini_rules.problems(gemini_rules.plain(exchange.json), exchange.model, self._signatures)

    def headers(self) -> dict[str, str]:
        return {"server-timing": "gfet4t7; dur=612", "x-gemini-service-tier": "standard"}

    def understand(self, body: JsonObject) -> Prompt:
        body = gemini_rules.plain(body)
        body = {**body, **body.get("generateContentRequest", {})}
        config = body.get("generationConfig", {})
        calling = body.get("toolConfig", {}).get("functionCallingConfig", {})
        tools = tuple(one["name"] for tool in body.get("tools", ()) for one in tool.get("functionDeclarations", ()))
        allowed = calling.get("allowedFunctionNames", ["*"])
        return Prompt(
            turns=tuple(_turns(body["contents"])),
            system=" | ".join(part["text"] for part in body.get("systemInstruction", {}).get("parts", ())),
            tools=tools if allowed == ["*"] else tuple(allowed),
            must_call=allowed[0] if calling.get("mode") == "ANY" else None,
            may_call=calling.get("mode") != "NONE",
            thinking=gemini_rules.thinks(body["model"], config),
            max_tokens=config.get("maxOutputTokens"),
            stop=tuple(config.get("stopSequences", ())),
        )

    def whole(self, body: JsonObject, answer: Answer) -> JsonObject:
        if body["verb"] == "countTokens":
            return {
                "totalTokens": answer.input_tokens,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": answer.input_tokens}],
            }
        said = [*_thoughts(body, [answer.thinking]), *([{"text": answer.text}] if answer.text else [])]
        return self._piece(body, answer, [*said, *self._end(body, answer, said)], finished=True)

    def frames(self, body: JsonObject, answer: Answer) -> Iterator[bytes]:
        return map(data, self.pieces(body, answer))

    def pieces(self, body: JsonObject, answer: Answer) -> Iterator[JsonObject]:
        """The answer in the pieces that a stream sends."""
        said = [*_thoughts(body, words(answer.thinking)), *({"text": word} for word in words(answer.text))]
        envelope = self._piece(body, answer, [])
        for part in said:
            yield {**envelope, "candidates": [_candidate([part])]}
        *calls, last = self._end(body, answer, []) or [{"text": ""}]
        if "functionCall" in last:
            calls, last = [*calls, last], {"text": ""}
        for call in calls:
            yield {**envelope, "candidates": [_candidate([call])]}
        end = self._piece(body, answer, [last], finished=True)
        yield {**end, "responseId": envelope["responseId"]}

    def error(self, problem: Problem) -> JsonObject:
        details: list[JsonObject] = []
        if problem.code:
            details.append(
                {"@type": f"{_RPC}ErrorInfo", "reason": problem.code, "domain": "googleapis.com", "metadata": {}}
            )
        if problem.status == 429:
            details.append({"@type": f"{_RPC}RetryInfo", "retryDelay": RETRY_DELAY})
        told = {
            "code": problem.status,
            "message": problem.message,
            "status": STATUS.get(problem.status, "INTERNAL" if problem.status >= 500 else "INVALID_ARGUMENT"),
        }
        return {"error": {**told, "details": details} if details else told}

    def error_frame(self) -> bytes:
        return data(self.error(Problem("The model is overloaded. Please try again later.", status=503)))

    def _piece(
        self, body: JsonObject, answer: Answer, parts: list[JsonObject], *, finished: bool = False
    ) -> JsonObject:
        """An answer, or a piece of one; the usage of every piece is that of the answer so far."""
        candidate = _candidate(parts)
        if finished:
            candidate["finishReason"] = FINISH[answer.finish]
        return {
            "candidates": [candidate],
            "usageMetadata": _usage(answer, finished=finished),
            "modelVersion": f"{body['model']}-001",
            "responseId": f"Ab{next(self._ids):020d}",
        }

    def _end(self, body: JsonObject, answer: Answer, said: list[JsonObject]) -> list[JsonObject]:
        """The calls, the first of which is signed; where there are none, the last word is: on an empty text."""
        signs = gemini_rules.signs(body["model"])
        calls = [self._call(body, call.name, json.loads(call.arguments)) for call in answer.calls]
        if calls and signs:
            calls[0]["thoughtSignature"] = self._signatures.issue("call", calls[0]["functionCall"]["name"])
        if calls or not signs:
            return calls
        signature = self._signatures.issue("text", "")
        if said and "thought" not in said[-1]:
            said[-1]["thoughtSignature"] = signature
            return []
        return [{"text": "", "thoughtSignature": signature}]

    def _call(self, body: JsonObject, name: str, arguments: JsonObject) -> JsonObject:
        call: JsonObject = {"name": name, "args": arguments}
        # The older models give their calls no ids.
        return {"functionCall": {"id": f"fc{next(self._ids)}", **call} if gemini_rules.signs(body["model"]) else call}


def _candidate(parts: list[JsonObject]) -> JsonObject:
    content: JsonObject = {"role": "model"}
    return {"content": {"parts": parts, **content} if parts else content, "index": 0}


def _thoughts(body: JsonObject, texts: list[str]) -> list[JsonObject]:
    """What is shown of the thinking: nothing, unless it was asked for."""
    config = gemini_rules.plain(body.get("generationConfig") or body.get("generation_config") or {})
    shown = config.get("thinkingConfig", {}).get("includeThoughts")
    return [{"text": text, "thought": True} for text in texts if text] if shown else []


def _usage(answer: Answer, *, finished: bool) -> JsonObject:
    usage = {
        "promptTokenCount": answer.input_tokens,
        "cachedContentTokenCount": CACHED,
        "totalTokenCount": answer.input_tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": answer.input_tokens}],
    }
    if not finished:
        return usage
    if answer.reasoning_tokens:
        usage["thoughtsTokenCount"] = answer.reasoning_tokens
    return {
        **usage,
        "candidatesTokenCount": answer.output_tokens - answer.reasoning_tokens,
        "totalTokenCount": answer.input_tokens + answer.output_tokens,
    }


def _turns(contents: list[JsonObject]) -> Iterator[Turn]:
    for role, parts in merged(contents):
        text = "".join(part["text"] for part in parts if "text" in part and not part.get("thought"))
        responses = [part["functionResponse"] for part in parts if "functionResponse" in part]
        results = tuple(_result(response["response"]) for response in responses)
        images = sum("inlineData" in part or "fileData" in part for part in parts)
        if role == "user" and results and not text:
            yield Turn(role="results", results=results)
        else:
            yield Turn(role="user" if role == "user" else "assistant", text=text, images=images, results=results)


def _result(response: JsonObject) -> Result:
    """``output`` and ``error`` are the keys that the API knows; anything else is the answer as it stands."""
    if response.keys() == {"error"}:
        return Result(text=str(response["error"]), failed=True)
    answer = response["output"] if response.keys() == {"output"} else response
    return Result(text=answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False))
