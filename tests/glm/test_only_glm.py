"""The core and GLM, and nothing else: what a user has after ``pip install aigateway-core aigateway-glm``."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from e2e.fakes.glm import GLMWire
from e2e.fakes.server import FakeVendor
from e2e.gateway_process import CLIENT_KEY, GatewayProcess

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("aigateway_openai") is not None,
    reason="aigateway-openai is installed here: run tox -e glm",
)

KEY = "glm-only-id.glm-only-secret"
PATHS = {"openai-chat": "/v1/chat/completions", "anthropic": "/v1/messages"}

in_each_dialect = pytest.mark.parametrize("dialect", list(PATHS))


@pytest.fixture(scope="module")
def vendor() -> Iterator[FakeVendor]:
    fake = FakeVendor(GLMWire(), [KEY])
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture(scope="module")
def gateway(vendor: FakeVendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    config = {"providers": {"glm": {"base_url": f"{vendor.url}/api/paas/v4", "api_key": KEY}}}
    process = GatewayProcess(config, tmp_path_factory.mktemp("gateway"))
    process.start()
    yield process
    assert process.stop() == 0
    assert "Traceback" not in process.output


def ask(gateway: GatewayProcess, dialect: str, model: str, **change: Any) -> httpx.Response:
    body = {"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}], **change}
    headers = {"authorization": f"Bearer {CLIENT_KEY}"}
    return httpx.post(gateway.url + PATHS[dialect], json=body, headers=headers, trust_env=False, timeout=20)


@in_each_dialect
def test_glm_answers(dialect: str, gateway: GatewayProcess, vendor: FakeVendor) -> None:
    response = ask(gateway, dialect, "glm-4.6")
    assert response.status_code == 200, response.text
    assert "echo: hello [turn 1]" in response.text
    assert response.json()["model"] == "glm-4.6"
    assert "echo:" in ask(gateway, dialect, "glm-4.6", stream=True).text
    assert vendor.violations == []


@in_each_dialect
def test_a_model_of_a_vendor_that_is_not_installed_is_unknown(dialect: str, gateway: GatewayProcess) -> None:
    response = ask(gateway, dialect, "gpt-4o")
    assert response.status_code == 404
    error = response.json()["error"]
    assert error["type"] == ("not_found_error" if dialect == "anthropic" else "invalid_request_error")
    if dialect == "openai-chat":
        assert error["code"] == "model_not_found"
    assert "gpt-4o" in error["message"]
    assert "glm" in error["message"].replace("gpt-4o", "")


def test_the_models_are_those_of_glm_alone(gateway: GatewayProcess) -> None:
    response = httpx.get(f"{gateway.url}/v1/models", headers={"authorization": f"Bearer {CLIENT_KEY}"}, trust_env=False)
    ids = {model["id"] for model in response.json()["data"]}
    assert "glm-4.6" in ids
    assert all(name.startswith("glm-") for name in ids)


def test_the_output_names_the_one_plugin(gateway: GatewayProcess) -> None:
    assert "aigateway-glm" in gateway.output
    assert "aigateway-openai" not in gateway.output
