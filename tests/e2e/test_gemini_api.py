"""Google's SDK, whole and streamed, against vendors that speak something else."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from e2e.gateway_process import CLIENT_KEY, GatewayProcess
from e2e.house import TARGETS, Target
from google import genai
from google.genai import errors, types

CLOCK = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="clock",
            description="Tells the time.",
            parameters_json_schema={"type": "object", "properties": {"tz": {"type": "string"}}, "required": ["tz"]},
        )
    ]
)
CONFIG = types.GenerateContentConfig(
    system_instruction="Be brief.",
    tools=[CLOCK],
    automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
)
MODES = ("whole", "stream")


def ask(client: genai.Client, mode: str, model: str, contents: Any) -> types.Content:
    """What the model said, put together from all the parts that came."""
    if mode == "whole":
        answer = client.models.generate_content(model=model, contents=contents, config=CONFIG)
        assert answer.candidates
        content: types.Content = answer.candidates[0].content
        return content
    parts: list[types.Part] = []
    for chunk in client.models.generate_content_stream(model=model, contents=contents, config=CONFIG):
        for candidate in chunk.candidates or ():
            if candidate.content:
                parts += candidate.content.parts or ()
    # The empty text at the end of Google's own streams is not for a request, unless it bears a signature.
    return types.Content(role="model", parts=[part for part in parts if part.text != "" or part.thought_signature])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.provider)
def test_a_conversation_with_a_tool(target: Target, mode: str, gemini_client: genai.Client) -> None:
    question = 'use the tool clock with {"tz": "UTC"}'
    history: list[Any] = [types.Content(role="user", parts=[types.Part(text=question)])]
    called = ask(gemini_client, mode, target.model, history)
    [call] = [part.function_call for part in called.parts or () if part.function_call]
    assert (call.name, call.args) == ("clock", {"tz": "UTC"})
    answer = types.FunctionResponse(id=call.id, name="clock", response={"result": "noon"})
    history += [called, types.Content(role="user", parts=[types.Part(function_response=answer)])]
    told = ask(gemini_client, mode, target.model, history)
    text = "".join(part.text for part in told.parts or () if part.text and not part.thought)
    assert "noon" in text


def test_without_alt_sse_a_stream_is_one_json_array(gateway: GatewayProcess) -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": "hello there"}]}]}
    answer = httpx.post(
        f"{gateway.url}/v1beta/models/gpt-4o:streamGenerateContent",
        json=body,
        headers={"x-goog-api-key": CLIENT_KEY},
        trust_env=False,
    )
    assert answer.headers["content-type"].startswith("application/json")
    chunks = answer.json()
    candidates = [candidate for each in chunks for candidate in each.get("candidates", ())]
    text = "".join(part.get("text", "") for each in candidates for part in each.get("content", {}).get("parts", ()))
    assert "hello there" in text
    assert candidates[-1]["finishReason"] == "STOP"
    assert chunks[-1]["usageMetadata"]["totalTokenCount"] > 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("model", ["models/gpt-4o", "openai/gpt-4o", "models/gamma/gemini-3-flash"])
def test_the_name_of_a_model_may_have_a_slash(gemini_client: genai.Client, mode: str, model: str) -> None:
    said = ask(gemini_client, mode, model, "hello there")
    assert "hello there" in "".join(part.text for part in said.parts or () if part.text)


def test_a_slash_may_come_encoded(gateway: GatewayProcess) -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": "hello there"}]}]}
    url = f"{gateway.url}/v1beta/models/gamma%2Fgemini-3-flash:generateContent"
    answer = httpx.post(url, json=body, headers={"x-goog-api-key": CLIENT_KEY}, trust_env=False)
    assert (answer.status_code, answer.json()["modelVersion"]) == (200, "gamma/gemini-3-flash")


def test_an_unknown_model_is_the_sdks_not_found(gemini_client: genai.Client) -> None:
    with pytest.raises(errors.ClientError) as caught:
        gemini_client.models.generate_content(model="nobody-1", contents="hi")
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_either_version_of_the_api_is_served(version: str, gateway: GatewayProcess) -> None:
    options = types.HttpOptions(base_url=gateway.url, api_version=version, timeout=30_000)
    with genai.Client(api_key=CLIENT_KEY, http_options=options) as client:
        assert "hello there" in (client.models.generate_content(model="gpt-4o", contents="hello there").text or "")
        chunks = client.models.generate_content_stream(model="gpt-4o", contents="hello there")
        assert "hello there" in "".join(chunk.text or "" for chunk in chunks)


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_a_wrong_key_is_the_sdks_unauthenticated(version: str, gateway: GatewayProcess) -> None:
    options = types.HttpOptions(base_url=gateway.url, api_version=version)
    with genai.Client(api_key="wrong", http_options=options) as wrong, pytest.raises(errors.ClientError) as caught:
        wrong.models.generate_content(model="gpt-4o", contents="hi")
    assert (caught.value.code, caught.value.status) == (401, "UNAUTHENTICATED")
