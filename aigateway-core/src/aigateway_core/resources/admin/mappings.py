"""``/api/v1/model-mappings``: other names for models."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import falcon
from falcon.asgi import Request, Response

from aigateway_core.access import Access
from aigateway_core.administration import Administration
from aigateway_core.jsontext import loads_object
from aigateway_core.resources.admin.queries import answer, answer_one, boolean, expected, limit, offset
from aigateway_core.resources.request import GatewayRequest
from aigateway_core.resources.resource import Policy, Resource, actor


class MappingResource(Resource):
    """List, add, read, change and remove model mappings, by their alias, which may contain slashes."""

    policy: ClassVar[Policy] = "admin"

    def __init__(self, access: Access, administration: Callable[[], Administration]) -> None:
        super().__init__(access)
        self._administration = administration

    async def on_get(self, req: Request, resp: Response) -> None:
        """A page of mappings: ``?is_active=&limit=&offset=``."""
        answer(resp, await self._administration().mappings.list(boolean(req, "is_active"), limit(req), offset(req)))

    async def on_post(self, req: GatewayRequest, resp: Response) -> None:
        """Add one."""
        body = loads_object(await req.read())
        answer_one(resp, await self._administration().mappings.create(body, actor(req)))
        resp.status = falcon.HTTP_201

    async def on_get_one(self, req: Request, resp: Response, alias: str) -> None:
        """Read one."""
        answer_one(resp, await self._administration().mappings.get(alias))

    async def on_put_one(self, req: GatewayRequest, resp: Response, alias: str) -> None:
        """Change the fields that are given."""
        body = loads_object(await req.read())
        answer_one(resp, await self._administration().mappings.update(alias, body, actor(req), expected(req)))

    async def on_delete_one(self, req: Request, resp: Response, alias: str) -> None:
        """Remove one."""
        await self._administration().mappings.delete(alias, actor(req), expected(req))
        resp.status = falcon.HTTP_204
