"""``/api/v1/providers``."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from falcon.asgi import Request, Response

from aigateway_core.access import Access
from aigateway_core.administration import Administration
from aigateway_core.jsontext import loads_object
from aigateway_core.resources.admin.queries import answer, answer_one, expected
from aigateway_core.resources.request import GatewayRequest
from aigateway_core.resources.resource import Policy, Resource, actor


class ProviderResource(Resource):
    """List and read the providers that run, and switch them on and off."""

    policy: ClassVar[Policy] = "admin"

    def __init__(self, access: Access, administration: Callable[[], Administration]) -> None:
        super().__init__(access)
        self._administration = administration

    async def on_get(self, req: Request, resp: Response) -> None:
        """All of them: there are few."""
        answer(resp, await self._administration().providers.list())

    async def on_get_one(self, req: Request, resp: Response, provider_id: str) -> None:
        """Read one."""
        answer_one(resp, await self._administration().providers.get(provider_id))

    async def on_put_one(self, req: GatewayRequest, resp: Response, provider_id: str) -> None:
        """Switch it on or off."""
        body = loads_object(await req.read())
        answer_one(resp, await self._administration().providers.update(provider_id, body, actor(req), expected(req)))
