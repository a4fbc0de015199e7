"""``POST /v1/chat/completions``, ``/v1/messages`` and ``/v1/responses``: one request path, in three dialects."""

from __future__ import annotations

from typing import ClassVar

import falcon
from falcon.asgi import Request, Response

from aigateway_core.access import Access
from aigateway_core.dialects.dialect import Dialect
from aigateway_core.gateway import Gateway, Incoming, StreamAnswer
from aigateway_core.resources.resource import Policy, Resource, StreamHandle, exits, request_id


class Chat(Resource):
    """One chat endpoint in one dialect."""

    policy: ClassVar[Policy] = "client"

    def __init__(self, access: Access, gateway: Gateway, dialect: Dialect) -> None:
        super().__init__(access)
        self._gateway = gateway
        self._dialect = dialect

    async def on_post(self, req: Request, resp: Response) -> None:
        """Answer, whole or as a stream: the body says which, whatever the ``Accept`` header."""
        number = request_id(req)
        answer = await self._gateway.chat(
            Incoming(self._dialect, req.context.caller, number, req.stream.read(), exits(req), req.get_header)
        )
        resp.set_headers(dict(answer.headers))
        if isinstance(answer, StreamAnswer):
            self._stream(req, resp, answer, number)
        else:
            resp.content_type = falcon.MEDIA_JSON
            resp.data = answer.body

    def _stream(self, req: Request, resp: Response, answer: StreamAnswer, number: str) -> None:
        # nginx and its like hold a stream back unless they are told not to.
        resp.set_headers({"cache-control": "no-cache", "x-accel-buffering": "no"})
        resp.content_type = "text/event-stream; charset=utf-8"
        resp.stream = answer
        req.scope["state"]["stream"] = StreamHandle(
            keepalive=self._dialect.keepalive,
            ending=lambda error: self._dialect.encode_stream_error(error, number),
        )
