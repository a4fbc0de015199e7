"""``/api/v1/providers``."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from falcon.asgi import Request, Response

from aigateway_core.access import Access
from aigateway_core.administration import Administration
from aigateway_core.resources.admin.queries import answer
from aigateway_core.resources.resource import Policy, Resource


class ProviderResource(Resource):
    """List the providers that run."""

    policy: ClassVar[Policy] = "admin"

    def __init__(self, access: Access, administration: Callable[[], Administration]) -> None:
        super().__init__(access)
        self._administration = administration

    async def on_get(self, req: Request, resp: Response) -> None:
        """All of them: there are few."""
        data = self._administration().providers.list()
        answer(resp, {"data": data, "total": len(data), "limit": len(data), "offset": 0})
