"""The core and Antigravity, and nothing else: ``pip install aigateway-core aigateway-antigravity``."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from e2e.cloud_house import log_in, section
from e2e.fakes.cloud_code import FakeCloudCode
from e2e.gateway_process import CLIENT_KEY, GatewayProcess

from aigateway_core.testing import FakeIdentityProvider

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("aigateway_openai") is not None,
    reason="aigateway-openai is installed here: run tox -e antigravity",
)

HELLO = [{"role": "user", "content": "hello"}]
CHAT = "/v1/chat/completions"
GENERATE = "/v1beta/models/{}:generateContent"
STREAM = "/v1beta/models/{}:streamGenerateContent?alt=sse"

in_each_dialect = pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/responses", GENERATE])
with_each_model = pytest.mark.parametrize("model", ["claude-opus-4-6-thinking", "claude-sonnet-4-6", "gemini-3-flash"])


@pytest.fixture(scope="module")
def idp() -> Iterator[FakeIdentityProvider]:
    with FakeIdentityProvider() as provider:
        yield provider


@pytest.fixture(scope="module")
def cloud(idp: FakeIdentityProvider) -> Iterator[FakeCloudCode]:
    fake = FakeCloudCode(idp)
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture(scope="module")
def gateway(
    cloud: FakeCloudCode, idp: FakeIdentityProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    config = {"providers": {"antigravity": section(cloud, idp)}}
    process = GatewayProcess(config, tmp_path_factory.mktemp("gateway"))
    process.start()
    log_in(process, cloud, idp, "ann@example.com")
    yield process
    assert process.stop() == 0
    assert "Traceback" not in process.output
    assert not any(secret in process.output for secret in idp.secrets)


def post(gateway: GatewayProcess, path: str, model: str, *, stream: bool = False) -> httpx.Response:
    body: dict[str, Any] = {"model": model, "max_tokens": 50, "messages": HELLO, "stream": stream}
    if path == "/v1/responses":
        body = {"model": model, "input": HELLO, "stream": stream}
    elif path == GENERATE:
        path = STREAM if stream else GENERATE
        body = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
    headers = {"authorization": f"Bearer {CLIENT_KEY}"}
    return httpx.post(gateway.url + path.format(model), json=body, headers=headers, trust_env=False, timeout=20)


@in_each_dialect
@with_each_model
def test_its_models_answer(path: str, model: str, gateway: GatewayProcess, cloud: FakeCloudCode) -> None:
    response = post(gateway, path, model)
    assert response.status_code == 200, response.text
    assert "echo: hello [turn 1]" in response.text
    streamed = post(gateway, path, model, stream=True)
    assert streamed.status_code == 200
    assert "echo:" in streamed.text
    assert cloud.violations == []


@in_each_dialect
def test_a_model_of_a_vendor_that_is_not_installed_is_unknown(path: str, gateway: GatewayProcess) -> None:
    response = post(gateway, path, "gpt-4o")
    assert response.status_code == 404
    assert "gpt-4o" in response.json()["error"]["message"]


def test_the_models_are_those_of_antigravity_alone_and_tell_their_limits(gateway: GatewayProcess) -> None:
    headers = {"authorization": f"Bearer {CLIENT_KEY}"}
    listed = httpx.get(f"{gateway.url}/v1/models", headers=headers, trust_env=False).json()["data"]
    ids = {model["id"] for model in listed}
    assert {"claude-opus-4-6-thinking", "claude-sonnet-4-6", "gemini-3-flash", "gpt-oss-120b-medium"} <= ids
    assert all(name.startswith(("gemini-", "claude-", "gpt-oss-")) for name in ids)
    googles = httpx.get(f"{gateway.url}/v1beta/models/gemini-3-flash", headers=headers, trust_env=False).json()
    assert (googles["inputTokenLimit"], googles["outputTokenLimit"]) == (1_048_576, 65_536)


def test_the_output_names_the_one_plugin(gateway: GatewayProcess) -> None:
    assert "aigateway-antigravity" in gateway.output
    assert "aigateway-openai" not in gateway.output


def test_without_an_oauth_client_the_gateway_starts_and_the_provider_is_off(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    process = GatewayProcess({}, tmp_path_factory.mktemp("unconfigured"))
    process.start()
    try:
        assert post(process, CHAT, "claude-sonnet-4-6").status_code == 404
        assert process.admin("GET", "/accounts")["data"] == []
    finally:
        assert process.stop() == 0
    assert "Traceback" not in process.output
