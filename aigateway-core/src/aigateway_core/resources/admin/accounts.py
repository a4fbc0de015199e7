"""``/api/v1/accounts``."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import falcon
from falcon.asgi import Request, Response

from aigateway_core.access import Access
from aigateway_core.administration import AccountQuery, Administration
from aigateway_core.errors import InvalidRequestError
from aigateway_core.jsontext import dumps, loads_object
from aigateway_core.resources.resource import Policy, Resource, actor

_MOST = 200
"""Rows of a list at a time."""


class AccountResource(Resource):
    """List, add, read, change and remove accounts."""

    policy: ClassVar[Policy] = "admin"

    def __init__(self, access: Access, administration: Callable[[], Administration]) -> None:
        super().__init__(access)
        self._administration = administration

    async def on_get(self, req: Request, resp: Response) -> None:
        """A page of accounts: ``?provider_id=&is_active=&limit=&offset=``."""
        _answer(resp, await self._administration().accounts(_query(req)))

    async def on_post(self, req: Request, resp: Response) -> None:
        """Add one."""
        _answer(resp, await self._administration().create_account(loads_object(await req.stream.read()), actor(req)))
        resp.status = falcon.HTTP_201

    async def on_get_one(self, req: Request, resp: Response, account_id: str) -> None:
        """Read one."""
        _answer(resp, await self._administration().account(account_id))

    async def on_put_one(self, req: Request, resp: Response, account_id: str) -> None:
        """Change the fields that are given."""
        body = loads_object(await req.stream.read())
        _answer(resp, await self._administration().update_account(account_id, body, actor(req)))

    async def on_post_refresh(self, req: Request, resp: Response, account_id: str) -> None:
        """Renew its tokens now."""
        administration = self._administration()
        await administration.checkup.refresh(account_id)
        _answer(resp, await administration.account(account_id))

    async def on_post_test(self, req: Request, resp: Response, account_id: str) -> None:
        """See whether it works: ``{"model": …}``, or nothing."""
        said = await req.stream.read()
        model = (loads_object(said) if said.strip() else {}).get("model")
        if model is not None and not isinstance(model, str):
            raise InvalidRequestError("expected a model's name", path="model")
        _answer(resp, await self._administration().checkup.test(account_id, model))

    async def on_delete_one(self, req: Request, resp: Response, account_id: str) -> None:
        """Remove one."""
        await self._administration().delete_account(account_id, actor(req))
        resp.status = falcon.HTTP_204


def _answer(resp: Response, value: object) -> None:
    resp.content_type = falcon.MEDIA_JSON
    resp.set_header("cache-control", "no-store")
    resp.data = dumps(value)


def _query(req: Request) -> AccountQuery:
    return AccountQuery(
        provider_id=req.get_param("provider_id"),
        is_active=_boolean(req, "is_active"),
        limit=_number(req, "limit", default=20, least=1, most=_MOST),
        offset=_number(req, "offset", default=0, least=0, most=1 << 31),
    )


def _number(req: Request, name: str, *, default: int, least: int, most: int) -> int:
    said = req.get_param(name)
    if said is None:
        return default
    if not said.isascii() or not said.isdigit() or not least <= int(said[:12]) <= most:
        raise InvalidRequestError(f"expected a whole number from {least} to {most}", path=name)
    return int(said)


def _boolean(req: Request, name: str) -> bool | None:
    said = req.get_param(name)
    if said not in {None, "true", "false"}:
        raise InvalidRequestError("expected true or false", path=name)
    return None if said is None else said == "true"
