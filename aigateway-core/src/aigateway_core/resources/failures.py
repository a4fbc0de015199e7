"""Errors as answers: in the dialect of the endpoint, and in the admin API's own shape."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import falcon
from falcon.asgi import App, Request, Response

from aigateway_core.dialects.dialect import Dialect, ErrorReply
from aigateway_core.errors import (
    ErrorKind,
    GatewayError,
    InvalidEntityError,
    MethodNotAllowedError,
    NotFoundError,
    StaleChangeError,
    UpstreamError,
)
from aigateway_core.jsontext import dumps
from aigateway_core.resources.resource import request_id, speaks_gemini

log = logging.getLogger(__name__)

_GEMINI_PATHS = ("/v1beta/", "/v1/tunedModels/")

_GEMINI_METHOD = re.compile(r"/v1/models/.+:[A-Za-z]*(?:Content|Contents|Tokens)")
"""Gemini's stable version shares its path with the models of OpenAI; what it does stands behind a colon."""

_OPENAI = ("/v1/chat/completions", "/v1/embeddings")

_ADMIN_STATUS: Mapping[ErrorKind, int] = {
    ErrorKind.INVALID_REQUEST: 400,
    ErrorKind.UNSUPPORTED: 400,
    ErrorKind.UNAUTHORIZED: 401,
    ErrorKind.FORBIDDEN: 403,
    ErrorKind.NOT_FOUND: 404,
    ErrorKind.METHOD_NOT_ALLOWED: 405,
    ErrorKind.REQUEST_TIMEOUT: 408,
    ErrorKind.CONFLICT: 409,
    ErrorKind.TOO_LARGE: 413,
    ErrorKind.RATE_LIMIT: 429,
    ErrorKind.UNAVAILABLE: 503,
}


class Failures:
    """Turns every exception that leaves a responder into an answer; text reaches a client from the error tree alone."""

    def __init__(self, openai: Dialect, responses: Dialect, anthropic: Dialect, gemini: Dialect) -> None:
        self._openai = openai
        self._responses = responses
        self._anthropic = anthropic
        self._gemini = gemini

    def install(self, app: App[Request, Response]) -> None:
        """Take over the app's error handling."""
        app.add_error_handler(Exception, self._unexpected)
        app.add_error_handler(falcon.HTTPError, self._http)
        app.add_error_handler(GatewayError, self._known)

    async def _known(self, req: Request, resp: Response, error: GatewayError, params: dict[str, Any]) -> None:
        reply = self._shape(req)(error, request_id(req))
        resp.status = reply.status
        resp.content_type = falcon.MEDIA_JSON
        resp.data = dumps(reply.body)
        resp.set_headers(dict(reply.headers))

    async def _http(self, req: Request, resp: Response, error: falcon.HTTPError, params: dict[str, Any]) -> None:
        known: GatewayError
        if error.status_code == 404:
            known = NotFoundError(f"there is nothing at {req.path[:200]}")
        elif error.status_code == 405 or req.method not in falcon.COMBINED_METHODS:
            known = MethodNotAllowedError(f"{req.method[:20]} is not possible at {req.path[:200]}")
        else:
            known = GatewayError("internal error")
        await self._known(req, resp, known, params)
        if error.headers:
            resp.set_headers(error.headers)

    async def _unexpected(self, req: Request, resp: Response, error: Exception, params: dict[str, Any]) -> None:
        log.error("a request failed inside the gateway (request %s)", request_id(req), exc_info=error)
        await self._known(req, resp, GatewayError("internal error"), params)

    def _shape(self, req: Request) -> Callable[[GatewayError, str], ErrorReply]:
        if req.path.startswith("/api/"):
            return encode_admin_error
        if req.path.startswith(_GEMINI_PATHS) or _GEMINI_METHOD.fullmatch(req.path) or _lists_for_gemini(req):
            return self._gemini.encode_error
        if req.path.startswith("/v1/responses"):
            return self._responses.encode_error
        # Where the path does not tell the API, the header of Anthropic's clients does.
        of_anthropic = req.path.startswith("/v1/messages") or req.get_header("anthropic-version")
        return (self._anthropic if of_anthropic and not req.path.startswith(_OPENAI) else self._openai).encode_error


def _lists_for_gemini(req: Request) -> bool:
    return req.path.startswith("/v1/models") and speaks_gemini(req)


def encode_admin_error(error: GatewayError, number: str) -> ErrorReply:
    """The admin API's shape: ``{"error": {"code", "message", "request_id", "details"?}}``."""
    body: dict[str, Any] = {"code": error.kind, "message": error.message, "request_id": number}
    status = 502 if isinstance(error, UpstreamError) else _ADMIN_STATUS.get(error.kind, 500)
    if isinstance(error, StaleChangeError):
        status = 412
    if isinstance(error, InvalidEntityError):
        status = 422
        body["details"] = error.problems
    headers = {"retry-after": str(math.ceil(error.retry_after))} if error.retry_after is not None else {}
    return ErrorReply(status, {"error": body}, headers)
