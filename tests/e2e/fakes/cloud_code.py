"""A fake Cloud Code: Google's internal API in front of Gemini's models and Claude's, with accounts that log in."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Set

import attrs
from aiohttp import web
from e2e.fakes import cloud_code_accounts, cloud_code_claude, cloud_code_errors, cloud_code_models, gemini_rules
from e2e.fakes.chat_wire import data
from e2e.fakes.cloud_code_accounts import Accounts, CloudAccount, Tokens
from e2e.fakes.cloud_code_office import OfficeWire
from e2e.fakes.cloud_code_rules import CloudCodeRules
from e2e.fakes.gemini import FINISH, GeminiWire
from e2e.fakes.mind import CACHED, Answer, Prompt, words
from e2e.fakes.server import FakeVendor
from e2e.fakes.vendor import Exchange, JsonObject, Problem, Script, Wire

OUTDATED = "This version of Antigravity is no longer supported. Please update to receive the latest features."
USER_AGENT = "antigravity/hub/2.9.1 linux/amd64"
"""A program that the gate lets through."""

_VERSION = re.compile(r"antigravity/(?:\w+/)?(\d+)\.(\d+)")
_OLDEST = (2, 9)
_PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg=="


class CloudCodeWire:
    """Generation, whole and streamed, and the counter of tokens. It signs what its models think and call."""

    path = "/v1internal:{verb:generateContent|streamGenerateContent|countTokens}"

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._ids = itertools.count(1)
        self._rules = CloudCodeRules()
        self._gemini = GeminiWire(self._rules.signatures)

    def authenticate(self, exchange: Exchange, keys: Set[str]) -> Problem | None:
        return cloud_code_accounts.authenticate(exchange, keys)

    def check(self, exchange: Exchange, scripted: Set[str]) -> Iterator[Problem]:
        yield from cloud_code_accounts.header_problems(exchange)
        verb = exchange.said_by_path["verb"]
        if exchange.path.partition("?")[2] != ("alt=sse" if verb == "streamGenerateContent" else ""):
            yield Problem("Only a stream is asked for as alt=sse, and always", where="alt")
        account = self._accounts.by_email[exchange.owner]
        if not exchange.json:
            yield Problem("Invalid JSON payload received.")
        elif verb == "countTokens":
            yield from self._rules.count_problems(exchange.json)
        else:
            yield from self._rules.problems(exchange.json, account.project, scripted)

    def headers(self) -> dict[str, str]:
        return {"server-timing": "gfet4t7; dur=612", "x-cloudaicompanion-trace-id": f"{next(self._ids):016x}"}

    def understand(self, body: JsonObject) -> Prompt:
        inner = _inner(body)
        if body["verb"] == "countTokens":
            # What is counted are the contents alone.
            return self._gemini.understand({"model": "gemini-3-flash", "contents": inner["contents"]})
        model = cloud_code_models.model(inner["model"])
        prompt = self._gemini.understand({**inner, "contents": _as_outputs(inner["contents"])})
        thinking = inner.get("generationConfig", {}).get("thinkingConfig", {})
        if model.family == "claude":
            prompt = attrs.evolve(prompt, thinking="thinkingBudget" in thinking)
        return attrs.evolve(prompt, thinking=False) if model.family == "gpt-oss" or model.draws else prompt

    def whole(self, body: JsonObject, answer: Answer) -> JsonObject:
        if body["verb"] == "countTokens":
            return {"totalTokens": answer.input_tokens}
        pieces = [piece["response"] for piece in self._pieces(body, answer)]
        said = [part for piece in pieces for part in piece["candidates"][0]["content"].get("parts", ())]
        last = pieces[-1]
        candidate = {**last["candidates"][0], "content": {"role": "model", "parts": _joined(said)}}
        return {"response": {**last, "candidates": [candidate]}, "traceId": f"{next(self._ids):016x}"}

    def frames(self, body: JsonObject, answer: Answer) -> Iterator[bytes]:
        return map(data, self._pieces(body, answer))

    def error(self, problem: Problem) -> JsonObject:
        if problem.code == cloud_code_claude.ANTHROPIC:
            return cloud_code_errors.error(400, cloud_code_claude.inner_error(problem, next(self._ids)))
        return cloud_code_errors.told(problem)

    def error_frame(self) -> bytes:
        message = "No capacity available for this model on the server"
        return data(cloud_code_errors.error(503, message, reason="MODEL_CAPACITY_EXHAUSTED"))

    def _pieces(self, body: JsonObject, answer: Answer) -> Iterator[JsonObject]:
        """The events of an answer. Each has the usage so far, of which nothing is to be added up."""
        inner, trace = _inner(body), f"{next(self._ids):016x}"
        if _outdated(body):
            told = cloud_code_errors.piece({"text": OUTDATED}, finish="STOP")
            yield {**told, "traceId": trace}
            return
        claude = cloud_code_models.model(inner["model"]).family == "claude"
        pieces = list(self._claude(inner, answer) if claude else self._others(inner, answer))
        identity = f"{'msg_vrtx_' if claude else 'r'}{next(self._ids):020d}"
        for number, candidate in enumerate(pieces, start=1):
            response = {
                "candidates": [candidate],
                "usageMetadata": _usage(answer, number / len(pieces)),
                "modelVersion": inner["model"],
                "responseId": identity,
            }
            yield {"response": response, "traceId": trace}

    def _others(self, inner: JsonObject, answer: Answer) -> Iterator[JsonObject]:
        model = cloud_code_models.model(inner["model"])
        *pieces, last = (piece["candidates"][0] for piece in self._gemini.pieces(inner, answer))
        yield from pieces
        if model.draws:
            picture = {"inlineData": {"mimeType": "image/png", "data": _PICTURE}}
            yield {"content": {"role": "model", "parts": [picture]}, "index": 0}
        searched = any("googleSearch" in tool for tool in inner.get("tools", ()))
        yield {**last, "groundingMetadata": _grounding(answer)} if searched else last

    def _claude(self, inner: JsonObject, answer: Answer) -> Iterator[JsonObject]:
        shown = inner.get("generationConfig", {}).get("thinkingConfig", {}).get("includeThoughts")
        parts: list[JsonObject] = []
        if answer.thinking and shown:
            parts += [{"text": word, "thought": True} for word in words(answer.thinking)]
            signature = self._rules.claude.issue(answer.thinking)
            parts.append({"text": "", "thought": True, "thoughtSignature": signature})
        parts += [{"text": word} for word in words(answer.text)]
        for call in answer.calls:
            identity = f"toolu_vrtx_{next(self._ids):020d}"
            made = {"id": identity, "name": call.name, "args": json.loads(call.arguments)}
            parts.append({"functionCall": made})
        for part in parts:
            yield {"content": {"role": "model", "parts": [part]}}
        finish = "OTHER" if answer.calls else FINISH[answer.finish]
        yield {"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": finish}


class FakeCloudCode(FakeVendor):
    """``identities`` knows the tokens of people who log in; others are given together with their account.

    Scripts and questions name an account by its e-mail address: ``script(banned(), key="a@example.com")``,
    ``script(quota(model, 60), key="a@example.com", model=model)``. These are for generation; a script for the ``model``
    ``loadCodeAssist``, ``onboardUser``, ``fetchAvailableModels`` or ``retrieveUserQuota`` is for that method.
    """

    def __init__(self, identities: Tokens | None = None) -> None:
        self.accounts = Accounts(identities)
        self._generation = CloudCodeWire(self.accounts)
        super().__init__(self._generation, [], OfficeWire(self.accounts))
        self.keys = self.accounts

    def add(self, account: CloudAccount, token: str | None = None) -> CloudAccount:
        """Know this account, and let it in with this token."""
        self.accounts.put(account, token)
        return account

    def sessions(self, model: str | None = None, key: str | None = None) -> list[str | None]:
        """The session of each request for an answer so far, oldest first."""
        asked = [one for one in self.asked(model=model, key=key) if "verb" in one.said_by_path]
        return [gemini_rules.plain(one.json).get("request", {}).get("sessionId") for one in asked]

    def said_beside(self, request: web.Request) -> dict[str, str]:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        program = request.headers.get("user-agent", "")
        said = {**super().said_beside(request), "program": program}
        owner = self.accounts.owner(token)
        return said if owner is None else {**said, "owner": owner}

    def script_of(self, wire: Wire, model: str, key: str) -> Script | None:
        if wire is not self._generation:
            return super().script_of(wire, model, key) if model else None
        account = self.accounts.by_email.get(key)
        if account is not None and model and (seconds := account.exhausted_for(model)) > 0:
            return cloud_code_errors.quota(model, seconds)
        return super().script_of(wire, model, key)


def _inner(body: JsonObject) -> JsonObject:
    """The request inside the envelope, in plain names, with what Gemini's wire reads from the path."""
    body = gemini_rules.plain(body)
    return {**body["request"], "model": body.get("model", ""), "verb": body["verb"]}


def _outdated(body: JsonObject) -> bool:
    found = _VERSION.search(body["program"])
    return found is None or (int(found[1]), int(found[2])) < _OLDEST


def _as_outputs(contents: list[JsonObject]) -> list[JsonObject]:
    """Here a result is called ``result``, as it is ``output`` at Gemini's own API."""
    return [{**content, "parts": [_as_output(part) for part in content["parts"]]} for content in contents]


def _as_output(part: JsonObject) -> JsonObject:
    answered = part.get("functionResponse", {})
    if answered.get("response", {}).keys() != {"result"}:
        return part
    return {**part, "functionResponse": {**answered, "response": {"output": answered["response"]["result"]}}}


def _joined(parts: list[JsonObject]) -> list[JsonObject]:
    """The parts of a stream as a whole answer has them: neighbouring texts of a kind are one, with its signature."""
    joined: list[JsonObject] = []
    for part in parts:
        before = joined[-1] if joined else {}
        if "text" in part and "text" in before and part.get("thought") == before.get("thought"):
            joined[-1] = {**before, **part, "text": before["text"] + part["text"]}
        elif part != {"text": ""}:
            joined.append(part)
    return joined


def _grounding(answer: Answer) -> JsonObject:
    page = "https://vertexaisearch.cloud.google.com/grounding-api-redirect/AbF9"
    support = {"segment": {"endIndex": len(answer.text.encode()), "text": answer.text}, "groundingChunkIndices": [0]}
    return {
        "webSearchQueries": ["what was asked"],
        "groundingChunks": [{"web": {"uri": page, "title": "python.org"}}],
        "groundingSupports": [support],
    }


def _usage(answer: Answer, share: float) -> JsonObject:
    """The snapshot after this share of an answer."""
    spoken = round((answer.output_tokens - answer.reasoning_tokens) * share)
    thought = min(answer.reasoning_tokens, round(answer.reasoning_tokens * share * 2))
    usage = {
        "promptTokenCount": answer.input_tokens,
        "cachedContentTokenCount": CACHED,
        "candidatesTokenCount": spoken,
        "thoughtsTokenCount": thought,
        "totalTokenCount": answer.input_tokens + spoken + thought,
    }
    return {name: count for name, count in usage.items() if count}
