"""The fake Cloud Code, asked directly: it answers as Google does, and refuses what Google would."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from e2e.fakes import cloud_code_errors
from e2e.fakes.cloud_code import OUTDATED, USER_AGENT, FakeCloudCode
from e2e.fakes.cloud_code_accounts import CloudAccount
from e2e.fakes.vendor import Script

from aigateway_core.testing import FakeIdentityProvider

ANN = "ann@example.com"
TOKEN = "ya29.known"
PROJECT = "example-proj-1a2b3"
CLAUDE = "claude-opus-4-6-thinking"
GEMINI = "gemini-3-flash"
SKIP = "skip_thought_signature_validator"
ASK = 'use the tool clock with {"tz": "Zürich"}'
PIXEL = "iVBORw0KGgo="


@pytest.fixture
def fake() -> Iterator[FakeCloudCode]:
    made = FakeCloudCode()
    made.add(CloudAccount(email=ANN, project=PROJECT), TOKEN)
    made.start()
    yield made
    made.stop()


@attrs.frozen
class Said:
    """The events of an answer, joined."""

    events: list[dict[str, Any]]

    @property
    def responses(self) -> list[dict[str, Any]]:
        return [event["response"] for event in self.events]

    @property
    def parts(self) -> list[dict[str, Any]]:
        return [part for one in self.responses for part in one["candidates"][0]["content"].get("parts", ())]

    @property
    def text(self) -> str:
        return "".join(part.get("text", "") for part in self.parts if not part.get("thought"))

    @property
    def thinking(self) -> str:
        return "".join(part["text"] for part in self.parts if part.get("thought"))

    @property
    def finish(self) -> str | None:
        found: str | None = self.responses[-1]["candidates"][0].get("finishReason")
        return found

    @property
    def turn(self) -> dict[str, Any]:
        """What goes back into the history: the thinking joined, and signed as it was."""
        signed = next((one for one in self.parts if one.get("thought") and "thoughtSignature" in one), {})
        calls = [part for part in self.parts if "functionCall" in part]
        thinking = [{**signed, "text": self.thinking, "thought": True}] if self.thinking else []
        return model(*thinking, *([{"text": self.text}] if self.text else []), *calls)


def post(fake: FakeCloudCode, method: str, body: Any, **headers: str) -> tuple[int, bytes]:
    shown = {"authorization": f"Bearer {TOKEN}", "user-agent": USER_AGENT, "content-type": "application/json"}
    shown |= {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"{fake.url}/v1internal:{method}", json.dumps(body).encode(), shown)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def envelope(name: str = GEMINI, /, outer: dict[str, Any] | None = None, **inner: Any) -> dict[str, Any]:
    request = {"sessionId": "-1", **asking(name), **inner}
    whole = {
        "project": PROJECT,
        "requestId": f"agent-{uuid.uuid4()}",
        "userAgent": "antigravity",
        "requestType": "agent",
        "model": name,
        "request": {key: value for key, value in request.items() if value is not None},
    }
    return {key: value for key, value in {**whole, **(outer or {})}.items() if value is not None}


def asking(name: str) -> dict[str, Any]:
    return {"contents": [user({"text": "hello"})]}


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "parts": list(parts)}


def model(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "model", "parts": list(parts)}


def declared(*functions: Any, mode: str = "VALIDATED") -> dict[str, Any]:
    config = {"functionCallingConfig": {"mode": mode}}
    return {"tools": [{"functionDeclarations": list(functions)}], "toolConfig": config}


def function(parameters: Any = None, **more: Any) -> dict[str, Any]:
    return {"name": "clock", "parameters": parameters or CLOCK, **more}


def schema(**keys: Any) -> dict[str, Any]:
    """The declaration of a function with one argument of this schema."""
    return declared(function({"type": "object", "properties": {"tz": keys}, "required": ["tz"]}))


CLOCK = {"type": "object", "properties": {"tz": {"type": "string"}}, "required": ["tz"]}
CALL = {"functionCall": {"id": "a", "name": "clock", "args": {"tz": "x"}}}
RESULT = {"functionResponse": {"id": "a", "name": "clock", "response": {"result": "noon"}}}


def conversation(*turns: dict[str, Any]) -> dict[str, Any]:
    return {"contents": [user({"text": "hello"}), *turns]}


def config(**fields: Any) -> dict[str, Any]:
    return {"generationConfig": fields}


def thinking(**fields: Any) -> dict[str, Any]:
    return config(thinkingConfig={"includeThoughts": True, **fields})


def ask(fake: FakeCloudCode, body: dict[str, Any], *, stream: bool = True, **headers: str) -> Said:
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    status, content = post(fake, method, body, **headers)
    assert status == 200, content
    if not stream:
        return Said([json.loads(content)])
    assert b"[DONE]" not in content
    frames = content.decode().removesuffix("\n\n").split("\n\n")
    return Said([json.loads(frame.removeprefix("data: ")) for frame in frames])


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("name", "fields"),
    [
        (CLAUDE, config(maxOutputTokens=32_000, thinkingConfig={"includeThoughts": True, "thinkingBudget": 8192})),
        (GEMINI, thinking(thinkingLevel="low")),
        ("gemini-pro-agent", thinking(thinkingBudget=-1)),
        ("gpt-oss-120b-medium", {}),
        ("claude-sonnet-4-6-m7", {}),
    ],
)
def test_a_conversation_with_tools_and_thinking(
    fake: FakeCloudCode, name: str, fields: dict[str, Any], stream: bool
) -> None:
    mode = "VALIDATED" if name.startswith("claude") else "AUTO"
    told = {**declared(function(), mode=mode), **fields}
    history = [user({"text": ASK})]
    first = ask(fake, envelope(name, contents=history, **told), stream=stream)
    assert first.text == "Calling clock."
    assert first.thinking == (f"Thinking about: {ASK}" if fields else "")
    [call] = [part["functionCall"] for part in first.parts if "functionCall" in part]
    assert (call["name"], call["args"]) == ("clock", {"tz": "Zürich"})
    if name.startswith("claude"):
        assert call["id"].startswith("toolu_vrtx_")
        assert first.responses[0]["responseId"].startswith("msg_vrtx_")
        assert all(part["thoughtSignature"].startswith("R") for part in first.parts if "thoughtSignature" in part)
    named = {key: call[key] for key in ("id", "name") if key in call}
    result = {"functionResponse": {**named, "response": {"result": "noon"}}}
    second = ask(fake, envelope(name, contents=[*history, first.turn, user(result)], **told), stream=stream)
    assert (second.text, second.finish) == ("The tool answered: noon", "STOP")
    assert fake.violations == []
    assert fake.sessions(name, ANN) == ["-1", "-1"]


def test_usage_is_a_snapshot_on_every_event(fake: FakeCloudCode) -> None:
    said = ask(fake, envelope(GEMINI, **thinking(thinkingLevel="low")))
    counts = [one["usageMetadata"]["totalTokenCount"] for one in said.responses]
    assert len(counts) > 3
    assert counts == sorted(counts)
    whole = ask(fake, envelope(GEMINI, **thinking(thinkingLevel="low")), stream=False)
    assert whole.responses[0]["usageMetadata"] == said.responses[-1]["usageMetadata"]
    assert whole.text == said.text == "echo: hello [turn 1]"


OUTER = [
    ({"surprise": 1}, 400, 'Unknown name "surprise": Cannot find field.'),
    ({"project": ""}, 400, "Invalid project resource name projects/"),
    ({"project": None}, 400, "Invalid project resource name projects/"),
    ({"project": "example-other"}, 403, "Permission denied"),
    ({"model": "models/gemini-3-flash"}, 404, "not found"),
    ({"model": "gemini-9"}, 404, "not found"),
    ({"request": None}, 400, "request is not specified"),
    ({"request": {"messages": []}}, 400, "session_id"),
    ({"userAgent": "gateway"}, 400, "user_agent"),
    ({"requestType": "chat"}, 400, "request_type"),
    ({"requestType": "image_gen"}, 400, "request_type"),
    ({"requestType": "web_search"}, 400, "search"),
    ({"requestId": None}, 400, "request_id"),
    ({"requestId": "agent-1"}, 400, "request_id"),
]


@pytest.mark.parametrize(("outer", "status", "said"), OUTER, ids=[str(change) for change, *_ in OUTER])
def test_a_wrong_envelope_is_refused(fake: FakeCloudCode, outer: dict[str, Any], status: int, said: str) -> None:
    found, content = post(fake, "generateContent", envelope(outer=outer))
    assert (found, json.loads(content)["error"]["code"]) == (status, status)
    assert said in json.loads(content)["error"]["message"], content
    assert fake.violations


def test_a_bare_request_is_refused(fake: FakeCloudCode) -> None:
    status, content = post(fake, "generateContent", {**asking(GEMINI), "model": GEMINI, "project": PROJECT})
    assert status == 400
    assert 'Unknown name \\"contents\\"' in content.decode()


def test_a_request_id_is_used_once(fake: FakeCloudCode) -> None:
    body = envelope()
    assert post(fake, "generateContent", body)[0] == 200
    assert post(fake, "generateContent", body)[0] == 400


EITHER = [
    ({"stream": True}, 'Unknown name "stream" at \'request\''),
    ({"messages": []}, 'Unknown name "messages" at \'request\''),
    ({"session_id": "x", "sessionId": None, "cache_control": {}}, "cacheControl"),
    ({"sessionId": None}, "session_id"),
    ({"systemInstruction": "Be kind"}, "systemInstruction"),
    ({"systemInstruction": {"parts": [{"text": "x", "cache_control": {}}]}}, "cacheControl"),
    ({"contents": []}, "contents is not specified"),
    ({"contents": [user()]}, "at least one parts"),
    ({"contents": [user({})]}, "required oneof field 'data'"),
    ({"contents": [user({"text": "x", "cache_control": {}})]}, "cacheControl"),
    ({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}, "valid role"),
    ({"contents": [user({"text": "x"}), user({"inlineData": {"mimeType": "image/x-icon", "data": PIXEL}})]}, "MIME"),
    ({"contents": [user({"functionCall": {"name": "t"}})]}, "the model's"),
    (declared(function(), function()), "Duplicate function declaration"),
    (declared(function(strict=True)), 'Unknown name "strict" at \'request.tools[0].function_declarations[0]\''),
    (declared(function(cache_control={})), "cacheControl"),
    (declared(function(parametersJsonSchema=CLOCK)), "parametersJsonSchema"),
    (declared({"name": "9lives", "parameters": CLOCK}), "function name"),
    (declared({"name": "my tool", "parameters": CLOCK}), "function name"),
    (declared({"name": "", "parameters": CLOCK}), "function name"),
    (declared(function({"type": "string"})), "of type OBJECT"),
    ({"tools": [{"functionDeclarations": [function()]}, {"functionDeclarations": [function()]}]}, "Multiple tools"),
    ({"tools": [{"functionDeclarations": [function()]}, {"googleSearch": {}}]}, "beside Google's own"),
    ({"tools": [{"type": "function"}]}, 'Unknown name "type"'),
    ({"toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}}}, "without function_declarations"),
    (schema(type="string", minLength=3), 'Unknown name "minLength" at'),
    (schema(**{"$ref": "#/$defs/X"}), "request.tools[0].function_declarations[0].parameters.properties[0].value'"),
    (schema(type="string", const="x"), "const"),
    (schema(type="string", optional=True), "optional"),
    (schema(anyOf=[{"type": "string"}]), "anyOf"),
    (schema(type="object", additionalProperties=False), "additionalProperties"),
    (schema(type=["string", "null"]), "Type"),
    (schema(type="thing"), "Type"),
    (schema(type="array"), "items: missing field"),
    (schema(type="array", items=[{"type": "string"}]), "Invalid value"),
    (schema(type="array", items={"type": "string", "format": "date"}), "properties[0].value.items"),
    (schema(type="integer", enum=["1"]), "only allowed for STRING"),
    (schema(type="string", enum=[1]), "TYPE_STRING"),
    (declared(function({**CLOCK, "required": ["zz"]})), "property is not defined"),
    (declared(function({"type": "object", "properties": {"x": True}, "required": ["x"]})), "Invalid value"),
    (config(max_tokens=5), "maxTokens"),
    (config(responseMimeType="application/json", responseJsonSchema={"type": "object"}), "responseJsonSchema"),
    (config(responseMimeType="application/json", responseSchema={"type": "object", "$schema": "x"}), "$schema"),
    (config(responseMimeType="application/json", responseSchema={"type": "boolean", "enum": ["x"]}), "BOOLEAN"),
    (thinking(thinkingLevel="low", thinkingBudget=2048), "only one"),
    (config(temperature="1"), "temperature"),
]  # fmt: skip


@pytest.mark.parametrize("name", [GEMINI, CLAUDE])
@pytest.mark.parametrize(("inner", "said"), EITHER, ids=[str(change)[:70] for change, _ in EITHER])
def test_what_is_refused_for_every_model(fake: FakeCloudCode, name: str, inner: dict[str, Any], said: str) -> None:
    status, content = post(fake, "generateContent", envelope(name, **inner))
    assert (status, json.loads(content)["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert any(said in violation for violation in fake.violations), fake.violations


OF_GEMINI = [
    (conversation(model(CALL), user(RESULT)), "missing a thought_signature"),
    (conversation(model({**CALL, "thoughtSignature": "Zm9yZ2Vk"}), user(RESULT)), "signature is not valid"),
    (conversation(model({"text": "x", "thoughtSignature": SKIP}), user({"text": "y"})), "signature is not valid"),
    (conversation(model({**CALL, "thoughtSignature": SKIP}), user({**RESULT, "thoughtSignature": SKIP})), "not valid"),
    (
        conversation(
            model({**CALL, "thoughtSignature": SKIP}, {**CALL, "thoughtSignature": SKIP}), user(RESULT, RESULT)
        ),
        "not valid",
    ),
    (conversation(model({**CALL, "thoughtSignature": SKIP}), user({"text": "never mind"})), "number of function"),
    (conversation(user(RESULT)), "number of function"),
    (conversation(model({"text": "prefill"})), "end with a user role"),
    ({"contents": [model({**CALL, "thoughtSignature": SKIP}), user(RESULT)]}, "immediately after a user turn"),
    (conversation(user({"text": ""})), "oneof field"),
    (thinking(thinkingLevel="enormous"), "thinkingLevel"),
    (thinking(thinkingBudget=65_000), "budget 65000 is invalid"),
    (config(maxOutputTokens=70_000), "maxOutputTokens"),
]


@pytest.mark.parametrize(("inner", "said"), OF_GEMINI, ids=[str(change)[:70] for change, _ in OF_GEMINI])
def test_what_is_refused_for_a_gemini(fake: FakeCloudCode, inner: dict[str, Any], said: str) -> None:
    status, content = post(fake, "generateContent", envelope(GEMINI, **inner))
    assert (status, json.loads(content)["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert any(said in violation for violation in fake.violations), fake.violations


def test_a_gemini_takes_the_sentinel_and_an_empty_opening(fake: FakeCloudCode) -> None:
    opening = [user({"text": ""}), model({**CALL, "thoughtSignature": SKIP}, {**CALL, "functionCall": OTHER})]
    ask(fake, envelope(GEMINI, contents=[*opening, user(RESULT, {"functionResponse": ANSWER})]))
    assert fake.violations == []


OTHER = {"id": "b", "name": "clock", "args": {}}
ANSWER = {"id": "b", "name": "clock", "response": {"result": "one"}}


def nameless(part: dict[str, Any]) -> dict[str, Any]:
    return {kind: {name: value for name, value in one.items() if name != "id"} for kind, one in part.items()}


def thought(signature: str | None, text: str = "t") -> dict[str, Any]:
    return model(
        {"text": text, "thought": True, **({"thoughtSignature": signature} if signature else {})}, {"text": "x"}
    )


THINKS = {"generationConfig": {"maxOutputTokens": 8192, "thinkingConfig": {"includeThoughts": True}}}
OF_CLAUDE = [
    (conversation(model(nameless(CALL)), user(RESULT)), "tool_use.id: Field required"),
    (conversation(model(CALL), user(nameless(RESULT))), "tool_result.tool_use_id: Field required"),
    (conversation(model(CALL), user({"text": "never mind"})), "without `tool_result` blocks"),
    (conversation(model(CALL, CALL), user(RESULT, RESULT)), "must be unique"),
    (conversation(user(RESULT)), "unexpected `tool_use_id`"),
    (conversation(model(CALL), user({"text": "so:"}, RESULT)), "must come before other"),
    (conversation(model({"functionCall": {**OTHER, "id": "a.b"}}), user(RESULT)), "should match pattern"),
    (conversation(user({"text": ""})), "oneof field"),
    ({"contents": [user({"text": ""}), user({"text": "x"})]}, "oneof field"),
    (conversation(model({"text": "prefill"})), "end with a user"),
    (conversation(thought(None), user({"text": "x"})), "Invalid `signature`"),
    (conversation(thought(SKIP), user({"text": "x"})), "Invalid `signature`"),
    (conversation(thought("RXFGb3JnZWQ="), user({"text": "x"})), "Invalid `signature`"),
    (conversation(model({**CALL, "thoughtSignature": SKIP}), user(RESULT)), "Invalid `signature`"),
    ({**conversation(model(CALL), user(RESULT)), **thinking(thinkingBudget=2048)}, "Expected `thinking`"),
    (thinking(), "a budget is what"),
    (thinking(thinkingLevel="low"), "a budget is what"),
    (thinking(thinkingBudget=1000), "greater than or equal to 1024"),
    (config(maxOutputTokens=2048, thinkingConfig={"thinkingBudget": 2048}), "greater than `thinking.budget_tokens`"),
    (config(maxOutputTokens=65_000), "64000"),
    (config(temperature=0.5, thinkingConfig={"thinkingBudget": 2048}), "temperature"),
    (declared(function(), mode="AUTO"), "VALIDATED"),
    ({"tools": [{"functionDeclarations": [function()]}]}, "VALIDATED"),
    (declared(function({"type": "object", "properties": {}})), "at least one required"),
    (declared(function({"type": "object", "properties": {"x": {"type": "string"}}})), "at least one required"),
    (schema(type="object", properties={"x": {"type": "string"}}), "at least one required"),
    (declared({"name": "clock"}), "input_schema"),
    (declared({"name": "a.b", "parameters": CLOCK}), "function name"),
]  # fmt: skip


@pytest.mark.parametrize(("inner", "said"), OF_CLAUDE, ids=[str(change)[:70] for change, _ in OF_CLAUDE])
def test_what_is_refused_for_a_claude(fake: FakeCloudCode, inner: dict[str, Any], said: str) -> None:
    status, content = post(fake, "generateContent", envelope(CLAUDE, **inner))
    assert (status, json.loads(content)["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert any(said in violation for violation in fake.violations), fake.violations


def test_what_anthropic_refuses_is_told_in_its_words_inside_googles(fake: FakeCloudCode) -> None:
    _, content = post(fake, "generateContent", envelope(CLAUDE, **thinking(thinkingBudget=1000)))
    inner = json.loads(json.loads(content)["error"]["message"])
    assert inner["type"] == "error"
    assert inner["error"]["type"] == "invalid_request_error"
    assert "1024" in inner["error"]["message"]
    assert inner["request_id"].startswith("req_vrtx_")


def test_another_ones_thinking_is_not_a_claudes(fake: FakeCloudCode) -> None:
    told = config(maxOutputTokens=8192, thinkingConfig={"includeThoughts": True, "thinkingBudget": 2048})
    first = ask(fake, envelope(CLAUDE, **told))
    changed = first.turn
    changed["parts"][0]["text"] += "!"
    status, _ = post(fake, "generateContent", envelope(CLAUDE, **conversation(changed, user({"text": "x"})), **told))
    assert status == 400


def test_a_gpt_oss_does_not_think(fake: FakeCloudCode) -> None:
    body = envelope("gpt-oss-120b-medium", **thinking(thinkingLevel="low"))
    assert post(fake, "generateContent", body)[0] == 400


def test_a_picture_is_drawn(fake: FakeCloudCode) -> None:
    outer = {"requestType": "image_gen", "requestId": f"image_gen/1787392800123/{uuid.uuid4()}/12"}
    drawn = {"candidateCount": 1, "imageConfig": {"aspectRatio": "16:9", "imageSize": "2K"}}
    said = ask(fake, envelope("gemini-3.1-flash-image", outer, sessionId=None, generationConfig=drawn))
    [picture] = [part["inlineData"] for part in said.parts if "inlineData" in part]
    assert picture["mimeType"] == "image/png"
    for change in (
        {"sessionId": "-1"},
        thinking(thinkingLevel="low"),
        {"systemInstruction": {"parts": [{"text": "x"}]}},
    ):
        again = {**outer, "requestId": f"image_gen/1787392800123/{uuid.uuid4()}/12"}
        inner = {"sessionId": None, **change}
        assert post(fake, "generateContent", envelope("gemini-3.1-flash-image", again, **inner))[0] == 400


def test_the_web_is_searched(fake: FakeCloudCode) -> None:
    outer = {"requestType": "web_search", "requestId": None}
    search = {"googleSearch": {"enhancedContent": {"imageSearch": {"maxResultCount": 5}}, "includedDomains": ["x.org"]}}
    said = ask(fake, envelope("gemini-3.1-flash-lite", outer, sessionId=None, tools=[search]))
    assert said.responses[-1]["candidates"][0]["groundingMetadata"]["groundingChunks"]
    assert fake.violations == []
    for name, inner in (
        ("gemini-3.1-flash-lite", {"tools": [search], "sessionId": "-1"}),
        ("gemini-3.1-flash-lite", {"sessionId": None}),
        (GEMINI, {"tools": [search], "sessionId": None}),
        ("gemini-3.1-flash-lite", {"sessionId": None, "tools": [{"googleSearch": {"surprise": 1}}]}),
    ):
        assert post(fake, "generateContent", envelope(name, outer, **inner))[0] == 400


def test_an_answer_schema_may_say_a_little_more_than_a_tool(fake: FakeCloudCode) -> None:
    answer = {"type": "object", "properties": {"n": {"type": "integer", "enum": ["1"]}}, "additionalProperties": False}
    ask(fake, envelope(GEMINI, **config(responseMimeType="application/json", responseSchema=answer)))
    assert fake.violations == []


def test_a_program_without_a_version_or_too_old_is_told_so_as_if_it_were_an_answer(fake: FakeCloudCode) -> None:
    for program in ("aigateway/0.1", "antigravity/1.15.8 linux/amd64"):
        said = ask(fake, envelope(), user_agent=program)
        assert said.text == OUTDATED
        assert "usageMetadata" not in said.responses[0]
    assert ask(fake, envelope(), user_agent="antigravity/3.0.0 linux/arm64").text == "echo: hello [turn 1]"


def test_a_foreign_project_in_a_header_is_refused(fake: FakeCloudCode) -> None:
    status, content = post(fake, "generateContent", envelope(), x_goog_user_project="mine")
    assert status == 403
    assert json.loads(content)["error"]["details"][0]["reason"] == "SERVICE_DISABLED"
    assert fake.violations


def test_an_unknown_token_is_refused_and_is_no_violation(fake: FakeCloudCode) -> None:
    for method in ("generateContent", "loadCodeAssist"):
        status, content = post(fake, method, {}, authorization="Bearer ya29.other")
        assert (status, json.loads(content)["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert fake.violations == []


def test_only_contents_are_counted(fake: FakeCloudCode) -> None:
    counted = []
    for inner in ({}, {"systemInstruction": {"parts": [{"text": "a b c"}]}, **declared(function())}):
        request = {"model": f"models/{GEMINI}", **asking(GEMINI), **inner}
        status, content = post(fake, "countTokens", {"request": request})
        assert status == 200, content
        counted.append(json.loads(content))
    assert counted[0] == counted[1]
    assert counted[0]["totalTokens"] > 0
    said = conversation(model({"text": "t", "thought": True}), user({"text": "x"}))
    assert post(fake, "countTokens", {"request": said})[0] == 400


# -- how it fails

FAILURES = [
    (cloud_code_errors.quota(CLAUDE, 256_527.79), 429, ["QUOTA_EXHAUSTED", '"71h15m27.79s"', '"256528s"']),
    (cloud_code_errors.rate_limit(GEMINI, 3.2), 429, ["RATE_LIMIT_EXCEEDED", '"3.2s"']),
    (cloud_code_errors.bare_limit(), 429, ["RESOURCE_EXHAUSTED"]),
    (cloud_code_errors.capacity(GEMINI), 503, ["MODEL_CAPACITY_EXHAUSTED", "UNAVAILABLE"]),
    (cloud_code_errors.banned(), 403, ["violation of Terms of Service"]),
    (cloud_code_errors.validation(), 403, ["VALIDATION_REQUIRED", "validation_url"]),
    (cloud_code_errors.unlicensed(), 403, ["#3501"]),
    (cloud_code_errors.ended_token(), 401, ["ACCESS_TOKEN_EXPIRED"]),
    (cloud_code_errors.not_found(), 404, ["NOT_FOUND"]),
    (cloud_code_errors.elsewhere(), 400, ["FAILED_PRECONDITION"]),
    (cloud_code_errors.too_long(), 400, ["prompt is too long"]),
]


@pytest.mark.parametrize(("script", "status", "said"), FAILURES, ids=[said[0] for *_, said in FAILURES])
def test_it_fails_for_one_account_and_model_as_it_is_told(
    fake: FakeCloudCode, script: Script, status: int, said: list[str]
) -> None:
    fake.add(CloudAccount(email="bob@example.com", project="bobs"), "ya29.bob")
    fake.script(script, key=ANN, model=GEMINI)
    found, content = post(fake, "streamGenerateContent?alt=sse", envelope())
    assert found == status
    assert all(words in content.decode() for words in said), content
    ask(fake, envelope(CLAUDE))
    ask(fake, envelope(outer={"project": "bobs"}), authorization="Bearer ya29.bob")
    assert [one.owner for one in fake.asked(model=GEMINI)] == [ANN, "bob@example.com"]
    fake.script(script, key=ANN)
    assert post(fake, "generateContent", envelope(CLAUDE))[0] == status
    assert post(fake, "fetchAvailableModels", {})[0] == 200
    assert fake.violations == []


def test_an_exhausted_quota_refuses_its_models_and_shows_until_it_comes_back(fake: FakeCloudCode) -> None:
    account = fake.accounts.by_email[ANN]
    account.exhaust("claude", 60)
    for name in (CLAUDE, "claude-sonnet-4-6"):
        status, content = post(fake, "generateContent", envelope(name))
        assert (status, b"QUOTA_EXHAUSTED" in content) == (429, True)
    assert post(fake, "generateContent", envelope(GEMINI))[0] == 200
    models = json.loads(post(fake, "fetchAvailableModels", {"project": PROJECT})[1])["models"]
    assert models[CLAUDE]["quotaInfo"].keys() == {"resetTime"}
    assert models[GEMINI]["quotaInfo"]["remainingFraction"] == 1.0
    buckets = json.loads(post(fake, "retrieveUserQuota", {"project": PROJECT})[1])["buckets"]
    assert [one["modelId"] for one in buckets if "remainingFraction" not in one] == [CLAUDE, "claude-sonnet-4-6"]
    account.exhaust("claude", 0)
    assert post(fake, "generateContent", envelope(CLAUDE))[0] == 200


MISHAPS = [
    (cloud_code_errors.empty_stop(), "STOP"),
    (cloud_code_errors.malformed_call(), "MALFORMED_FUNCTION_CALL"),
    (cloud_code_errors.thoughts_without_end(), None),
    (cloud_code_errors.without_an_end(), None),
]


@pytest.mark.parametrize(("script", "finish"), MISHAPS)
def test_an_answer_ends_oddly(fake: FakeCloudCode, script: Script, finish: str | None) -> None:
    fake.script(script, model=GEMINI)
    said = ask(fake, envelope())
    assert said.finish == finish
    assert said.responses[-1]["usageMetadata"]["totalTokenCount"]
    assert fake.violations == []


def test_a_stream_holds_nothing_or_an_error(fake: FakeCloudCode) -> None:
    scripts = {
        "candidates": (cloud_code_errors.nothing(), False),
        "blockReason": (cloud_code_errors.blocked_prompt(), True),
        "RESOURCE_EXHAUSTED": (cloud_code_errors.error_within(cloud_code_errors.quota_error(GEMINI, 9)), True),
        "UNAVAILABLE": (Script(after=2, end="error"), True),
    }
    for words, (script, there) in scripts.items():
        fake.script(script, model=GEMINI)
        status, content = post(fake, "streamGenerateContent?alt=sse", envelope())
        assert (status, words in content.decode()) == (200, there)


def test_a_stream_is_cut(fake: FakeCloudCode) -> None:
    fake.script(Script(after=2, end="cut"), key=ANN)
    with pytest.raises(http.client.IncompleteRead):
        post(fake, "streamGenerateContent?alt=sse", envelope())


# -- the office

META = {"metadata": {"ideType": "ANTIGRAVITY"}}


def office(fake: FakeCloudCode, method: str, body: Any) -> Any:
    status, content = post(fake, method, body)
    assert status == 200, content
    return json.loads(content)


def test_an_account_without_a_project_is_boarded(fake: FakeCloudCode) -> None:
    account = fake.add(CloudAccount(email=ANN, project=None), TOKEN)
    loaded = office(fake, "loadCodeAssist", META)
    assert "cloudaicompanionProject" not in loaded
    assert post(fake, "generateContent", envelope())[0] == 403
    told = [office(fake, "onboardUser", {"tierId": "free-tier", **META}) for _ in range(3)]
    assert [one["done"] for one in told] == [False, False, True]
    assert told[-1]["response"]["cloudaicompanionProject"]["id"] == account.project == "example-proj-granted"
    assert office(fake, "loadCodeAssist", META)["cloudaicompanionProject"] == account.project
    ask(fake, envelope(outer={"project": account.project}))


def test_a_project_may_be_told_as_an_object_and_a_boarding_come_to_nothing(fake: FakeCloudCode) -> None:
    account = fake.add(CloudAccount(email=ANN, project=PROJECT, as_object=True), TOKEN)
    assert office(fake, "loadCodeAssist", META)["cloudaicompanionProject"] == {"id": PROJECT}
    account.project = account.grants = None
    account.polls = 0
    assert "cloudaicompanionProject" not in office(fake, "onboardUser", {"tier_id": "free-tier", **META})["response"]


OFFICE = [
    ("loadCodeAssist", {}, "metadata is not specified"),
    ("loadCodeAssist", {"metadata": {"ideType": "VSCODE"}}, "no access"),
    ("loadCodeAssist", {"metadata": {"ideType": "ANTIGRAVITY", "machineId": "x"}}, "machineId"),
    ("loadCodeAssist", {**META, "surprise": 1}, "surprise"),
    ("onboardUser", {**META}, "Invalid tier"),
    ("onboardUser", {"tierId": "g1-pro-tier", **META}, "Invalid tier"),
    ("onboardUser", {"tierId": "free-tier", "cloudaicompanionProject": PROJECT, **META}, "Precondition Failed"),
    ("fetchAvailableModels", {"project": "other"}, "Permission denied"),
    ("retrieveUserQuota", {}, "Invalid project resource name"),
]


@pytest.mark.parametrize(("method", "body", "said"), OFFICE, ids=[f"{method} {said}" for method, _, said in OFFICE])
def test_the_office_refuses(fake: FakeCloudCode, method: str, body: dict[str, Any], said: str) -> None:
    status, content = post(fake, method, body)
    assert status in (400, 403)
    assert said in content.decode()
    assert fake.violations


def test_the_office_fails_by_method(fake: FakeCloudCode) -> None:
    fake.script(fake.refuse(500, "internal"), model="loadCodeAssist")
    assert post(fake, "loadCodeAssist", META)[0] == 500
    fake.add(CloudAccount(email=ANN, project=PROJECT, strict_models=True), TOKEN)
    assert post(fake, "fetchAvailableModels", {"project": PROJECT})[0] == 403
    assert post(fake, "fetchAvailableModels", {})[0] == 200
    assert len(fake.asked(model="fetchAvailableModels", key=ANN)) == 2
    assert fake.violations == []


def test_people_who_log_in_are_known_by_their_tokens() -> None:
    with FakeIdentityProvider(identity=ANN) as idp:
        fake = FakeCloudCode(idp)
        fake.start()
        fake.add(CloudAccount(email=ANN, project=PROJECT))
        token = idp.tokens()["access_token"]
        assert ask(fake, envelope(), authorization=f"Bearer {token}").text == "echo: hello [turn 1]"
        idp.revoke_access()
        assert post(fake, "generateContent", envelope(), authorization=f"Bearer {token}")[0] == 401
        idp.identity = "nobody@example.com"
        stranger = idp.tokens()["access_token"]
        assert post(fake, "generateContent", envelope(), authorization=f"Bearer {stranger}")[0] == 401
        fake.stop()
