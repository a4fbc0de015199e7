"""``/api/v1/keys``: the keys that clients call with."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import falcon
from falcon.asgi import Request, Response

from aigateway_core.access import Access
from aigateway_core.administration import Administration
from aigateway_core.jsontext import loads_object
from aigateway_core.resources.admin.queries import answer, answer_one, expected, limit, offset
from aigateway_core.resources.request import GatewayRequest
from aigateway_core.resources.resource import Policy, Resource, actor


class KeyResource(Resource):
    """Make, list, read, change and revoke client keys."""

    policy: ClassVar[Policy] = "admin"

    def __init__(self, access: Access, administration: Callable[[], Administration]) -> None:
        super().__init__(access)
        self._administration = administration

    async def on_get(self, req: Request, resp: Response) -> None:
        """A page of keys: ``?limit=&offset=``."""
        answer(resp, await self._administration().keys.list(limit(req), offset(req)))

    async def on_post(self, req: GatewayRequest, resp: Response) -> None:
        """Make one. The answer has the key in ``key``, this once."""
        said = await req.read()
        body = loads_object(said) if said.strip() else {}
        answer_one(resp, await self._administration().keys.create(body, actor(req)))
        resp.status = falcon.HTTP_201

    async def on_get_one(self, req: Request, resp: Response, key_id: str) -> None:
        """Read one: all but the key itself."""
        answer_one(resp, await self._administration().keys.get(key_id))

    async def on_put_one(self, req: GatewayRequest, resp: Response, key_id: str) -> None:
        """Change the fields that are given."""
        body = loads_object(await req.read())
        answer_one(resp, await self._administration().keys.update(key_id, body, actor(req), expected(req)))

    async def on_delete_one(self, req: Request, resp: Response, key_id: str) -> None:
        """Revoke one. It stays in the list."""
        await self._administration().keys.revoke(key_id, actor(req), expected(req))
        resp.status = falcon.HTTP_204
