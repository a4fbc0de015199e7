"""What every resource has in common: a declared policy that is enforced before any responder runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, ClassVar, Literal, TypeAlias

import attrs
import falcon
from falcon.asgi import Request, Response
from typing_extensions import override

from aigateway_core.access import FORWARDED, Access, Role
from aigateway_core.errors import ForbiddenError, GatewayError, UnauthorizedError
from aigateway_core.records import Caller
from aigateway_core.storage.rows import Actor

ACCOUNT_HEADER = "x-aigateway-account"
"""Names the one account that is to take a call."""

_BARE_KEYS = ("x-api-key", "x-goog-api-key")

Policy: TypeAlias = Literal["client", "admin", "reader", "open"]


@attrs.frozen
class StreamHandle:
    """What the guard may send for a stream: bytes that keep it alive, and its end when the gateway shuts down."""

    keepalive: bytes
    ending: Callable[[GatewayError], bytes]


class Resource:
    """Base of every resource. A subclass that declares no ``policy`` cannot even be defined.

    ``client`` and ``admin`` ask for a key of that role, ``reader`` for an admin key unless the gateway can be reached
    from this machine alone, ``open`` for none. The caller is then ``req.context.caller``,
    and ``req.context.account`` the account that an admin has named for a call, if one has.
    """

    policy: ClassVar[Policy]

    def __init__(self, access: Access) -> None:
        self.access = access

    @override
    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "policy" not in cls.__dict__:
            raise TypeError(f"{cls.__name__} declares no policy: say who may call it")
        falcon.before(_admit)(cls)


async def _admit(req: Request, resp: Response, resource: object, params: dict[str, Any]) -> None:
    req.context.account = None
    if not isinstance(resource, Resource) or resource.policy == "open":
        return
    if resource.policy == "client" and (named := req.headers.get(ACCOUNT_HEADER)):
        req.context.account = named
        req.context.caller = await _admit_to_accounts(req, resource.access)
    elif resource.policy == "reader":
        req.context.caller = await reader(req, resource.access)
    else:
        req.context.caller = await _caller(req, resource.access, resource.policy)


async def reader(req: Request, access: Access) -> Caller:
    """Who looks at how the gateway does. Raises :class:`UnauthorizedError` and :class:`GuessLimitError`."""
    return await _caller(req, access, "admin", lambda _role, keys, **said: access.admit_reader(keys, **said))


async def _caller(
    req: Request,
    access: Access,
    role: Role,
    admit: Callable[..., Caller] | None = None,
    excused: Callable[[Sequence[str]], bool] = lambda _: False,
) -> Caller:
    """The caller, if it is let in; a key that is wrong is counted where it came from, unless it is ``excused``."""
    headers, guesses, client = req.headers, access.guesses, req.scope.get("client")
    header = headers.get
    keys = _presented(header)
    place = guesses.place(client[0] if client else "", header)
    # An nginx before 1.29.7 says HTTP/1.0 of all that it forwards, and unless it is told to, nothing else.
    forwarded = not FORWARDED.isdisjoint(headers) or req.scope["http_version"] == "1.0"
    if guesses.somebody_waits and access.asks_for_a_key(role, forwarded=forwarded):
        await guesses.refuse(role, place, keys)
    try:
        caller = (admit or access.admit)(
            role, keys, origin=header("origin"), host=header("host") or "", forwarded=forwarded
        )
    except UnauthorizedError:
        if keys and not excused(keys):
            await guesses.note_wrong(role, place)
        raise
    if caller.id != "-":
        guesses.note_right(role, place, keys)
    return caller


async def _admit_to_accounts(req: Request, access: Access) -> Caller:
    """Whoever names an account shows an admin key, in the place of the client key or beside it."""
    try:
        return await _caller(req, access, "admin", excused=access.are_all_clients)
    except UnauthorizedError:
        await _caller(req, access, "client")
        raise ForbiddenError(f"{ACCOUNT_HEADER} asks for an admin key") from None


def _presented(header: Callable[[str], str | None]) -> list[str]:
    """The keys a request shows: vendors' clients put them into three different headers."""
    keys: list[str] = []
    if authorization := header("authorization"):
        scheme, _, key = authorization.partition(" ")
        if key and scheme.lower() == "bearer":
            keys.append(key.strip())
    keys.extend(filter(None, map(header, _BARE_KEYS)))
    return keys


def speaks_gemini(req: Request) -> bool:
    """Whether a request to a path that several APIs share comes from a client of Google's."""
    return bool(req.get_header("x-goog-api-key") or req.get_header("x-goog-api-client"))


def request_id(req: Request) -> str:
    """The id of this request, as the guard chose it."""
    return str(req.scope["state"]["request_id"])


def exits(req: Request) -> AsyncExitStack:
    """The stack that the guard closes when this request is over; made when it is first asked for."""
    state = req.scope["state"]
    if "exits" not in state:
        state["exits"] = AsyncExitStack()
    stack: AsyncExitStack = state["exits"]
    return stack


def actor(req: Request) -> Actor:
    """Who makes a change, for the audit log."""
    caller: Caller = req.context.caller
    return Actor(id=caller.id, request_id=request_id(req))
