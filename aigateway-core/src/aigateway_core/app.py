"""The falcon app: routes, error handling, lifespan. Nothing else runs on the way to a responder."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import falcon.asgi

from aigateway_core.access import Access
from aigateway_core.administration import Administration
from aigateway_core.catalogue import Catalogue
from aigateway_core.dialects.anthropic import Anthropic, AnthropicTokenCount
from aigateway_core.dialects.gemini import Gemini
from aigateway_core.dialects.openai_chat import OpenAIChat, OpenAIEmbeddings
from aigateway_core.dialects.openai_responses import OpenAIResponses
from aigateway_core.gateway import Gateway
from aigateway_core.metrics import Metrics
from aigateway_core.readiness import Readiness
from aigateway_core.resources.admin.accounts import AccountResource
from aigateway_core.resources.admin.keys import KeyResource
from aigateway_core.resources.admin.mappings import MappingResource
from aigateway_core.resources.admin.oauth import CallbackResource, LoginResource
from aigateway_core.resources.admin.providers import ProviderResource
from aigateway_core.resources.admin.proxies import ProxyResource
from aigateway_core.resources.admin.statistics import StatisticsResource
from aigateway_core.resources.chat import GenerateContent, ModelCall
from aigateway_core.resources.document import DocsPage, OpenAPIDocument
from aigateway_core.resources.failures import Failures
from aigateway_core.resources.health import Health, MetricsPage, Ready
from aigateway_core.resources.models import GeminiModels, Models
from aigateway_core.resources.request import GatewayRequest


class Lifespan:
    """What is begun before the first request and ended after the last one."""

    def __init__(self, start: Callable[[], Awaitable[None]], stop: Callable[[], Awaitable[None]]) -> None:
        self._start = start
        self._stop = stop

    async def process_startup(self, scope: Mapping[str, Any], event: Mapping[str, Any]) -> None:
        """The server is about to listen."""
        await self._start()

    async def process_shutdown(self, scope: Mapping[str, Any], event: Mapping[str, Any]) -> None:
        """The server has stopped."""
        await self._stop()


_PROXY_ID = f"{{proxy_id:int(max={2**63 - 1})}}"
"""No column holds a larger number."""


def create_app(
    gateway: Gateway,
    access: Access,
    catalogue: Catalogue,
    administration: Callable[[], Administration],
    readiness: Readiness,
    metrics: Metrics,
    lifespan: Lifespan,
) -> falcon.asgi.App[falcon.asgi.Request, falcon.asgi.Response]:
    """The app over a gateway that is put together."""
    openai, responses, anthropic = OpenAIChat(), OpenAIResponses(), Anthropic()
    app: falcon.asgi.App[Any, Any] = falcon.asgi.App(middleware=[lifespan], request_type=GatewayRequest)
    Failures(openai, responses, anthropic, Gemini()).install(app)
    health, generate = Health(access), GenerateContent(gateway)
    models, gemini_models = Models(access, catalogue, generate), GeminiModels(access, catalogue, generate)
    accounts, providers = AccountResource(access, administration), ProviderResource(access, administration)
    proxies = ProxyResource(access, administration)
    app.add_route("/", health)
    app.add_route("/health", health)
    app.add_route("/openapi.json", OpenAPIDocument(access))
    app.add_route("/docs", DocsPage(access))
    app.add_route("/ready", Ready(access, readiness))
    app.add_route("/metrics", MetricsPage(access, metrics))
    app.add_route("/v1/chat/completions", ModelCall(access, gateway, openai))
    app.add_route("/v1/messages", ModelCall(access, gateway, anthropic))
    app.add_route("/v1/messages/count_tokens", ModelCall(access, gateway, AnthropicTokenCount(), "count_tokens"))
    app.add_route("/v1/responses", ModelCall(access, gateway, responses))
    app.add_route("/v1/embeddings", ModelCall(access, gateway, OpenAIEmbeddings(), "embeddings"))
    app.add_route("/v1beta/models", gemini_models)
    app.add_route("/v1beta/models/{name:path}", gemini_models, suffix="one")
    for version in ("v1", "v1beta"):
        app.add_route(f"/{version}/tunedModels/{{name:path}}", gemini_models, suffix="tuned")
    app.add_route("/v1/models", models)
    app.add_route("/v1/models/{name:path}", models, suffix="one")
    app.add_route("/api/v1/accounts", accounts)
    app.add_route("/api/v1/accounts/{account_id}", accounts, suffix="one")
    app.add_route("/api/v1/accounts/{account_id}/refresh", accounts, suffix="refresh")
    app.add_route("/api/v1/accounts/{account_id}/test", accounts, suffix="test")
    app.add_route("/api/v1/accounts/{account_id}/quota", accounts, suffix="quota")
    app.add_route("/api/v1/providers", providers)
    app.add_route("/api/v1/providers/{provider_id}", providers, suffix="one")
    logins = LoginResource(access, administration)
    app.add_route("/api/v1/oauth/{provider_id}/start", logins, suffix="start")
    app.add_route("/api/v1/oauth/{provider_id}/complete", logins, suffix="complete")
    app.add_route("/api/v1/oauth/callback", CallbackResource(access, administration))
    keys, mappings = KeyResource(access, administration), MappingResource(access, administration)
    app.add_route("/api/v1/keys", keys)
    app.add_route("/api/v1/keys/{key_id}", keys, suffix="one")
    app.add_route("/api/v1/model-mappings", mappings)
    app.add_route("/api/v1/model-mappings/{alias:path}", mappings, suffix="one")
    app.add_route("/api/v1/proxies", proxies)
    app.add_route(f"/api/v1/proxies/{_PROXY_ID}", proxies, suffix="one")
    app.add_route("/api/v1/proxies/assignments", proxies, suffix="assignments")
    app.add_route("/api/v1/proxies/plan", proxies, suffix="plan")
    app.add_route("/api/v1/proxies/recalculate", proxies, suffix="recalculate")
    statistics = StatisticsResource(access, administration)
    app.add_route("/api/v1/stats/logs", statistics, suffix="logs")
    app.add_route("/api/v1/stats/summary", statistics, suffix="summary")
    app.add_route("/api/v1/stats/timeseries", statistics, suffix="timeseries")
    app.add_route(f"/api/v1/stats/proxies/{_PROXY_ID}", statistics, suffix="proxy")
    return app
