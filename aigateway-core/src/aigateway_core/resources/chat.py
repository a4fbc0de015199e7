"""What clients ask of models: one request path, in four dialects and several operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import falcon
from falcon.asgi import Response

from aigateway_core.access import Access
from aigateway_core.answers import StreamAnswer
from aigateway_core.dialects.dialect import Dialect
from aigateway_core.dialects.gemini import Gemini, GeminiArray, GeminiTokenCount
from aigateway_core.errors import NotFoundError
from aigateway_core.gateway import Gateway, Incoming
from aigateway_core.records import Operation
from aigateway_core.resources.request import GatewayRequest
from aigateway_core.resources.resource import Policy, Resource, StreamHandle, exits, request_id

_SSE = "text/event-stream; charset=utf-8"


class ModelCall(Resource):
    """An operation in one dialect, whose body names the model and says whether to stream."""

    policy: ClassVar[Policy] = "client"

    def __init__(self, access: Access, gateway: Gateway, dialect: Dialect, operation: Operation = "chat") -> None:
        super().__init__(access)
        self._gateway = gateway
        self._dialect = dialect
        self._operation: Operation = operation

    async def on_post(self, req: GatewayRequest, resp: Response) -> None:
        """Answer, whole or as a stream: the body says which, whatever the ``Accept`` header."""
        await _answer(self._gateway, self._dialect, req, resp, operation=self._operation)


class GenerateContent:
    """Gemini's methods: model and stream flag stand in the URL, and how a stream is framed in the query."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._sse = Gemini()
        self._array = GeminiArray()
        self._count = GeminiTokenCount()

    async def serve(self, req: GatewayRequest, resp: Response, name: str) -> None:
        """What ``gemini-3-pro:generateContent`` asks for. A model's id may hold a colon itself."""
        model, _, method = name.rpartition(":")
        if method == "generateContent":
            await _answer(self._gateway, self._sse, req, resp, {"model": model, "stream": False})
        elif method == "streamGenerateContent":
            await self._stream(req, resp, model)
        elif method == "countTokens":
            said = {"model": model, "stream": False}
            await _answer(self._gateway, self._count, req, resp, said, operation="count_tokens")
        else:
            raise NotFoundError(f"there is nothing at {req.path[:200]}")

    async def _stream(self, req: GatewayRequest, resp: Response, model: str) -> None:
        """Server-sent events with ``?alt=sse``, a JSON array without."""
        is_sse = req.get_param("alt") == "sse"
        dialect, kind = (self._sse, _SSE) if is_sse else (self._array, falcon.MEDIA_JSON)
        await _answer(self._gateway, dialect, req, resp, {"model": model, "stream": True}, stream_type=kind)


async def _answer(
    gateway: Gateway,
    dialect: Dialect,
    req: GatewayRequest,
    resp: Response,
    said_by_url: Mapping[str, Any] | None = None,
    *,
    stream_type: str = _SSE,
    operation: Operation = "chat",
) -> None:
    answer = await gateway.answer(
        Incoming(
            dialect,
            req.context.caller,
            request_id(req),
            req.read(),
            lambda: exits(req),
            req.headers.get,
            said_by_url or {},
            account=req.context.account,
            operation=operation,
            tell=resp.set_headers,
        )
    )
    if answer.headers:
        resp.set_headers(answer.headers)
    if not isinstance(answer, StreamAnswer):
        resp.data = answer.body  # which falcon takes for JSON unless it is told otherwise
        return
    # nginx and its like hold a stream back unless they are told not to.
    resp.set_headers({"content-type": stream_type, "cache-control": "no-cache", "x-accel-buffering": "no"})
    resp.stream = answer  # type: ignore[assignment]  # falcon iterates it, and closes it
    req.scope["state"]["stream"] = StreamHandle(keepalive=dialect.keepalive, ending=answer.ending)
