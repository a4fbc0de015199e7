"""GLM's models, and what is different between them.

Source: the model and API pages of docs.z.ai and docs.bigmodel.cn (2026), limits as in the public catalogue models.dev.
A model that is not listed is treated like the listed one whose name its own begins with.
"""

from __future__ import annotations

from typing import Literal

import attrs

from aigateway_core.plugin import ModelInfo

Thinking = Literal["never", "switch", "always"]
"""Whether a model can think, and whether ``thinking: {type: disabled}`` stops it."""

Efforts = Literal["none", "all", "three"]
"""Words of ``reasoning_effort`` that a model takes: none at all, OpenAI's seven, or ``low``, ``high`` and ``max``."""


@attrs.frozen
class GLMModel:
    """One model. Limits are in tokens; None where the vendor names none."""

    id: str
    context: int | None = None
    output: int | None = None
    thinking: Thinking = "switch"
    efforts: Efforts = "none"
    images: bool = False

    @property
    def info(self) -> ModelInfo:
        """What the gateway tells of it."""
        can = {"tools": True, "images": self.images, "thinking": self.thinking != "never"}
        return ModelInfo(
            id=self.id,
            display_name=self.id.upper(),
            context_window=self.context,
            max_output_tokens=self.output,
            capabilities=frozenset(name for name, able in can.items() if able),
        )


MODELS = (
    GLMModel("glm-5.3", 1_048_576, 131_072, "always", "three"),
    GLMModel("glm-5.3-flash", 1_000_000, 131_072, "always", "three", images=True),
    GLMModel("glm-5.2", 1_000_000, 131_072, "switch", "all"),
    GLMModel("glm-5.1", 200_000, 131_072),
    GLMModel("glm-5", 204_800, 131_072),
    GLMModel("glm-5-turbo", 200_000, 131_072),
    GLMModel("glm-5v-turbo", 200_000, 131_072, images=True),
    GLMModel("glm-4.7", 204_800, 131_072),
    GLMModel("glm-4.7-flash", 200_000, 131_072),
    GLMModel("glm-4.7-flashx"),
    GLMModel("glm-4.6", 204_800, 131_072),
    GLMModel("glm-4.6v", 128_000, 32_768, images=True),
    GLMModel("glm-4.6v-flash", images=True),
    GLMModel("glm-4.6v-flashx", images=True),
    GLMModel("glm-4.5", 131_072, 98_304),
    GLMModel("glm-4.5-air", 131_072, 98_304),
    GLMModel("glm-4.5-airx"),
    GLMModel("glm-4.5-x"),
    GLMModel("glm-4.5-flash"),
    GLMModel("glm-4.5v", 64_000, 16_384, images=True),
    GLMModel("glm-4-flash-250414", thinking="never"),
    GLMModel("glm-4-flashx-250414", thinking="never"),
)

PATTERNS = ("glm-*",)

_UNKNOWN = GLMModel("glm", images=True)
"""Nothing is held against a model that nobody here has heard of."""

_BY_LENGTH = sorted(MODELS, key=lambda model: len(model.id), reverse=True)


def find(name: str) -> GLMModel:
    """The model of that name, or the one that it is a variant of (``glm-4.6-0930`` of ``glm-4.6``)."""
    return next((model for model in _BY_LENGTH if name == model.id or name.startswith(f"{model.id}-")), _UNKNOWN)
