"""``GET /v1/models`` and ``GET /v1/models/{id}``, in OpenAI's shape or Anthropic's."""

from __future__ import annotations

from typing import Any, ClassVar

from falcon.asgi import Request, Response

from aigateway_core.access import Access
from aigateway_core.catalogue import Catalogue, ListedModel
from aigateway_core.errors import UnknownModelError
from aigateway_core.jsontext import dumps
from aigateway_core.resources.chat import GenerateContent
from aigateway_core.resources.resource import Policy, Resource

_UNDATED = "1970-01-01T00:00:00Z"
"""Anthropic's type demands a date, and most vendors tell none."""


class Models(Resource):
    """The models that can be asked now. ``anthropic-version`` in the request asks for Anthropic's shape."""

    policy: ClassVar[Policy] = "client"

    def __init__(self, access: Access, catalogue: Catalogue, generate: GenerateContent) -> None:
        super().__init__(access)
        self._catalogue = catalogue
        self._generate = generate

    async def on_get(self, req: Request, resp: Response) -> None:
        """The list."""
        models = self._catalogue.models()
        resp.content_type = "application/json"
        if req.get_header("anthropic-version"):
            data = [_anthropic(model) for model in models]
            ids = [model["id"] for model in data]
            page = {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None, "has_more": False}
            resp.data = dumps({"data": data, **page})
        else:
            resp.data = dumps({"object": "list", "data": [_openai(model) for model in models]})

    async def on_get_one(self, req: Request, resp: Response, name: str) -> None:
        """One model; its id may contain slashes."""
        for model in self._catalogue.models():
            if model.info.id == name:
                shape = _anthropic if req.get_header("anthropic-version") else _openai
                resp.content_type = "application/json"
                resp.data = dumps(shape(model))
                return
        raise UnknownModelError("no provider serves it", model=name[:100])

    async def on_post_one(self, req: Request, resp: Response, name: str) -> None:
        """A method of Gemini's stable version, whose models stand at the same path."""
        await self._generate.serve(req, resp, name)


def _openai(model: ListedModel) -> dict[str, Any]:
    return {"id": model.info.id, "object": "model", "created": 0, "owned_by": model.provider_id}


def _anthropic(model: ListedModel) -> dict[str, Any]:
    info = model.info
    listed: dict[str, Any] = {
        "type": "model",
        "id": info.id,
        "display_name": info.display_name or info.id,
        "created_at": _UNDATED,
    }
    if info.context_window is not None:
        listed["max_input_tokens"] = info.context_window
    if info.max_output_tokens is not None:
        listed["max_tokens"] = info.max_output_tokens
    return listed
