"""``/api/v1/accounts``."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import falcon
from falcon.asgi import Request, Response

from aigateway_core.access import Access
from aigateway_core.administration import AccountQuery, Administration
from aigateway_core.errors import InvalidRequestError
from aigateway_core.jsontext import loads_object
from aigateway_core.resources.admin.queries import answer, answer_one, boolean, expected, limit, offset
from aigateway_core.resources.request import GatewayRequest
from aigateway_core.resources.resource import Policy, Resource, actor


class AccountResource(Resource):
    """List, add, read, change and remove accounts."""

    policy: ClassVar[Policy] = "admin"

    def __init__(self, access: Access, administration: Callable[[], Administration]) -> None:
        super().__init__(access)
        self._administration = administration

    async def on_get(self, req: Request, resp: Response) -> None:
        """A page of accounts: ``?provider_id=&is_active=&limit=&offset=``."""
        answer(resp, await self._administration().accounts.list(_query(req)))

    async def on_post(self, req: GatewayRequest, resp: Response) -> None:
        """Add one."""
        body = loads_object(await req.read())
        answer_one(resp, await self._administration().accounts.create(body, actor(req)))
        resp.status = falcon.HTTP_201

    async def on_get_one(self, req: Request, resp: Response, account_id: str) -> None:
        """Read one."""
        answer_one(resp, await self._administration().accounts.get(account_id))

    async def on_put_one(self, req: GatewayRequest, resp: Response, account_id: str) -> None:
        """Change the fields that are given."""
        body = loads_object(await req.read())
        answer_one(resp, await self._administration().accounts.update(account_id, body, actor(req), expected(req)))

    async def on_post_refresh(self, req: Request, resp: Response, account_id: str) -> None:
        """Renew its tokens now."""
        administration = self._administration()
        await administration.checkup.refresh(account_id)
        answer_one(resp, await administration.accounts.get(account_id))

    async def on_post_test(self, req: GatewayRequest, resp: Response, account_id: str) -> None:
        """See whether it works: ``{"model": …}``, or nothing."""
        said = await req.read()
        body = loads_object(said) if said.strip() else {}
        model = body.get("model")
        if not body.keys() <= {"model"} or not isinstance(model, str | None):
            raise InvalidRequestError("expected a model's name, and nothing else", path="model")
        answer(resp, await self._administration().checkup.test(account_id, actor(req), model))

    async def on_get_quota(self, req: Request, resp: Response, account_id: str) -> None:
        """What it has left, as its vendor tells it now."""
        answer(resp, await self._administration().checkup.quota(account_id))

    async def on_delete_one(self, req: Request, resp: Response, account_id: str) -> None:
        """Remove one."""
        await self._administration().accounts.delete(account_id, actor(req), expected(req))
        resp.status = falcon.HTTP_204


def _query(req: Request) -> AccountQuery:
    return AccountQuery(
        provider_id=req.get_param("provider_id"),
        is_active=boolean(req, "is_active"),
        limit=limit(req),
        offset=offset(req),
    )
