"""``/api/v1/oauth``: logging in at an identity provider, and the page that its answer ends at."""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape
from typing import Any, ClassVar

import falcon
from falcon.asgi import Request, Response

from aigateway_core.access import Access
from aigateway_core.administration import Administration
from aigateway_core.errors import GatewayError, InvalidRequestError, NotFoundError
from aigateway_core.guesses import GuessLimitError
from aigateway_core.jsontext import loads_object
from aigateway_core.logins import Answer
from aigateway_core.resources.admin.queries import answer
from aigateway_core.resources.request import GatewayRequest
from aigateway_core.resources.resource import Policy, Resource, actor, request_id


class LoginResource(Resource):
    """Begin a login, and finish it with a pasted address."""

    policy: ClassVar[Policy] = "admin"

    def __init__(self, access: Access, administration: Callable[[], Administration]) -> None:
        super().__init__(access)
        self._administration = administration

    async def on_post_start(self, req: GatewayRequest, resp: Response, provider_id: str) -> None:
        """The address to open in a browser; its answer goes to this gateway's callback unless the body says else."""
        said = await req.read()
        body = loads_object(said) if said.strip() else {}
        callback = _callback(req)
        answer(resp, await self._administration().logins.start(provider_id, body, callback, actor(req)))

    async def on_post_complete(self, req: GatewayRequest, resp: Response, provider_id: str) -> None:
        """``url``: the address that the browser ended at; or ``code`` and ``state`` out of it."""
        body = loads_object(await req.read())
        said = {name: value for name, value in body.items() if name in ("url", "code", "state")}
        if said.keys() != body.keys() or not all(isinstance(value, str) for value in said.values()):
            raise InvalidRequestError("expected url, or code and state, as text")
        given = Answer.pasted(said["url"]) if "url" in said else Answer.queried(said)
        administration = self._administration()
        account_id = await administration.logins.complete(given, provider_id, request_id(req))
        answer(resp, await administration.accounts.get(account_id))


class CallbackResource(Resource):
    """Where a browser arrives after the login. Its state, which is good once, is all that opens it."""

    policy: ClassVar[Policy] = "open"

    def __init__(self, access: Access, administration: Callable[[], Administration]) -> None:
        super().__init__(access)
        self._administration = administration

    async def on_get(self, req: Request, resp: Response) -> None:
        """Finish the login, and say in plain words what came of it."""
        try:
            answer = Answer.queried({name: req.get_param(name) or "" for name in ("code", "state", "error", "iss")})
            account = await self._account(req, answer)
        except GuessLimitError as error:
            resp.status = falcon.HTTP_429
            resp.set_header("retry-after", str(max(1, math.ceil(error.retry_after or 0.0))))
            page(resp, "Please wait", f"{error.message}. Nothing was looked at: this page may be loaded again then.")
        except GatewayError as error:
            resp.status = falcon.HTTP_400
            # A page that is loaded again comes too late, though its login may have worked.
            late = isinstance(error, NotFoundError)
            found = "If you have just logged in, see whether the account is there. " if late else ""
            page(resp, "The login did not work", f"{error.message}. Nothing was stored. {found}Begin the login again.")
        else:
            name = account["label"] or account["id"]
            page(resp, "You are logged in", f"The gateway uses the account {name} now. You can close this page.")

    async def _account(self, req: Request, answer: Answer) -> dict[str, Any]:
        """The account that this answer makes. Whoever brings answers to no login is soon not asked for any more."""
        administration, guesses, client = self._administration(), self.access.guesses, req.scope.get("client")
        place = guesses.place(client[0] if client else "", req.headers.get)
        await guesses.refuse("login", place, [answer.state])
        try:
            account_id = await administration.logins.complete(answer, request_id=request_id(req))
        except NotFoundError:
            await guesses.note_wrong("login", place)
            raise
        return await administration.accounts.get(account_id)


def page(resp: Response, title: str, text: str) -> None:
    """A page of two sentences, without anything that a browser would run or fetch."""
    resp.content_type = "text/html; charset=utf-8"
    resp.set_header("cache-control", "no-store")
    resp.set_header("content-security-policy", "default-src 'none'; frame-ancestors 'none'")
    resp.set_header("referrer-policy", "no-referrer")
    resp.set_header("x-content-type-options", "nosniff")
    resp.text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title></head>'
        f"<body><h1>{escape(title)}</h1><p>{escape(text)}</p></body></html>"
    )


def _callback(req: Request) -> str:
    """This gateway's own callback, by the name that its operator calls it."""
    return f"{req.scheme}://{req.get_header('host') or 'localhost'}/api/v1/oauth/callback"
