"""The models that can be asked now, in the shape of the client that asks: OpenAI's, Anthropic's or Gemini's.

Sources: the API references of the three, "list models". OpenAI lists all at once, the others by the page.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, ClassVar

from falcon.asgi import Request, Response

from aigateway_core.access import Access
from aigateway_core.catalogue import Catalogue, ListedModel
from aigateway_core.dialects.gemini import resource_name
from aigateway_core.errors import InvalidRequestError
from aigateway_core.jsontext import dumps
from aigateway_core.model import JsonObject
from aigateway_core.resources.chat import GenerateContent
from aigateway_core.resources.request import GatewayRequest
from aigateway_core.resources.resource import Policy, Resource, speaks_gemini

_UNDATED = "1970-01-01T00:00:00Z"
"""Anthropic's type demands a date, and most vendors tell none."""

_ANTHROPIC_PAGE = 20
_GEMINI_PAGE = 50
_LONGEST_PAGE = 1000


class Models(Resource):
    """``/v1/models``: ``anthropic-version`` asks for Anthropic's shape, a header of Google's for Gemini's."""

    policy: ClassVar[Policy] = "client"

    def __init__(self, access: Access, catalogue: Catalogue, generate: GenerateContent) -> None:
        super().__init__(access)
        self._catalogue = catalogue
        self._generate = generate

    async def on_get(self, req: Request, resp: Response) -> None:
        """The list."""
        models = self._catalogue.models(req.context.caller)
        if speaks_gemini(req):
            listed = _gemini_page(req, models)
        elif req.get_header("anthropic-version"):
            listed = _anthropic_page(req, models)
        else:
            listed = {"object": "list", "data": [_openai(model) for model in models]}
        _send(resp, listed)

    async def on_get_one(self, req: Request, resp: Response, name: str) -> None:
        """One model; its id may contain slashes."""
        model = self._catalogue.model(name, req.context.caller)
        if speaks_gemini(req):
            _send(resp, _gemini(model))
        elif req.get_header("anthropic-version"):
            _send(resp, _anthropic(model))
        else:
            _send(resp, _openai(model))

    async def on_post_one(self, req: GatewayRequest, resp: Response, name: str) -> None:
        """A method of Gemini's stable version, whose models stand at the same path."""
        await self._generate.serve(req, resp, name)


class GeminiModels(Resource):
    """``/v1beta/models``: Gemini's shape alone."""

    policy: ClassVar[Policy] = "client"

    def __init__(self, access: Access, catalogue: Catalogue, generate: GenerateContent) -> None:
        super().__init__(access)
        self._catalogue = catalogue
        self._generate = generate

    async def on_get(self, req: Request, resp: Response) -> None:
        """The list."""
        _send(resp, _gemini_page(req, self._catalogue.models(req.context.caller)))

    async def on_get_one(self, req: Request, resp: Response, name: str) -> None:
        """One model, whose id may contain slashes and repeat the prefix ``models/``."""
        _send(resp, _gemini(self._catalogue.model(name.removeprefix("models/"), req.context.caller)))

    async def on_get_tuned(self, req: Request, resp: Response, name: str) -> None:
        """One tuned model, whose id keeps its prefix."""
        _send(resp, _gemini(self._catalogue.model(f"tunedModels/{name}", req.context.caller)))

    async def on_post_one(self, req: GatewayRequest, resp: Response, name: str) -> None:
        """A method of a model."""
        await self._generate.serve(req, resp, name.removeprefix("models/"))

    async def on_post_tuned(self, req: GatewayRequest, resp: Response, name: str) -> None:
        """A method of a tuned model."""
        await self._generate.serve(req, resp, f"tunedModels/{name}")


def _send(resp: Response, body: JsonObject) -> None:
    resp.content_type = "application/json"
    resp.data = dumps(body)


# -- pages


def _anthropic_page(req: Request, models: Sequence[ListedModel]) -> JsonObject:
    """Cursors are ids, and hold their place in the order whether or not there still is such a model."""
    size = _size(req, "limit", _ANTHROPIC_PAGE)
    after, before = req.get_param("after_id"), req.get_param("before_id")
    within = [each for each in models if (not after or each.info.id > after) and (not before or each.info.id < before)]
    page = within[-size:] if before and not after else within[:size]
    data = [_anthropic(model) for model in page]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return {"data": data, **ends, "has_more": len(page) < len(within)}


def _gemini_page(req: Request, models: Sequence[ListedModel]) -> JsonObject:
    """The token of a page is the id that the page before it ended with."""
    size = _size(req, "pageSize", _GEMINI_PAGE)
    after = _after(req.get_param("pageToken"))
    left = [each for each in models if each.info.id > after]
    listed: JsonObject = {"models": [_gemini(model) for model in left[:size]]}
    if len(left) > size:
        listed["nextPageToken"] = base64.urlsafe_b64encode(left[size - 1].info.id.encode()).decode()
    return listed


def _size(req: Request, name: str, default: int) -> int:
    said = req.get_param(name)
    if not said:
        return default
    if not (said.isascii() and said.isdigit() and len(said) < 10):
        raise InvalidRequestError("expected a number of models", path=name)
    return min(int(said) or default, _LONGEST_PAGE)


def _after(token: str | None) -> str:
    try:
        return base64.b64decode(token or "", altchars=b"-_", validate=True).decode()
    except ValueError:
        raise InvalidRequestError("expected the nextPageToken of an earlier page", path="pageToken") from None


# -- shapes


def _openai(model: ListedModel) -> JsonObject:
    # OpenAI's own type knows no limits, and its clients pass over fields that they do not know.
    limits = _limits(model, "context_window", "max_output_tokens")
    return {"id": model.info.id, "object": "model", "created": 0, "owned_by": model.provider_id, **limits}


def _anthropic(model: ListedModel) -> JsonObject:
    info = model.info
    return {
        "type": "model",
        "id": info.id,
        "display_name": info.display_name or info.id,
        "created_at": _UNDATED,
        "lifecycle": "active",
        **_limits(model, "max_input_tokens", "max_tokens"),
    }


def _gemini(model: ListedModel) -> JsonObject:
    info = model.info
    listed: JsonObject = {
        "name": resource_name(info.id),
        "baseModelId": info.id,
        "version": "001",
        "displayName": info.display_name or info.id,
        **_limits(model, "inputTokenLimit", "outputTokenLimit"),
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }
    return {**listed, "thinking": True} if "thinking" in info.capabilities else listed


def _limits(model: ListedModel, input_name: str, output_name: str) -> dict[str, Any]:
    known = {input_name: model.info.context_window, output_name: model.info.max_output_tokens}
    return {name: limit for name, limit in known.items() if limit is not None}
