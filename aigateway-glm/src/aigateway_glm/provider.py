"""GLM's chat completions, and its copy of Anthropic's Messages."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from typing_extensions import override

from aigateway_core.plugin import (
    Anthropic,
    AnthropicProfile,
    Endpoint,
    JsonObject,
    OpenAIChat,
    OpenAICompatibleConfig,
    OpenAICompatibleProvider,
    UpstreamError,
    UpstreamFailure,
)
from aigateway_glm.errors import classify
from aigateway_glm.models import MODELS, PATTERNS
from aigateway_glm.quirks import PROFILE, prepare, prepare_for_anthropic, with_tool_stream

_ANTHROPIC = Anthropic(AnthropicProfile(origin="glm"))
"""GLM's copy of the Messages API, whose thinking Anthropic refuses."""


@attrs.frozen(kw_only=True)
class GLMConfig(OpenAICompatibleConfig):
    """``base_url`` is the endpoint that the accounts' keys are for; see the README for the four that there are.

    ``anthropic_base_url`` (``https://api.z.ai/api/anthropic``) sends Anthropic's clients there, untranslated; only keys
    of a Coding Plan open it. Without it they are translated, and get the arguments of tool calls as they are written.
    """

    base_url: str = "https://open.bigmodel.cn/api/paas/v4"
    anthropic_base_url: str | None = None
    # Error texts come in Chinese otherwise.
    headers: Mapping[str, str] = attrs.field(factory=lambda: {"accept-language": "en-US,en"})


class GLMProvider(OpenAICompatibleProvider):
    """GLM: a profile of OpenAI's dialect, a last touch on each body, and a table of error codes."""

    dialect = OpenAIChat(PROFILE)
    known_models = tuple(model.info for model in MODELS)
    known_patterns = PATTERNS

    def __init__(self, config: GLMConfig) -> None:
        super().__init__(config)
        self._anthropic = config.anthropic_base_url and Endpoint(
            config.anthropic_base_url.rstrip("/") + "/v1/messages",
            _ANTHROPIC,
            {"anthropic-version": _ANTHROPIC.profile.version, **config.headers},
            prepare_for_anthropic,
            ("anthropic-beta", "anthropic-version"),
        )

    @override
    def prepare(self, body: JsonObject) -> JsonObject:
        """A translated body as GLM takes it."""
        return with_tool_stream(prepare(body))

    @override
    def endpoint(self, dialect: str, operation: str, model: str) -> Endpoint | None:
        """The native path for OpenAI's clients, and for Anthropic's where an endpoint for them is configured."""
        if self._anthropic and (dialect, operation) == ("anthropic", "chat"):
            return self._anthropic
        endpoint = super().endpoint(dialect, operation, model)
        return endpoint and (attrs.evolve(endpoint, prepare=prepare) if operation == "chat" else endpoint)

    @override
    def classify_error(self, failure: UpstreamFailure) -> UpstreamError:
        """By GLM's codes, which both endpoints use; by status where there is none."""
        return classify(failure) or super().classify_error(failure)
