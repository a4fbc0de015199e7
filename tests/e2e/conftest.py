"""The gateway as a process, and the fake vendors behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from e2e.cloud_house import log_in, section
from e2e.fakes.anthropic import AnthropicWire
from e2e.fakes.anthropic_count import AnthropicCountWire
from e2e.fakes.cloud_code import FakeCloudCode
from e2e.fakes.embeddings import EmbeddingsWire
from e2e.fakes.gemini import GeminiWire
from e2e.fakes.glm import GLMWire
from e2e.fakes.openai import OpenAIWire
from e2e.fakes.responses import ResponsesWire
from e2e.fakes.server import FakeVendor
from e2e.gateway_process import CLIENT_KEY, GatewayProcess
from e2e.house import KEYS, Vendors
from google import genai
from google.genai import types

from aigateway_core.testing import FakeIdentityProvider


@pytest.fixture(scope="session")
def vendors() -> Iterator[Vendors]:
    """The vendors for the whole run; a test that scripts one of them uses a model name of its own."""
    messages = AnthropicWire()
    made = Vendors(
        openai=FakeVendor(OpenAIWire(), [KEYS["openai"]], ResponsesWire(), EmbeddingsWire()),
        glm=FakeVendor(GLMWire(), [KEYS["glm"]]),
        acme=FakeVendor(messages, [KEYS["acme"]], AnthropicCountWire(messages)),
        beta=FakeVendor(OpenAIWire(reasoning_content=True), [KEYS["beta"]], EmbeddingsWire()),
        gamma=FakeVendor(GeminiWire(), [KEYS["gamma"]]),
    )
    for vendor in made.all:
        vendor.start()
    yield made
    for vendor in made.all:
        vendor.stop()


@pytest.fixture(scope="session")
def cloud_idp() -> Iterator[FakeIdentityProvider]:
    """Where people log in for Cloud Code."""
    with FakeIdentityProvider() as provider:
        yield provider
    assert provider.violations == []


@pytest.fixture(scope="session")
def cloud(cloud_idp: FakeIdentityProvider) -> Iterator[FakeCloudCode]:
    """Google's Cloud Code, for those who have logged in there."""
    fake = FakeCloudCode(cloud_idp)
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture(autouse=True)
def nothing_that_a_vendor_would_refuse(vendors: Vendors, cloud: FakeCloudCode) -> Iterator[None]:
    """What the gateway sends is always within the vendor's rules, whatever the test is about."""
    everybody = (*vendors.all, cloud)
    for vendor in everybody:
        vendor.violations.clear()
    yield
    assert [violation for vendor in everybody for violation in vendor.violations] == []


@pytest.fixture(scope="module")
def start_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., GatewayProcess]]:
    """Start gateways with configurations of one's own; each is stopped, and its output read, at the module's end."""
    started: list[GatewayProcess] = []

    def start(
        config: Mapping[str, Any], *, client_key: str | None = CLIENT_KEY, folder: Path | None = None
    ) -> GatewayProcess:
        process = GatewayProcess(config, folder or tmp_path_factory.mktemp("gateway"), client_key=client_key)
        process.start()
        started.append(process)
        return process

    yield start
    ends = [(process.stop(), process.output) for process in started]
    assert [code for code, _ in ends] == [0] * len(ends)
    assert not any("Traceback" in output for _, output in ends), "\n".join(output for _, output in ends)


@pytest.fixture(scope="module")
def gateway(start_gateway: Callable[..., GatewayProcess], vendors: Vendors) -> GatewayProcess:
    """A gateway in front of the vendors, each with one account from the configuration."""
    return start_gateway({"providers": vendors.providers()})


@pytest.fixture(scope="module")
def cloud_gateway(
    start_gateway: Callable[..., GatewayProcess], cloud: FakeCloudCode, cloud_idp: FakeIdentityProvider
) -> GatewayProcess:
    """A gateway in front of Cloud Code alone, with one account that has logged in."""
    started = start_gateway({"providers": {"antigravity": section(cloud, cloud_idp)}})
    log_in(started, cloud, cloud_idp, "ann@example.com")
    return started


@pytest.fixture
def openai_client(gateway: GatewayProcess) -> Iterator[openai.OpenAI]:
    """The official SDK, pointed at the gateway."""
    with openai.OpenAI(api_key=CLIENT_KEY, base_url=f"{gateway.url}/v1", max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture
def anthropic_client(gateway: GatewayProcess) -> Iterator[anthropic.Anthropic]:
    """The official SDK, pointed at the gateway."""
    with anthropic.Anthropic(api_key=CLIENT_KEY, base_url=gateway.url, max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture
def gemini_client(gateway: GatewayProcess) -> Iterator[genai.Client]:
    """Google's SDK, pointed at the gateway."""
    options = types.HttpOptions(base_url=gateway.url, api_version="v1beta", timeout=30_000)
    with genai.Client(api_key=CLIENT_KEY, http_options=options) as client:
        yield client
