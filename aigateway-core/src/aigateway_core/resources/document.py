"""``/openapi.json`` and ``/docs``: what the gateway can be asked, for tools and for people."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

import falcon
from falcon.asgi import Request, Response

from aigateway_core.openapi import bundled_json
from aigateway_core.resources.resource import Policy, Resource

if TYPE_CHECKING:
    from aigateway_core.openapi.page import Page


class OpenAPIDocument(Resource):
    """The document in one piece."""

    policy: ClassVar[Policy] = "reader"

    async def on_get(self, req: Request, resp: Response) -> None:
        """All of it. The first one is made beside the loop."""
        resp.content_type = falcon.MEDIA_JSON
        resp.set_header("cache-control", "no-cache")
        resp.data = await asyncio.to_thread(bundled_json)


class DocsPage(Resource):
    """The document as a page."""

    policy: ClassVar[Policy] = "reader"

    async def on_get(self, req: Request, resp: Response) -> None:
        """All of it; a browser runs nothing of it, and fetches nothing for it."""
        made = await asyncio.to_thread(_page)
        resp.content_type = falcon.MEDIA_HTML
        resp.set_header("cache-control", "no-cache")
        resp.set_header("content-security-policy", made.policy)
        resp.set_header("referrer-policy", "no-referrer")
        resp.set_header("x-content-type-options", "nosniff")
        resp.data = made.html


def _page() -> Page:
    # Imported where somebody looks: what renders it is a tenth of the start.
    from aigateway_core.openapi.page import page

    return page()
