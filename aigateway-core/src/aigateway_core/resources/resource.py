"""What every resource has in common: a declared policy that is enforced before any responder runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any, ClassVar, Literal, TypeAlias

import attrs
import falcon
from falcon.asgi import Request, Response
from typing_extensions import override

from aigateway_core.access import Access
from aigateway_core.errors import GatewayError
from aigateway_core.records import Caller
from aigateway_core.storage.rows import Actor

Policy: TypeAlias = Literal["client", "admin", "open"]


@attrs.frozen
class StreamHandle:
    """What the guard may send for a stream: bytes that keep it alive, and its end when the gateway shuts down."""

    keepalive: bytes
    ending: Callable[[GatewayError], bytes]


class Resource:
    """Base of every resource. A subclass that declares no ``policy`` cannot even be defined.

    ``client`` and ``admin`` ask for a key of that role, ``open`` for none. The caller is then ``req.context.caller``.
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
    if isinstance(resource, Resource) and resource.policy != "open":
        req.context.caller = resource.access.admit(
            resource.policy,
            _presented(req),
            origin=req.get_header("origin"),
            host=req.get_header("host") or "",
        )


def _presented(req: Request) -> Iterator[str]:
    """The keys a request shows: vendors' clients put them into three different headers."""
    authorization = req.get_header("authorization")
    if authorization:
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() == "bearer" and key:
            yield key.strip()
    for name in ("x-api-key", "x-goog-api-key"):
        if bare := req.get_header(name):
            yield bare


def request_id(req: Request) -> str:
    """The id of this request, as the guard chose it."""
    return str(req.scope["state"]["request_id"])


def exits(req: Request) -> AsyncExitStack:
    """The stack that the guard closes when this request is over."""
    stack: AsyncExitStack = req.scope["state"]["exits"]
    return stack


def actor(req: Request) -> Actor:
    """Who makes a change, for the audit log."""
    caller: Caller = req.context.caller
    return Actor(id=caller.id, request_id=request_id(req))
